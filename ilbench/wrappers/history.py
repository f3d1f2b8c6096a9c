"""A head that sees the last K observations: it is made for `[K, *obs]`, and its policy remembers.

What an episode has not had yet is its first observation, repeated, in rows and in the policy alike.
"""

from __future__ import annotations

import dataclasses
from functools import lru_cache
from typing import Any

import jax.numpy as jnp

from ilbench.types import Array, Box, Head, Spec


def seen(spec: Spec, back: int) -> Spec:
    """The spec that the inner head is made for; raises ValueError where a history does not fit."""
    if not 1 <= back <= spec.horizon:
        raise ValueError(f"a history has 1 ... {spec.horizon} observations, as an episode has; got {back}")
    if not isinstance(spec.obs, Box):
        raise ValueError("a history is of continuous observations; these are discrete")
    return spec._replace(obs=dataclasses.replace(spec.obs, shape=(back, *spec.obs.shape)))


@lru_cache(maxsize=256)
def history(head: Head, back: int, obs: Box) -> Head:
    """A head that was made for `seen(spec, back)` as one for the task itself, whose observations are `obs`.

    `sample`, `log_prob` and `dist` take windows `[K, *obs]`, as rows have them. Raises ValueError for a head with a history.
    """
    if head.window[0] != 1:
        raise ValueError(f"this head sees {head.window[0]} observations already")

    def memory(params: Any, key: Array) -> Any:
        return jnp.zeros((back, *obs.shape), obs.dtype), head.memory(params, key)

    def act(params: Any, key: Array, t: Array, memory: Any, obs: Array) -> tuple[Any, Array]:
        past, inner = memory
        past = jnp.where(t == 0, jnp.broadcast_to(obs, past.shape), jnp.concatenate([past[1:], obs[None]]))
        inner, action = head.act(params, key, t, inner, past)
        return (past, inner), action

    return dataclasses.replace(head, memory=memory, act=act, window=(back, head.window[1]))
