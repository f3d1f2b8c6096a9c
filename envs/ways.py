"""A flyer that meets a plate with K holes in a ring: every hole is a way through, and the mean of them all is the plate's middle.

        plate, seen from the front           x' = x + speed, (y, z)' = (y, z) + turn a, |a| <= 1; the learner sees (x, y, z)
           .---------------.                 start x = 0, (y, z) uniform in a disc of radius `start`
           |    o     o    |  o hole         the step that takes x to the plate or beyond ends in a hole, within `hole` of its centre,
           |  o    +    o  |  + ahead        or ends the episode; reward 1 for it and for every step after it, else 0
           |    o     o    |                 centres at angles 2 pi k / K and radius `separation`, K = 2, 3 or 8
           '---------------'

The expert draws its hole where no way is taken yet, within `start` of the axis, which the first step leaves; elsewhere it takes the
nearest. It turns as fast as it can until it flies on the axis of its hole, with Gaussian `noise` on its action: its law given what is seen
is a mixture of K Gaussians, and `log_prob(law(...), action)` its likelihood. The mean of K balanced ways is 0, and speed and turn are such
that after one step straight on no hole is reached any more. Where `separation` is less than `hole` straight on is through: averaging
harms only where ways are further apart than what is tolerated.

`ways_2_one`, `ways_3_one` and `ways_8_one` have the same env, and an expert without noise that draws nothing and takes the first hole.

What scores here is reward: return over the expert's is the share of episodes that pass. The mixture is no Dist, so no imitation cost is
given but in the twins.
Source: the obstacle between two ways of Ke et al. 2019, Imitation learning as f-divergence minimization,
https://arxiv.org/abs/1905.12888; more ways and the numbers are our own
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ilbench.envs._common import known, within
from ilbench.envs._control import tolerances
from ilbench.envs._modes import Modes, draw, likeliest
from ilbench.types import Array, Box, Env, Policy, PyTree, Step, Task, no_memory

TASKS = {
    "ways_2": {"ways": 2, "one": False},
    "ways_2_one": {"ways": 2, "one": True},
    "ways_3": {"ways": 3, "one": False},
    "ways_3_one": {"ways": 3, "one": True},
    "ways_8": {"ways": 8, "one": False},
    "ways_8_one": {"ways": 8, "one": True},
}
VERSION = 1
HORIZON = 10
TAGS = ("control", "multimodal")
SUMMARY = {
    "ways_2": "Two holes in a plate: the expert flies to either, the mean of both is the plate.",
    "ways_2_one": "Two holes in a plate: the expert flies to the first.",
    "ways_3": "Three holes in a plate: the expert flies to any, the mean of all is the plate.",
    "ways_3_one": "Three holes in a plate: the expert flies to the first.",
    "ways_8": "Eight holes in a plate: the expert flies to any, the mean of all is the plate.",
    "ways_8_one": "Eight holes in a plate: the expert flies to the first.",
}
SPEED = TURN = 0.1
MOST, NOWHERE = (
    8,
    1e3,
)  # holes that every plate has room for, so that compiled programs are shared; where those are that it has not


class Params(NamedTuple):
    """float32 leaves, lengths in units of ten steps' way."""

    speed: Any  # of x, per step
    turn: Any  # most that (y, z) moves in a step
    plate: Any  # x of the plate
    hole: Any  # radius
    start: Any  # radius of the disc where episodes begin
    centres: Any  # `[8, 2]` of the holes


class Expert(NamedTuple):
    """float32 leaves of the expert."""

    turn: Any  # the env's
    start: Any  # the env's: beyond it a way is taken
    centres: Any  # the env's
    log_weight: Any  # `[8]` of the ways, where none is taken
    noise: Any  # standard deviation of either number of the action


def reset(params: Params, key: Array) -> tuple[Array, Array]:
    """Before the plate, near the axis: state and observation are `[3]`."""
    far, angle = jax.random.uniform(key, (2,), jnp.float32)
    radius, angle = params.start * jnp.sqrt(far), 2 * jnp.pi * angle
    state = jnp.stack([jnp.zeros((), jnp.float32), radius * jnp.cos(angle), radius * jnp.sin(angle)])
    return state, state


def step(params: Params, key: Array, state: Array, action: Array) -> Step:
    """One step on; `action [2]` is clipped and then shortened to length 1, so that no direction is faster than another."""
    p, push = params, jnp.clip(action, -1.0, 1.0)
    push = push / jnp.maximum(1.0, jnp.hypot(push[0], push[1]))
    new = state + jnp.concatenate([jnp.asarray(p.speed)[None], p.turn * push])
    away = jnp.asarray(p.centres) - new[None, 1:]
    inside = (jnp.hypot(away[:, 0], away[:, 1]) <= p.hole).any()
    beyond = new[0] >= p.plate
    hit = beyond & (state[0] < p.plate) & ~inside
    return Step(new, new, (beyond & ~hit).astype(jnp.float32), hit)


def law(params: Expert, obs: Array) -> Modes:
    """What the expert may do at `obs [3]`: of each way the turn towards its axis, as fast as can be."""
    away = (jnp.asarray(params.centres) - obs[None, 1:]) / params.turn
    far = jnp.hypot(away[:, 0], away[:, 1])
    nearest = jnp.arange(len(far)) == jnp.argmin(far)
    free = jnp.hypot(obs[1], obs[2]) <= params.start
    log_weight = jnp.where(free, jnp.asarray(params.log_weight), jnp.where(nearest, 0.0, -jnp.inf))
    return Modes(log_weight, away / jnp.maximum(1.0, far)[:, None], params.noise)


def act_any(params: Expert, key: Array, t: Array, memory: PyTree, obs: Array) -> tuple[PyTree, Array]:
    """A draw `[2]` of the law."""
    return memory, draw(law(params, obs), key)


def act_one(params: Expert, key: Array, t: Array, memory: PyTree, obs: Array) -> tuple[PyTree, Array]:
    """The middle `[2]` of the likeliest way: the first where none is taken."""
    return memory, likeliest(law(params, obs))


def make(
    task_id: str,
    horizon: int | None = None,
    *,
    separation: float = 0.575,
    hole: float = 0.03,
    plate: float = 0.55,
    start: float = 0.005,
    balance: float = 1.0,
    noise: float = 0.05,
) -> Task:
    """The env, and who draws its way or always takes the first, which `balance` and `noise` do not touch.

    `balance` is how often the first way is drawn for once that each other is. Raises ValueError where no expert reaches its hole in time.
    """
    H = known(TASKS, task_id, horizon, HORIZON)
    within("separation", separation, 0, 10)
    within("hole", hole, 1e-3, 10)
    within("plate", plate, 1e-3, 10)
    within("start", start, 0, 0.4 * TURN)  # so that the first step leaves the disc, noise and all
    within("balance", balance, 1e-6, 1e6)
    within("noise", noise, 1e-6, 1)
    steps = math.ceil(plate / SPEED - 1e-6)
    if separation + start - hole > TURN * steps:
        raise ValueError(
            f"holes at separation {separation} are out of reach: {steps} steps lead {TURN * steps:.3g} aside; give a separation of at "
            f"most {TURN * steps + hole - start:.3g}, a wider hole or a plate further on"
        )
    ways, one = TASKS[task_id]["ways"], TASKS[task_id]["one"]
    angle = 2 * np.pi * np.arange(ways) / ways
    centres = np.full((MOST, 2), NOWHERE, np.float32)
    centres[:ways] = separation * np.stack([np.cos(angle), np.sin(angle)], -1)
    odds = np.eye(MOST)[0]
    if not one:
        odds[:ways] = balance, *np.ones(ways - 1)
    with np.errstate(divide="ignore"):
        log_weight = np.log(odds / odds.sum()).astype(np.float32)
    f = np.float32
    numbers = Params(f(SPEED), f(TURN), f(plate), f(hole), f(start), centres)
    env = Env(numbers, reset, step, Box(3), Box(2, -1.0, 1.0))
    leaves = Expert(f(TURN), f(start), centres, log_weight, f(noise))
    expert = Policy(leaves, no_memory, act_one if one else act_any)
    return Task(task_id, VERSION, env, expert, H, deltas=tolerances(1.0), reward_range=(0.0, 1.0), tags=TAGS)
