"""Divergences between policies, exactly: trajectory laws by enumeration, discounted occupancies, and two-mode experts.

All logarithms are natural. Policies are probabilities `[S, A]`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy import optimize, special

from ilbench.exact.dp import forward
from ilbench.exact.mdp import MDP, Floats


def kl(p: Any, q: Any) -> Floats:
    """KL(p || q) over the last axis; inf where q lacks support that p has."""
    return special.rel_entr(np.asarray(p, np.float64), np.asarray(q, np.float64)).sum(-1)


def js(p: Any, q: Any) -> Floats:
    """Jensen-Shannon divergence over the last axis, at most log 2."""
    p, q = np.asarray(p, np.float64), np.asarray(q, np.float64)
    return (kl(p, (p + q) / 2) + kl(q, (p + q) / 2)) / 2


# ----------------------------------------------------------------------------------- trajectories
def trajectory_law(mdp: MDP, pi: Floats, H: int) -> Floats:
    """Probabilities `[S (A S)^(H - 1) A]` of all trajectories s_1 a_1 ... s_H a_H, by enumeration: tiny MDPs only."""
    law = mdp.rho
    for t in range(H):
        law = (law[..., None] * pi).reshape(-1, *mdp.R.shape)
        if t < H - 1:
            law = (law[..., None] * mdp.P).reshape(-1, len(mdp.rho))
    return law.reshape(-1)


def chain_rule(mdp: MDP, p: Floats, q: Floats, H: int) -> float:
    """sum_t E_{s ~ d_t^p} KL(p(.|s) || q(.|s)): the dynamics cancel in the ratio of two trajectory laws."""
    return float(sum(d @ kl(p, q) for d in forward(mdp, p, H)))


# ------------------------------------------------------------------------------------- discounted
def discounted(mdp: MDP, pi: Floats, gamma: float) -> Floats:
    """Normalised discounted law `[S, A]` of state-action pairs, (1 - gamma) sum_t gamma^t d_t; gamma in [0, 1)."""
    push = np.einsum("sa,sax->sx", pi, mdp.P)
    state = np.linalg.solve(np.eye(len(push)) - gamma * push.T, (1 - gamma) * mdp.rho)
    return state[:, None] * pi


# -------------------------------------------------------------------------------- two-mode expert
class TwoModes(NamedTuple):
    """Expert action a ~ 1/2 N(-half, sd^2) + 1/2 N(half, sd^2); a succeeds within `tol` of a mode."""

    half: float
    sd: float
    tol: float


def _mass(mean: Any, sd: Any, lo: Any, hi: Any) -> Any:
    return special.ndtr((hi - mean) / sd) - special.ndtr((lo - mean) / sd)


def success(expert: TwoModes, mean: float, sd: float) -> float:
    """P(within tol of either mode) of a ~ N(mean, sd^2); sd = 0 is the point mass."""
    if sd == 0:
        return float(min(abs(mean - expert.half), abs(mean + expert.half)) <= expert.tol)
    h, tol = expert.half, expert.tol
    both = _mass(mean, sd, h - tol, h + tol) + _mass(mean, sd, -h - tol, -h + tol)
    return float(both - (_mass(mean, sd, h - tol, tol - h) if tol > h else 0.0))


def mixture_success(expert: TwoModes, *, own: bool = False) -> float:
    """P(success) of sampling the expert's law; own = True counts only the mode that was drawn."""
    if own:
        return float(_mass(0.0, expert.sd, -expert.tol, expert.tol))
    return success(expert, expert.half, expert.sd)  # by symmetry


def reverse_kl(expert: TwoModes, mean: float, sd: float, points: int = 4001) -> float:
    """KL(N(mean, sd^2) || expert) by the trapezoidal rule over 12 standard deviations."""
    z = np.linspace(-12, 12, points)
    x, logs = mean + sd * z, []
    for m in (-expert.half, expert.half):
        logs.append(-0.5 * ((x - m) / expert.sd) ** 2 - np.log(expert.sd) - np.log(2.0))
    integrand = np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi) * (-0.5 * z**2 - np.log(sd) - np.logaddexp(*logs))
    return float(np.trapezoid(integrand, z))


def gaussian_forward(expert: TwoModes) -> tuple[float, float]:
    """`(mean, sd)` of the Gaussian that minimises KL(expert || q): it matches the moments."""
    return 0.0, float(np.hypot(expert.half, expert.sd))


def gaussian_reverse(expert: TwoModes) -> tuple[float, float, float]:
    """`(mean, sd, KL)` of the Gaussian that minimises KL(q || expert); of two mirrored optima the one with mean >= 0."""
    starts = [(expert.half, expert.sd), (0.05 * expert.half, float(np.hypot(expert.half, expert.sd)))]
    options: Any = {"xatol": 1e-9, "fatol": 1e-13, "maxiter": 2000}

    def objective(v: Any) -> float:
        return reverse_kl(expert, float(v[0]), float(np.exp(v[1])))

    fits: list[Any] = [
        optimize.minimize(objective, np.array([m, np.log(s)]), method="Nelder-Mead", options=options) for m, s in starts
    ]
    best = min(fits, key=lambda f: f.fun)
    return float(abs(best.x[0])), float(np.exp(best.x[1])), float(best.fun)


# ----------------------------------------------------- any f-divergence of a Gaussian from the two modes
# q f(p / q) of log-densities; Jensen-Shannon at most log 2, alpha = 1/2: twice the integral of (sqrt p - sqrt q)^2.
INTEGRANDS: dict[str, Any] = {
    "forward_kl": lambda p, q: np.exp(p) * (p - q),
    "reverse_kl": lambda p, q: np.exp(q) * (q - p),
    "jensen_shannon": lambda p, q: (
        (np.exp(p) * (p - np.logaddexp(p, q) + np.log(2)) + np.exp(q) * (q - np.logaddexp(p, q) + np.log(2))) / 2
    ),
    "total_variation": lambda p, q: np.abs(np.exp(p) - np.exp(q)) / 2,
    "chi_squared": lambda p, q: np.exp(np.minimum(2 * p - q, 700)) - np.exp(q),
    "alpha": lambda p, q: 2 * (np.exp(p / 2) - np.exp(q / 2)) ** 2,
}


def from_two_modes(expert: TwoModes, divergence: str, mean: float, sd: float, points: int = 20_001) -> float:
    """D(expert || N(mean, sd^2)) of INTEGRANDS, a sum over a grid that reaches 10 standard deviations of either."""
    reach = max(expert.half + 10 * expert.sd, abs(mean) + 10 * sd)
    x = np.linspace(-reach, reach, points)
    gaussians = (-expert.half, expert.sd), (expert.half, expert.sd), (mean, sd)
    parts = [-0.5 * ((x - m) / s) ** 2 - np.log(s * np.sqrt(2 * np.pi)) for m, s in gaussians]
    log_p = np.logaddexp(*parts[:2]) - np.log(2)
    return float(INTEGRANDS[divergence](log_p, parts[2]).sum() * (x[1] - x[0]))


def gaussian_minimum(expert: TwoModes, divergence: str, start: tuple[float, float]) -> tuple[float, float, float]:
    """`(mean, sd, D)` of the minimum that Nelder and Mead reach from `start` (mean, sd): there may be one on a mode and one between."""
    at = np.array([start[0], np.log(start[1])])
    simplex = at + np.array([[0, 0], [0.05 * expert.half, 0], [0, 0.1]])

    def objective(v: Any) -> float:
        return from_two_modes(expert, divergence, float(v[0]), float(np.exp(v[1])))

    options: Any = {"xatol": 1e-7, "fatol": 1e-11, "initial_simplex": simplex, "maxiter": 1000}
    found: Any = optimize.minimize(objective, at, method="Nelder-Mead", options=options)
    return float(found.x[0]), float(np.exp(found.x[1])), float(found.fun)
