"""Put a peg into a slot that is hardly wider, round a block: a long approach, then a precision that every step needs.

      side        start           side       state and observation: the tip (x, y); action = displacement in units of `speed`
        :        +--o--+           :         (x, y)' = (x, y) + speed clip(a, -1, 1) + noise N(0, I), but where it meets something:
        :      #########           :
        :      # block #           :         block    within |x| < width, above `gap` and below gap + length: the episode ends
        :      #########           :         rim      y = 0, |x| > tol: the peg rests on it, and while it is pressed down it sticks:
        '--->   hover     <--------'                  it has to be lifted, aligned and lowered again
    ==================   ================    slot     below 0, |x| <= tol: a step into a wall ends at the wall and leads no deeper
                     | o |  depth            bottom   y = -depth: seated, reward 1 for every step that ends there

The expert goes round the block by the side that it is on, or, near the middle, by one that it draws; under the block it
moves in, and lowers the peg inside a funnel alone, |x| <= tol / 2 + y / 8, else it lifts it to `hover`. Its action has the Gaussian
`spread`: its law given what is seen is a mixture of two Gaussians, and `log_prob(law(...), action)` its likelihood. At the start the mean
of the two ways is straight down, on to the block. `peg_one` has the same env, and an expert without spread that goes round by the right.

What makes it hard is tol: at the bottom of the funnel the action must be right to tol / speed, in the slot at each of depth / speed steps,
and a peg that came down beside the slot stays there unless its action is one that demonstrations hardly show. `peg_easy` and
`peg_easy_one` have a slot ten times as wide. Success is being seated at the last step. The peg does not tilt, and there is no inertia.
Source: insertions are the tasks on which regression falls behind in Pan et al. 2025, Much ado about noising,
https://arxiv.org/abs/2512.01809; geometry and numbers are our own
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ilbench.envs._common import known, within
from ilbench.envs._control import tolerances
from ilbench.envs._modes import Modes, draw, likeliest
from ilbench.types import Array, Box, Env, Policy, PyTree, Step, Task, no_memory

TASKS = {
    "peg": {"tol": 0.002, "one": False},
    "peg_one": {"tol": 0.002, "one": True},
    "peg_easy": {"tol": 0.02, "one": False},
    "peg_easy_one": {"tol": 0.02, "one": True},
}
VERSION = 1
HORIZON = 100
TAGS = ("control", "multimodal")
SUMMARY = {
    "peg": "A peg round a block, by either side, into a slot that is hardly wider.",
    "peg_one": "A peg round a block, by the right, into a slot that is hardly wider.",
    "peg_easy": "A peg round a block, by either side, into a wide slot.",
    "peg_easy_one": "A peg round a block, by the right, into a wide slot.",
}
SPEED, WIDTH, GAP, LANE, HOVER, ABOVE = 0.05, 0.3, 0.5, 0.4, 0.15, 0.3


class Params(NamedTuple):
    """float32 leaves; a length of 1 is the way of twenty steps."""

    speed: Any  # most that either coordinate moves in a step
    width: Any  # half the block's
    gap: Any  # y of the block's lower side
    top: Any  # and of its upper one
    tol: Any  # half the slot's width, less half the peg's
    depth: Any  # of the slot
    noise: Any  # standard deviation of either coordinate, per step
    start: Any  # half-width of the strip where episodes begin
    height: Any  # y where they begin, up to `start`
    spot: Any  # half-width of where the slot may be


class Expert(NamedTuple):
    """float32 leaves of the expert; the first four are the env's."""

    speed: Any
    gap: Any
    top: Any
    tol: Any
    strip: Any  # |x| up to which, above the block, no side is taken: twice the start's, so that drift alone takes none
    lane: Any  # |x| along which it goes down beside the block
    hover: Any  # y to which it lifts the peg to align it
    log_weight: Any  # `[2]` of going left and right
    spread: Any  # standard deviation of either number of the action


def reset(params: Params, key: Array) -> tuple[Array, Array]:
    """Above the block, near the middle, and a slot somewhere below: state and observation are `[3]`."""
    p, (x, y, slot) = params, jax.random.uniform(key, (3,), jnp.float32, -1.0, 1.0)
    state = jnp.stack([p.start * x, p.height + p.start * y, p.spot * slot])
    return state, state


def step(params: Params, key: Array, state: Array, action: Array) -> Step:
    """One displacement, `action [2]` clipped, and what it meets."""
    p, (x, y, slot) = params, state
    drift = p.noise * jax.random.normal(key, (2,), jnp.float32)
    to_x, to_y = state[:2] + p.speed * jnp.clip(action, -1.0, 1.0) + drift
    inside, meets = y < 0, (y >= 0) & (to_y < 0)
    to_x = jnp.where(meets & (y == 0), x, to_x)  # pressed on to the rim it sticks
    fits = jnp.abs(to_x - slot) <= p.tol
    to_y = jnp.where(meets & ~fits, 0.0, jnp.where(inside & ~fits, jnp.maximum(y, to_y), to_y))
    to_x = jnp.where(inside, jnp.clip(to_x, slot - p.tol, slot + p.tol), to_x)
    new = jnp.stack([to_x, jnp.maximum(to_y, -p.depth), slot])
    hit = (jnp.abs(new[0]) < p.width) & (new[1] > p.gap) & (new[1] < p.top)
    return Step(new, new, (new[1] <= -p.depth).astype(jnp.float32), hit)


def law(params: Expert, obs: Array) -> Modes:
    """What the expert may do at `obs [3]`: by the left, by the right."""
    p, (x, y, slot) = params, obs
    side = jnp.array([-1.0, 1.0], jnp.float32)
    round_it = jnp.stack([(side * p.lane - x) / p.speed, jnp.full(2, -0.8, jnp.float32)], -1)
    lower = jnp.abs(x - slot) <= p.tol / 2 + jnp.maximum(y, 0.0) / 8
    fit_in = jnp.stack([(slot - x) / p.speed, jnp.where(lower | (y < 0), -1.0, (p.hover - y) / p.speed)])
    above = y > p.gap - 2 * p.speed
    mean = jnp.clip(jnp.where(above, round_it, fit_in[None]), -1.0, 1.0)
    free = (jnp.abs(x) <= p.strip) & (y > p.top)
    taken = jnp.where((side > 0) == (x > 0), 0.0, -jnp.inf)
    return Modes(jnp.where(free, jnp.asarray(p.log_weight), taken), mean, p.spread)


def act_either(params: Expert, key: Array, t: Array, memory: PyTree, obs: Array) -> tuple[PyTree, Array]:
    """A draw `[2]` of the law."""
    return memory, draw(law(params, obs), key)


def act_right(params: Expert, key: Array, t: Array, memory: PyTree, obs: Array) -> tuple[PyTree, Array]:
    """The middle `[2]` of the likeliest way: the right where none is taken."""
    return memory, likeliest(law(params, obs))


def make(
    task_id: str,
    horizon: int | None = None,
    *,
    tol: float | None = None,
    length: float = 1.0,
    depth: float = 0.4,
    spot: float = 0.15,
    noise: float = 0.0005,
    start: float = 0.01,
    balance: float = 0.5,
    spread: float = 0.01,
) -> Task:
    """`tol` is the task's own unless given; `length` that of the block, which is most of the approach; `balance` the share by the right.

    `balance` and `spread` do not touch `peg_one` and `peg_easy_one`.
    """
    H = known(TASKS, task_id, horizon, HORIZON)
    tol = TASKS[task_id]["tol"] if tol is None else tol
    within("tol", tol, 1e-5, WIDTH)
    within("length", length, 2 * SPEED, 100)  # no step leads through the block
    within("depth", depth, SPEED, 100)
    within("spot", spot, 0, LANE - SPEED)
    within("noise", noise, 0, SPEED)
    within("start", start, 0, SPEED / 4)  # so that the first step leaves the strip
    within("balance", balance, 0, 1)
    within("spread", spread, 1e-6, 1)
    f, one = np.float32, TASKS[task_id]["one"]
    top = GAP + length
    share = np.array([0.0, 1.0]) if one else np.array([1 - balance, balance])
    with np.errstate(divide="ignore"):
        log_weight = np.log(share).astype(np.float32)
    params = Params(f(SPEED), f(WIDTH), f(GAP), f(top), f(tol), f(depth), f(noise), f(start), f(top + ABOVE), f(spot))
    numbers = Expert(f(SPEED), f(GAP), f(top), f(tol), f(2 * start), f(LANE), f(HOVER), log_weight, f(spread))
    env = Env(params, reset, step, Box(3), Box(2, -1.0, 1.0))
    expert = Policy(numbers, no_memory, act_right if one else act_either)
    return Task(task_id, VERSION, env, expert, H, deltas=tolerances(1.0), reward_range=(0.0, 1.0), tags=TAGS)
