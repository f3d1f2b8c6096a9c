"""The pendulum's step map in NumPy float64: residuals, their Lipschitz constant, and the state before a known one.

The same map as envs/pendulum.py (a test holds them together), as f(x, u) = x' - x; x = (theta, omega) unwrapped.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ilbench.exact.mdp import Floats


class Plant(NamedTuple):
    """Numbers, or arrays `[n]` of one plant per row; `bias [..., 2]` is added to the residual."""

    gravity: Any
    damping: Any
    dt: float
    bias: Any = 0.0
    wall: float | None = None  # rad
    restitution: float = 0.5


def plant(params: Any) -> Plant:
    """The plant of the product's env."""
    p = [float(v) for v in params]
    return Plant(p[0], p[1], p[2], wall=p[5] if p[6] else None, restitution=p[7])


def residual(p: Plant, x: Floats, u: Any) -> Floats:
    """f(x, u) `[n, 2]` for x `[n, 2]` and torques u `[n]` within the motor's limit."""
    theta, omega = x[..., 0], x[..., 1]
    change = p.dt * (p.gravity * np.sin(theta) - p.damping * omega + u)
    turn = p.dt * (omega + change)
    f = np.stack([turn, change], -1)
    if p.wall is not None:
        side = [np.floor((at - p.wall) / (2 * np.pi)) for at in (theta, theta + turn)]
        bounce = np.stack([0 * theta, -p.restitution * (omega + change) - omega], -1)
        f = np.where((side[0] != side[1])[..., None], bounce, f)
    return f + p.bias


def before(p: Plant, target: Floats, u: Any) -> Floats:
    """x `[n, 2]` with x + f(x, u) = target, in closed form; no wall."""
    theta, omega = np.moveaxis(target - p.bias, -1, 0)
    theta = theta - p.dt * omega
    return np.stack([theta, (omega - p.dt * (p.gravity * np.sin(theta) + u)) / (1 - p.damping * p.dt)], -1)


def lipschitz(p: Plant) -> Floats:
    """K with |f(x, u) - f(y, u)| <= K |x - y|, no wall: the largest singular value over both extreme slopes of gravity."""
    g, b = np.broadcast_arrays(np.asarray(p.gravity, np.float64), np.asarray(p.damping, np.float64))

    def norm(c: Floats) -> Floats:
        keep = p.dt * (1 - b * p.dt)
        rows = [np.stack([p.dt**2 * c, keep], -1), np.stack([p.dt * c, -b * p.dt], -1)]
        return np.linalg.norm(np.stack(rows, -2), 2, axis=(-2, -1))

    return np.maximum(norm(g), norm(-g))
