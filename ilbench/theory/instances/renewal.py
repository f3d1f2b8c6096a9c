"""Training on Reset Cliff, drawn from its exact law in NumPy: which rows of a per-step table R learners have seen.

Faithful because a per-step table is all there is: `seen[r, t, s]` says whether repetition r has a label for state s at
step t, the learner acts rightly in seen states and wrongly elsewhere. Evaluation is exact. States 0 ... S-2 are good
(the last is the common one), S-1 is the fallen state b.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ilbench.exact.closed_forms import reset_cliff_rho
from ilbench.exact.mdp import Floats


def _fresh(rng: np.random.Generator, cumulative: Floats, shape: Any) -> Any:
    return np.searchsorted(cumulative, rng.random(shape), side="right").astype(np.int8)


def _cumulative(states: int, n: int) -> Floats:
    return np.cumsum(reset_cliff_rho(states, n))[:-1]


def behaviour_cloning(rng: np.random.Generator, reps: int, n: int, H: int, states: int, rare: int) -> Any:
    """`seen [reps, H, states]` after n demonstrations; the rare mass is 1/(rare + 1); b is never seen."""
    draws = _fresh(rng, _cumulative(states, rare), (n, reps, H))
    seen = np.zeros((reps, H, states), bool)
    r, t = np.arange(reps)[:, None], np.arange(H)
    for episode in draws:
        seen[r, t, episode] = True
    return seen


def interactive(
    rng: np.random.Generator, reps: int, rounds: Any, H: int, states: int, rare: int,
    *, recoverable: bool, one_label: bool = False,
) -> list[Any]:  # fmt: skip
    """`seen` after each number of `rounds`; every round is one episode of the learner, who starts knowing nothing.

    All H visited states are labelled (DAgger, beta = 0), or one at a uniformly drawn step (`one_label`, Stagger).
    """
    cumulative, bad, r = _cumulative(states, rare), states - 1, np.arange(reps)
    seen, out = np.zeros((reps, H, states), bool), []
    for i in range(1, max(rounds) + 1):
        fresh = _fresh(rng, cumulative, (H + 1, reps))
        bought = rng.integers(H, size=reps) if one_label else None
        s = fresh[0]
        for t in range(H):
            right = seen[r, t, s]
            if bought is None:
                seen[r, t, s] = True
            else:
                at = np.flatnonzero(bought == t)
                seen[at, t, s[at]] = True
            up = right if recoverable else right & (s != bad)
            s = np.where(up, fresh[t + 1], np.int8(bad))
        if i in rounds:
            out.append(seen.copy())
    return out


def gaps(seen: Any, rare: int, *, recoverable: bool) -> Floats:
    """Exact cumulative gap `[reps, H]` of deployed tables: cost 1 for a mistake and for every step in b."""
    reps, H, states = seen.shape
    rate = ((~seen[..., :-1]) * reset_cliff_rho(states, rare)).sum(-1)
    stays = ~seen[..., -1] if recoverable else np.ones((reps, H), bool)
    fallen, cost = np.zeros(reps), np.empty((reps, H))
    for t in range(H):
        falls = (1 - fallen) * rate[:, t]
        cost[:, t] = falls + fallen
        fallen = falls + fallen * stays[:, t]
    return np.cumsum(cost, axis=1)
