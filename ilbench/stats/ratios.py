"""A ratio of two means over training seeds, and what of it is each seed's: the delta method, with limits of a mean."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ilbench.stats.intervals import Interval, finite, seed_mean


def linearised(top: ArrayLike, bottom: ArrayLike) -> np.ndarray:
    """`[S]` values whose mean is mean(top) / mean(bottom) and whose spread is that of the ratio, to first order."""
    a, b = finite("top", top, 1), finite("bottom", bottom, 1)
    if a.shape != b.shape or not b.mean() > 0:
        raise ValueError(f"give a pair per seed, the mean below positive; got {a.shape}, {b.shape} and {b.mean():.3g}")
    ratio = a.mean() / b.mean()
    return np.asarray(ratio + (a - ratio * b) / b.mean())


def ratio_of_means(top: ArrayLike, bottom: ArrayLike, *, level: float = 0.95) -> Interval:
    """mean(top) / mean(bottom) of `[S]` pairs; limits of `seed_mean` on its linearisation: studentised bootstrap over seeds.

    Infinite limits where all seeds agree: there is nothing to tell a spread from.
    """
    return seed_mean(linearised(top, bottom), level=level)
