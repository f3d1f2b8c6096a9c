"""Two rooms, three doors, and an expert that draws its door: what imitating a law costs is a total variation.

The rooms alternate, so that every number is known: a policy that draws as the expert does costs nothing, one that always takes the
likeliest door costs 1 - p(likeliest) at every step.
Source: none; the cost of imitating a stochastic expert is the total variation of Ross & Bagnell 2010's coupling
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from ilbench import distributions
from ilbench.distributions import Categorical
from ilbench.types import Discrete, Env, Policy, Step, Task, no_memory

TASKS = {"doors": {}}
VERSION = 1
HORIZON = 10
TAGS = ("stochastic",)
SUMMARY = "Two rooms in turn, three doors, an expert that draws: 0.5, 0.3, 0.2 in one, 0.1, 0.1, 0.8 in the other."
LAW = np.array([[0.5, 0.3, 0.2], [0.1, 0.1, 0.8]])


def reset(params, key):
    room = jnp.int32(0)
    return room, room


def step(params, key, room, door):
    """A point for the first door; then the other room."""
    new = 1 - room
    return Step(new, new, (door == 0).astype(jnp.float32), jnp.bool_(False))


def dist(params, t, memory, room):
    return Categorical(jnp.log(jnp.asarray(params))[room])


def act(params, key, t, memory, room):
    return memory, distributions.sample(dist(params, t, memory, room), key)


def make(task_id, horizon=None):
    """The doors; the expert tells its law."""
    env = Env((), reset, step, Discrete(2), Discrete(3))
    expert = Policy(LAW.astype(np.float32), no_memory, act, dist)
    return Task(task_id, VERSION, env, expert, horizon or HORIZON, reward_range=(0.0, 1.0), tags=TAGS)
