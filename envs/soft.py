"""Tasks whose expert draws its actions: a task of this project with a soft expert round the one that it has.

    a table      a ~ softmax(Q(s, .) / temperature), Q the discounted optimal values by exact dynamic programming
    otherwise    a ~ N(a*(s), (spread x half the action range)^2 I) round the expert's own action a*; the env clips what is executed

Such an expert tells its law, a teacher to distil from: imitating it costs a total variation, and of no mode can it be said that it
is the right one. Env, horizon and rewards are those of the task; the expert earns less than the one it is made from.

Source: Boltzmann policies of optimal values, e.g. Sutton & Barto 2018, section 2.8; the Gaussian one is a teacher with exploration noise
"""

from __future__ import annotations

import dataclasses
import math
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ilbench import distributions, registry
from ilbench.distributions import Categorical, Normal
from ilbench.envs._common import known, within
from ilbench.exact.dp import value_iteration
from ilbench.types import Array, Box, Policy, PyTree, Task, no_memory

# What each is made from, with the version that its numbers are of.
TASKS = {"gridworld_soft": "gridworld@1", "double_integrator_soft": "double_integrator@1"}
VERSION = 1
TAGS = ("stochastic",)
SUMMARY = {
    "gridworld_soft": "The lecture's grid with an expert that draws from softmax(Q / temperature).",
    "double_integrator_soft": "A point mass and a bounded force; the expert draws its force round the regulator's.",
}


class Softmax(NamedTuple):
    """A table's soft expert."""

    values: Any  # `[S, A]` float32, discounted optimal values
    temperature: Any  # `[]` in units of the values


class Gaussian(NamedTuple):
    """A continuous task's soft expert."""

    means: Any  # the parameters of the expert whose actions are the means
    std: Any  # `[]` in units of the action


def softmax_dist(params: Softmax, t: Array, memory: PyTree, obs: Array) -> Categorical:
    """The law of the action in state `obs []`."""
    return Categorical(jnp.asarray(params.values)[obs] / params.temperature)


def softmax_act(params: Softmax, key: Array, t: Array, memory: PyTree, obs: Array) -> tuple[PyTree, Array]:
    """A draw from it."""
    return memory, distributions.sample(softmax_dist(params, t, memory, obs), key)


@lru_cache
def _gaussian(act: Any) -> tuple[Any, Any]:
    """`(act, dist)` round what a deterministic expert's `act` does; cached, since functions hash by identity."""

    def law(params: Gaussian, mean: Array) -> Normal:
        return Normal(mean, jnp.broadcast_to(params.std, mean.shape))

    def dist(params: Gaussian, t: Array, memory: PyTree, obs: Array) -> Normal:
        return law(params, act(params.means, jax.random.key(0), t, memory, obs)[1])  # a key that it does not read

    def drawn(params: Gaussian, key: Array, t: Array, memory: PyTree, obs: Array) -> tuple[PyTree, Array]:
        memory, mean = act(params.means, key, t, memory, obs)
        return memory, distributions.sample(law(params, mean), key)

    return drawn, dist


def _expert(base: Task, temperature: float, spread: float, gamma: float) -> Policy:
    expert = base.ask()
    if base.mdp is not None:
        _, values = value_iteration(base.mdp(), gamma)
        return Policy(Softmax(values.astype(np.float32), np.float32(temperature)), no_memory, softmax_act, softmax_dist)
    assert isinstance(base.env.action, Box)
    half = (base.env.action.high - base.env.action.low) / 2
    act, dist = _gaussian(expert.act)
    return Policy(Gaussian(expert.params, np.float32(spread * half)), expert.init, act, dist)


def make(
    task_id: str, horizon: int | None = None, *, temperature: float = 0.1, spread: float = 0.1, gamma: float = 0.99
) -> Task:
    """The task with its soft expert: `temperature` and `gamma` of a table's, `spread` a share of half the action range.

    Raises ValueError for numbers out of range and for a task that is no longer of the version that this one is made from.
    """
    known(TASKS, task_id, horizon, 1)
    within("temperature", temperature, 1e-3, math.inf)
    within("spread", spread, 1e-3, 10)
    within("gamma", gamma, 0, 0.9999)
    base = registry.task(TASKS[task_id].split("@")[0], horizon)
    if base.name != TASKS[task_id]:
        raise ValueError(
            f"{task_id} is made from {TASKS[task_id]}, and there is {base.name}: name it in envs/soft.py and raise VERSION"
        )
    expert = _expert(base, temperature, spread, gamma)
    return dataclasses.replace(base, id=task_id, version=VERSION, expert=expert, tags=TAGS)
