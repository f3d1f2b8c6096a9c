"""Numbers with their uncertainty: IQM, intervals, paired comparisons, bands, slopes, verdicts, ranks. NumPy float64.

Letters in shapes: S seeds (runs), T tasks, N episodes, K horizons. Seeds are the units of resampling and of every
standard error; randomness is an explicit `rng` (Generator or seed). Non-finite input raises ValueError:
`score_diverged` says what a diverged seed scores. Intervals of means live in ilbench/intervals.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from ilbench.intervals import Interval as Interval
from ilbench.intervals import Statistic, finite, t_quantile, t_test
from ilbench.intervals import bootstrap_ci as bootstrap_ci
from ilbench.intervals import bootstrap_difference as bootstrap_difference
from ilbench.intervals import clopper_pearson as clopper_pearson
from ilbench.intervals import iqm as iqm
from ilbench.intervals import mean_ci as mean_ci
from ilbench.intervals import paired_difference as paired_difference
from ilbench.intervals import score_diverged as score_diverged
from ilbench.intervals import simultaneous_band as simultaneous_band


# ------------------------------------------------------------------------------------------ slopes
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


# ---------------------------------------------------------------------------------------- verdicts
def holm(pvalues: ArrayLike) -> np.ndarray:
    """Holm's adjusted p-values `[M]`, in the order given."""
    p = finite("pvalues", pvalues, 1)
    order = np.argsort(p)
    stepped = np.maximum.accumulate((len(p) - np.arange(len(p))) * p[order])
    return np.minimum(1.0, stepped)[np.argsort(order)]


class GapBound(NamedTuple):
    """Evidence on a claim G <= B, both estimated, paired by seed; D = G - B."""

    gap: float
    bound: float
    upper: float  # 95 % upper limit of D
    p: float  # of D <= 0, one-sided
    vacuous: bool  # the lower limit of B reaches the largest gap possible
    tightness: float | None  # G / B
    vacuity: float  # B / largest gap possible
    smallest_violation: float  # the D that this n finds with probability .9 at 5 %
    may_hold: bool
    may_fail: bool


def _one_sided(d: np.ndarray) -> tuple[float, float, float]:
    """p-value of 'mean <= 0', 95 % upper limit of the mean, standard error; `[S]`.

    Student's t corrected for skewness (Hall 1992, https://www.jstor.org/stable/2345954), towards caution only. By t
    alone, a report of twenty true claims on ten seeds had a false VIOLATED in half of all cases where D = G - B has
    an exponential left tail (rare errors make B skewed); with the correction in a fifth, and in a tenth for gamma(4).
    """
    interval, p, se = t_test(d, 0.90)
    n = len(d)
    if n < 3 or se <= 1e-14 * np.abs(d).max():
        return p, interval.hi, se
    z = (d - d.mean()) / d.std(ddof=1)
    skew = float((z**3).sum() * n / ((n - 1) * (n - 2)))
    u, left, right = interval.value / (se * np.sqrt(n)), min(skew, 0.0), max(skew, 0.0)
    p = float(special.stdtr(n - 1, -np.sqrt(n) * (u + left * u**2 / 3 + left**2 * u**3 / 27 + left / (6 * n))))
    y = -t_quantile(0.95, n - 1) / np.sqrt(n)
    if (
        right > 1e-6
    ):  # the inverse of the same cubic; nearer to 0 it cancels (to y = 0: no confidence limit at all) and y is the limit
        y = 3 / right * (np.cbrt(1 + right * (y - right / (6 * n))) - 1)
    return p, float(interval.value - y * se * np.sqrt(n)), se


def gap_bound(
    gap: ArrayLike, bound: ArrayLike, trivial: float, *, may_hold: bool = True, may_fail: bool = True
) -> GapBound:
    """Evidence on G <= B from `[S]` gaps and bounds paired by training seed; `trivial`: the largest gap possible.

    may_hold=False: the estimated bound is biased upward (a maximum of noisy steps). may_fail=False: it is sampled from
    below (a supremum found by trying), so that exceeding it shows nothing.
    """
    g, b = finite("gap", gap, 1), finite("bound", bound, 1)
    if g.shape != b.shape or not trivial > 0:
        raise ValueError(f"give one gap and one bound per seed and trivial > 0; got {g.shape}, {b.shape}, {trivial}")
    d = g - b
    d[np.abs(d) <= 1e-12 * np.maximum(np.abs(g), np.abs(b))] = 0.0  # equal up to rounding is equal
    p, upper, se = _one_sided(d)
    found = float(special.nctdtrinc(len(g) - 1, 0.1, t_quantile(0.95, len(g) - 1))) * se
    return GapBound(
        float(g.mean()), float(b.mean()), upper, p, t_test(b, 0.90)[0].lo >= trivial,
        float(g.mean() / b.mean()) if b.mean() else None, float(b.mean() / trivial), found, may_hold, may_fail,
    )  # fmt: skip


def verdicts(claims: Sequence[GapBound], alpha: float = 0.05) -> list[str]:
    """VIOLATED (Holm over all claims given), VACUOUS, HOLDS (upper limit of D at most 0) or INCONCLUSIVE, per claim."""
    adjusted = holm([c.p if c.may_fail else 1.0 for c in claims]) if claims else np.empty(0)
    out = []
    for claim, p in zip(claims, adjusted, strict=True):
        holds = claim.may_hold and claim.upper <= 0
        rest = "VACUOUS" if claim.vacuous else "HOLDS" if holds else "INCONCLUSIVE"
        out.append("VIOLATED" if p < alpha else rest)
    return out


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


# ------------------------------------------------------------------------------------------- ranks
class Rank(NamedTuple):
    """Places that the data cannot rule out, 1 the best."""

    lo: int
    hi: int

    @property
    def label(self) -> str:
        """`2`, or `1-3` when places are shared."""
        return str(self.lo) if self.lo == self.hi else f"{self.lo}-{self.hi}"


def rank_intervals(
    scores: Mapping[str, ArrayLike],
    statistic: str | Statistic = "iqm",
    *,
    level: float = 0.95,
    resamples: int = 4000,
    rng: int = 0,
) -> dict[str, Rank]:
    """Rank intervals of algorithms from scores `[S]` or `[S, T]` paired by seed, higher is better.

    A place is lost only to whom the bootstrap of the paired difference (Bonferroni over the rivals) puts ahead, so
    algorithms that cannot be told apart share it. Resampling the ranks themselves would split ties by luck.
    """
    names, each = list(scores), 1 - (1 - level) / max(1, len(scores) - 1)
    better = np.zeros((len(names), len(names)), bool)
    for i, a in enumerate(names):
        for j, b in enumerate(names[:i]):
            d = bootstrap_difference(scores[a], scores[b], statistic, level=each, resamples=resamples, rng=rng)
            better[i, j], better[j, i] = d.lo > 0, d.hi < 0
    return {name: Rank(1 + int(better[:, i].sum()), len(names) - int(better[i].sum())) for i, name in enumerate(names)}
