"""Linear systems x' = A x + B u + noise with a bounded quadratic reward; numbers are leaves, functions are shared."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ilbench.envs._control import linear_expert, tolerances
from ilbench.types import Array, Box, Dynamics, Env, Step, Task


class Params(NamedTuple):
    """float32 leaves; the observation is the state."""

    A: Any  # `[d, d]`
    B: Any  # `[d, A]`
    noise: Any  # `[d]` standard deviation of the process noise per step
    start: Any  # `[d]` half-width of the uniform start box
    Q: Any  # `[d]` reward -min(1, Q x^2 + R u^2), summed over entries
    R: Any  # `[A]`
    limit: Any  # `[]` actions are clipped to +-limit
    bound: Any  # `[]` failure when an entry of x leaves +-bound


def reset(params: Params, key: Array) -> tuple[Array, Array]:
    """A state `[d]` uniform in the start box."""
    start = jnp.asarray(params.start)
    state = start * jax.random.uniform(key, start.shape, jnp.float32, -1.0, 1.0)
    return state, state


def step_vec(params: Params, x: Array, u: Array) -> Array:
    """The successor `[d]` without noise; Lipschitz in x with the largest singular value of A."""
    u = jnp.clip(u, -params.limit, params.limit)
    return jnp.asarray(params.A) @ x + jnp.asarray(params.B) @ u


def step(params: Params, key: Array, state: Array, action: Array) -> Step:
    """One step; terminates when the state leaves the bound."""
    u = jnp.clip(action, -params.limit, params.limit)
    cost = jnp.sum(params.Q * state**2) + jnp.sum(params.R * u**2)
    new = step_vec(params, state, u) + params.noise * jax.random.normal(key, state.shape, jnp.float32)
    return Step(new, new, -jnp.minimum(cost, 1.0), jnp.max(jnp.abs(new)) > params.bound)


def same(params: Params, x: Array) -> Array:
    """State, vector and observation are one."""
    return x


def build(
    task_id: str,
    version: int,
    horizon: int,
    tags: tuple[str, ...],
    exact: Params,
    gain: Any,
) -> Task:
    """The Task of a linear system and the expert u = clip(-gain x)."""
    params = Params(*(np.asarray(value, np.float32) for value in exact))
    d, limit = len(exact.A), float(exact.limit)
    action = Box(np.shape(exact.B)[1], -limit, limit)
    return Task(
        id=task_id,
        version=version,
        env=Env(params, reset, step, Box(d), action, absorbing_reward=np.float32(-1)),
        expert=linear_expert(gain, limit),
        horizon=horizon,
        deltas=tolerances(limit),
        reward_range=(-1.0, 0.0),
        tags=tags,
        dynamics=Dynamics(d, step_vec, same, same, same),
    )
