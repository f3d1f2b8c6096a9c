"""Sensor and actuator noise at deployment: the learner sees and moves through noise, the expert is asked at the clean state.

    obs    <- (1 - sigma) obs + sigma N(0, I)            action <- (1 - sigma) action + sigma U[low, high]

as corrective labels were evaluated in their paper (each a draw from its space; an unbounded box is a standard normal).
A level of noise says something about learners only if the expert survives it: `blind` makes the expert see what the learner
sees, and its return under the same noise is what a learner's is normalised by.
Paper: Ke et al. 2024, CCIL, https://arxiv.org/abs/2310.12972, and its released evaluation code
"""

from __future__ import annotations

import dataclasses
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ilbench.types import Array, Box, Env, PyTree, Step, Task


def unfit(task: Task) -> str | None:
    """Why noise cannot be added to a task, or None."""
    if not (isinstance(task.env.obs, Box) and isinstance(task.env.action, Box)):
        return "noise needs continuous observations and actions"
    if not np.isfinite([task.env.action.low, task.env.action.high]).all():
        return "noise needs bounded actions"
    return None


@lru_cache
def _functions(reset: Any, step: Any, expert_obs: Any, low: float, high: float) -> tuple[Any, Any, Any]:
    """Module-level in effect: the same env functions give the same objects, so that nothing retraces."""

    def sensed(sigma: Array, key: Array, obs: Array) -> Array:
        return (1.0 - sigma) * obs + sigma * jax.random.normal(key, obs.shape, obs.dtype)

    def noisy_reset(params: PyTree, key: Array) -> tuple[PyTree, Array]:
        inner, sigma, _ = params
        k_reset, k_sensor = jax.random.split(key)
        state, obs = reset(inner, k_reset)
        return (state, obs), sensed(sigma, k_sensor, obs)

    def noisy_step(params: PyTree, key: Array, state: PyTree, action: Array) -> Step:
        inner, sigma, _ = params
        k_step, k_sensor, k_actuator = jax.random.split(key, 3)
        moved = jax.random.uniform(k_actuator, action.shape, action.dtype, low, high)
        after = step(inner, k_step, state[0], (1.0 - sigma) * jnp.clip(action, low, high) + sigma * moved)
        return after._replace(state=(after.state, after.obs), obs=sensed(sigma, k_sensor, after.obs))

    def clean(params: PyTree, state: PyTree, obs: Array) -> Array:
        inner, _, blind = params
        seen = state[1] if expert_obs is None else expert_obs(inner, state[0], state[1])
        return jnp.where(blind, obs, seen) if expert_obs is None else seen

    return noisy_reset, noisy_step, clean


def noisy(task: Task, sigma: float, *, blind: bool = False) -> Task:
    """The task with noise of size `sigma` in [0, 1], a numeric leaf; raises ValueError where noise does not fit.

    `blind`, another leaf: the expert sees what the learner sees, not the clean observation (where it reads one).
    """
    if reason := unfit(task):
        raise ValueError(f"{task.name}: {reason}")
    if not 0 <= sigma <= 1:
        raise ValueError(f"noise is a fraction and must lie in [0, 1], got {sigma}")
    env, action = task.env, task.env.action
    assert isinstance(action, Box)
    reset, step, clean = _functions(env.reset, env.step, env.expert_obs, action.low, action.high)
    params = (env.params, np.float32(sigma), np.bool_(blind))
    noisy_env: Env = dataclasses.replace(env, params=params, reset=reset, step=step, expert_obs=clean)
    return dataclasses.replace(task, env=noisy_env)
