"""How many seeds decide: the size of a sample that a paired difference needs. NumPy float64."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from ilbench.stats.intervals import finite, t_quantile

POWER = 0.9  # chance to decide, should the difference be as large as it was seen to be
MOST = 100_000  # seeds that anybody might run


def power(n: int, effect: float, alpha: float = 0.05) -> float:
    """Chance that a two-sided paired t-test of n seeds at level alpha decides for the true sign; `effect`: mean over spread."""
    return float(1 - special.nctdtr(n - 1, abs(effect) * math.sqrt(n), t_quantile(1 - alpha / 2, n - 1)))


def seeds_needed(d: ArrayLike, alpha: float = 0.05) -> int | None:
    """The fewest seeds at which paired differences like `d [S]` are decided with chance POWER by Student's t.

    None where d says nothing of it (no difference, no spread, one seed), and where it would take more than MOST.
    """
    x = finite("d", d, 1)
    spread = float(x.std(ddof=1)) if len(x) > 1 else 0.0
    if spread <= 1e-14 * float(np.abs(x).max()) or x.mean() == 0:
        return None
    effect = float(x.mean()) / spread
    low, high = 1, 2  # `low` is too few: one seed has no spread
    while power(high, effect, alpha) < POWER:
        low, high = high, 2 * high
        if low > MOST:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power(middle, effect, alpha) >= POWER else (middle, high)
    return high if high <= MOST else None
