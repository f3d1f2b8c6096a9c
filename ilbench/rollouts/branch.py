"""Branches: a policy up to a step, one deviation there, then the expert; and the same episode without the deviation.

Rolled from the same keys, the two differ by the deviation alone, so that their difference in return or in mistakes is what it
costs: no state has to be restored. Source: the advantages of AggreVaTe (Ross & Bagnell 2014, https://arxiv.org/abs/1406.5979).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ilbench.types import Array, Behaviour, Box, Choice, Demos, Discrete, Space

RANDOM, LEARNER, PUSH = range(3)


class Branches(NamedTuple):
    """Episodes `[S, N, H, ...]` with and without the deviation, and the step `[S, N]` at which it is taken."""

    deviated: Demos
    straight: Demos
    step: np.ndarray


def _start(params: Any, key: Array) -> Array:
    """The step of this episode: the one that is given, or a uniform draw."""
    drawn = jax.random.randint(key, (), 0, params["horizon"], jnp.int32)
    return jnp.where(params["step"] >= 0, params["step"], drawn)


@lru_cache
def _choose(space: Space) -> Any:
    def deviation(params: Any, key: Array, proposal: Array, label: Array) -> Array:
        if isinstance(space, Discrete):
            any_action = jax.random.randint(key, (), 0, space.n, jnp.int32)
            other = (label + 1 + jax.random.randint(key, (), 0, space.n - 1, jnp.int32)) % space.n
            return jnp.stack([any_action, proposal, other])[params["kind"]]
        direction = jax.random.normal(key, label.shape, label.dtype)
        pushed = label + params["size"] * direction / jnp.linalg.norm(direction)
        any_action = jax.random.uniform(key, label.shape, label.dtype, params["low"], params["high"])
        return jnp.stack([any_action, proposal, pushed])[params["kind"]]

    def choose(params: Any, key: Array, t: Array, step: Any, obs: Array, proposal: Array, label: Array) -> Choice:
        here = t == step
        expert = (t > step) | (here & ~params["kick"])
        other = deviation(params, key, proposal, label)
        action = jnp.where(here & params["kick"], other, jnp.where(expert, label, proposal))
        return Choice(step, expert.astype(jnp.int32), action, here)

    return choose


def deviating(
    space: Space, horizon: int, seeds: int, explore: str | float, step: Any = None, *, kick: bool = True
) -> Behaviour:
    """The behaviour `[S, ...]`: the learner before `step` (`[S]`, or drawn for every episode), one action there, then the expert.

    `explore`: "random", "learner", or the size of a push away from the expert's action (for discrete actions any other one).
    With `kick` false the expert acts from `step` on. Raises ValueError for another word, a negative size, a step out of range
    and for random actions without bounds.
    """
    kinds = {"random": RANDOM, "learner": LEARNER}
    if not isinstance(explore, (int, float)) and explore not in kinds:
        raise ValueError(f"explore is 'random', 'learner' or the size of a push, got {explore!r}")
    size = 0.0 if isinstance(explore, str) else float(explore)
    if size < 0:
        raise ValueError(f"a push has a size of at least 0, got {explore}")
    steps = np.full(seeds, -1, np.int32) if step is None else np.asarray(step, np.int32)
    if steps.shape != (seeds,) or (step is not None and not ((steps >= 0) & (steps < horizon)).all()):
        raise ValueError(f"step is one of 0 ... {horizon - 1} for each of {seeds} seeds, got {step}")
    low, high = (space.low, space.high) if isinstance(space, Box) else (0.0, 0.0)
    if explore == "random" and not np.isfinite([low, high]).all():
        raise ValueError("random actions need bounded ones; explore with 'learner' or a size")
    finite = np.nan_to_num(np.array([low, high], np.float32), posinf=0.0, neginf=0.0)
    leaves = {
        "step": steps,
        "horizon": np.full(seeds, horizon, np.int32),
        "kind": np.full(seeds, kinds.get(explore, PUSH) if isinstance(explore, str) else PUSH, np.int32),
        "size": np.full(seeds, size, np.float32),
        "kick": np.full(seeds, kick, bool),
        "low": np.full(seeds, finite[0]),
        "high": np.full(seeds, finite[1]),
    }
    return Behaviour(leaves, _start, _choose(space))


def steps_of(keys: Array, horizon: int, step: Any = None) -> np.ndarray:
    """The step `[S, N]` at which the episodes of `keys [S, N]` deviate: `step [S]`, or what each drew."""
    if step is not None:
        return np.broadcast_to(np.asarray(step)[:, None], keys.shape).copy()
    params = {"horizon": jnp.int32(horizon), "step": jnp.int32(-1)}
    return np.asarray(_drawn(params, keys))


@jax.jit
def _drawn(params: Any, keys: Array) -> Array:
    # An episode splits its key into (reset, policy, expert, behaviour, steps).
    return jax.vmap(jax.vmap(lambda key: _start(params, jax.random.split(key, 5)[3])))(keys)
