"""The quantities in the proof of the bound of behaviour cloning, and random MDPs to try it on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from ilbench.exact import dp
from ilbench.exact.mdp import MDP

HORIZON = 15  # of random MDPs


class Steps(NamedTuple):
    """The proof's quantities at each step; `[H]` exact, `[S, N, H]` per episode."""

    broken: Any  # P(E_t^c): some mistake before t
    joint: Any  # E[l(s_t) 1{E_t}]: the first mistake is at t
    own: Any  # E_{d_t^pihat} l
    eps: Any  # E_{d_t^{pi*}} l

    @property
    def before(self) -> Any:
        """sum_{i<t} eps_i."""
        # Shifted, not cumsum - eps: where the sum is 1e-10 of eps, the difference has no digits left.
        return np.concatenate([np.zeros_like(self.eps[..., :1]), np.cumsum(self.eps, axis=-1)[..., :-1]], axis=-1)

    @property
    def upto(self) -> Any:
        """sum_{i<=t} eps_i."""
        return np.cumsum(self.eps, axis=-1)


def steps(mdp: MDP, learner: Any, expert: Any, horizon: int) -> Steps:
    """By dynamic programming, each quantity by a recursion of its own."""
    joint = dp.first_mistake(mdp, learner, expert, horizon)
    own, eps = (f(mdp, learner, expert, horizon) for f in (dp.expected_mistakes, dp.expert_errors))
    _, erred = dp.split_by_mistakes(mdp, learner, expert, horizon)
    return Steps(erred.sum(-1), joint, own, eps)


def timed(table: Any, horizon: int) -> np.ndarray:
    """`[H, S]` or `[H, S, A]` from a table with or without time."""
    table = np.asarray(table)
    timed = table.ndim == (2 if np.issubdtype(table.dtype, np.integer) else 3)
    return table[:horizon] if timed else np.broadcast_to(table, (horizon, *table.shape))


def random_instances(count: int, S: int = 5, A: int = 3) -> Iterator[tuple[MDP, np.ndarray, np.ndarray]]:
    """Yields `(mdp, learner, expert)`: deterministic experts `[H, S]`; every other learner is deterministic as well."""
    rng = np.random.default_rng(3)
    for i in range(count):
        sparse = np.full(S, (0.1, 1.0)[i // 2 % 2])
        mdp = MDP(rng.dirichlet(sparse, (S, A)), rng.uniform(size=(S, A)), rng.dirichlet(sparse))
        expert = rng.integers(0, A, (HORIZON, S))
        error = rng.beta(0.3, 2, (HORIZON, S))
        if i % 2:
            error = (rng.uniform(size=error.shape) < error).astype(float)
        yield mdp, dp.erring_policy(expert, error, A), expert
