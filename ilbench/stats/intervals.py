"""Confidence intervals of means, IQMs, paired differences, proportions and curves; `ilbench.stats` has them all.

Each uses the method that covers: tests/test_stats.py measures 93.5 % or more for a nominal 95 % at ten seeds, also of
skewed laws. `seed_mean` is what boards print. Its coverage of the mean over training seeds, in percent, by simulation
(2,000 samples; * with the range [0, 1] given), measured again by the tests for ten seeds:

    law of a seed's value                             5 seeds   10   30
    normal                                                 98   98   97
    exponential, either sign                               91   96   97
    log-normal (sigma = 1)                                 87   93   96
    beta(5, 1): crowds below 1 *                           93   98   98
    0 in 5 % of seeds, else 1 *                            98   99   99
    64 episodes that fail with 1/640 each *               100  100  100
    both: 64 episodes, and 5 % of seeds fail *             99   99  100
    0 or 1 with equal chance *                            100   98   96
    NOT COVERED: .9 +- .03, and 0 in 5 % of seeds *        60   43   79

The last line is the price of narrow limits: ten seeds without a failure do not tell .9 +- .03 from the same with every
twentieth at 0, and limits that allow for what was not seen reach down by a quarter of the range (1 - .05^(1/10)), as they do
where seeds tie at an end of it. So where seeds tie, or more than a quarter of them sit at the least or the largest value, rare
events are what there is, and exact or betting limits allow for them; elsewhere a failure rarer than one in S/3 seeds is not
allowed for. Episodes within seeds do not help: they say how these policies act, not what the next training will give. Without a
range (returns, whose worst nobody knows) ties have no limits at all. Below eight seeds limits are Student's, and skewed laws
are covered less; below five boards print the seeds themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from ilbench.stats import bounded, resampling

# What is printed as 95 % is nominally 1 - .5 x .05 = 97.5 %: with ten seeds the studentised bootstrap of a log-normal covers
# 91 % at its nominal level, and seeds are as skewed as that.
SKEW = 0.5

Statistic = Callable[[np.ndarray], np.ndarray]  # `[B, S, T] -> [B]`
Rng = np.random.Generator | int
Psi = np.ndarray | None  # influences `[..., S, T]`


class Interval(NamedTuple):
    """An estimate and its confidence limits."""

    value: float
    lo: float
    hi: float


def finite(name: str, values: ArrayLike, *ndims: int) -> np.ndarray:
    """float64 array; raises ValueError unless finite, not empty and of one of the numbers of dimensions."""
    x = np.asarray(values, np.float64)
    if ndims and x.ndim not in ndims:
        raise ValueError(f"{name} has shape {x.shape}; it takes {' or '.join(map(str, ndims))} dimensions")
    if x.size == 0 or not np.isfinite(x).all():
        what = f"{np.sum(~np.isfinite(x))} non-finite of {x.size} values" if x.size else "no values"
        raise ValueError(f"{name} holds {what}; give finite ones (score_diverged replaces those of diverged seeds)")
    return x


def t_quantile(p: float, df: float) -> float:
    """Student's quantile; df = inf is the normal's."""
    return float(special.stdtrit(df, p))


def score_diverged(scores: ArrayLike) -> np.ndarray:
    """Scores `[S]` or `[S, T]` with NaN or inf (diverged seeds) replaced by min(0, the task's worst finite seed)."""
    x = np.asarray(scores, np.float64)
    worst = np.where(np.isfinite(x), x, np.inf).min(axis=0)
    return np.where(np.isfinite(x), x, np.minimum(0.0, worst))


# ------------------------------------------------------------------------------------- means and IQM
def iqm(x: ArrayLike) -> float:
    """Interquartile mean over all entries: a quarter (rounded down) is cut at each end; fewer than 4: the mean."""
    return float(_pooled(finite("x", x).reshape(1, -1, 1), 0.25)[0][0])


def _pooled(x: np.ndarray, cut: float) -> tuple[np.ndarray, np.ndarray]:
    """Trimmed mean `[B]` of `[B, S, T]` pooled, and influences psi: its variance is sum_t var_s(psi) / S."""
    _, s, t = x.shape
    k = int(cut * s * t)
    flat = np.sort(x.reshape(len(x), -1), axis=1)
    kept = flat[:, k : s * t - k]
    clipped = np.clip(x, kept[:, :1, None], kept[:, -1:, None])
    return kept.mean(1), clipped * (s / kept.shape[1])


def _se(psi: np.ndarray) -> np.ndarray:
    return np.sqrt(psi.var(axis=1, ddof=1).sum(-1) / psi.shape[1])


def _indices(s: int, t: int, resamples: int, rng: Rng) -> np.ndarray:
    return np.random.default_rng(rng).integers(0, s, (resamples, s, t))


def _limits(value: float, psi: Psi, values: np.ndarray, psis: Psi, shape: tuple[int, int], level: float) -> Interval:
    """Limits from a bootstrap: studentised where the influences make it stable, else expanded percentiles or t."""
    s, t = shape
    tail, df = (1 - level) / 2, t * (s - 1)
    if psi is None or psis is None:
        # Expanded percentile (Hesterberg 2015, https://doi.org/10.1080/00031305.2015.1089789): the plain one is too
        # short by sqrt((S-1)/S) and knows no t.
        tail = float(special.ndtr(np.sqrt(s / (s - 1)) * t_quantile(tail, df)))
        return Interval(value, *(float(q) for q in np.quantile(values, [tail, 1 - tail])))
    se, ses = float(_se(psi[None])[0]), _se(psis)
    pivots = np.where(values > value, np.inf, np.where(values < value, -np.inf, 0.0))
    np.divide(values - value, ses, out=pivots, where=ses > 0)
    low, high = np.quantile(pivots, [tail, 1 - tail], method="nearest")
    if df < 7 or not np.isfinite(high - low):  # too few runs for the resamples to have a spread of their own
        high = t_quantile(1 - tail, df)
        low = -high
    # Runs that all but agree, with one that does not: resamples without it have next to no spread, and their pivots
    # run to thousands. Four times Student's quantile is beyond what the skewed laws of the coverage tests need.
    most = 4 * t_quantile(1 - tail, df)
    low, high = max(low, -most), min(high, most)
    return Interval(value, float(value - high * se), float(value - low * se))


def _estimator(statistic: str | Statistic, s: int, t: int) -> Callable[[np.ndarray], tuple[np.ndarray, Psi]]:
    if callable(statistic):
        return lambda x: (np.asarray(statistic(x), np.float64), None)
    if statistic not in ("iqm", "mean"):
        raise ValueError(f"statistic {statistic!r}; allowed are 'iqm', 'mean' and a function [B, S, T] -> [B]")
    cut = 0.25 if statistic == "iqm" else 0.0
    # One task: trimming leaves about S/2 runs, too few to studentise by (twice the width for the same coverage).
    lean = cut > 0 and t == 1 and s >= 5
    return lambda x: (_pooled(x, cut)[0], None) if lean else _pooled(x, cut)


def bootstrap_ci(
    scores: ArrayLike, statistic: str | Statistic = "iqm", *, level: float = 0.95, resamples: int = 2000, rng: Rng = 0
) -> Interval:
    """Stratified bootstrap of scores `[S]` or `[S, T]`, runs resampled within each task.

    Studentised by the winsorised variance; expanded percentile for the IQM of one task and for your own `statistic`.
    """
    x = finite("scores", scores, 1, 2)
    x = x[:, None] if x.ndim == 1 else x
    return _bootstrap([x], [1.0], statistic, level, resamples, rng)


def bootstrap_difference(
    a: ArrayLike,
    b: ArrayLike,
    statistic: str | Statistic = "iqm",
    *,
    level: float = 0.95,
    resamples: int = 2000,
    rng: Rng = 0,
) -> Interval:
    """statistic(a) - statistic(b) for scores `[S]` or `[S, T]` paired by seed: both resample the same runs."""
    x, y = finite("a", a, 1, 2), finite("b", b, 1, 2)
    if x.shape != y.shape:
        raise ValueError(f"a has shape {x.shape} and b {y.shape}; paired scores have the same seeds and tasks")
    pair = [z[:, None] if z.ndim == 1 else z for z in (x, y)]
    return _bootstrap(pair, [1.0, -1.0], statistic, level, resamples, rng)


def _bootstrap(
    xs: list[np.ndarray], signs: list[float], statistic: Any, level: float, resamples: int, rng: Rng
) -> Interval:
    s, t = xs[0].shape
    if s < 2:
        raise ValueError("one run has no interval; give at least 2 seeds")
    estimate, index = _estimator(statistic, s, t), _indices(s, t, resamples, rng)
    value, values, psi, psis = 0.0, np.zeros(resamples), None, None
    for x, sign in zip(xs, signs, strict=True):
        (v, p), (vs, ps) = estimate(x[None]), estimate(np.take_along_axis(x[None], index, axis=1))
        value, values = value + sign * float(v[0]), values + sign * vs
        if p is not None and ps is not None:
            psi = sign * p[0] + (0 if psi is None else psi)
            psis = sign * ps + (0 if psis is None else psis)
    return _limits(value, psi, values, psis, (s, t), level)


def normal_ci(x: ArrayLike, z: float = 1.96) -> Interval:
    """Mean of `[N]` with a normal interval, +- z standard errors: for episodes by the hundred; seeds take `mean_ci`. NaN passes."""
    values = np.asarray(x, np.float64)
    mean, half = float(values.mean()), z * float(values.std(ddof=1)) / float(np.sqrt(len(values)))
    return Interval(mean, mean - half, mean + half)


def mean_ci(x: ArrayLike, *, level: float = 0.95, resamples: int = 2000, rng: Rng = 0) -> Interval:
    """Mean of `[S]` with a studentised bootstrap interval; Student's t below 8 values."""
    return bootstrap_ci(finite("x", x, 1), "mean", level=level, resamples=resamples, rng=rng)


def t_test(d: np.ndarray, level: float) -> tuple[Interval, float, float]:
    """Student's interval of a mean `[S]`, its t statistic's p-value for 'mean > 0', and the standard error."""
    n = len(d)
    if n < 2:
        raise ValueError("one seed has no interval; give at least 2 seeds")
    mean, se = float(d.mean()), float(d.std(ddof=1) / np.sqrt(n))
    if se > 1e-14 * np.abs(d).max():
        p = float(special.stdtr(n - 1, -mean / se))
    else:  # no spread to estimate: the sign test's smallest p-value is all that n equal differences can show
        p = 0.5 if mean == 0 else 2.0**-n if mean > 0 else 1 - 2.0**-n
    half = t_quantile(0.5 + level / 2, n - 1) * se
    return Interval(mean, mean - half, mean + half), p, se


def paired_difference(a: ArrayLike, b: ArrayLike, *, level: float = 0.95) -> tuple[float, float, float, float]:
    """(mean, lo, hi, two-sided p) of a - b, `[S]` each, paired by seed: Student's t."""
    x, y = finite("a", a, 1), finite("b", b, 1)
    if x.shape != y.shape:
        raise ValueError(f"a has {len(x)} seeds and b {len(y)}; pairs need the same ones")
    interval, p, _ = t_test(x - y, level)
    return (*interval, min(1.0, 2 * min(p, 1 - p)))


# ------------------------------------------------------------------------------- means that are printed
def score_range(*scores: np.ndarray) -> tuple[float, float]:
    """The range that normalised scores are taken to have: a policy that fails scores as a random one, 0, and the expert 1;
    wider where scores were seen outside."""
    return min(0.0, *(float(x.min()) for x in scores)), max(1.0, *(float(x.max()) for x in scores))


def crowded(x: np.ndarray) -> np.ndarray:
    """Whether more than a quarter of the values `[..., S]`, and two at least, are the least or the largest one: rare events."""
    ends = [np.count_nonzero(x == end, axis=-1) for end in (x.min(-1, keepdims=True), x.max(-1, keepdims=True))]
    most = np.maximum(*ends)
    return np.asarray((most >= 2) & (most * 4 > x.shape[-1]))


def seed_mean(x: ArrayLike, lo: float = -np.inf, hi: float = np.inf, *, level: float = 0.95) -> Interval:
    """Mean over training seeds `[S]` of values that lie in [lo, hi]; limits as the table of this file's docstring says.

    Infinite limits where nothing can be said: equal values without a range. Raises ValueError for values outside.
    """
    values = finite("x", x, 1)
    low, high = seed_means(values[None], lo, hi, level=level)
    return Interval(float(values.mean()), float(low[0]), float(high[0]))


def seed_means(x: ArrayLike, lo: float, hi: float, *, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """Limits `[R]`, `[R]` of the means of R samples `[R, S]`, each as `seed_mean` has them."""
    values = finite("x", x, 2)
    if values.shape[1] < 2:
        raise ValueError("one seed has no interval; give at least 2 seeds")
    if not lo < hi or values.min() < lo or values.max() > hi:
        raise ValueError(f"values {values.min():.6g} ... {values.max():.6g} do not lie in [{lo:.6g}, {hi:.6g}]")
    rare, equal = crowded(values), np.ptp(values, axis=1) == 0
    low, high = np.concatenate([_studentised(values[i : i + 64], level) for i in range(0, len(values), 64)], axis=1)
    if np.isfinite(hi - lo):  # one seed far from the rest: pivots run to their cap, bets do not
        below, above = _bounded_means(values, lo, hi, level)
        return np.where(rare, below, np.maximum(low, below)), np.where(rare, above, np.minimum(high, above))
    low, high = (np.where(equal, end, limit) for end, limit in ((-np.inf, low), (np.inf, high)))
    return np.maximum(low, lo), np.minimum(high, hi)


def _studentised(x: np.ndarray, level: float) -> np.ndarray:
    """Limits `[2, R]` of means of samples `[R, S]`: studentised bootstrap, Student's t below 8 values."""
    n, tail = x.shape[1], SKEW * (1 - level) / 2
    mean, se = x.mean(1), x.std(1, ddof=1) / np.sqrt(n)
    high = np.full(len(x), t_quantile(1 - tail, n - 1))
    low, most = -high, 4 * high  # pivots of resamples that all but agree run to thousands
    if n >= 8:
        low, high = np.clip(resampling.pivot_quantiles(x, tail, 2000), -most, most)
    return np.stack([mean - high * se, mean - low * se])


def seed_p(x: ArrayLike, resamples: int = 20_000) -> float:
    """One-sided p of "the mean over training seeds `[S]` is at most 0": where `seed_mean`'s lower limit without a range reaches 0.

    Never below 1 / resamples; Student's t below 8 seeds, and 1 where all values are equal: without a spread nothing can be said.
    """
    values = finite("x", x, 1)
    n, mean = len(values), float(values.mean())
    if n < 2:
        raise ValueError("one seed has no p-value; give at least 2 seeds")
    se = float(values.std(ddof=1)) / np.sqrt(n)
    if se == 0:
        return 1.0
    if n < 8:
        return float(special.stdtr(n - 1, -mean / se))
    beyond = resampling.share_beyond(values, mean / se, resamples)
    return float(min(1.0, (1 + beyond) / (1 + resamples) / SKEW))


def _bounded_means(x: np.ndarray, lo: float, hi: float, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Limits of the means of `[R, S]`: exact (Clopper & Pearson) where all values are ends of the range, else bets."""
    width, n, each = hi - lo, x.shape[1], 1 - (1 - level) / 2
    unit = np.clip((x - lo) / width, 0.0, 1.0).T
    low, high = bounded.lower_limit(unit, level=each), bounded.upper_limit(unit, level=each)
    ends = ((x == lo) | (x == hi)).all(1)
    for i in np.flatnonzero(ends):
        low[i], high[i] = clopper_pearson(int(np.count_nonzero(x[i] == hi)), n, level)
    return lo + width * low, lo + width * high


def seed_difference(
    a: ArrayLike, b: ArrayLike, lo: float = -np.inf, hi: float = np.inf, *, level: float = 0.95
) -> tuple[float, float, float, float]:
    """(mean, lo, hi, two-sided p) of a - b, `[S]` each in [lo, hi] and paired by seed: Student's t, and bets for ties."""
    mean, low, high, p = paired_difference(a, b, level=level)
    d = np.asarray(a, np.float64) - np.asarray(b, np.float64)
    width = hi - lo
    if not crowded(d) or not np.isfinite(width):
        return mean, low, high, p
    (low,), (high,) = (x.tolist() for x in _bounded_means(d[None], -width, width, level))
    unit = np.clip((d + width) / (2 * width), 0.0, 1.0)
    p = min(1.0, 2 * min(bounded.p_value(unit, 0.5), bounded.p_value(1 - unit, 0.5)))
    return mean, low, high, p


# --------------------------------------------------------------------------- proportions and bands
def clopper_pearson(k: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Exact limits of a proportion, k hits of n (Clopper & Pearson 1934)."""
    if not 0 <= k <= n or n < 1:
        raise ValueError(f"{k} hits of {n}: give 0 <= k <= n and n >= 1")
    a = (1 - level) / 2
    lo = 0.0 if k == 0 else float(special.betaincinv(k, n - k + 1, a))
    return lo, 1.0 if k == n else float(special.betaincinv(k + 1, n - k, 1 - a))


def simultaneous_band(
    means: ArrayLike,
    sds: ArrayLike,
    n: ArrayLike,
    *,
    level: float = 0.95,
    failing: ArrayLike | None = None,
    upper: ArrayLike | None = None,
    lower: float = 1.0,
) -> tuple[np.ndarray, np.ndarray]:
    """Limits `[K]`, `[K]` that hold for all K means at once: Bonferroni, Student's t on the square root of the mean
    (a total cost is never negative, and the mean of a few failures is skewed: t alone covered 92 %).

    `means`, `sds`, `n`: of total cost over n episodes per horizon. With `failing` (episodes of cost above 0) and
    `upper` (the largest cost, H), horizons with fewer than 30 failing get a finite-sample band instead:
    Clopper-Pearson on the failures times Hoeffding on the cost of a failure, which lies in [lower, upper].
    """
    m, sd = finite("means", means, 1), finite("sds", sds, 1)
    count = np.broadcast_to(finite("n", n), m.shape)
    if sd.shape != m.shape or (count < 2).any() or (m < 0).any():
        raise ValueError(f"means {m.shape} and sds {sd.shape} must agree, every n be at least 2 and no mean negative")
    each = (1 - level) / len(m)
    half = special.stdtrit(count - 1, 1 - each / 2) * sd / np.sqrt(count)
    root = np.sqrt(m)
    half = np.divide(half, 2 * root, out=np.zeros_like(m), where=root > 0)
    lo, hi = np.maximum(0.0, root - half) ** 2, (root + half) ** 2
    if failing is None:
        return lo, hi
    if upper is None:
        raise ValueError("give upper, the largest cost of an episode at each horizon, together with failing")
    k, top = finite("failing", failing, 1), np.broadcast_to(finite("upper", upper), m.shape)
    for i in np.flatnonzero(k < 30):
        q_lo, q_hi = clopper_pearson(int(k[i]), int(count[i]), 1 - each / 2)
        width = (top[i] - lower) * np.sqrt(np.log(4 / each) / (2 * k[i])) if k[i] else np.inf
        cost = m[i] * count[i] / k[i] if k[i] else lower
        lo[i], hi[i] = q_lo * max(lower, cost - width), q_hi * min(top[i], cost + width)
    return lo, hi
