"""A tabular Markov decision process as three float64 arrays."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class MDP(NamedTuple):
    """Finite states and actions; time is the caller's. Rewards are expected rewards, cost is minus reward."""

    P: Floats  # `[S, A, S]` probability of the successor
    R: Floats  # `[S, A]` expected reward
    rho: Floats  # `[S]` law of the first state


def check(mdp: MDP, tolerance: float = 1e-12) -> MDP:
    """Returns `mdp`; raises ValueError that names the first array which is not what an MDP needs."""
    P, R, rho = mdp
    for name, array in (("P", P), ("R", R), ("rho", rho)):
        if not isinstance(array, np.ndarray) or array.dtype != np.float64:
            raise ValueError(f"{name} must be a float64 NumPy array, got {getattr(array, 'dtype', type(array))}")
        if not np.isfinite(array).all():
            raise ValueError(f"{name} holds a value that is not finite")
    if P.ndim != 3 or P.shape[0] != P.shape[2] or 0 in P.shape:
        raise ValueError(f"P must have shape [S, A, S] with S, A >= 1, got {list(P.shape)}")
    if R.shape != P.shape[:2] or rho.shape != P.shape[:1]:
        raise ValueError(
            f"P is {list(P.shape)}, so R must be [S, A] and rho [S]; got {list(R.shape)}, {list(rho.shape)}"
        )
    for name, rows in (("P", P), ("rho", rho)):
        if rows.min() < 0:
            raise ValueError(f"{name} must be >= 0, its smallest entry is {rows.min()}")
        off = float(np.abs(rows.sum(-1) - 1).max())
        if off > tolerance * P.shape[0]:
            raise ValueError(f"every row of {name} must sum to 1, the worst is off by {off:.3g}")
    return mdp
