"""A load held by a weak motor: up to some size it corrects the noise on its own action, and beyond it nobody comes back.

     lost for good  |        the motor can bring it back        |  lost for good       x' = lam x + load + clip(u, -limit, limit)
    ----------------+---------------------------+---------------+----------------      lam = 1.1, load = .5, limit = 1
      -(limit + load) / (lam - 1)               0       (limit - load) / (lam - 1)     reward -min(1, (x / upper edge)^2)
                   -15                                          5                      falls where |x| > bound = 50

With full force against it x' - edge = lam (x - edge), exactly: inside the edges x comes back in finite time, outside it runs away from any
policy, lost long before it falls. The expert u = clip(-lam x - load) makes |x'| as small as it can be at every step, which is optimal.

It starts at rest at 0, where nothing but `noise` (sd 5e-4 a step) moves it: clean demonstrations say next to nothing of how to come back,
and a learner that is right there and does not react is carried off like lam^t. Noise of sd sigma on the expert's action shows it how. But
the motor clips what is meant and the noise together, and the force it still has in the mean is (z standard normal)

    pull(sigma) = -E clip(-limit + sigma z) = limit - sigma (phi(0) - phi(2 limit / sigma)) - 2 limit Phi(-2 limit / sigma).

The upper edge is at (pull(sigma) - load) / (lam - 1) under noise: 4.2 at sigma = .2, 1.1 at 1, 0 at 1.36. There the mean motion leads
nowhere but away from rest: noisy demonstrations show lost states, and the labels there are all the same.

Source: textbook (the set from which an unstable plant with a bounded input can be brought back: Hu, Lin & Qiu 2001,
https://doi.org/10.1109/9.928599); noise that its expert cannot correct is beyond what Laskey et al. 2017 assume, https://arxiv.org/abs/1703.09327
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.stats import norm

from ilbench.envs._common import known, within
from ilbench.envs._control import tolerances
from ilbench.types import Array, Box, Dynamics, Env, Policy, PyTree, Step, Task, no_memory

TASKS: dict[str, dict[str, float]] = {"scalar_limited": {}}
VERSION = 1
HORIZON = 200
TAGS = ("control", "instrument")
SUMMARY = {"scalar_limited": "A load on a weak motor, at rest: what pushes it beyond an edge is never corrected."}


class Params(NamedTuple):
    """float32 leaves; the observation is the state."""

    lam: Any
    load: Any  # force in the units of the action
    limit: Any  # actions are clipped to +-limit
    noise: Any  # standard deviation per step
    edge: Any  # the upper one: from beyond it no action brings x back
    bound: Any  # failure where |x| exceeds it


class Expert(NamedTuple):
    """float32 leaves: u = clip(-lam x - load, -limit, limit)."""

    lam: Any
    load: Any
    limit: Any


def pull(sigma: float, limit: float) -> float:
    """Mean force against x of an expert at full force `limit` under noise of sd `sigma` > 0 on its action."""
    z = 2 * limit / sigma
    return float(limit - sigma * (norm.pdf(0) - norm.pdf(z)) - 2 * limit * norm.cdf(-z))


def edges(lam: float, load: float, force: float) -> tuple[float, float]:
    """Between which x a mean `force` against it brings it back: exact for the motor's limit, of the mean motion for its `pull`."""
    return -(force + load) / (lam - 1), (force - load) / (lam - 1)


def reset(params: Params, key: Array) -> tuple[Array, Array]:
    """At rest, `[1]`."""
    state = jnp.zeros((1,), jnp.float32)
    return state, state


def step_vec(params: Params, x: Array, u: Array) -> Array:
    """The successor `[1]` without noise; lam-Lipschitz in x."""
    return params.lam * x + params.load + jnp.clip(u, -params.limit, params.limit)


def step(params: Params, key: Array, state: Array, action: Array) -> Step:
    """One step; terminates when the state leaves the bound."""
    new = step_vec(params, state, action) + params.noise * jax.random.normal(key, state.shape, jnp.float32)
    reward = -jnp.minimum(jnp.sum((state / params.edge) ** 2), 1.0)
    return Step(new, new, reward, jnp.max(jnp.abs(new)) > params.bound)


def same(params: Params, x: Array) -> Array:
    """State, vector and observation are one."""
    return x


def act(params: Expert, key: Array, t: Array, memory: PyTree, obs: Array) -> tuple[PyTree, Array]:
    """The force `[1]` that makes |x'| smallest."""
    return memory, jnp.clip(-(params.lam * obs + params.load), -params.limit, params.limit)


def make(
    task_id: str,
    horizon: int | None = None,
    *,
    lam: float = 1.1,
    load: float = 0.5,
    limit: float = 1.0,
    noise: float = 5e-4,
    bound: float = 50.0,
) -> Task:
    """`load` and `limit` in units of the action, `noise` a standard deviation per step, `bound` the |x| at which it falls."""
    H = known(TASKS, task_id, horizon, HORIZON)
    within("lam", lam, 1.001, 2)
    within("limit", limit, 1e-3, 1e3)
    within("load", load, 0, 0.99 * limit)
    low, high = edges(lam, load, limit)
    within("noise", noise, 0, high)
    within("bound", bound, -low, 1e6)
    params = Params(*(np.float32(value) for value in (lam, load, limit, noise, high, bound)))
    return Task(
        id=task_id,
        version=VERSION,
        env=Env(params, reset, step, Box(1), Box(1, -limit, limit), absorbing_reward=np.float32(-1)),
        expert=Policy(Expert(*(np.float32(value) for value in (lam, load, limit))), no_memory, act),
        horizon=H,
        deltas=tolerances(limit),
        reward_range=(-1.0, 0.0),
        tags=TAGS,
        dynamics=Dynamics(1, step_vec, same, same, same),
    )
