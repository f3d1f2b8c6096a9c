"""Behaviour-cloning bounds on the gap, from per-step expert-state errors eps `[..., H]` (cost or reward in [0, 1]).

gap <= b3 <= b2 <= {b1, b0}. Multiply by the width of the reward range otherwise. Source: b0 is Ross and Bagnell 2010
(https://proceedings.mlr.press/v9/ross10a.html); b1 is the lecture's form; b2 and b3 follow from the union bound on
the first mistake, P(first mistake <= t) <= sum_{i<=t} eps_i.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ilbench.exact.mdp import Floats


def b0(eps: Any) -> Floats:
    """H^2 mean_t eps_t."""
    eps = np.asarray(eps, np.float64)
    return eps.shape[-1] * eps.sum(-1)


def b1(eps: Any) -> Floats:
    """max_t eps_t H (H + 1) / 2."""
    eps = np.asarray(eps, np.float64)
    H = eps.shape[-1]
    return eps.max(-1) * (H * (H + 1) / 2)


def b1_of_mean(eps: Any) -> Floats:
    """mean_t eps_t H (H + 1) / 2: NOT a bound, fails by up to 2 H / (H + 1); kept as the counterexample."""
    eps = np.asarray(eps, np.float64)
    return eps.sum(-1) * ((eps.shape[-1] + 1) / 2)


def b1_clipped(eps: Any) -> Floats:
    """sum_t min(1, t max eps), t = 1 ... H."""
    eps = np.asarray(eps, np.float64)
    t = np.arange(1, eps.shape[-1] + 1)
    return np.minimum(1, t * eps.max(-1, keepdims=True)).sum(-1)


def b2(eps: Any) -> Floats:
    """sum_t min(1, sum_{i<=t} eps_i)."""
    return np.minimum(1, np.cumsum(np.asarray(eps, np.float64), axis=-1)).sum(-1)


def b3(first_mistake: Any) -> Floats:
    """sum_t (1 - E_expert[w_t]) from the law `[..., H]` of the first mistake (`dp.first_mistake`)."""
    return np.cumsum(np.asarray(first_mistake, np.float64), axis=-1).sum(-1)


def clip(bound: Any, H: int) -> Floats:
    """min(H, bound): H is the largest gap there is."""
    return np.minimum(np.float64(H), bound)


def ladder(eps: Any, first_mistake: Any) -> dict[str, Floats]:
    """All bounds by name, tightest first."""
    return {"b3": b3(first_mistake), "b2": b2(eps), "b1": b1(eps), "b0": b0(eps)}


def hellinger(affinity: Any, width: float = 1.0) -> Floats:
    """R D_H^2 = 2 R (1 - affinity): bounds the return gap of a deterministic expert, returns within `width`.

    Source: Foster, Block, Misra 2024 (https://arxiv.org/abs/2407.15007); constant 1 since 1 - w <= 2 (1 - sqrt w).
    """
    return 2 * width * (1 - np.asarray(affinity, np.float64))


def dagger(u: float, on_policy_mistakes: Any) -> Floats:
    """u sum_t on-policy mistakes `[..., H]`. Source: Ross, Gordon, Bagnell 2011 (https://arxiv.org/abs/1011.0686)."""
    return u * np.asarray(on_policy_mistakes, np.float64).sum(-1)
