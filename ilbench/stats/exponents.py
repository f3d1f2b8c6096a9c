"""The exponent budget: why a cost grows with the horizon, as four slopes that add up. NumPy float64.

gap = H * eps_expert * kappa * ubar, where kappa = eps_own / eps_expert is how many mistakes on its own states a learner
makes for one on the expert's, and ubar = gap / (H eps_own) what a mistake costs. This is an identity, so on any grid
of horizons the least-squares slopes in log H obey p_gap = 1 + p_eps + p_kappa + p_ubar exactly.

Source: the identity follows from the definitions; kappa is where covariate shift enters (Ross & Bagnell 2010,
https://proceedings.mlr.press/v9/ross10a.html), ubar where recoverability does (Ross, Gordon & Bagnell 2011,
https://arxiv.org/abs/1011.0686).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ilbench.exact.closed_forms import slope
from ilbench.stats.intervals import finite, t_quantile
from ilbench.stats.slopes import Slope

TERMS = ("gap", "eps", "kappa", "ubar")


class Budget(NamedTuple):
    """Slopes in log H with 95 % and 90 % limits; p_gap = 1 + p_eps + p_kappa + p_ubar. See `stats.Slope` for a reason."""

    p_gap: Slope
    p_eps: Slope
    p_kappa: Slope
    p_ubar: Slope


def factors(horizons: ArrayLike, gap: ArrayLike, eps_expert: ArrayLike, eps_own: ArrayLike) -> np.ndarray:
    """gap, eps_expert, kappa and ubar `[4, ..., K]` from positive curves `[..., K]`."""
    h, g, e, o = (np.asarray(x, np.float64) for x in (horizons, gap, eps_expert, eps_own))
    return np.stack(np.broadcast_arrays(g, e, o / e, g / (h * o)))


def exponents(horizons: ArrayLike, gap: ArrayLike, eps_expert: ArrayLike, eps_own: ArrayLike) -> dict[str, float]:
    """The four slopes of exact curves `[K]` by name; raises ValueError unless K >= 2 and all are positive."""
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = factors(horizons, gap, eps_expert, eps_own)
    return {name: float(slope(horizons, term)) for name, term in zip(TERMS, terms, strict=True)}


def budget(horizons: ArrayLike, gap: ArrayLike, eps_expert: ArrayLike, eps_own: ArrayLike) -> Budget:
    """The budget of S runs: horizons `[K]`, curves `[S, K]` (gap in reward or cost, eps as rates per step).

    Factors are ratios of means over seeds; limits by a delete-one-seed jackknife and Student's t with S - 1 degrees.
    A term that meets a mean that is not positive is a Slope of None with the reason. Raises ValueError for shapes that
    do not fit, fewer than two seeds or horizons, and values that are not finite.
    """
    h = finite("horizons", horizons, 1)
    curves = {"gap": gap, "eps_expert": eps_expert, "eps_own": eps_own}
    x = [finite(name, value, 2) for name, value in curves.items()]
    shapes = {name: v.shape for name, v in zip(curves, x, strict=True)}
    if len({v.shape for v in x}) > 1 or x[0].shape[1] != len(h) or x[0].shape[0] < 2:
        raise ValueError(f"curves are [S >= 2, K = {len(h)}] each, one row per seed; got {shapes}")
    if len(h) < 2 or (h <= 0).any() or len(np.unique(h)) < len(h):
        raise ValueError(f"horizons must be two or more, distinct and positive; got {h.tolist()}")
    mean = np.stack([v.mean(0) for v in x])  # [3, K]
    without = np.stack([(v.sum(0) - v) / (len(v) - 1) for v in x])  # [3, S, K]
    bad = [_reason(name, h, m, w) for name, m, w in zip(curves, mean, without, strict=True)]
    with np.errstate(divide="ignore", invalid="ignore"):
        terms, left_out = factors(h, *mean), factors(h, *without)
    needs = ((0,), (1,), (1, 2), (0, 2))
    return Budget(
        *(
            _slope(h, term, out, next((bad[i] for i in need if bad[i]), None))
            for term, out, need in zip(terms, left_out, needs, strict=True)
        )
    )


def _reason(name: str, h: np.ndarray, mean: np.ndarray, without: np.ndarray) -> str | None:
    for rule, what in ((mean <= 0, "is not positive"), ((without <= 1e-12 * mean).any(0), "rests on one seed")):
        if rule.any():
            at = ", ".join(f"{x:g}" for x in h[rule])
            return f"mean {name} {what} at H = {at}: leave these horizons out or run more episodes"
    return None


def _slope(h: np.ndarray, term: np.ndarray, left_out: np.ndarray, reason: str | None) -> Slope:
    if reason:
        return Slope(None, reason=reason)
    value, n = float(slope(h, term)), len(left_out)
    se = float(np.sqrt((n - 1) * slope(h, left_out).var()))
    wide, narrow = t_quantile(0.975, n - 1) * se, t_quantile(0.95, n - 1) * se
    return Slope(value, value - wide, value + wide, value - narrow, value + narrow)
