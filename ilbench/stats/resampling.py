"""Studentised means of resamples, when only a few of two thousand decide: the others are known well enough from counts.

A resample's mean and spread follow from how often it holds each value, for all samples at once by two matrix products. These round
otherwise than sums over the resample itself do, so they only say, with bounds on both ways' rounding, which resamples can be the ones
that a quantile picks or that lie at a threshold. These are summed out, in the order that ilbench/stats/intervals.py has always had: its
limits and p-values are the same bits as if every resample had been.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np

SAFE = 8.0  # times the bounds on rounding below, which are of first order
FLAT = 1e-6  # of its sum of squares: a resample whose own spread is less has lost too many digits in a difference
FEW, MANY = 1 << 20, 1 << 23  # drawn positions up to which draws are kept for eight sizes of samples, and for two
CHUNK = 2000  # resamples at a time, for the memory's sake


class Draws(NamedTuple):
    """Which of n values each of B resamples holds `[B, n]`, and how often `[n, B]`."""

    at: np.ndarray
    counts: np.ndarray


class Near(NamedTuple):
    """Shift of the mean and its standard error `[R, B]` as counts give them, and bounds on how far sums may be from these."""

    shift: np.ndarray
    spread: np.ndarray
    shift_off: np.ndarray  # `[R, 1]`
    spread_off: np.ndarray  # `[R, B]`, infinite where counts do not say


def _drawn(n: int, resamples: int) -> Draws:
    at = np.random.default_rng(0).integers(0, n, (resamples, n, 1))[..., 0]
    flat = np.bincount((at + n * np.arange(resamples)[:, None]).ravel(), minlength=resamples * n)
    return Draws(at.astype(np.int32), np.ascontiguousarray(flat.reshape(resamples, n).T, np.float64))


_small, _large = functools.lru_cache(maxsize=8)(_drawn), functools.lru_cache(maxsize=2)(_drawn)


def draws(n: int, resamples: int) -> Draws:
    """The resamples that every sample of n values is given: one seed, so that rows are compared on the same ones."""
    size = n * resamples
    return (_small if size <= FEW else _large if size <= MANY else _drawn)(n, resamples)


def near(x: np.ndarray, counts: np.ndarray) -> Near:
    """What counts `[n, B]` say of samples `[R, n]`."""
    n, eps = x.shape[1], np.finfo(np.float64).eps
    d = x - x.mean(1)[:, None]
    both = np.concatenate([d, d * d]) @ counts
    first, second = both[: len(x)], both[len(x) :]
    own = second - first * first / n  # the sum of squares about the resample's own mean
    unsure = own <= FLAT * second
    sd = np.sqrt(np.where(unsure, 1.0, own) / (n - 1))
    off = SAFE * n * eps * np.abs(x).max(1)[:, None]  # of a sum over n, of a mean taken off
    relative = SAFE * n * eps * (1 + second / np.where(unsure, 1.0, own)) + 2 * off / sd
    spread = sd / np.sqrt(n)
    return Near(first / n, spread, off, np.where(unsure | (relative > FLAT), np.inf, relative * spread))


def summed(x: np.ndarray, rows: np.ndarray, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation `[K]` of resamples `at [K, n]` of rows `[K]` of samples `[R, n]`, summed out.

    One sample is summed in pairs, several one value after another: so NumPy sums `x[:, at]`, whose rows lie side by side in memory.
    """
    if len(x) == 1:
        drawn = x[0][at]
        return drawn.mean(1), drawn.std(1, ddof=1)
    if len(rows) == 1:  # a single column would be summed in pairs
        mean, sd = summed(x, np.repeat(rows, 2), np.repeat(at, 2, axis=0))
        return mean[:1], sd[:1]
    drawn = np.ascontiguousarray(x.T[at.T, rows])
    return drawn.mean(0), drawn.std(0, ddof=1)


def pivots(shift: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """shift / spread, infinite or 0 where there is no spread."""
    out = np.where(shift > 0, np.inf, np.where(shift < 0, -np.inf, 0.0))
    np.divide(shift, spread, out=out, where=spread > 0)
    return out


def pivot_quantiles(x: np.ndarray, tail: float, resamples: int) -> np.ndarray:
    """The `tail` and `1 - tail` quantile `[2, R]` of the studentised means of resamples of `[R, n]`: one of them each."""
    n, drawn, sides = x.shape[1], draws(x.shape[1], resamples), [tail, 1 - tail]
    found, flat = near(x, drawn.counts), np.ptp(x, axis=1) == 0
    with np.errstate(invalid="ignore"):
        guess = found.shift / found.spread
        off = (found.shift_off + np.abs(guess) * found.spread_off) / found.spread
    sure = np.isfinite(off)
    low, high = np.where(sure, guess - off, -np.inf), np.where(sure, guess + off, np.inf)
    first = [int(side * (resamples - 1)) for side in sides]  # a quantile is this in order, or the next
    ends = sorted({k for i in first for k in (i, min(i + 1, resamples - 1))})
    lows, highs = np.partition(low, ends, axis=1), np.partition(high, ends, axis=1)
    decide = np.zeros_like(sure)  # those that are not sure are among them, their bounds being infinite
    for i in first:
        decide |= (high >= lows[:, i, None]) & (low <= highs[:, min(i + 1, resamples - 1), None])
    decide[flat] = False
    decide[flat, 0] = True  # resamples of equal values are all the same
    rows, which = np.nonzero(decide)
    values = np.where(sure, guess, 0.0)
    for i in range(0, len(rows), CHUNK):
        these, those = rows[i : i + CHUNK], which[i : i + CHUNK]
        mean, sd = summed(x, these, drawn.at[those])
        values[these, those] = pivots(mean - x.mean(1)[these], sd / np.sqrt(n))
    values[flat] = values[flat, :1]
    return np.asarray(np.quantile(values, sides, axis=1, method="nearest"))


def share_beyond(x: np.ndarray, least: float, resamples: int) -> int:
    """In how many resamples of `[n]` the mean is above the sample's by `least` of its own standard errors, or at all without a spread."""
    n, drawn, mean, beyond = len(x), draws(len(x), resamples), float(x.mean()), 0
    for i in range(0, resamples, CHUNK):
        at, counts = drawn.at[i : i + CHUNK], drawn.counts[:, i : i + CHUNK]
        found = near(x[None], counts)
        margin, off = (found.shift - least * found.spread)[0], (found.shift_off + abs(least) * found.spread_off)[0]
        unsure = np.abs(margin) <= off
        beyond += int(np.count_nonzero((margin > 0) & ~unsure))
        if unsure.any():
            means, sds = summed(x[None], np.zeros(int(unsure.sum()), int), at[unsure])
            shift, spread = means - mean, sds / np.sqrt(n)
            beyond += int(np.count_nonzero((shift >= least * spread) & ((spread > 0) | (shift > 0))))
    return beyond
