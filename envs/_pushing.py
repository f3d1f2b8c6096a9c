"""Quasi-static pushing in the plane: a disc that moves, a flat body that gives way, Coulomb friction under it and between the two.

The body lies on a table. Friction with it is an ellipsoid: a force (fx, fy) and a torque m slide the body only on
fx^2 + fy^2 + (m / c)^2 = const, with the twist (vx, vy, w) along its normal (fx, fy, m / c^2). A force f at the point q moves that point by
M f, M = I + p p' / c^2, p = (-qy, qx). Where the disc sticks to the point that it touches, the point goes with it, by u: f = M^-1 u, if f
lies in the friction cone |f.t| <= mu f.n; else f is on the cone's edge, and the point goes as far along the normal as the disc does, which
slips along it. There is no inertia: what is not pushed stands still.
Source: Lynch, Maekawa & Tanie 1992, Manipulation and active sensing by pushing using tactile feedback (IROS); such a law between forces and
motions, of which the ellipsoid is the simplest: Zhou, Bagnell & Mason 2017, https://arxiv.org/abs/1705.10664
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ilbench.types import Array

SUBSTEPS = 8  # of a step: the disc's way in one of them is small beside body and disc


class Body(NamedTuple):
    """float32 leaves; the origin is where the body's weight is."""

    corners: Any  # `[E, 2]` of the outline, counter-clockwise
    arm: Any  # c, the mean distance of its points from the origin: torque that friction bears, over force
    friction: Any  # mu between disc and body
    radius: Any  # of the disc


def turned(angle: Array, v: Array) -> Array:
    """`v [2]` turned by an angle, counter-clockwise."""
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    return jnp.stack([cos * v[0] - sin * v[1], sin * v[0] + cos * v[1]])


def across(v: Array) -> Array:
    """`v [..., 2]` turned by a quarter, counter-clockwise."""
    return jnp.stack([-v[..., 1], v[..., 0]], -1)


def nearest(body: Body, point: Array) -> tuple[Array, Array, Array]:
    """`(q [2], n [2], distance [])`: the outline's nearest point, the normal into the body there, negative distances inside."""
    start = jnp.asarray(body.corners)
    end = jnp.roll(start, -1, 0)
    edge, to = end - start, point[None] - start
    share = jnp.clip(jnp.sum(to * edge, -1) / jnp.sum(edge * edge, -1), 0.0, 1.0)
    q = start + share[:, None] * edge
    away = jnp.hypot(point[0] - q[:, 0], point[1] - q[:, 1])
    k = jnp.argmin(away)
    crosses = (start[:, 1] > point[1]) != (end[:, 1] > point[1])
    at = start[:, 0] + (point[1] - start[:, 1]) * edge[:, 0] / jnp.where(edge[:, 1] == 0, 1.0, edge[:, 1])
    inside = (jnp.sum(crosses & (point[0] < at)) % 2) == 1
    sign = jnp.where(inside, -1.0, 1.0)
    inward = across(edge[k]) / jnp.hypot(edge[k, 0], edge[k, 1])
    n = jnp.where(away[k] > 1e-6, sign * (q[k] - point) / jnp.maximum(away[k], 1e-6), inward)
    return q[k], n, sign * away[k]


def twist(body: Body, q: Array, n: Array, u: Array) -> tuple[Array, Array]:
    """`(v [2], w [])` of the body whose point q a disc moves by u, `[2]` each in the body's frame; n is the normal into the body."""
    p, t = across(q) / body.arm, across(n)
    f = u - p * jnp.dot(p, u) / (1.0 + jnp.dot(p, p))  # M^-1 u
    push, slip = jnp.dot(f, n), jnp.dot(f, t)
    edge = n + jnp.sign(slip) * body.friction * t
    gives = jnp.dot(n, edge + p * jnp.dot(p, edge))
    f = jnp.where(jnp.abs(slip) <= body.friction * push, f, edge * jnp.dot(n, u) / gives)
    return f, jnp.dot(p, f) / body.arm


def pushed(body: Body, pose: Array, disc: Array, way: Array) -> tuple[Array, Array]:
    """`(pose [3], disc [2])` after the disc went `way [2]`; a pose is (x, y, angle)."""

    def sub(_: Any, carry: Any) -> Any:
        pose, disc = carry
        disc = disc + way / SUBSTEPS
        q, n, distance = nearest(body, turned(-pose[2], disc - pose[:2]))
        deep = body.radius - distance
        step = turned(-pose[2], way / SUBSTEPS)
        touching = jnp.clip(deep / jnp.maximum(jnp.dot(n, step), 1e-9), 0.0, 1.0)  # share of the way that was in touch
        v, w = twist(body, q, n, deep * n + touching * jnp.dot(across(n), step) * across(n))
        moved = pose + jnp.concatenate([turned(pose[2], v), w[None]])
        return jnp.where(deep > 0, moved, pose), disc

    return jax.lax.fori_loop(0, SUBSTEPS, sub, (pose, disc))


def arm_of(corners: np.ndarray, points: int = 400) -> float:
    """Mean distance from the origin of the points of an outline `[E, 2]`, by a grid: what friction bears of torque, over force."""
    low, high = corners.min(0), corners.max(0)
    x, y = (low[i] + (np.arange(points) + 0.5) / points * (high[i] - low[i]) for i in (0, 1))
    x, y = (g.ravel() for g in np.meshgrid(x, y))
    inside = np.zeros(x.size, bool)
    for a, b in zip(corners, np.roll(corners, -1, 0), strict=True):
        if a[1] != b[1]:
            inside ^= ((a[1] > y) != (b[1] > y)) & (x < a[0] + (y - a[1]) * (b[0] - a[0]) / (b[1] - a[1]))
    return float(np.hypot(x, y)[inside].mean())
