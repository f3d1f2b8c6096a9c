"""A point that drives towards a disc and has to choose a side at once: who hesitates, or averages the two sides, hits it.

          + ----------- lane       x' = x + speed, y' = y + turn a, a in [-1, 1]; the learner sees (x, y)
        +   .-----.                start x = 0, y uniform in [-start, start]
      o    (  disc )   | reward    hitting the disc, at the end of a step, ends the episode
        +   '-----'                reward 1 for every step that ends beyond it, else 0
          + ----------- -lane

The expert draws its side when the episode begins and remembers it: full turn, then along the lane. A state off the start's strip it
leaves on the side that it is on, whatever it drew, so that its action is ambiguous at the first step alone. There the mean of the two
ways is 0, and one step straight on is one too many: speed and turn are such that no later turn clears the disc.

`fork_one` has the same env and an expert that always draws the upper side: the twin in which there is nothing to average.

In 0-1 deployment `fork_one` shows covariate shift at its plainest, and it costs no reward. A mistake e at the step into the lane leaves
it by e turns, where nobody was shown anything; the expert comes back in one step, and who answers as along the lane is wrong by e again at
each of the ten steps that are left: 11 mistakes for one (12 from the step before). Who carries the corner's slope on makes one.
Demonstrations never steer down: a head that keeps to the actions shown stays above the lane, once there.

What scores here is reward, 0 for who hits and the same for all who pass: return over the expert's is the share of episodes that pass.
To hold a learner against the side that the expert of `fork` happened to draw would be a mismatch of two samples: no imitation cost is
given; that of `fork_one` has one. What is seen tells the law of its action, on the strip two points with the weights of the sides and
else one: points have no density, and methods that need the expert's likelihood smooth them.
Source: the obstacle between two ways of Ke et al. 2019, Imitation learning as f-divergence minimization,
https://arxiv.org/abs/1905.12888; the numbers are our own
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ilbench.distributions import Mixture
from ilbench.envs._common import known, within
from ilbench.envs._control import tolerances
from ilbench.types import Array, Box, Env, Policy, Step, Task

TASKS: dict[str, dict[str, float]] = {"fork": {}, "fork_one": {}}
VERSION = 1
HORIZON = 16
TAGS = ("control", "multimodal")
SUMMARY = {
    "fork": "Left or right of an obstacle: the expert takes either, the mean of both hits it.",
    "fork_one": "Left or right of an obstacle: the expert always takes the left.",
}


class Params(NamedTuple):
    """float32 leaves, lengths in units of ten steps' way."""

    speed: Any  # of x, per step
    turn: Any  # most that y changes in a step
    centre: Any  # x of the disc, whose y is 0
    radius: Any
    start: Any  # half-width of the strip where episodes begin


class Expert(NamedTuple):
    """float32 leaves of the expert."""

    lane: Any  # |y| that it drives along
    turn: Any  # the env's
    start: Any  # the env's: beyond it a side is taken
    balance: Any  # probability of drawing the upper side


def reset(params: Params, key: Array) -> tuple[Array, Array]:
    """At the left, near the middle: state and observation are `[2]`."""
    y = params.start * jax.random.uniform(key, (), jnp.float32, -1.0, 1.0)
    state = jnp.stack([jnp.zeros((), jnp.float32), y])
    return state, state


def step(params: Params, key: Array, state: Array, action: Array) -> Step:
    """One step on, `action [1]` clipped; a point in the disc ends the episode."""
    p = params
    new = state + jnp.stack([jnp.asarray(p.speed), p.turn * jnp.clip(action[0], -1.0, 1.0)])
    hit = jnp.hypot(new[0] - p.centre, new[1]) <= p.radius
    return Step(new, new, (new[0] > p.centre + p.radius).astype(jnp.float32), hit)


def draw_side(params: Expert, key: Array) -> Array:
    """1 or -1, the side of an episode."""
    return jnp.where(jax.random.uniform(key) < params.balance, jnp.float32(1), jnp.float32(-1))


def upper_side(params: Expert, key: Array) -> Array:
    """Always 1."""
    return jnp.ones((), jnp.float32)


def _turn(params: Expert, side: Array, y: Array) -> Array:
    towards = jnp.where(jnp.abs(y) <= params.start, side, jnp.sign(y))
    return jnp.clip((towards * params.lane - y) / params.turn, -1.0, 1.0)[None]


def act(params: Expert, key: Array, t: Array, side: Array, obs: Array) -> tuple[Array, Array]:
    """As fast to the lane as can be, and along it: of the side drawn while none is taken, else of the side that y is on."""
    return side, _turn(params, side, obs[1])


def mixture_either(params: Expert, t: Array, obs: Array) -> Mixture:
    """What it does there over both draws of its side: two points, which off the strip are one."""
    upper, means = jnp.asarray(params.balance, jnp.float32), [_turn(params, jnp.float32(s), obs[1]) for s in (-1, 1)]
    return Mixture(jnp.log(jnp.stack([1 - upper, upper])), jnp.stack(means), jnp.zeros((2, 1), jnp.float32))


def make(
    task_id: str,
    horizon: int | None = None,
    *,
    radius: float = 0.44,
    centre: float = 0.65,
    lane: float = 0.5,
    start: float = 0.02,
    balance: float = 0.5,
) -> Task:
    """The env, and who draws its side or always takes the upper one, which `balance` does not touch.

    Raises ValueError where the expert would hit the disc itself: from the strip's far edge, on its way to the lane or along it.
    """
    H = known(TASKS, task_id, horizon, HORIZON)
    speed = turn = 0.1
    within("radius", radius, 0, 10)
    within("centre", centre, 0, 10)
    within("start", start, 0, turn / 2)
    within("lane", lane, turn, 10)
    within("balance", balance, 0, 1)
    x = speed * np.arange(1 + int((centre + radius) / speed) + 1)
    nearest = np.hypot(x - centre, np.minimum(turn * np.arange(len(x)) - start, lane)).min()
    if nearest <= radius + 1e-3:
        raise ValueError(
            f"the expert comes within {nearest:.3g} of the centre of a disc of radius {radius}; give a smaller radius or start, a "
            "larger centre, or a lane beyond the disc"
        )
    env = Env(
        Params(*(np.float32(v) for v in (speed, turn, centre, radius, start))), reset, step, Box(2), Box(1, -1.0, 1.0)
    )
    numbers = Expert(*(np.float32(v) for v in (lane, turn, start, balance)))
    one = task_id == "fork_one"
    expert = Policy(numbers, upper_side if one else draw_side, act, mixture=None if one else mixture_either)
    return Task(task_id, VERSION, env, expert, H, deltas=tolerances(1.0), reward_range=(0.0, 1.0), tags=TAGS)
