"""Swing up and hold a pendulum whose motor is too weak to lift it: pump energy, then catch.

          0 top, theta         obs = (cos theta, sin theta, omega); state = (theta, omega), theta not wrapped
        +---|---+              omega' = omega + dt (g sin theta - damping omega + u)
        |   o---+- wall        theta' = theta + dt omega'
        +---|---+              u in [-limit, limit], m = l = 1, dt = 0.05 s, start near the bottom at rest
         bottom, pi            reward (1 + cos theta) / 2

`pendulum` is smooth. `pendulum_wall` has a wall at one angle: a step that would cross it is thrown back
(omega -> -restitution omega), so the map jumps and no Lipschitz constant holds across it.

Without the wall |f(x, u) - f(y, v)| <= K_x |x - y| + K_u |u - v| with K_x the largest singular value of
[[1 + dt^2 c, dt (1 - b dt)], [dt c, 1 - b dt]] over c in [-g, g], reached at an end since the norm is convex in c,
and K_u = dt sqrt(1 + dt^2). See `lipschitz`.

The expert blends smoothly: energy pumping where the regulator's cost-to-go x'Px is large, the regulator near the top.
Source: Astrom and Furuta 2000 (energy shaping), https://doi.org/10.1016/S0005-1098(99)00140-5
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ilbench.envs._common import known, within
from ilbench.envs._control import lqr, tolerances
from ilbench.types import Array, Box, Dynamics, Env, Policy, PyTree, Step, Task, no_memory

TASKS = {"pendulum": {"wall": False}, "pendulum_wall": {"wall": True}}
VERSION = 1
HORIZON = 200
TAGS = ("control",)
SUMMARY = {
    "pendulum": "Weak motor, smooth dynamics: swing up and hold for ten seconds.",
    "pendulum_wall": "The same with a wall beside the top: the dynamics jump where it is hit.",
}


class Params(NamedTuple):
    """float32 leaves in SI units; unit mass and length."""

    gravity: Any  # m/s^2
    damping: Any  # 1/s
    dt: Any  # s
    limit: Any  # N m
    start: Any  # half-width of the start box around the bottom, rad and rad/s
    wall: Any  # rad, angle of the wall
    solid: Any  # 1 where the wall exists, else 0
    restitution: Any  # fraction of the speed that a bounce keeps


class Expert(NamedTuple):
    """float32 leaves of the swing-up policy."""

    gravity: Any
    limit: Any
    gain: Any  # `[2]` u = -gain (theta, omega)
    cost: Any  # `[2, 2]` cost-to-go P
    pump: Any  # energy gain
    catch: Any  # level of x'Px at which the two halves weigh the same
    width: Any  # of the blend, in units of x'Px


def observe(params: Params, x: Array) -> Array:
    """`[2] -> [3]`."""
    return jnp.stack([jnp.cos(x[0]), jnp.sin(x[0]), x[1]])


def from_obs(params: Params, obs: Array) -> Array:
    """`[3] -> [2]`, theta in (-pi, pi]."""
    return jnp.stack([jnp.arctan2(obs[1], obs[0]), obs[2]])


def to_vec(params: Params, state: Array) -> Array:
    """The state is the vector `[2]`."""
    return state


def step_vec(params: Params, x: Array, u: Array) -> Array:
    """The successor `[2]`; u `[1]` is clipped."""
    p, torque = params, jnp.clip(u[0], -params.limit, params.limit)
    omega = x[1] + p.dt * (p.gravity * jnp.sin(x[0]) - p.damping * x[1] + torque)
    theta = x[0] + p.dt * omega
    turn = np.float32(2 * np.pi)
    crossed = (jnp.floor((theta - p.wall) / turn) != jnp.floor((x[0] - p.wall) / turn)) & (p.solid > 0)
    bounced = jnp.stack([x[0], -p.restitution * omega])
    return jnp.where(crossed, bounced, jnp.stack([theta, omega]))


def reset(params: Params, key: Array) -> tuple[Array, Array]:
    """Near the bottom, nearly at rest."""
    spread = params.start * jax.random.uniform(key, (2,), jnp.float32, -1.0, 1.0)
    state = jnp.array([np.pi, 0.0], jnp.float32) + spread
    return state, observe(params, state)


def step(params: Params, key: Array, state: Array, action: Array) -> Step:
    """One step of dt seconds; deterministic, never terminates."""
    new = step_vec(params, state, action)
    return Step(new, observe(params, new), (1.0 + jnp.cos(state[0])) / 2.0, jnp.zeros((), jnp.bool_))


def act(params: Expert, key: Array, t: Array, memory: PyTree, obs: Array) -> tuple[PyTree, Array]:
    """Torque `[1]`: energy pumping far from the top, the regulator near it, a sigmoid of x'Px between them."""
    p, x = params, jnp.stack([jnp.arctan2(obs[1], obs[0]), obs[2]])
    missing = p.gravity * (1.0 - obs[0]) - obs[2] ** 2 / 2.0  # energy at rest on the top minus energy now
    pump = p.limit * jnp.tanh(p.pump * missing * obs[2])
    hold = jnp.clip(-(jnp.asarray(p.gain) @ x), -p.limit, p.limit)
    near = jax.nn.sigmoid((p.catch - x @ jnp.asarray(p.cost) @ x) / p.width)
    return memory, (near * hold + (1.0 - near) * pump)[None]


def _jacobian(p: Params, slope: float) -> np.ndarray:
    keep = 1 - p.damping * p.dt
    return np.array([[1 + p.dt**2 * slope, p.dt * keep], [p.dt * slope, keep]])


def lipschitz(params: Params) -> tuple[float, float]:
    """`(K_x, K_u)` of the map without a wall, in the Euclidean norm of (theta, omega)."""
    p = Params(*(float(value) for value in params))
    return (
        max(float(np.linalg.norm(_jacobian(p, c), 2)) for c in (-p.gravity, p.gravity)),
        p.dt * float(np.hypot(1.0, p.dt)),
    )


def make(
    task_id: str,
    horizon: int | None = None,
    *,
    gravity: float = 9.81,
    damping: float = 0.1,
    limit: float = 5.0,
    dt: float = 0.05,
    start: float = 0.5,
    restitution: float = 0.5,
) -> Task:
    """`gravity` in m/s^2, `damping` in 1/s, `limit` in N m, `dt` in s, `start` in rad, `restitution` a fraction."""
    H = known(TASKS, task_id, horizon, HORIZON)
    for name, value, low, high in (
        ("gravity", gravity, 0, 30),
        ("damping", damping, 0, 10),
        ("limit", limit, 0.1, 100),
        ("dt", dt, 1e-3, 0.1),
        ("start", start, 0, np.pi),
        ("restitution", restitution, 0, 1),
    ):
        within(name, value, low, high)
    exact = Params(gravity, damping, dt, limit, start, 0.6, float(TASKS[task_id]["wall"]), restitution)
    gain, cost = lqr(_jacobian(exact, gravity), [[dt**2], [dt]], np.diag([10.0, 1.0]), 1.0)
    # On {x'Px <= c} the regulator asks for at most sqrt(c K P^-1 K'): half of the level where that is the limit.
    level = 0.5 * limit**2 / float(gain[0] @ np.linalg.solve(cost, gain[0]))
    expert = Expert(gravity, limit, gain[0], cost, 0.3, level, level / 5)
    params = Params(*(np.float32(value) for value in exact))
    return Task(
        id=task_id,
        version=VERSION,
        env=Env(params, reset, step, Box(3), Box(1, -limit, limit), absorbing_reward=np.float32(0)),
        expert=Policy(Expert(*(np.asarray(v, np.float32) for v in expert)), no_memory, act),
        horizon=H,
        deltas=tolerances(limit),
        reward_range=(0.0, 1.0),
        tags=TAGS,
        dynamics=Dynamics(2, step_vec, observe, to_vec, from_obs),
    )
