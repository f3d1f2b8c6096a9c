"""Evidence on G <= B, both estimated, and the verdicts of a whole report: at most 5 % false VIOLATED. NumPy float64.

What goes wrong with Student's t: rare errors give D = G - B a long left tail, ten runs do not show it, and t is huge.
Twenty true claims on ten runs with an exponential tail: a false VIOLATED in 51 % of reports, 22 % with Hall's
correction for the sample's own skewness. Here t is read against its law under the worst tail that is admitted, the
exponential (skewness 2; drawn once per n), and not against Student's: exact for that tail, cautious for lighter ones.
The same table, mirrored, gives the upper limit of D. Where atoms show that events are rarer than that (more than a
quarter of the runs at the edge of G or B, or no spread) the table is not used: a bet on bounded values takes its
place, which holds for every law and convinces only with many runs or a glaring difference.

Measured on reports of twenty true claims that are all tight, Holm at 5 % (tests/test_verdict_statistics.py): a false
VIOLATED in 7 of 2,000 reports at 10 runs and 6 at 20, on laws that look like real claims (0.3 to 10 failing
episodes a run on the cliff, log-normal error rates, gamma, exponential, Poisson tails); twenty exponential tails at
once, the worst that is admitted: 5.0 %. Not covered: tails far beyond the exponential that leave no atoms: twenty
log-normal ones with sigma = 1 at once: 15 % at 10 runs, 18 % at 20, gamma(1/2): 20 %, 15 %. Such runs need more
episodes each: a mean over N has 1/sqrt(N) of the skewness. Nor is a bound covered whose estimate is biased downward.

Power. Critical t at level .05/20 for 5, 10, 20, 30, 50, 100 units: 15.8, 8.0, 5.5, 4.7, 4.1, 3.6 (Student: 5.6, 3.7,
3.2, 3.0, 2.9, 2.9). So give episodes, `[S, N]`, where the theorem is true of every trained policy: given the policies
the episodes are independent, and what is tested is 100 means of batches within runs. A violation of 10 % on the cliff
(H = 100, eps H = .3, level .05/20): 10 x 2,000 episodes, found in 92 % given episodes, 3 % given runs (t: 67 %);
20 runs x 2,000: 75 % given runs, x 4,000: 97 %.

Source: Waudby-Smith & Ramdas 2024, https://arxiv.org/abs/2010.09686 (bets); the table is a Monte Carlo test.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from ilbench.stats.intervals import finite, t_quantile, t_test

UNITS = 100  # means of batches; more would add nothing to the power and time to the table
MIN_UNITS = 5  # fewer have no verdict
DRAWS = 200_000  # p-values down to 5e-6
FAMILY = 20  # estimated claims in the report that power is stated for
FRACTIONS = 2.0 ** -np.arange(8)  # of the largest safe bet


class GapBound(NamedTuple):
    """Evidence on a claim G <= B, both estimated, paired by seed; D = G - B."""

    gap: float
    bound: float
    upper: float  # 95 % upper limit of D
    p: float  # of D <= 0, one-sided
    vacuous: bool  # the lower limit of B reaches the largest gap possible
    tightness: float | None  # G / B
    vacuity: float  # B / largest gap possible
    smallest_violation: float  # the D that this n finds with probability .9 in a report of 20 claims; inf: none
    may_hold: bool
    may_fail: bool
    n: int = 0  # independent units: runs, or episodes
    n_needed: float = math.inf  # units at which a D of this size would be settled, with probability .9
    caution: str = ""  # why no verdict, or why bets took the place of t


# ------------------------------------------------------------------------------------- the table
@lru_cache(maxsize=32)
def _table(n: int) -> np.ndarray:
    """Sorted t statistics `[DRAWS]` of the mean of n values 1 - Exp(1), whose mean is 0."""
    rng, out, step = np.random.default_rng(n), [], 10_000
    for _ in range(DRAWS // step):
        x = 1 - rng.exponential(size=(step, n))
        out.append(x.mean(1) / x.std(1, ddof=1) * math.sqrt(n))
    return np.sort(np.concatenate(out))


@lru_cache(maxsize=256)
def critical(n: int, alpha: float) -> float:
    """The t statistic of n units beyond which `skewed_p` is below alpha."""
    return max(float(np.quantile(_table(n), 1 - alpha)), t_quantile(1 - alpha, n - 1))


def skewed_p(t: ArrayLike, n: int) -> np.ndarray:
    """P(t statistic of n values >= t `[...]`) when the mean is 0: the larger of exponential left tail and normal."""
    above = DRAWS - np.searchsorted(_table(n), t)
    return np.maximum((1 + above) / (1 + DRAWS), special.stdtr(n - 1, -np.asarray(t)))


@lru_cache(maxsize=256)
def _shift(n: int, alpha: float) -> float:
    """The mean, in standard errors, that n units show with probability .9 at level alpha (normal values)."""
    return float(special.nctdtrinc(n - 1, 0.1, critical(n, alpha)))


# ------------------------------------------------------------------------------------------ bets
def bounded_p(x: np.ndarray, most: ArrayLike) -> np.ndarray:
    """p-value of 'mean <= 0' for independent x `[..., n] >= -most [...]` of any law: 1 / (a gambler's capital), Markov."""
    fractions = FRACTIONS / np.asarray(most)[..., None]
    with np.errstate(divide="ignore"):
        logs = np.log1p(fractions[..., None] * x[..., None, :]).sum(-1)
    return np.exp(np.minimum(0.0, math.log(len(FRACTIONS)) - special.logsumexp(logs, axis=-1)))


def _bounded_upper(d: np.ndarray, top: float) -> float:
    """95 % upper limit of the mean of d `[n] <= top`: the smallest mean that the bet rejects, to 1/1024 outward."""
    low, high = float(d.mean()), top
    for _ in range(2):
        means = np.linspace(low, high, 33)[:-1]  # the last is never below the limit
        rejected = bounded_p(means[:, None] - d, np.maximum(top - means, 1e-300)) <= 0.05
        first = int(np.argmax(rejected)) if rejected.any() else len(means)
        step = (high - low) / 32
        low, high = low + max(0, first - 1) * step, low + first * step
    return high


# ------------------------------------------------------------------------------------------ units
def _batches(x: np.ndarray, k: int) -> np.ndarray:
    """Means of k batches of the columns of `[S, N]`, flat."""
    if x.shape[1] == k:
        return x.ravel()
    return np.stack([part.mean(1) for part in np.array_split(x, k, axis=1)], 1).ravel()


def _units(g: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(g, b) in at most UNITS batches for t, and (g, b) as they came for bets; paired, flat."""
    g, b = (x[None] if x.ndim == 1 else x for x in (g, b))
    if len(g) > UNITS:
        g, b = g.mean(1)[None], b.mean(1)[None]
    each = min(g.shape[1], b.shape[1])
    k = min(each, max(1, UNITS // len(g)))
    return _batches(g, k), _batches(b, k), _batches(g, each), _batches(b, each)


def _atom(x: np.ndarray, edge: float, trivial: float) -> bool:
    """Whether more than a quarter sit at the edge; a constant that is neither 0 nor trivial is a known number."""
    known = np.ptp(x) == 0 and 0 < abs(x[0]) < trivial
    return not known and bool(np.count_nonzero(x == edge) * 4 > len(x))


def gap_bound(
    gap: ArrayLike, bound: ArrayLike, trivial: float, *, may_hold: bool = True, may_fail: bool = True
) -> GapBound:
    """Evidence on G <= B from `[S]` gaps and bounds paired by training seed, or `[S, N]` of every episode given the policies.

    `trivial`: the largest gap possible. may_hold=False: the estimated bound is biased upward (a maximum of noisy steps).
    may_fail=False: it is sampled from below (a supremum found by trying), so that exceeding it shows nothing.
    """
    g, b = finite("gap", gap, 1, 2), finite("bound", bound, 1, 2)
    if g.ndim != b.ndim or len(g) != len(b) or not trivial > 0:
        raise ValueError(f"give one gap and one bound per seed and trivial > 0; got {g.shape}, {b.shape}, {trivial}")
    g, b, raw_g, raw_b = _units(g, b)
    d, raw = (
        np.where(np.abs(x - y) <= 1e-12 * np.maximum(np.abs(x), np.abs(y)), 0.0, x - y)  # equal up to rounding
        for x, y in ((g, b), (raw_g, raw_b))
    )
    interval, _, se = t_test(d, 0.90)
    n, mean, identical = len(d), interval.value, not d.any() and g.any()
    flat = not identical and se <= 1e-14 * np.abs(d).max()
    rare_left = flat or _atom(b, b.min(), trivial) or _atom(g, g.max(), trivial)
    rare_right = flat or (not identical and (_atom(g, g.min(), trivial) or _atom(b, b.max(), trivial)))
    most = trivial * (2 if raw_g.min() < 0 else 1)
    if n < MIN_UNITS:
        p, upper = 1.0, math.inf
    else:
        p = (
            1.0
            if mean <= 0
            else float(bounded_p(raw, max(most, -raw.min())))
            if rare_left
            else float(skewed_p(mean / se, n))
        )
        upper = _bounded_upper(raw, max(trivial, raw.max())) if rare_right else mean + critical(n, 0.05) * se
    rare = rare_left if mean > 0 else rare_right
    lowest = b.mean() - t_quantile(0.95, n - 1) * b.std(ddof=1) / math.sqrt(n)
    return GapBound(
        float(g.mean()), float(b.mean()), float(upper), p, bool(lowest >= trivial),
        float(g.mean() / b.mean()) if b.mean() else None, float(b.mean() / trivial),
        _smallest(se, n, len(raw), trivial, rare_left), may_hold, may_fail,
        len(raw), _needed(mean, se, n, len(raw), trivial, rare), _caution(n, rare),
    )  # fmt: skip


def _smallest(se: float, n: int, units: int, trivial: float, rare: bool) -> float:
    if n < MIN_UNITS:
        return math.inf
    bet = trivial * ((len(FRACTIONS) * FAMILY / 0.05) ** (1 / units) - 1) if rare else 0.0
    found = max(bet, _shift(n, 0.05 / FAMILY) * se)
    return found if found <= trivial else math.inf


def _needed(mean: float, se: float, n: int, units: int, trivial: float, rare: bool) -> float:
    """Units for a D of this size; against rare events those of the bet, else (shift * sd / D)^2, 10 at least."""
    alpha = 0.05 / FAMILY if mean > 0 else 0.05
    if mean == 0 or (n < MIN_UNITS and se == 0):
        return 10.0 if n < MIN_UNITS else math.inf
    if rare and n >= MIN_UNITS:
        return math.ceil(math.log(len(FRACTIONS) / alpha) / math.log1p(min(1.0, abs(mean) / trivial)))
    return max(10.0, math.ceil(units * (_shift(max(n, 10), alpha) * se / mean) ** 2))


def _caution(n: int, rare: bool) -> str:
    if n < MIN_UNITS:
        return f"{n} runs are too few for a verdict"
    return "rare events or equal runs: a bet on bounded values in place of t" if rare else ""


# --------------------------------------------------------------------------------------- verdicts
def holm(pvalues: ArrayLike) -> np.ndarray:
    """Holm's adjusted p-values `[M]`, in the order given."""
    p = finite("pvalues", pvalues, 1)
    order = np.argsort(p)
    stepped = np.maximum.accumulate((len(p) - np.arange(len(p))) * p[order])
    return np.minimum(1.0, stepped)[np.argsort(order)]


def verdicts(claims: Sequence[GapBound], alpha: float = 0.05) -> list[str]:
    """VIOLATED (Holm over all that may fail), VACUOUS, HOLDS (upper limit of D at most 0) or INCONCLUSIVE, per claim."""
    testable = [c.p for c in claims if c.may_fail]
    adjusted = iter(holm(testable) if testable else ())
    out = []
    for claim in claims:
        violated = claim.may_fail and next(adjusted) < alpha
        rest = "VACUOUS" if claim.vacuous else "HOLDS" if claim.may_hold and claim.upper <= 0 else "INCONCLUSIVE"
        out.append("VIOLATED" if violated else "INCONCLUSIVE" if claim.n < MIN_UNITS else rest)
    return out
