"""SQIL: soft Q-learning in which the expert's steps are worth 1 and the learner's own 0.

Unlike behaviour cloning it wants to be where the expert was, not only to do there what the expert did: the reward for a demonstrated
step draws it back to demonstrated states. No classifier is trained. It pays for env steps, and no label beyond the demonstrations.

    Q(s, a) <- r + gamma log sum exp Q'(s', .),   r = 1 for the expert's steps, 0 for one's own, half of the rows each

Q' is the last round's Q (fitted iteration), the head's logits are Q, and a fall is worth 0 for ever.
Paper: Reddy, Dragan & Levine 2020, SQIL, https://arxiv.org/abs/1905.11108, algorithm 1
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ilbench.training.lab import Lab
from ilbench.training.rows import concatenate
from ilbench.training.successors import beside, done, halves, successors
from ilbench.types import Array, Data, Head, Trained

NEEDS = ("demonstrations", "discrete actions", "dist", "sample", "gradients", "one step")
SPACE = {"sqil.gamma": (0.9, 0.95, 0.99), "sqil.reward": (1.0, 3.0, 10.0), "sqil.rounds": (20, 50)}  # what `ilbench tune` tries
TRY = ("gridworld", "mlp", 300)  # what the contract test runs: task, head, labels
TRY_AT = {"sqil.rounds": 2, "sqil.episodes": 2, "sqil.steps": 20, "fit.updates": 50}


@dataclass(frozen=True)
class Config:
    """The iteration."""

    gamma: float = 0.95  # discount per step
    reward: float = 1.0  # of a demonstrated step; against the entropy, which has weight 1
    rounds: int = 20  # targets, and own episodes, renewed so often
    episodes: int = 4  # of the learner in each round
    steps: int = 200  # gradient steps of a round

    def __post_init__(self) -> None:
        if not 0 <= self.gamma < 1:
            raise ValueError(f"sqil.gamma is a discount and must lie in [0, 1), got {self.gamma}")
        for name in ("reward", "rounds", "episodes", "steps"):
            if not getattr(self, name) > 0:
                raise ValueError(f"sqil.{name} must be positive, got {getattr(self, name)}")


def objective(head: Head, given: Any, params: Any, key: Array, row: Data) -> Array:
    """The squared soft Bellman error of one row; `given` are the last round's parameters and gamma."""
    target, gamma = given
    assert head.dist is not None
    later = jax.nn.logsumexp(head.dist(target, row.t + 1, row.extra["next_obs"]).logits)
    wanted = row.extra["reward"] + gamma * row.extra["on"] * later
    return jnp.square(head.dist(params, row.t, row.obs).logits[row.action] - jax.lax.stop_gradient(wanted))


def train(lab: Lab, config: Config) -> Trained:
    """Rounds of own episodes, all kept, and some steps towards the last round's values."""
    demos, seeds = lab.demonstrate(), len(lab.seeds)
    gamma = np.full(seeds, config.gamma, np.float32)
    theirs = beside(lab.rows(demos), successors(demos, whole=False))
    weight = np.asarray(theirs.weight)
    theirs = theirs._replace(extra={**theirs.extra, "reward": np.full(weight.shape, config.reward, np.float32)})
    params, losses = lab.fit(lab.rows(demos), stages=config.rounds + 1)  # where it starts: behaviour cloning's logits
    curve, kept = [], []
    room = config.rounds * config.episodes * lab.task.horizon
    for i in range(config.rounds):
        own = lab.rollout(lab.sampling(params), config.episodes, record=("final_alive",))
        nothing = np.zeros((seeds, own.alive[0].size), np.float32)
        kept.append(beside(lab.rows(done(own)), successors(own, whole=True), reward=nothing))
        mine = _filled(concatenate(kept), room)  # one shape for all rounds
        half, other = halves(weight, mine.weight)
        both = concatenate([theirs._replace(weight=half), mine._replace(weight=other)])
        params, losses = lab.fit(
            both,
            objective=objective,
            given=(params, gamma),
            start=params,
            stage=i + 1,
            prepare=False,
            updates=config.steps,
        )
        curve.append(losses[:, -1])
    return Trained({"last": lab.policy(params)}, "last", {"loss": losses, "bellman": np.stack(curve, axis=1)})


def _filled(data: Data, room: int) -> Data:
    """Rows `[S, room, ...]`, those beyond the data with weight 0."""

    def fill(x: Any) -> np.ndarray:
        x = np.asarray(x)
        return np.concatenate([x, np.zeros((x.shape[0], room - x.shape[1], *x.shape[2:]), x.dtype)], axis=1)

    filled: Data = jax.tree.map(fill, data)
    return filled
