"""One toy task, x' = x / 2 + action, broken in one place each: what a run has to survive and to name.

Source: none; every task here is wrong but `sound`.
"""

from __future__ import annotations

import functools

import jax.numpy as jnp
import numpy as np

from ilbench.types import Box, Env, Policy, Step, Task

TASKS = {
    "sound": {},
    "nan_reward": {},
    "inf_reward": {},
    "nan_obs": {},
    "nan_reset": {},
    "nan_expert": {},
    "raises_in_step": {},
    "raises_in_reset": {},
    "raises_in_expert": {},
    "wrong_obs_shape": {},
    "wrong_reward_shape": {},
    "wrong_reward_dtype": {},
    "wrong_state": {},
    "wrong_action_shape": {},
}
VERSION = 1
HORIZON = 5
TAGS = ("broken",)
SUMMARY = "A toy task that is broken in the place its name says."

SPOILT = {  # what is put in the place of a sound value: task -> (function, value -> spoilt value)
    "nan_reward": ("reward", lambda x: x * jnp.float32(np.nan)),
    "inf_reward": ("reward", lambda x: x - jnp.float32(np.inf)),
    "nan_obs": ("obs", lambda x: x * jnp.float32(np.nan)),
    "nan_reset": ("reset", lambda x: x * jnp.float32(np.nan)),
    "nan_expert": ("action", lambda x: x * jnp.float32(np.nan)),
    "wrong_obs_shape": ("obs", lambda x: jnp.concatenate([x, x])),
    "wrong_reward_shape": ("reward", lambda x: x[None]),
    "wrong_reward_dtype": ("reward", lambda x: x.astype(jnp.int32)),
    "wrong_state": ("state", lambda x: jnp.concatenate([x, x])),
    "wrong_action_shape": ("action", lambda x: jnp.concatenate([x, x])),
}
MESSAGE = "the simulator said no"


def _spoil(name, place, value):
    where, how = SPOILT.get(name, (None, None))
    return how(value) if where == place else value


def _raise(name, place):
    if name == f"raises_in_{place}":
        raise RuntimeError(MESSAGE)


@functools.cache
def _functions(name):
    def reset(params, key):
        _raise(name, "reset")
        state = jnp.ones((1,), jnp.float32)
        return state, _spoil(name, "reset", state)

    def step(params, key, state, action):
        _raise(name, "step")
        new = params * state + action
        reward = _spoil(name, "reward", -jnp.abs(new[0]))
        return Step(_spoil(name, "state", new), _spoil(name, "obs", new), reward, jnp.zeros((), jnp.bool_))

    def init(params, key):
        return ()

    def act(params, key, t, memory, obs):
        _raise(name, "expert")
        return memory, _spoil(name, "action", params * obs)

    return reset, step, init, act


def make(task_id, horizon=None):
    """The task `task_id` with one number of state, observation and action."""
    reset, step, init, act = _functions(task_id)
    env = Env(np.float32(0.5), reset, step, Box(1), Box(1, -1.0, 1.0), absorbing_reward=np.float32(0))
    expert = Policy(np.float32(-0.5), init, act)
    return Task(task_id, VERSION, env, expert, horizon or HORIZON, deltas=(0.1,), tags=TAGS)
