"""One number to choose, two right answers: an expert that takes either, and a mean between them that is wrong.

    -1       0       1      a in [-2, 2], every step alike: nothing is seen, nothing moves
    _^_______.______^_      expert 1/2 N(-half, sd^2) + 1/2 N(half, sd^2)
    [===]         [===]     reward 1 within tol of a mode, else 0

At the defaults (half 1, sd .1, tol .3) a step succeeds with probability 0 for the mean of the expert's actions, .290 for draws of the
Gaussian that has its moments, .9973 for draws from its law, 1 for either mode. Where half <= tol the mean is best.

`two_modes_one` has the same env and an expert that always takes +half: the twin in which there is nothing to average.

What scores here is reward: return / H is the success rate, and a uniform action has 4 tol / 4 = .3. A mixture is no Dist: the
expert of `two_modes` tells its likelihood to methods that need one, but two draws of it differ without a mistake, and no imitation cost
is given; that of `two_modes_one` has one.
Source: Ke et al. 2019, Imitation learning as f-divergence minimization, https://arxiv.org/abs/1905.12888 (averaging or choosing modes)
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ilbench.distributions import Mixture
from ilbench.envs._common import known, within
from ilbench.envs._control import tolerances
from ilbench.types import Array, Box, Env, Policy, PyTree, Step, Task, no_memory

TASKS: dict[str, dict[str, float]] = {"two_modes": {}, "two_modes_one": {}}
VERSION = 1
HORIZON = 20
TAGS = ("control", "multimodal")
SUMMARY = {
    "two_modes": "A number near -1 or near 1: the expert takes either, the mean of both is wrong.",
    "two_modes_one": "A number near -1 or near 1: the expert always takes 1.",
}
LIMIT = 2.0  # of an action


class Params(NamedTuple):
    """float32 leaves of the env."""

    half: Any  # where the modes are, -half and half, in units of the action
    tol: Any  # how far from a mode still succeeds


class Expert(NamedTuple):
    """float32 leaves of the expert that draws."""

    half: Any  # in units of the action, as is sd
    sd: Any  # round either mode
    balance: Any  # probability of +half


def reset(params: Params, key: Array) -> tuple[Array, Array]:
    """Nothing to see: zero `[1]`."""
    return jnp.zeros((1,), jnp.float32), jnp.zeros((1,), jnp.float32)


def step(params: Params, key: Array, state: Array, action: Array) -> Step:
    """Whether `action [1]`, clipped, is within tol of a mode; nothing moves and nothing ends."""
    off = jnp.abs(jnp.abs(jnp.clip(action[0], -LIMIT, LIMIT)) - params.half)
    return Step(state, state, (off <= params.tol).astype(jnp.float32), jnp.zeros((), jnp.bool_))


def act_either(params: Expert, key: Array, t: Array, memory: PyTree, obs: Array) -> tuple[PyTree, Array]:
    """A fresh draw `[1]` of the two modes at every step."""
    k_side, k_noise = jax.random.split(key)
    side = jnp.where(jax.random.uniform(k_side) < params.balance, 1.0, -1.0)
    return memory, side * params.half + params.sd * jax.random.normal(k_noise, (1,), jnp.float32)


def mixture_either(params: Expert, t: Array, obs: Array) -> Mixture:
    """The law of that draw: two components of one number."""
    side, mean = jnp.asarray(params.balance, jnp.float32), jnp.asarray(params.half, jnp.float32)
    std = jnp.broadcast_to(jnp.asarray(params.sd, jnp.float32), (2, 1))
    return Mixture(jnp.log(jnp.stack([1 - side, side])), jnp.stack([-mean, mean])[:, None], std)


def act_one(params: Any, key: Array, t: Array, memory: PyTree, obs: Array) -> tuple[PyTree, Array]:
    """Always `params []`, as `[1]`."""
    return memory, jnp.asarray(params, jnp.float32)[None]


def make(
    task_id: str,
    horizon: int | None = None,
    *,
    half: float = 1.0,
    sd: float = 0.1,
    tol: float = 0.3,
    balance: float = 0.5,
) -> Task:
    """The env, and who takes either mode or always the upper one, which `sd` and `balance` do not touch."""
    H = known(TASKS, task_id, horizon, HORIZON)
    within("half", half, 0, LIMIT)
    within("sd", sd, 0, LIMIT)
    within("tol", tol, 1e-6, LIMIT)
    within("balance", balance, 0, 1)
    env = Env(Params(np.float32(half), np.float32(tol)), reset, step, Box(1), Box(1, -LIMIT, LIMIT))
    if task_id == "two_modes_one":
        expert = Policy(np.float32(half), no_memory, act_one)
    else:
        numbers = Expert(np.float32(half), np.float32(sd), np.float32(balance))
        expert = Policy(numbers, no_memory, act_either, mixture=mixture_either)
    return Task(task_id, VERSION, env, expert, H, deltas=tolerances(LIMIT), reward_range=(0.0, 1.0), tags=TAGS)
