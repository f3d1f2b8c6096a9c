"""Two samples by permutation: exact where both come of one law, whatever the law is; for returns, which are skewed and tie.

Paper: Phipson and Smyth, Permutation P-values Should Never Be Zero, 2010, https://doi.org/10.2202/1544-6115.1585
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ilbench.stats.intervals import finite, t_quantile

CHUNK = 1 << 22  # values that are shuffled at a time


class TwoSamples(NamedTuple):
    """Mean of a minus mean of b, Welch's limits, the two-sided p by permutation, and the least that p could have been."""

    mean: float
    lo: float
    hi: float
    p: float
    least: float


def two_samples(
    a: ArrayLike, b: ArrayLike, *, level: float = 0.95, resamples: int = 20_000, rng: int = 0
) -> TwoSamples:
    """Samples `[N]` and `[M]` against the claim that they come of one law: how often a random split differs as much in its means.

    Raises ValueError for fewer than two values in either.
    """
    x, y = finite("a", a, 1), finite("b", b, 1)
    n, m = len(x), len(y)
    if min(n, m) < 2:
        raise ValueError(f"samples of {n} and {m} have no spread; give at least 2 values each")
    both, seen = np.concatenate([x, y]), float(x.mean() - y.mean())
    mine, least_seen = np.random.default_rng(rng), abs(seen) * (1 - 1e-9)  # sums in another order round otherwise
    beyond, left = 0, resamples
    while left:
        k = min(left, max(1, CHUNK // (n + m)))
        first = mine.permuted(np.broadcast_to(both, (k, n + m)), axis=1)[:, :n].sum(1)
        beyond += int(np.count_nonzero(np.abs(first / n - (both.sum() - first) / m) >= least_seen))
        left -= k
    splits = math.comb(n + m, n)
    parts = x.var(ddof=1) / n, y.var(ddof=1) / m
    se = math.sqrt(sum(parts))
    df = sum(parts) ** 2 / (parts[0] ** 2 / (n - 1) + parts[1] ** 2 / (m - 1)) if se > 0 else n + m - 2
    half = t_quantile(0.5 + level / 2, df) * se
    least = max((2 if n == m else 1) / splits, 1 / (1 + resamples))
    return TwoSamples(seen, seen - half, seen + half, (1 + beyond) / (1 + resamples), least)
