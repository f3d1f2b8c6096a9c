"""Limits of means of bounded variables that hold at every n and for every law: what a certificate may rest on.

A gambler bets against "the mean of x in [0, 1] is at least m": one unit becomes K = prod_i (1 + c (m - x_i) / (1 - m))
for a fixed fraction c in [0, 1]. If the mean is m or more, E K <= 1, also averaged over several c, so K >= 1/alpha
happens with probability at most alpha (Markov). The upper limit is the m where K reaches 1/alpha; K grows with m.
With no failure among n it is at most 1 - (a alpha)^(1/n), next to Clopper and Pearson's 1 - alpha^(1/n) (a = .4, below).

Source: Waudby-Smith & Ramdas 2024, estimating means of bounded random variables by betting, https://arxiv.org/abs/2010.09686;
here the fraction is averaged over a fixed grid, so that the limit does not depend on the order of the sample.
"""

from __future__ import annotations

from typing import Any

import numpy as np

# Everything on c = 1 is best without failures; c = 2^-j is best near n var(x) = 8 / 4^j.
FRACTIONS = 2.0 ** -np.arange(8)
WEIGHTS = np.array([0.4, *[0.6 / 7] * 7])
SMALL = 100_000  # entries of a sample up to which all fractions are taken at once
STEPS = 40  # of bisection: limits are right to 1e-12 of the range, rounded outward


def upper_limit(x: Any, top: Any = 1.0, level: float = 0.95) -> Any:
    """Upper limit of the mean of `[n]` or of every column of `[n, K]`, entries in [0, top]; one-sided, each at `level`.

    Coverage is at least `level` for independent entries of any law. Raises ValueError for entries outside, or n = 0.
    """
    values = np.asarray(x, np.float64)
    scale = np.broadcast_to(np.asarray(top, np.float64), values.shape[1:])
    if values.ndim not in (1, 2) or len(values) == 0 or not np.isfinite(values).all():
        raise ValueError(f"give finite values of shape [n] or [n, K] with n >= 1, got shape {list(values.shape)}")
    if not (scale > 0).all() or values.min() < 0 or (values > scale * (1 + 1e-9)).any():
        raise ValueError(f"values must lie in [0, top]; got {values.min():.6g} ... {values.max():.6g}, top {top}")
    if not 0 < level < 1:
        raise ValueError(f"level is a probability inside (0, 1), got {level}")
    unit = np.minimum(values / scale, 1.0).reshape(len(values), -1)
    columns, where = np.unique(unit, axis=1, return_inverse=True)  # most steps of a good policy look the same
    limits = _limit(columns, np.log(1 / (1 - level)))[np.reshape(where, -1)].reshape(scale.shape) * scale
    return float(limits) if values.ndim == 1 else limits


def lower_limit(x: Any, top: float = 1.0, level: float = 0.95) -> Any:
    """Lower limit, the mirror of `upper_limit`: same arguments and errors."""
    return top - upper_limit(top - np.asarray(x, np.float64), top, level)


def p_value(x: Any, m: float) -> float:
    """p-value of "the mean of x `[n]` in [0, 1] is at least m", 0 < m < 1: one over the gambler's capital."""
    values = np.asarray(x, np.float64)[:, None]
    return float(np.exp(-max(0.0, float(_log_capital(values, np.array([m]))[0]))))


def _limit(unit: np.ndarray, goal: float) -> np.ndarray:
    low, high = unit.mean(0), np.ones(unit.shape[1])  # below the sample mean nobody wins
    for _ in range(STEPS):
        middle = (low + high) / 2
        won = _log_capital(unit, middle) >= goal
        low, high = np.where(won, low, middle), np.where(won, middle, high)
    return high


def _log_capital(unit: np.ndarray, m: np.ndarray) -> np.ndarray:
    """log K `[K]` of candidates m `[K]`."""
    odds = (m - unit) / np.maximum(1 - m, 1e-300)
    with np.errstate(divide="ignore"):
        if odds.size <= SMALL:
            each = np.log1p(np.maximum(FRACTIONS[:, None, None] * odds, -1.0)).sum(1)
        else:  # one fraction at a time, for the memory's sake
            each = np.stack([np.log1p(np.maximum(c * odds, -1.0)).sum(0) for c in FRACTIONS])
        most = np.maximum(each.max(0), -1e300)
        return np.asarray(most + np.log(WEIGHTS @ np.exp(each - most)))
