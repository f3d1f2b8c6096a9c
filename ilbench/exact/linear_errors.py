"""Exact error growth in linear systems: the scalar recursion e' = lam e + eps, and controllers that commit to chunks.

A chunked learner with model (A^, K) executed on the plant x' = A x + u plans l actions at the start of every chunk:
u_k = K x^_k with x^_0 = x and x^_{k+1} = (A^ + K) x^_k. So one chunk is the linear map
    Phi_l = A^l + sum_{k<l} A^{l-1-k} K (A^ + K)^k
and the error shrinks from chunk to chunk iff the spectral radius of Phi_l is below 1.

The pair of plants below is this project's own instance of the pitfalls of Simchowitz, Pfrommer, Jadbabaie 2025
(https://arxiv.org/abs/2503.09722): both open loops and both expert closed loops are stable, demonstrations started on
the second axis are identical, and no linear feedback that agrees with them stabilises both.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ilbench.exact.mdp import Floats

# x' = A_i x + u with experts u = K_i x; mu = .1
PAIR_A = (np.array([[1.1, 0.15], [-0.15, 0.8]]), np.array([[-1.1, 0.15], [-1.5, 0.8]]))
PAIR_K = (np.array([[-1.1, -0.15], [0.15, 0.0]]), np.array([[1.1, -0.15], [1.5, 0.0]]))


def errors(lam: float, eps: float, H: int) -> Floats:
    """e_1 ... e_H `[H]` of e' = lam e + eps from e_0 = 0, by the recursion itself."""
    out, e = np.empty(H), 0.0
    for t in range(H):
        e = lam * e + eps
        out[t] = e
    return out


def error_sum(lam: Any, eps: Any, H: Any) -> Floats:
    """sum_{t<=H} e_t in closed form, for lam >= 0 and eps >= 0; arrays broadcast; raises ValueError for lam < 0.

    lam = 1: eps H (H + 1) / 2. Else eps / (1 - lam) (H - lam (1 - lam^H) / (1 - lam)); within 1e-4 of 1 it cancels.
    """
    lam, eps, H = (np.asarray(x, np.float64) for x in (lam, eps, H))
    if lam.min() < 0 or np.any((np.abs(lam - 1) < 1e-4) & (lam != 1)):
        raise ValueError(f"lam must be >= 0 and either 1 or at least 1e-4 away from it, got {lam}")
    with np.errstate(divide="ignore", invalid="ignore"):
        away = eps / (1 - lam) * (H - lam * (1 - lam**H) / (1 - lam))
    return np.where(lam == 1, eps * H * (H + 1) / 2, away)


def radius(matrix: Any) -> float:
    """Spectral radius of a square matrix; a scalar is a 1 x 1 matrix."""
    return float(np.abs(np.linalg.eigvals(np.atleast_2d(np.asarray(matrix, np.float64)))).max())


def chunk_map(A: Any, model: Any, K: Any, length: int) -> Floats:
    """Phi_l `[d, d]`: the plant A under chunks of `length` actions planned with (model, K); ValueError for length < 1."""
    if length < 1:
        raise ValueError(f"a chunk holds at least 1 action, got {length}")
    A, model, K = (np.atleast_2d(np.asarray(m, np.float64)) for m in (A, model, K))
    power, plan, drive = np.eye(len(A)), np.eye(len(A)), np.zeros_like(A)
    for _ in range(length):
        drive = A @ drive + K @ plan
        plan = (model + K) @ plan
        power = A @ power
    return power + drive


def chunk_rate(A: Any, model: Any, K: Any, length: int) -> float:
    """Growth of the error per step, log radius(Phi_l) / l."""
    return float(np.log(radius(chunk_map(A, model, K, length))) / length)


def chunk_threshold(A: Any, model: Any, K: Any, longest: int = 200) -> int:
    """The smallest l with radius(Phi_m) < 1 for every m in l ... longest; ValueError when there is none."""
    stable = [radius(chunk_map(A, model, K, m)) < 1 for m in range(1, longest + 1)]
    if not stable[-1]:
        raise ValueError(f"chunks of {longest} actions do not contract; give a larger `longest`")
    return longest - next((k for k, ok in enumerate(reversed(stable)) if not ok), longest) + 1


def open_loop_sd(a: float, noise: float, length: int) -> float:
    """Standard deviation at the end of an open-loop chunk on x' = a x + u + noise N(0, 1): noise sqrt(sum_k a^{2k})."""
    return float(noise * np.sqrt((np.float64(a) ** (2 * np.arange(length))).sum()))


# ----------------------------------------------------------------------------------- under position control
def position_controlled(stiffness: float, damping: float, dt: float) -> tuple[Floats, Floats]:
    """`(A [2, 2], B [2, 1])` of a unit mass at (p, v) that is driven to a target a by the force stiffness (a - p) - damping v.

    The force is held for a step of dt; raises ValueError where the free loop does not settle (of no stiffness: it is no loop).
    """
    push = np.array([[dt**2 / 2], [dt]])
    A = np.array([[1.0, dt], [0.0, 1.0]]) - push @ np.array([[stiffness, damping]])
    if stiffness and radius(A) >= 1:
        raise ValueError(
            f"under stiffness {stiffness:g} and damping {damping:g} the mass never settles at steps of {dt:g}: raise damping, or lower dt"
        )
    return A, stiffness * push


def stationary_covariance(A: Any, B: Any, sd: float) -> Floats:
    """P `[d, d]` of x' = A x + B e with independent e of standard deviation `sd`: P = A P A' + sd^2 B B' (Lyapunov).

    By vectorising, (I - A (x) A) vec P = sd^2 vec B B'; raises ValueError where A does not contract.
    """
    A, B = (np.atleast_2d(np.asarray(m, np.float64)) for m in (A, B))
    if radius(A) >= 1:
        raise ValueError(f"a system of spectral radius {radius(A):.3g} has no stationary covariance; it must be below 1")
    d = len(A)
    return np.linalg.solve(np.eye(d * d) - np.kron(A, A), sd**2 * (B @ B.T).ravel()).reshape(d, d)


def position_variance(stiffness: float, damping: float, dt: float, sd: float) -> float:
    """Stationary variance of the position when targets of time have independent errors of standard deviation `sd`.

    To leading order in dt it is sd^2 dt stiffness / (2 damping): Seo 2026, https://arxiv.org/abs/2604.14484.
    """
    return float(stationary_covariance(*position_controlled(stiffness, damping, dt), sd)[0, 0])
