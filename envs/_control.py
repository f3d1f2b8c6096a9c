"""What the control envs share: Riccati gains, the linear expert, and the sweep of action tolerances."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from scipy.linalg import solve_discrete_are

from ilbench.exact.mdp import Floats
from ilbench.types import Array, Policy, PyTree, no_memory


class Linear(NamedTuple):
    """u = clip(-gain x, -limit, limit)."""

    gain: Any  # `[A, d]` float32
    limit: Any  # `[]` float32


def lqr(A: Any, B: Any, Q: Any, R: Any) -> tuple[Floats, Floats]:
    """`(K [A, d], P [d, d])` of min sum x'Qx + u'Ru under x' = Ax + Bu: u = -Kx, cost to go x'Px."""
    A, B, Q, R = (np.atleast_2d(np.asarray(m, np.float64)) for m in (A, B, Q, R))
    P = solve_discrete_are(A, B, Q, R)
    return np.linalg.solve(R + B.T @ P @ B, B.T @ P @ A), P


def act_linear(params: Linear, key: Array, t: Array, memory: PyTree, obs: Array) -> tuple[PyTree, Array]:
    """Saturated linear feedback `[d] -> [A]`."""
    return memory, jnp.clip(-(jnp.asarray(params.gain) @ obs), -params.limit, params.limit)


def linear_expert(gain: Any, limit: float) -> Policy:
    """The Policy of a gain matrix `[A, d]`."""
    return Policy(Linear(np.atleast_2d(np.asarray(gain, np.float32)), np.float32(limit)), no_memory, act_linear)


def tolerances(limit: float) -> tuple[float, ...]:
    """delta for actions in [-limit, limit]: 5 % of the range is the headline, then 1, 2, 10 and 20 %."""
    return tuple(fraction * 2 * limit for fraction in (0.05, 0.01, 0.02, 0.1, 0.2))
