"""A task without an expert: what is to be imitated lies in a file, and nobody can be asked.

Measures that need somebody to err against leave it out and say so; reward and score stand on the record. Any task takes a file in
the place of its expert: `--set task.demonstrations=FILE`.
Source: none; eight episodes of a hand that was not quite steady
"""

from __future__ import annotations

import pathlib

import jax
import jax.numpy as jnp
import numpy as np

from ilbench.types import Box, Env, Step, Task
from ilbench.wrappers.recorded import recorded

TASKS = {"hand": {}}
VERSION = 1
HORIZON = 8
TAGS = ("recorded",)
SUMMARY = "Bring a point to the middle, x' = x + u / 2, as a recorded hand did."
FILE = pathlib.Path(__file__).with_name("file.npz")  # obs [R, 1], action [R, 1], reward [R], done [R]


def reset(params, key):
    x = jax.random.uniform(key, (1,), jnp.float32, -1.0, 1.0)
    return x, x


def step(params, key, x, action):
    new = x + params * jnp.clip(action, -1.0, 1.0)
    return Step(new, new, -jnp.abs(new[0]), jnp.bool_(False))


def make(task_id, horizon=None):
    """The point, and the recording."""
    env = Env(np.float32(0.5), reset, step, Box(1), Box(1, -1.0, 1.0))
    return recorded(Task(task_id, VERSION, env, None, horizon or HORIZON), FILE)
