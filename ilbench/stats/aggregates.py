"""What many settings say together: performance profiles, P(A > B) of independent runs, the optimality gap. NumPy float64.

The estimates are those of Agarwal and others; the limits are not. Theirs resample the runs of every task apart and have no width where
all runs agree. Here seeds are the units, whatever their settings share, and limits are for new seeds on these settings. A gap is a mean
over seeds, with `seed_mean`'s limits. Profiles and P(A > B), a U-statistic, have Student's t on the logit over what each seed adds; where
that spread says little (of a profile fewer than RARE seeds with a run on the rarer side, of P(A > B) within half a seed of 0 or 1) the
wider of it and Wilson's limits of S: neither varies more than a proportion of S does. Profiles, which seeds that fail everywhere skew,
are nominally at 97.5 % like every mean here (SKEW). Coverage of what is called 95 %, in percent, the least over laws (P(A > B): normal;
A and B alike in a seed; settings alike in a seed; rounded; 0 or 1; exponential. Profiles: settings that share 0, .3, .5, .8 or all of a
seed's variance) and shares of .5 to .99, from 500 samples or more; the tests measure ten seeds again:

                                5 seeds   10   30
    P(A > B), one setting            98   97   95
    P(A > B), five settings          95   95   94
    profile, 1, 5 or 33 settings     97   97   95

Paper: Agarwal, Schwarzer, Castro, Courville & Bellemare 2021, deep reinforcement learning at the edge of the statistical precipice,
https://arxiv.org/abs/2108.13264
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from ilbench.stats.intervals import SKEW, Interval, finite, seed_mean, t_quantile

RARE = 5  # seeds with a run on the rarer side of a threshold, below which their spread says little


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
    above = x[..., None] > at
    share = above.mean((0, 1))
    rare = np.where(share > 0.5, ~above.all(1), above.any(1)).sum(0) < RARE
    return Profile(at, share, *_limits(share, above.mean(1), rare, 0.5 / x.size, 1 - SKEW * (1 - level)))


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
    value, n = wins.mean(keepdims=True)[0], len(x)
    influence = wins.mean(1) + wins.mean(0)  # each seed's, of its run of A and of its run of B
    rare = np.minimum(value, 1 - value) < 0.5 / n
    lo, hi = _limits(value, influence[:, None], rare, 0.5 / n**2, level)
    return Interval(float(value[0]), float(lo[0]), float(hi[0]))


def _limits(
    value: np.ndarray, influence: np.ndarray, rare: np.ndarray, step: float, level: float
) -> tuple[np.ndarray, np.ndarray]:
    """Limits `[K]` of shares `[K]` from each seed's influence `[S, K]`, on the logit, no nearer to 0 and 1 than `step`.

    Where the spread is not to be trusted, `rare` or none, Wilson's of S are taken in where they are wider.
    """
    n = len(influence)
    se = influence.std(0, ddof=1) / np.sqrt(n)
    inside = np.clip(value, step, 1 - step)
    half = t_quantile(0.5 + level / 2, n - 1) * se / (inside * (1 - inside))
    lo, hi = (special.expit(special.logit(inside) + side * half) for side in (-1, 1))
    low, high = _wilson(value, n, level)
    wide = rare | (se < 1e-9)
    lo, hi = np.where(wide, np.minimum(lo, low), lo), np.where(wide, np.maximum(hi, high), hi)
    return np.minimum(lo, value), np.maximum(hi, value)


def _wilson(p: np.ndarray, n: int, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Wilson's limits of proportions of n."""
    z2 = float(special.ndtri(0.5 + level / 2)) ** 2
    middle, half = (p + z2 / (2 * n)) / (1 + z2 / n), np.sqrt(z2 * (p * (1 - p) / n + z2 / (4 * n * n))) / (1 + z2 / n)
    return np.maximum(0.0, middle - half), np.minimum(1.0, middle + half)
