"""Side cameras: the task has two more, which see the road as if the car stood beside it, and labels corrected to steer back.

One file may hold two plug-ins, here a task and an algorithm. The demonstrations keep to the middle of the road, so that cloning
sees nothing of its sides; a side camera sees them all the time, and what to do there is the expert's action and the way back.
Paper: Bojarski et al. 2016, https://arxiv.org/abs/1604.07316: left and right images, labels that steer back within two seconds
"""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from ilbench.training.rows import concatenate
from ilbench.types import Box, Env, Policy, Step, Task, Trained, no_memory

TASKS = {"track": {}}
VERSION = 1
HORIZON = 20
TAGS = ("control",)
SUMMARY = "Keep a car in the middle of a lane, x' = x + u + a push; two more cameras stand to its sides."
NEEDS = ("demonstrations", "views", "one step")
TRY = ("track", "linear", 100)
SIDE, BEND, GAIN = 1.0, 3.0, 0.5  # what the camera makes of an offset: (x, tanh(3 x)); the expert's gain


@dataclass(frozen=True)
class Config:
    """What a side camera's label is corrected by."""

    gain: float = GAIN  # of the steering back, per unit of offset
    sides: bool = True  # whether the side cameras are used at all


def seen_from(x):
    return jnp.concatenate([x, jnp.tanh(BEND * x)])


def reset(params, key):
    x = 0.01 * jax.random.normal(key, (1,))
    return x, seen_from(x)


def step(params, key, x, action):
    new = x + jnp.clip(action, -1.0, 1.0) + params * jax.random.normal(key, (1,))
    return Step(new, seen_from(new), -jnp.abs(new[0]), jnp.abs(new[0]) > 3.0)


def views(params, x, obs):
    """What the two side cameras see."""
    return {"left": seen_from(x + SIDE), "right": seen_from(x - SIDE)}


def act(params, key, t, memory, obs):
    return memory, -params * obs[:1]


def make(task_id, horizon=None, push: float = 0.01):
    """The lane; pushes of so many units at every step."""
    env = Env(np.float32(push), reset, step, Box(2), Box(1, -1.0, 1.0), absorbing_reward=np.float32(-3), views=views)
    return Task(task_id, VERSION, env, Policy(np.float32(GAIN), no_memory, act), horizon or HORIZON, deltas=(0.05,))


def train(lab, config):
    """Demonstrations with all cameras, one fit on what each saw."""
    demos = lab.demonstrate(record=("views",))
    parts = [lab.rows(demos, lab.budget)]
    for side, offset in (("left", SIDE), ("right", -SIDE)) if config.sides else ():
        corrected = np.where(demos.revealed[..., None], demos.label - np.float32(config.gain * offset), 0)
        parts.append(lab.rows(demos._replace(obs=demos.views[side], label=corrected), lab.budget))
    params, losses = lab.fit(concatenate(parts))
    return Trained({"last": lab.policy(params)}, "last", {"loss": losses})
