"""0-1 deployment: the expert's action wherever the learner's is within delta of it, and the learner's own where it is not.

What is deployed differs from the expert exactly where the learner errs by more than delta, so that its imitation cost is that of
the theorems, 1{error > delta}, and until the first mistake an episode IS the expert's, of the same keys, bit for bit. delta = inf
is the expert, delta = 0 the learner. With at most one mistake a step, or a push of a fixed size instead of one, it is a branch: what
a single mistake costs when the expert takes over right after. An instrument: it asks the expert at every step.

Source: Ross & Bagnell 2010, https://proceedings.mlr.press/v9/ross10a.html, whose cost it is; the deployment is our own.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ilbench.rollouts.episode import imitation_error
from ilbench.types import Array, Behaviour, Box, Choice

ALL = 2**30  # mistakes: more than an episode has steps
SOMEWHERE = -1  # a first step that every episode draws for itself


@lru_cache
def _functions(space: Box) -> tuple[Any, Any]:
    """Module-level in effect: one space gives the same objects, so that nothing retraces."""

    def start(params: Any, key: Array) -> tuple[Array, Array, Array]:
        k_step, k_direction = jax.random.split(key)
        drawn = jax.random.randint(k_step, (), 0, params["horizon"], jnp.int32)
        normal = jax.random.normal(k_direction, space.shape, jnp.float32)
        return jnp.where(params["first"] >= 0, params["first"], drawn), jnp.int32(0), normal / jnp.linalg.norm(normal)

    def choose(params: Any, key: Array, t: Array, memory: Any, obs: Array, proposal: Array, label: Array) -> Choice:
        first, made, direction = memory
        wrong = (imitation_error(space, proposal, label) > params["delta"]) & (t >= first) & (made < params["most"])
        pushed = label + jnp.where(t == first, params["push"], 0.0) * direction
        action = jnp.where(wrong, proposal, jnp.where(params["push"] > 0, pushed, label))
        return Choice((first, made + wrong.astype(jnp.int32), direction), (~wrong).astype(jnp.int32), action, jnp.bool_(True))

    return start, choose


def erring(
    space: Box, horizon: int, delta: Any, *, most: int = ALL, first: int = 0, push: float = 0.0
) -> Behaviour:
    """The behaviour `[S, ...]`: the expert, but for mistakes larger than `delta [S]`, at most so many, from step `first` on.

    `first` = SOMEWHERE: a step that every episode draws. `push`: at that step the expert's action and this far, in a random direction.
    Raises ValueError for a delta that is negative or NaN, for a step out of range and for a negative push.
    """
    deltas = np.asarray(delta, np.float32)
    if deltas.ndim != 1 or not (deltas >= 0).all():
        raise ValueError(f"delta is a tolerance of at least 0 for each seed, got {delta}")
    if not SOMEWHERE <= first < horizon or not push >= 0:
        raise ValueError(f"first is a step of {horizon}, or {SOMEWHERE} for any, and a push is at least 0; got {first} and {push}")
    leaves = {"delta": deltas} | {
        name: np.full(len(deltas), value, kind)
        for name, value, kind in (
            ("most", most, np.int32), ("first", first, np.int32), ("push", push, np.float32), ("horizon", horizon, np.int32)
        )
    }  # fmt: skip
    return Behaviour(leaves, *_functions(space))
