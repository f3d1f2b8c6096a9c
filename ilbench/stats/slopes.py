"""Log-log slopes of a cost against the horizon, and equivalence: of a slope to a target, of a ratio to 1. NumPy float64.

Letters in shapes: S seeds (runs), N episodes, K horizons. Seeds are the units of resampling and of every standard error.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ilbench.stats.intervals import Interval, finite, t_quantile


class Slope(NamedTuple):
    """Log-log slope with 95 % (lo, hi) and 90 % limits, or None everywhere and the reason."""

    slope: float | None
    lo: float | None = None
    hi: float | None = None
    lo90: float | None = None
    hi90: float | None = None
    reason: str | None = None


def _weights(horizons: ArrayLike, k: int) -> tuple[np.ndarray, np.ndarray]:
    h = finite("horizons", horizons, 1)
    if len(h) != k or k < 2 or (h <= 0).any() or len(np.unique(h)) < k:
        raise ValueError(f"horizons {h.tolist()} do not fit {k} points: give one distinct positive horizon per point")
    x = np.log(h)
    return (x - x.mean()) / ((x - x.mean()) ** 2).sum(), h


def _slope(value: float, se: float, df: float) -> Slope:
    wide, narrow = t_quantile(0.975, df) * se, t_quantile(0.95, df) * se
    return Slope(value, value - wide, value + wide, value - narrow, value + narrow)


def slope_ci(curves: ArrayLike, horizons: ArrayLike) -> Slope:
    """Least-squares slope of log mean cost on log horizon; `[S, N, K]` cumulative costs at K PREFIX horizons.

    Delete-one-seed jackknife of whole curves and t with S - 1 degrees (S = 1: delete one episode), so what the points
    of an episode and the episodes of a seed share is in the error. `[S, 1, K]` serves seed means of independent runs.
    """
    c = finite("curves", curves, 3)
    w, h = _weights(horizons, c.shape[2])
    units = c.mean(1) if len(c) > 1 else c[0]
    n = len(units)
    if n < 2:
        raise ValueError("one curve has no interval; give at least 2 seeds or 2 episodes")
    mean, without = units.mean(0), (units.sum(0) - units) / (n - 1)
    for rule, what in ((mean <= 0, "no cost"), ((without <= 1e-12 * mean).any(0), "cost in one seed or episode only")):
        if rule.any():
            at = ", ".join(f"{x:g}" for x in h[rule])
            return Slope(None, reason=f"{what} at H = {at}: leave these horizons out or run more episodes")
    left_out = np.log(without) @ w
    return _slope(float(np.log(mean) @ w), float(np.sqrt((n - 1) * left_out.var())), n - 1)


def slope_ci_independent(means: ArrayLike, ses: ArrayLike, horizons: ArrayLike) -> Slope:
    """Slope from independent runs per horizon, `[K]` means and standard errors: delta method, normal limits."""
    m, se = finite("means", means, 1), finite("ses", ses, 1)
    w, h = _weights(horizons, len(m))
    if se.shape != m.shape or (se < 0).any():
        raise ValueError(f"means {m.shape} and ses {se.shape} must agree, and no standard error be negative")
    if (m <= 0).any():
        at = ", ".join(f"{x:g}" for x in h[m <= 0])
        return Slope(None, reason=f"no cost at H = {at}: leave these horizons out or run more episodes")
    return _slope(float(np.log(m) @ w), float(np.sqrt(((w * se / m) ** 2).sum())), np.inf)


def tost(lo90: float, hi90: float, target: float, margin: float = 0.1) -> bool:
    """Two one-sided tests at 5 %: whether the 90 % interval lies inside target +- margin."""
    return bool(target - margin <= lo90 and hi90 <= target + margin)


# ---------------------------------------------------------------------------- equivalence of a ratio
def ratio_equivalent(gap: ArrayLike, bound: ArrayLike, margin: float = 0.02) -> tuple[Interval, bool]:
    """Mean gap over mean bound `[S]` paired, with 90 % limits (Fieller's), and whether they lie inside 1 +- margin.

    For instances where G = B: neither HOLDS nor VIOLATED can come out there.
    """
    g, b = finite("gap", gap, 1), finite("bound", bound, 1)
    if g.shape != b.shape or len(g) < 2 or not b.mean() > 0:
        raise ValueError(f"give a gap and a bound per seed, 2 seeds or more, mean bound > 0; got {g.shape}, {b.shape}")
    ratio = g.mean() / b.mean()
    half = t_quantile(0.95, len(g) - 1) * float((g - ratio * b).std(ddof=1)) / np.sqrt(len(g)) / b.mean()
    interval = Interval(float(ratio), float(ratio - half), float(ratio + half))
    return interval, tost(interval.lo, interval.hi, 1.0, margin)
