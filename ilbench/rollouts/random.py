"""The random policy: uniform over actions. Its return is a score of 0."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp

from ilbench.types import Array, Box, Discrete, Policy, Space, no_memory


@lru_cache
def _uniform(space: Space) -> Any:
    def act(params: Any, key: Array, t: Array, memory: Any, obs: Array) -> tuple[Any, Array]:
        if isinstance(space, Discrete):
            return memory, jax.random.randint(key, (), 0, space.n, jnp.int32)
        return memory, jax.random.uniform(key, space.shape, jnp.float32, space.low, space.high)

    return act


def random_policy(space: Space) -> Policy:
    """Uniform over actions; raises ValueError for unbounded ones."""
    if isinstance(space, Box) and not (math.isfinite(space.low) and math.isfinite(space.high)):
        raise ValueError("a random policy needs bounded actions; give the env's Box low and high")
    return Policy((), no_memory, _uniform(space))
