"""Keep a car in its lane by what a camera sees: a bicycle at constant speed on a winding road.

          left edge    ___---                 state = (x, y, heading) of the rear axle, and the road of this episode
      ___---    road    ___--                 heading' = v tan(u) / base, x' = v cos(heading), y' = v sin(heading): solved
  ----  [car>  . . . ---    right edge        exactly over a step of dt = 0.2 s; u in [-limit, limit], v = 5 m/s
   ____________----                           obs = how much of each pixel is road

The road's middle is y = f(x), three sines drawn at reset; what is painted is every point whose offset (y - f(x)) cos(slope angle) is
within `half`. Beyond it an episode ends; before, the reward is 1 - (offset / half)^2 of the state that is left. `lane` sees three rows
of pixels, 5, 10 and 20 m ahead; `lane_pixels` an image of bytes of the ground from 2.5 to 40 m. Two more cameras, of the same kind,
stand `side` metres to the left and to the right of it (`views`): what they see is what the camera of a car that stands there sees.

The expert is pure pursuit: it sees where the road's middle lies across its way `ahead` metres in front, y, and steers along the arc
that ends there, of curvature 2y / (ahead^2 + y^2). What its label becomes at a side camera (`recover`) is such an arc too: to the
point that the label's own arc reaches a given distance ahead. Of that distance equal to `ahead` it is the expert's own label there.
Source: Pomerleau 1991, https://doi.org/10.1162/neco.1991.3.1.88, who made views beside the road and labelled them so; pure pursuit:
Coulter 1992, CMU-RI-TR-92-01
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ilbench.envs._common import known, within
from ilbench.envs._control import tolerances
from ilbench.types import Array, Box, Env, Policy, PyTree, Step, Task, no_memory

TASKS = {"lane": {"image": False}, "lane_pixels": {"image": True}}
VERSION = 1
HORIZON = 200
TAGS = ("control",)
SUMMARY = {
    "lane": "Steer a car along a winding road by three rows of pixels; two more cameras stand to its sides.",
    "lane_pixels": "The same by an image of 16 x 24 bytes.",
}
WAVES, SHORTEST, LONGEST = 3, 40.0, 120.0  # sines that make a road, and their wavelengths in m
COLUMNS, WIDEST = 24, 1.0  # of a camera, and the tangent of its outermost ray: 45 degrees to either side
SCAN = (5.0, 10.0, 20.0)  # m ahead of the rows of `lane`
IMAGE = tuple(40.0 / row for row in range(1, 17))  # and of `lane_pixels`: on the ground, rows below the horizon
NEWTON_STEPS = 5  # to where the road's middle crosses a line across the car's way


class Params(NamedTuple):
    """float32 leaves in SI units."""

    speed: Any  # m/s
    dt: Any  # s
    base: Any  # m between the axles
    limit: Any  # rad of steering
    half: Any  # m, half the road's width
    bend: Any  # 1/m, the sum of the largest curvatures that the sines may have
    start: Any  # m, half-width of the start box around the middle; as many tenths of it in rad
    slip: Any  # rad, standard deviation of what is steered around what was asked for
    ahead: Any  # m, look-ahead of the expert
    side: Any  # m from the camera to those beside it
    rows: Any  # `[R]` m ahead of the camera
    rays: Any  # `[P]` tangents of its columns, left first


class Road(NamedTuple):
    """The middle y = sum of amplitude sin(number x + phase), `[WAVES]` each."""

    amplitude: Array  # m
    number: Array  # 1/m
    phase: Array


class State(NamedTuple):
    """A car on a road."""

    x: Array  # m
    y: Array  # m
    heading: Array  # rad from the x axis, to the left
    road: Road


class Expert(NamedTuple):
    """float32 leaves of pure pursuit."""

    ahead: Any  # m
    base: Any  # m
    limit: Any  # rad


# ------------------------------------------------------------------------------------------------ the road
def middle(road: Road, x: Array) -> tuple[Array, Array]:
    """`(f, f')` of the road's middle at x of any shape."""
    amplitude, number, phase = (leaf.reshape((1,) * x.ndim + (-1,)) for leaf in road)
    angle = number * x[..., None] + phase
    return jnp.sum(amplitude * jnp.sin(angle), -1), jnp.sum(amplitude * number * jnp.cos(angle), -1)


def offset(road: Road, x: Array, y: Array) -> Array:
    """Metres to the left of the middle, measured across the road as it runs at x."""
    f, slope = middle(road, x)
    return (y - f) * jax.lax.rsqrt(1.0 + slope * slope)


def crossing(state: State, ahead: Array) -> Array:
    """Metres to the left at which the road's middle crosses the line across the car's way `ahead` metres in front, `[]`."""
    cos, sin = jnp.cos(state.heading), jnp.sin(state.heading)
    x, y = state.x + ahead * cos, state.y + ahead * sin

    def newton(_: Any, left: Array) -> Array:
        f, slope = middle(state.road, x - left * sin)
        return left - (y + left * cos - f) / jnp.maximum(cos + slope * sin, 0.1)

    return jax.lax.fori_loop(0, NEWTON_STEPS, newton, jnp.zeros_like(x), unroll=True)


def moved(state: State, left: Array) -> State:
    """The same car so many metres to its own left."""
    return state._replace(x=state.x - left * jnp.sin(state.heading), y=state.y + left * jnp.cos(state.heading))


# ------------------------------------------------------------------------------------------- what is seen
def look(params: Params, state: State) -> Array:
    """Share of road in each pixel, `[R, P]` in 0 ... 1: rows `params.rows` metres ahead, columns from left to right."""
    ahead, rays = jnp.asarray(params.rows)[:, None], jnp.asarray(params.rays)[None, :]
    cos, sin, left = jnp.cos(state.heading), jnp.sin(state.heading), ahead * rays
    away = offset(state.road, state.x + ahead * cos - left * sin, state.y + ahead * sin + left * cos)
    width = ahead * (rays[0, 0] - rays[0, 1])
    return jnp.clip((params.half - jnp.abs(away)) / width + 0.5, 0.0, 1.0)


def scan(params: Params, state: State) -> Array:
    """The rows one after the other, `[R * P]` float32."""
    return look(params, state).reshape(-1)


def image(params: Params, state: State) -> Array:
    """`[R, P, 1]` uint8, far rows on top."""
    return jnp.round(255.0 * look(params, state)).astype(jnp.uint8)[..., None]


def privileged(params: Params, state: State, obs: Array) -> Array:
    """What the expert sees, `[3]`: offset in m, heading against the road's in rad, the middle's crossing in m."""
    _, slope = middle(state.road, state.x)
    away = offset(state.road, state.x, state.y)
    return jnp.stack([away, state.heading - jnp.arctan(slope), crossing(state, params.ahead)])


# ---------------------------------------------------------------------------------------------- the car
def advance(params: Params, state: State, steering: Array) -> State:
    """The car after dt seconds on the arc of a constant steering angle `[]`."""
    turn = params.dt * params.speed * jnp.tan(steering) / params.base
    chord = params.dt * params.speed * jnp.sinc(turn / (2.0 * np.float32(np.pi)))
    along = state.heading + turn / 2.0
    return State(state.x + chord * jnp.cos(along), state.y + chord * jnp.sin(along), state.heading + turn, state.road)


def begin(params: Params, key: Array) -> State:
    """A road and a car near its middle, nearly along it."""
    u = jax.random.uniform(key, (3 * WAVES + 2,), jnp.float32)
    number = 2.0 * np.float32(np.pi) / (SHORTEST + (LONGEST - SHORTEST) * u[:WAVES])
    amplitude = params.bend / WAVES * u[WAVES : 2 * WAVES] / jnp.square(number)
    road = Road(amplitude, number, 2.0 * np.float32(np.pi) * u[2 * WAVES : 3 * WAVES])
    x = jnp.zeros((), jnp.float32)
    f, slope = middle(road, x)
    away, askew = params.start * (2.0 * u[-2] - 1.0), params.start / 10.0 * (2.0 * u[-1] - 1.0)
    return State(x, f + away * jnp.sqrt(1.0 + slope * slope), jnp.arctan(slope) + askew, road)


@lru_cache
def _parts(see: Callable[[Params, State], Array]) -> tuple[Any, Any, Any]:
    """`reset`, `step` and `views` of a camera: the same one gives the same functions."""

    def reset(params: Params, key: Array) -> tuple[State, Array]:
        state = begin(params, key)
        return state, see(params, state)

    def step(params: Params, key: Array, state: State, action: Array) -> Step:
        steering = jnp.clip(action[0], -params.limit, params.limit) + params.slip * jax.random.normal(key, ())
        new = advance(params, state, steering)
        reward = 1.0 - jnp.square(offset(state.road, state.x, state.y) / params.half)
        return Step(new, see(params, new), reward, jnp.abs(offset(new.road, new.x, new.y)) > params.half)

    def views(params: Params, state: State, obs: Array) -> dict[str, Array]:
        sides = {"left": params.side, "right": -params.side}
        return {name: see(params, moved(state, side)) for name, side in sides.items()}

    return reset, step, views


# ------------------------------------------------------------------------------------------- the steering
def pursue(ahead: Array, left: Array, base: Array, limit: Array) -> Array:
    """Steering angle of the arc from here, along the heading, to a point `ahead` and `left` metres away."""
    return jnp.clip(jnp.arctan(base * 2.0 * left / (ahead * ahead + left * left)), -limit, limit)


def act(params: Expert, key: Array, t: Array, memory: PyTree, obs: Array) -> tuple[PyTree, Array]:
    """Steering `[1]` along the arc to the middle of the road `ahead` metres in front."""
    return memory, pursue(params.ahead, obs[2], params.base, params.limit)[None]


def recover(params: Params, label: Array, distance: Array) -> dict[str, Array]:
    """Labels `[1]` of the side cameras: the arc from there to where the expert's own arc is `distance` metres ahead.

    An arc so tight that it never is so far ahead is met at its foremost point.
    """
    curvature = jnp.tan(label[0]) / params.base
    ahead = distance / jnp.maximum(1.0, distance * jnp.abs(curvature))
    left = curvature * ahead * ahead / (1.0 + jnp.sqrt(jnp.maximum(0.0, 1.0 - jnp.square(curvature * ahead))))
    sides = {"left": params.side, "right": -params.side}
    return {name: pursue(ahead, left - side, params.base, params.limit)[None] for name, side in sides.items()}


def make(
    task_id: str,
    horizon: int | None = None,
    *,
    speed: float = 5.0,
    bend: float = 0.05,
    half: float = 2.0,
    start: float = 0.2,
    slip: float = 0.0,
    ahead: float = 10.0,
    side: float = 1.0,
) -> Task:
    """`speed` in m/s, `bend` in 1/m, `slip` in rad; half the road, the start box, the expert's look-ahead and the side cameras in m."""
    H = known(TASKS, task_id, horizon, HORIZON)
    for name, value, low, high in (
        ("speed", speed, 0.1, 20),
        ("bend", bend, 0, 0.06),
        ("half", half, 0.5, 4),
        ("start", start, 0, 0.5),
        ("slip", slip, 0, 0.2),
        ("ahead", ahead, 2, 20),
        ("side", side, 0.1, 4),
    ):
        within(name, value, low, high)
    limit, base, seen = 0.25, 2.5, TASKS[task_id]["image"]
    rows, rays = IMAGE if seen else SCAN, WIDEST * (1 - (2 * np.arange(COLUMNS) + 1) / COLUMNS)
    exact = (speed, 0.2, base, limit, half, bend, start, slip, ahead, side, rows, rays)
    params = Params(*(np.asarray(value, np.float32) for value in exact))
    reset, step, views = _parts(image if seen else scan)
    obs = Box((len(rows), COLUMNS, 1), 0, 255, "uint8") if seen else Box(len(rows) * COLUMNS, 0, 1)
    env = Env(
        params, reset, step, obs, Box(1, -limit, limit), absorbing_reward=np.float32(0), expert_obs=privileged, views=views,
        recover=recover,
    )  # fmt: skip
    return Task(
        id=task_id,
        version=VERSION,
        env=env,
        expert=Policy(Expert(*(np.float32(value) for value in (ahead, base, limit))), no_memory, act),
        horizon=H,
        deltas=tolerances(limit),
        reward_range=(0.0, 1.0),
        tags=TAGS,
    )
