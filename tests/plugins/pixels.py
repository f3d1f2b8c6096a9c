"""A task that is seen: images of 8 x 8 bytes in which a dot is to be brought to the middle.

The expert looks at the dot's place (`expert_obs`), the learner at the picture.
Source: none; as small as an image can be
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from ilbench.types import Box, Env, Policy, Step, Task, no_memory

TASKS = {"dot": {}}
VERSION = 1
HORIZON = 10
TAGS = ("image",)
SUMMARY = "Bring a dot in an image of 8 x 8 bytes to the middle."
SIZE = 8


def picture(place):
    """`[8, 8, 1]` uint8 of a dot at `place [2]` in [-1, 1]^2."""
    grid = jnp.linspace(-1.0, 1.0, SIZE)
    rows, columns = (jnp.exp(-jnp.square((grid - x) / 0.35)) for x in place)
    return jnp.round(255 * rows[:, None] * columns[None, :]).astype(jnp.uint8)[..., None]


def reset(params, key):
    place = jax.random.uniform(key, (2,), jnp.float32, -0.9, 0.9)
    return place, picture(place)


def step(params, key, place, action):
    new = jnp.clip(place + params * jnp.clip(action, -1.0, 1.0), -1.0, 1.0)
    return Step(new, picture(new), -jnp.max(jnp.abs(new)), jnp.bool_(False))


def clean(params, place, obs):
    return place


def act(params, key, t, memory, place):
    return memory, -params * place


def make(task_id, horizon=None):
    """The dot, which an action of 1 moves by half the way."""
    env = Env(np.float32(0.5), reset, step, Box((SIZE, SIZE, 1), 0, 255, "uint8"), Box(2, -1.0, 1.0), expert_obs=clean)
    return Task(task_id, VERSION, env, Policy(np.float32(0.8), no_memory, act), horizon or HORIZON, deltas=(0.1,))
