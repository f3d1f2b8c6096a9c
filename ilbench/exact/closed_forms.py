"""Closed forms of the loss or gap on the chain instances; arrays broadcast; accurate down to eps = 0."""

from __future__ import annotations

from typing import Any

import numpy as np

from ilbench.exact.mdp import Floats


def _eps(eps: Any) -> Floats:
    eps = np.asarray(eps, np.float64)
    if eps.size and not (eps.min() >= 0 and eps.max() <= 1):
        raise ValueError(f"an error rate must be in [0, 1], got {eps.min()} ... {eps.max()}")
    return eps


def _horizon(H: Any) -> Floats:
    H = np.asarray(H, np.float64)
    if H.size and H.min() < 1:
        raise ValueError(f"horizon must be at least 1, got {H.min()}")
    return H


def _excess(eps: Floats, H: Floats) -> Floats:
    """sum_{t=1}^{H} (1 - (1 - eps)^t), without cancellation.

    H - (1-e)(1-(1-e)^H)/e loses log10(1/(e^2 H^2)) digits; below e H = 0.1 the binomial series converges fast:
    sum_t (1-(1-e)^t) = sum_{k>=1} (-1)^(k+1) C(H+1, k+1) e^k.
    """
    safe = np.where(eps > 0, eps, 1.0)
    with np.errstate(divide="ignore"):
        log_stay = np.log1p(-eps)
    direct = H + (1 - eps) * np.expm1(H * log_stay) / safe
    term = np.where(eps * H < 0.1, eps, 0.0) * H * (H + 1) / 2
    series = term.copy()
    for k in range(2, 14):
        term = -term * eps * (H + 1 - k) / (k + 1)
        series = series + term
    return np.where(eps * H < 0.1, series, direct)


def cliff(eps: Any, H: Any) -> Floats:
    """Expected cost H - (1-eps)(1-(1-eps)^H)/eps of a learner that errs at rate eps, always off the path."""
    return _excess(*np.broadcast_arrays(_eps(eps), _horizon(H)))


recoverable_bc = cliff  # behaviour cloning never learnt to recover, so a recoverable fall is still for ever


def recoverable_dagger(eps: Any, H: Any) -> Floats:
    """eps H: a learner that errs at rate eps everywhere pays 1 per mistake."""
    return _eps(eps) * _horizon(H)


def stable_bc(eps: Any, H: Any, stay: Any = 0.5) -> Floats:
    """Cost when the off-path learner is always wrong but stays fallen with probability `stay` only.

    b_t = eps (1 - b_{t-1}) + stay b_{t-1}, so b_t = b (1 - r^t) with b = eps/(1 + eps - stay), r = stay - eps.
    """
    eps, H, stay = np.broadcast_arrays(_eps(eps), _horizon(H), _eps(stay))
    if np.any(stay - eps >= 1):
        raise ValueError("needs stay - eps < 1: with stay = 1 and eps = 0 nothing ever moves")
    r = stay - eps
    return eps / (1 - r) * (H - r * (1 - r**H) / (1 - r))


def copy_chain(eps: Any, H: Any) -> Floats:
    """Cost of copying the previous prediction with flips at rate eps <= 1/2.

    Kaariainen's example, cited by Ross and Bagnell 2010: T/2 - (1-(1-2 eps)^(T+1))/(4 eps) + 1/2.
    """
    return _excess(*np.broadcast_arrays(_eps(2 * _eps(eps)), _horizon(H))) / 2


def disjoint(eps: Any, H: Any, states: Any) -> Floats:
    """sum_t eps min(t, states): start state k has mass eps and errs once, at step k, for ever after."""
    eps, H, K = np.broadcast_arrays(_eps(eps), _horizon(H), np.asarray(states, np.float64))
    K = np.minimum(K, H)
    return eps * (K * (K + 1) / 2 + (H - K) * K)


def first_step(eps: Any, H: Any) -> Floats:
    """eps H: all error at the first step; equals H^2 mean_t eps_t. Source: Ross and Bagnell 2010."""
    return _eps(eps) * _horizon(H)


def reset_cliff_rho(states: int, n: int) -> Floats:
    """Renewal law `[states - 1]` over good states: all but the last have mass 1/(n + 1), the last has the rest."""
    if states < 3 or n < 1 or states - 2 > n + 1:
        raise ValueError(f"needs states >= 3 and n >= max(1, states - 3), got states = {states}, n = {n}")
    rho = np.full(states - 1, 1 / (n + 1))
    rho[-1] = 1 - (states - 2) / (n + 1)
    return rho


def unseen_mass(rho: Any, n: Any) -> Floats:
    """sum_s rho(s) (1 - rho(s))^n: probability that a fresh draw was not among n draws."""
    rho = np.asarray(rho, np.float64)
    with np.errstate(divide="ignore"):
        return (rho * np.exp(np.asarray(n, np.float64)[..., None] * np.log1p(-rho))).sum(-1)


def reset_cliff(H: Any, rho: Any, n: Any, wrong: float = 1.0) -> Floats:
    """Expected gap H - sum_t (1 - e)^t of per-step-table BC from n demonstrations, absorbing fall.

    e = wrong * unseen_mass; `wrong` is the chance that the table's rule for unseen states errs (1 - 1/A if uniform).
    Source of the instance: Rajaraman, Yang, Jiao, Ramchandran 2020 (https://arxiv.org/abs/2009.05990).
    """
    return _excess(*np.broadcast_arrays(_eps(wrong) * unseen_mass(rho, n), _horizon(H)))


def survival(eps: Any, t: Any) -> Floats:
    """(1 - eps)^t: no mistake in t steps at a constant rate."""
    with np.errstate(divide="ignore"):
        return np.exp(np.asarray(t, np.float64) * np.log1p(-_eps(eps)))


def slope(H: Any, values: Any) -> Floats:
    """Least-squares slope of log values `[..., n]` on log H `[n]`; raises ValueError unless n >= 2 and all > 0."""
    x, y = np.asarray(H, np.float64), np.asarray(values, np.float64)
    if x.ndim != 1 or len(x) < 2 or y.shape[-1:] != x.shape:
        raise ValueError(f"needs at least two horizons and as many values, got {list(x.shape)} and {list(y.shape)}")
    if min(x.min(), y.min()) <= 0:
        raise ValueError(f"a log-log slope needs positive numbers, the smallest is {min(x.min(), y.min())}")
    centred = np.log(x) - np.log(x).mean()
    return (np.log(y) * centred).sum(-1) / (centred**2).sum()


FORMS = {
    "cliff": cliff,
    "recoverable_bc": recoverable_bc,
    "recoverable_dagger": recoverable_dagger,
    "stable_bc": stable_bc,
    "copy_chain": copy_chain,
    "first_step": first_step,
}


def exponent(form: str, H: Any, eps: Any) -> Floats:
    """The slope of a closed form on this finite grid of horizons: what a measured exponent is held against."""
    if form not in FORMS:
        raise ValueError(f"unknown closed form {form!r}; there are {', '.join(sorted(FORMS))}")
    return slope(H, FORMS[form](np.asarray(eps, np.float64)[..., None], np.asarray(H)))


def local_exponent(form: str, H: Any, eps: Any, ratio: float = 1.001) -> Floats:
    """d log(form) / d log H at H, by a central difference over a factor `ratio` either way."""
    f, H = FORMS[form], np.asarray(H, np.float64)
    return np.log(f(eps, H * ratio) / f(eps, H / ratio)) / (2 * np.log(ratio))


def reset_cliff_exponent(H: Any, states: int, n: int, wrong: float = 1.0) -> Floats:
    """Slope in H of the absorbing Reset Cliff's gap at fixed n demonstrations."""
    return slope(H, reset_cliff(H, reset_cliff_rho(states, n), n, wrong))
