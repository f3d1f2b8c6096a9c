"""Brax's ant in a starting block that lets go of whoever pushes clearly, forwards or backwards: a robot with an expert of two gaits.

    held, way = 0                           | p | >= clear: let go with           free, way = +-1
    nothing moves, reward 0                 probability `ease`, way = sign p      reward 1 + way * speed along x - .5 |a|^2
    .-------------.                       ------------------------------->        a fall ends the episode
    | <-- ant --> |   p = mean of the four ankles' torques in [-1, 1]: with p > 0 the front legs bend and the hind legs stretch
    '-------------'

The learner sees the ant's 27 numbers and its way. The ant is symmetric under a half turn about the vertical: front left and hind right
leg change places, front right and hind left, hips keep their sign and ankles change it. So the shipped expert, which runs along +x by
a = pi(s), gives a second gait without training: P pi(R s), half turns of action and observation, runs along -x as well as that.

Held, the expert draws at every step which way to push, p = `half` with probability `balance`, else -`half`; free, it runs the gait of
its way. Either with Gaussian `noise`: given what is seen its law is a mixture of two Gaussians, which are one while it runs. The mean
of both ways is p = (2 balance - 1) half, and who stays below `clear` is never let go and earns nothing: averaging is fatal just where
the ways are further apart than that. `ant_two_ways_one` has the same env, and an expert without noise that always pushes forwards.

Why a block: of experts that draw their gait by the speed that they have, P(forwards) = sigmoid(k v), averaging costs the ant little, for
the mean of two gaits turns a speed that came by chance into more of it, just as the expert does.
Source: the ant, Freeman et al. 2021, https://arxiv.org/abs/2106.13281; that a policy may be turned with its robot: Abdolhosseini et al.
2019, On learning symmetric locomotion, https://doi.org/10.1145/3359566.3360070; block and numbers are our own
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ilbench import distributions, registry
from ilbench.distributions import Mixture
from ilbench.envs._brax import make_env
from ilbench.envs._common import known, within
from ilbench.experts import weights
from ilbench.types import Array, Box, Env, Policy, PyTree, Step, Task, no_memory

TASKS: dict[str, dict[str, bool]] = {"ant_two_ways": {"one": False}, "ant_two_ways_one": {"one": True}}
VERSION = 1
HORIZON = 200  # 10 s: some ten steps in the block, and the rest to run
TAGS = ("robot", "multimodal")
SUMMARY = {
    "ant_two_ways": "An ant that runs forwards or backwards: the expert pushes off by either, the mean of both is held.",
    "ant_two_ways_one": "An ant that runs forwards or backwards: the expert always pushes off forwards.",
}
OF, DT = "ant@1", 0.05  # what it is made from, and the seconds of its step
# Hip and ankle of four legs, half a turn on.
JOINTS, SIGNS = np.array([4, 5, 6, 7, 0, 1, 2, 3]), np.tile(np.array([1, -1], np.float32), 4)
ANKLES = SIGNS < 0
PUSHES = np.array([[-1], [1]], np.float32) * ANKLES  # `[2, 8]` backwards, forwards
ROOT = np.array([-1, -1, 1], np.float32)  # a vector, or a rotation's vector part, after half a turn about the vertical
# Of the observation: height, quaternion, joints, velocity, angular velocity, joints' velocities.
SEEN = np.r_[np.arange(5), 5 + JOINTS, 13 + np.arange(6), 19 + JOINTS]
SEEN_SIGNS = np.concatenate([np.ones(2, np.float32), ROOT, SIGNS, ROOT, ROOT, SIGNS])


class Params(NamedTuple):
    """float32 leaves."""

    clear: Any  # least |p| that the block lets go of
    ease: Any  # with which probability it does, per step


class Expert(NamedTuple):
    """float32 leaves of the expert."""

    gait: Any  # the shipped expert's network
    half: Any  # |p| of its pushes: half of what their means are apart
    balance: Any  # probability of pushing forwards
    noise: Any  # standard deviation of every number of the action


class State(NamedTuple):
    """Of one episode."""

    physics: Any  # Brax's
    seen: Array  # `[27]` the ant's own observation
    way: Array  # `[]` float32: 0 held, 1 forwards, -1 backwards


@cache
def _ant() -> Env:
    return make_env(
        "ant", "spring"
    )  # the task's own, which `make` has built: nothing is built where a program is traced


def turned(action: Array) -> Array:
    """`action [8]` half a turn on."""
    return action[JOINTS] * SIGNS


def turned_view(seen: Array) -> Array:
    """What the ant sees of itself, `[27]`, half a turn on."""
    return seen[SEEN] * SEEN_SIGNS


def reset(params: Params, key: Array) -> tuple[State, Array]:
    """The ant's own start, held; the observation is `[28]`."""
    physics, seen = _ant().reset((), key)
    state = State(physics, seen, jnp.zeros((), jnp.float32))
    return state, jnp.append(seen, state.way)


def step(params: Params, key: Array, state: State, action: Array) -> Step:
    """A step of physics for who is free, and for who is held a chance to be let go; `action [8]` is clipped."""
    held = state.way == 0
    p = jnp.mean(jnp.clip(action, -1.0, 1.0)[ANKLES])
    goes = held & (jnp.abs(p) >= params.clear) & (jax.random.uniform(key) < params.ease)
    way = jnp.where(goes, jnp.sign(p), state.way)
    moved = _ant().step((), key, state.physics, action)
    speed = (moved.state.x.pos[0, 0] - state.physics.x.pos[0, 0]) / DT
    forwards = jnp.where(jnp.isfinite(speed), speed, 0.0)  # physics that blew up is a fall
    reward = moved.reward + (state.way - 1.0) * forwards  # Brax pays speed along +x
    physics = jax.tree.map(lambda old, new: jnp.where(held, old, new), state.physics, moved.state)
    seen = jnp.where(held, state.seen, moved.obs)
    return Step(
        State(physics, seen, way), jnp.append(seen, way), jnp.where(held, 0.0, reward), moved.terminated & ~held
    )


def mixture(params: Expert, t: Array, obs: Array) -> Mixture:
    """The law of the action at `obs [28]`: of pushing backwards and forwards, which are one where it runs."""
    seen, way = obs[:-1], obs[-1]
    gait = weights.policy(params.gait).act
    _, run = gait(params.gait, jax.random.key(0), t, (), jnp.where(way < 0, turned_view(seen), seen))  # reads no key
    run = jnp.where(way < 0, turned(run), run)
    forwards = jnp.asarray(params.balance, jnp.float32)
    means = jnp.where(way == 0, params.half * PUSHES, run[None])
    return Mixture(jnp.log(jnp.stack([1 - forwards, forwards])), means, jnp.full_like(means, params.noise))


def act_any(params: Expert, key: Array, t: Array, memory: PyTree, obs: Array) -> tuple[PyTree, Array]:
    """A draw `[8]` of the law; the env clips what is executed."""
    return memory, distributions.sample(mixture(params, t, obs), key)


def act_one(params: Expert, key: Array, t: Array, memory: PyTree, obs: Array) -> tuple[PyTree, Array]:
    """The middle `[8]` of the way forwards where none is taken, else of the gait of the way."""
    return memory, mixture(params, t, obs).mean[1]


def make(
    task_id: str,
    horizon: int | None = None,
    *,
    half: float = 0.8,
    balance: float = 0.5,
    noise: float = 0.02,
    clear: float = 0.5,
    ease: float = 0.1,
) -> Task:
    """The env, and who draws its way or always goes forwards, which `balance` and `noise` do not touch.

    Raises ValueError for pushes that are not clear, and where the ant is no longer of the version that this is made from.
    """
    H = known(TASKS, task_id, horizon, HORIZON)
    within("clear", clear, 0, 0.9)
    within("half", half, 0, 1)
    within("balance", balance, 0, 1)
    within("noise", noise, 1e-6, 1)
    within("ease", ease, 1e-3, 1)
    if half < clear + noise:  # the mean of four ankles spreads half as wide as each
        raise ValueError(
            f"pushes of half {half} with noise {noise} are not clear of {clear}, so that the block may hold the expert; give a half of at "
            f"least {clear + noise:.3g}, or a lower clear"
        )
    ant = registry.task("ant", H)
    if ant.name != OF:
        raise ValueError(
            f"{task_id} is made from {OF}, and there is {ant.name}: name it in envs/ant_two_ways.py and raise VERSION"
        )
    one, f = TASKS[task_id]["one"], np.float32
    numbers = Expert(ant.ask().params, f(half), f(balance), f(noise))
    expert = Policy(numbers, no_memory, act_one if one else act_any, mixture=None if one else mixture)
    return Task(
        id=task_id,
        version=VERSION,
        env=Env(Params(f(clear), f(ease)), reset, step, Box(28), Box(8, -1.0, 1.0)),
        expert=expert,
        horizon=H,
        deltas=ant.deltas,
        block=ant.block,
        tags=TAGS,
    )
