"""What many settings say together: performance profiles, P(A > B) of independent runs, the optimality gap. NumPy float64.

The estimates are those of Agarwal and others; the limits are not. Theirs resample the runs of every task apart and have no width where
all runs agree. Here seeds are the units, whatever their settings share, and limits are for new seeds on these settings: a profile and a
gap are means over seeds, with `seed_mean`'s limits; P(A > B) is a U-statistic, with Student's t on its logit over the seeds' influences
and, within half a seed of 0 or 1, the wider of that and Wilson's limits (a U-statistic of S and S runs varies no more than a
proportion of S does). Coverage of a nominal 95 %, in percent, the least over six laws (normal; A and B alike in a seed; settings alike
in a seed; rounded; 0 or 1; exponential) and P = .5, .8, .95, .99, from 1,000 samples or more; the tests measure ten seeds again:

    P(A > B)        5 seeds   10   30
    one setting          98   97   95
    five settings        95   95   94

Paper: Agarwal, Schwarzer, Castro, Courville & Bellemare 2021, deep reinforcement learning at the edge of the statistical precipice,
https://arxiv.org/abs/2108.13264
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from ilbench.stats.intervals import Interval, finite, seed_mean, seed_means, t_quantile


class Profile(NamedTuple):
    """Share of runs that score above each threshold, and its limits, one threshold at a time; `[K]` each."""

    thresholds: np.ndarray
    share: np.ndarray
    lo: np.ndarray
    hi: np.ndarray


def _by_seed(name: str, scores: ArrayLike) -> np.ndarray:
    """`[S, T]` float64; ValueError for one seed."""
    x = finite(name, scores, 1, 2)
    x = x[:, None] if x.ndim == 1 else x
    if len(x) < 2:
        raise ValueError("one seed has no interval; give at least 2 seeds")
    return x


def performance_profile(scores: ArrayLike, thresholds: ArrayLike, *, level: float = 0.95) -> Profile:
    """Run-score distribution of `[S]` or `[S, T]` at thresholds `[K]`: the share of runs that score above, tasks weighing alike."""
    x, at = _by_seed("scores", scores), finite("thresholds", thresholds, 1)
    above = (x[..., None] > at).mean(1)
    lo, hi = seed_means(above.T, 0.0, 1.0, level=level)
    return Profile(at, above.mean(0), lo, hi)


def optimality_gap(scores: ArrayLike, target: float = 1.0, *, level: float = 0.95) -> Interval:
    """By how much runs `[S]` or `[S, T]` fall short of `target` in the mean, those beyond it by nothing."""
    x = _by_seed("scores", scores)
    short = np.maximum(0.0, target - x)
    return seed_mean(short.mean(1), 0.0, max(abs(target), float(short.max())), level=level)


def improvement(a: ArrayLike, b: ArrayLike, *, level: float = 0.95) -> Interval:
    """P(a run of A scores above an independent run of B), ties half, mean over tasks: `[S]` or `[S, T]` each, the same seeds and tasks.

    Mann and Whitney's U over S S, task by task. What the two share by seed is in the limits and not in the estimate.
    """
    x, y = _by_seed("a", a), _by_seed("b", b)
    if x.shape != y.shape:
        raise ValueError(f"a has shape {x.shape} and b {y.shape}; give scores of the same seeds and tasks")
    wins = (np.sign(x[:, None] - y[None]) / 2 + 0.5).mean(2)  # `[S, S]`: each run of A against each of B
    value, n = float(wins.mean()), len(x)
    influence = wins.mean(1) + wins.mean(0)  # each seed's, of its run of A and of its run of B
    se = float(influence.std(ddof=1)) / np.sqrt(n)
    inside = float(np.clip(value, 0.5 / n**2, 1 - 0.5 / n**2))
    half = t_quantile(0.5 + level / 2, n - 1) * se / (inside * (1 - inside))
    lo, hi = (float(special.expit(special.logit(inside) + side * half)) for side in (-1, 1))
    if se < 1e-9 or min(value, 1 - value) < 0.5 / n:
        low, high = _wilson(value, n, level)
        lo, hi = min(lo, low), max(hi, high)
    return Interval(value, min(lo, value), max(hi, value))


def _wilson(p: float, n: int, level: float) -> tuple[float, float]:
    """Wilson's limits of a proportion of n."""
    z2 = float(special.ndtri(0.5 + level / 2)) ** 2
    middle, half = (p + z2 / (2 * n)) / (1 + z2 / n), np.sqrt(z2 * (p * (1 - p) / n + z2 / (4 * n * n))) / (1 + z2 / n)
    return max(0.0, float(middle - half)), min(1.0, float(middle + half))
