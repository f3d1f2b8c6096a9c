"""A pole on a cart, pushed left or right with a fixed force: a short, unstable, discrete control task.

                 |  pole, theta from upright        state = observation (x, v, theta, omega)
           ______|______                            actions 0 push left, 1 push right
    F --> |____cart_____|                           reward 1 per step alive; falls at |theta| > 12 degrees or
        ~~~~o~~~~~~~~o~~~~~~~~ track, x             |x| > 2.4; start uniform in +-0.05 in every entry

The expert is the sign of a linear-quadratic regulator of the dynamics linearised upright.

Source: Barto, Sutton, Anderson 1983, https://doi.org/10.1109/TSMC.1983.6313077; constants, Euler step and limits are
those of Gymnasium's CartPole-v1, https://gymnasium.farama.org/environments/classic_control/cart_pole/
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ilbench.envs._common import known, within
from ilbench.envs._control import lqr
from ilbench.types import Array, Box, Discrete, Env, Policy, PyTree, Step, Task, no_memory

TASKS: dict[str, dict[str, float]] = {"cartpole": {}}
VERSION = 1
HORIZON = 500
TAGS = ("control",)
SUMMARY = {"cartpole": "Balance a pole by pushing its cart left or right; 500 steps, a fall is final."}


class Params(NamedTuple):
    """Physical constants in SI units (float32 leaves)."""

    gravity: Any  # m/s^2
    cart: Any  # kg
    pole: Any  # kg
    half: Any  # m, half the pole's length
    force: Any  # N
    dt: Any  # s
    max_x: Any  # m
    max_angle: Any  # rad
    start: Any  # half-width of the start box


def reset(params: Params, key: Array) -> tuple[Array, Array]:
    """A state `[4]` uniform in the start box."""
    state = jax.random.uniform(key, (4,), jnp.float32, -1.0, 1.0) * params.start
    return state, state


def accelerations(p: Any, force: Any, angle: Any, omega: Any, sin: Any, cos: Any) -> tuple[Any, Any]:
    """`(cart m/s^2, pole rad/s^2)` under a horizontal force in N."""
    total, moment = p.cart + p.pole, p.pole * p.half
    push = (force + moment * omega * omega * sin) / total
    pole = (p.gravity * sin - cos * push) / (p.half * (4.0 / 3.0 - p.pole * cos * cos / total))
    return push - moment * pole * cos / total, pole


def step(params: Params, key: Array, state: Array, action: Array) -> Step:
    """One explicit Euler step of dt seconds; deterministic."""
    _, v, angle, omega = state
    force = jnp.where(action == 1, params.force, -params.force)
    cart, pole = accelerations(params, force, angle, omega, jnp.sin(angle), jnp.cos(angle))
    new = state + params.dt * jnp.stack([v, cart, omega, pole])
    fallen = (jnp.abs(new[0]) > params.max_x) | (jnp.abs(new[2]) > params.max_angle)
    return Step(new, new, jnp.ones((), jnp.float32), fallen)


def act(params: PyTree, key: Array, t: Array, memory: PyTree, obs: Array) -> tuple[PyTree, Array]:
    """1 (push right) where gain `[4]` @ obs > 0, else 0."""
    return memory, (jnp.asarray(params) @ obs > 0).astype(jnp.int32)


def _gain(p: Params) -> np.ndarray:
    """Feedback `[4]`: force = gain @ state balances the pole linearised upright."""
    by_force = accelerations(p._replace(gravity=0.0), 1.0, 0.0, 0.0, 0.0, 1.0)
    by_angle = accelerations(p, 0.0, 1.0, 0.0, 1.0, 1.0)  # sin = angle = 1 is the slope at 0
    A, B = np.eye(4), np.zeros((4, 1))
    A[0, 1] = A[2, 3] = p.dt
    A[1, 2], A[3, 2] = np.multiply(p.dt, by_angle)
    B[1, 0], B[3, 0] = np.multiply(p.dt, by_force)
    return -lqr(A, B, np.diag([1.0, 1.0, 10.0, 1.0]), 0.1)[0][0]


def make(
    task_id: str,
    horizon: int | None = None,
    *,
    gravity: float = 9.8,
    force: float = 10.0,
    half: float = 0.5,
    start: float = 0.05,
) -> Task:
    """CartPole with gravity in m/s^2, force in N, half the pole's length in m and the start box's half-width."""
    H = known(TASKS, task_id, horizon, HORIZON)
    for name, value, low, high in (
        ("gravity", gravity, 0.1, 100),
        ("force", force, 0.1, 1000),
        ("half", half, 0.05, 10),
        ("start", start, 0, 0.2),
    ):
        within(name, value, low, high)
    exact = Params(gravity, 1.0, 0.1, half, force, 0.02, 2.4, np.deg2rad(12.0), start)
    params = Params(*(np.float32(value) for value in exact))
    return Task(
        id=task_id,
        version=VERSION,
        env=Env(params, reset, step, Box(4), Discrete(2), absorbing_reward=np.float32(0)),
        expert=Policy(_gain(exact).astype(np.float32), no_memory, act),
        horizon=H,
        reward_range=(0.0, 1.0),
        tags=TAGS,
    )
