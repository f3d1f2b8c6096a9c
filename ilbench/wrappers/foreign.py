"""A policy from outside, NumPy, PyTorch or anything that maps observations to actions, as a Policy on any task.

It is called on the host with a batch at every step, so that a rollout of it is as fast as it is. It must depend on (obs, t) alone:
memory, where it has some, would be mixed up between episodes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ilbench.types import Array, Discrete, Policy, Space, no_memory


def foreign(f: Callable[[np.ndarray, np.ndarray], Any], action: Space) -> Policy:
    """`f(obs [B, *obs], t [B]) -> actions [B, *action]` as a Policy without numbers; the same `f` gives the same Policy.

    While it runs it raises ValueError that says the shape that came and the shape wanted.
    """
    return _foreign(f, action)


@lru_cache(maxsize=64)
def _foreign(f: Callable[[np.ndarray, np.ndarray], Any], action: Space) -> Policy:
    kind = np.int32 if isinstance(action, Discrete) else np.float32

    def call(obs: Any, t: Any) -> np.ndarray:
        obs, t = np.asarray(obs), np.asarray(t)
        lead = t.shape
        flat = obs.reshape(-1, *obs.shape[len(lead) :])
        given = np.asarray(f(flat, np.broadcast_to(t, lead).reshape(-1)))
        wanted = (len(flat), *action.shape)
        if given.shape != wanted:
            name = getattr(f, "__name__", "the policy")
            raise ValueError(f"{name} gave actions of shape {list(given.shape)} for {len(flat)} observations; wanted {list(wanted)}")
        return given.astype(kind).reshape(*lead, *action.shape)

    def act(params: Any, key: Array, t: Array, memory: Any, obs: Array) -> tuple[Any, Array]:
        shape = jax.ShapeDtypeStruct(action.shape, kind)
        return memory, jax.pure_callback(call, shape, obs, jnp.asarray(t), vmap_method="broadcast_all")

    return Policy((), no_memory, act)
