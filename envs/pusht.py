"""Push a T to where it belongs with a disc: contact comes and goes, and where to push depends on how the T lies.

     _______________      state = disc (x, y), T (x, y, angle); the learner sees disc, middle of the T, cosine and sine of its angle
    |_____     _____|     action [2] = way of the disc in units of `speed`, clipped to [-1, 1]
          |   |           the T belongs at (0, 0, 0): reward 1 for every step that ends within `near` and `aligned` of it, else 0
          |   | <- o      start: T anywhere in a box and at an angle up to `turn`, disc on a ring round it
          |___|           success: in its place at the last step; nothing ends an episode before

The model is a planar pusher and slider: quasi-static, an ellipsoid for the friction under the T, Coulomb friction between disc and T, the
contact of the nearest point alone (envs/_pushing.py says it in equations). There is no inertia, no damping, no second contact in a corner,
so that it is not the simulation by rigid bodies of Chi et al., whose T is one of 4 and 3 units as this one is.

The expert descends half of |middle|^2 + (c angle)^2, c the T's arm, greedily: of 52 points of the outline it takes the one where a push
along the normal lowers that fastest per length of motion, keeps it while it is worth half of the best, goes round the T to it on a ring,
and pushes as far as that push alone would bring it nearest. Within `close` it rests. Which point it pushes is its memory.
Source: Florence et al. 2021, Implicit behavioral cloning, https://arxiv.org/abs/2109.00137, and Chi et al. 2023, Diffusion policy,
https://arxiv.org/abs/2303.04137, whose task it is; the expert and the numbers are our own
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ilbench.envs._common import known, within
from ilbench.envs._control import tolerances
from ilbench.envs._pushing import Body, across, arm_of, nearest, pushed, turned, twist
from ilbench.types import Array, Box, Env, Policy, Step, Task

TASKS: dict[str, dict[str, float]] = {"pusht": {}}
VERSION = 1
HORIZON = 200
TAGS = ("control",)
SUMMARY = {"pusht": "Push a T-shaped block to a pose with a disc, under dry friction."}
UNIT, SPEED, RADIUS = 0.25, 0.1, 0.06
STEM, BAR = (
    19 / 14 - 4,
    19 / 14,
)  # lowest and highest y of the T in its own frame, in units: its weight is at the origin
OUTLINE = UNIT * np.array(
    [[-0.5, STEM], [0.5, STEM], [0.5, BAR - 1], [2, BAR - 1], [2, BAR], [-2, BAR], [-2, BAR - 1], [-0.5, BAR - 1]]
)


class Params(NamedTuple):
    """float32 leaves."""

    body: Any
    speed: Any  # most that either coordinate of the disc moves in a step
    start: Any  # half-width of the box where the T begins
    turn: Any  # largest angle at which it begins
    away: Any  # distance of the disc from the T's middle where episodes begin
    near: Any  # distance from the goal that succeeds
    aligned: Any  # and angle


class Expert(NamedTuple):
    """float32 leaves of the expert."""

    body: Any
    speed: Any
    at: Any  # `[K, 2]` points of the outline where it may push
    normal: Any  # `[K, 2]` into the body there
    weight: Any  # length that an angle of 1 counts for
    ring: Any  # radius of the circle on which it goes round the body
    close: Any  # distance of that kind at which it rests
    stay: Any  # it goes on pushing where it does while that is worth this share of the best


def observe(state: Array) -> Array:
    """`[5] -> [6]`: the disc, the T's middle, cosine and sine of its angle."""
    return jnp.concatenate([state[:4], jnp.cos(state[4:]), jnp.sin(state[4:])])


def reset(params: Params, key: Array) -> tuple[Array, Array]:
    """A T somewhere, a disc beside it: state `[5]`, disc, middle, angle."""
    p, r = params, jax.random.uniform(key, (4,), jnp.float32, -1.0, 1.0)
    middle, where = p.start * r[:2], jnp.pi * r[3]
    disc = middle + p.away * jnp.stack([jnp.cos(where), jnp.sin(where)])
    state = jnp.concatenate([disc, middle, (p.turn * r[2])[None]])
    return state, observe(state)


def step(params: Params, key: Array, state: Array, action: Array) -> Step:
    """The disc goes `action [2]`, clipped, and the T gives way."""
    p = params
    pose, disc = pushed(p.body, state[2:], state[:2], p.speed * jnp.clip(action, -1.0, 1.0))
    new = jnp.concatenate([disc, pose])
    off = jnp.arctan2(jnp.sin(pose[2]), jnp.cos(pose[2]))
    there = (jnp.hypot(pose[0], pose[1]) <= p.near) & (jnp.abs(off) <= p.aligned)
    return Step(new, observe(new), there.astype(jnp.float32), jnp.zeros((), jnp.bool_))


def init(params: Expert, key: Array) -> Array:
    """Which point it pushes, none yet: `[]` int32."""
    return jnp.int32(-1)


def act(params: Expert, key: Array, t: Array, memory: Array, obs: Array) -> tuple[Array, Array]:
    """`(point, action [2])`: the point that it pushes, and the way there or on; vectors are in the T's frame until the last lines."""
    p = params
    at, normal = jnp.asarray(p.at), jnp.asarray(p.normal)
    angle = jnp.arctan2(obs[5], obs[4])
    goal, disc = turned(-angle, -obs[2:4]), turned(-angle, obs[:2] - obs[2:4])
    v, w = jax.vmap(twist, (None, 0, 0, 0))(p.body, at, normal, normal)
    slope = -(v @ goal) + p.weight**2 * angle * w  # of half the squared distance, per way of the disc
    rate = slope / jnp.sqrt(jnp.sum(v * v, -1) + (p.weight * w) ** 2)
    best = jnp.argmin(rate)
    keep = (memory >= 0) & (rate[memory] < p.stay * rate[best])
    k = jnp.where(keep, memory, best).astype(jnp.int32)
    q, n = at[k], normal[k]
    side = across(n)
    from_q = disc - q
    aside, ahead = jnp.dot(side, from_q), jnp.dot(n, from_q)
    # On the ray that leads to the point along its normal: in, and then on for as long as it helps.
    far = jnp.maximum(-slope[k], 0.0) / (jnp.sum(v[k] * v[k]) + (p.weight * w[k]) ** 2)
    into = -aside * side + (jnp.maximum(-ahead - p.body.radius, 0.0) + far) * n
    # Else out to the ring, and round it to where the ray begins.
    reach = jnp.dot(n, q) + jnp.sqrt(jnp.maximum(p.ring**2 - jnp.dot(side, q) ** 2, 0.0))
    begins = q - reach * n
    _, inward, _ = nearest(p.body, disc)
    here, there = jnp.arctan2(disc[1], disc[0]), jnp.arctan2(begins[1], begins[0])
    turn = jnp.arctan2(jnp.sin(there - here), jnp.cos(there - here))
    on = here + jnp.clip(turn, -p.speed / p.ring, p.speed / p.ring)
    round_it = p.ring * jnp.stack([jnp.cos(on), jnp.sin(on)]) - disc
    outside = jnp.hypot(disc[0], disc[1]) > p.ring - 0.02
    way = jnp.where(outside, round_it, -p.speed * inward)
    lined_up = (jnp.abs(aside) < 0.03) & (ahead < -0.8 * p.body.radius)
    way = turned(angle, jnp.where(lined_up, into, way)) / p.speed
    way = jnp.where(jnp.hypot(jnp.hypot(goal[0], goal[1]), p.weight * angle) <= p.close, 0.0, way)
    return k, way / jnp.maximum(1.0, jnp.max(jnp.abs(way)))


def contacts(body: Body, each: int = 7) -> tuple[np.ndarray, np.ndarray]:
    """Points `[K, 2]` of the outline that the disc can touch from straight ahead, and the normals into the body."""
    start = np.asarray(body.corners, np.float64)
    edge = np.roll(start, -1, 0) - start
    share = (np.arange(each) + 0.5) / each
    at = (start[:, None] + share[None, :, None] * edge[:, None]).reshape(-1, 2)
    normal = np.repeat(np.stack([-edge[:, 1], edge[:, 0]], -1) / np.linalg.norm(edge, axis=-1)[:, None], each, 0)
    centre = (at - 1.05 * float(body.radius) * normal).astype(np.float32)
    free = np.asarray(jax.vmap(lambda c: nearest(body, c)[2])(centre)) >= float(body.radius)
    return at[free].astype(np.float32), normal[free].astype(np.float32)


def make(
    task_id: str,
    horizon: int | None = None,
    *,
    friction: float = 0.3,
    start: float = 0.4,
    turn: float = 1.5,
    near: float = 0.03,
    aligned: float = 0.06,
) -> Task:
    """The T, and who pushes it; lengths in units of ten steps' way of the disc, angles in rad.

    Raises ValueError for numbers out of range: with a friction near 1 a disc may wedge, and the motion is no longer one.
    """
    H = known(TASKS, task_id, horizon, HORIZON)
    within("friction", friction, 0, 0.9)
    within("start", start, 0, 10)
    within("turn", turn, 0, np.pi)
    within("near", near, 1e-3, 10)
    within("aligned", aligned, 1e-3, np.pi)
    f = np.float32
    arm = arm_of(OUTLINE)
    body = Body(OUTLINE.astype(f), f(arm), f(friction), f(RADIUS))
    ring = float(np.linalg.norm(OUTLINE, axis=-1).max()) + RADIUS + 0.02
    env = Env(
        Params(body, f(SPEED), f(start), f(turn), f(ring), f(near), f(aligned)), reset, step, Box(6), Box(2, -1.0, 1.0)
    )
    expert = Policy(
        Expert(body, f(SPEED), *contacts(body), f(body.arm), f(ring), f(0.2 * min(near, arm * aligned)), f(0.5)),
        init,
        act,
    )
    return Task(task_id, VERSION, env, expert, H, deltas=tolerances(1.0), reward_range=(0.0, 1.0), tags=TAGS)
