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
