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


def foreign(f: Callable[..., Any], action: Space, params: Any = ()) -> Policy:
    """`f(obs [B, *obs], t [B]) -> actions [B, *action]` as a Policy; with `params`, `f(params, obs, t)`, called once for each seed's.

    The same `f` gives the same functions, so that nothing compiles anew: what one seed has learnt belongs into `params`, leaves
    `[S, M, ...]`, not into `f`. ValueError says the shape that came and the shape wanted: before anything compiles, from two
    observations of zeros, where there are no `params`; else JAX's own error holds it.
    """
    return Policy(params, no_memory, _act(f, action))


@lru_cache(maxsize=64)
def _act(f: Callable[..., Any], action: Space) -> Any:
    kind = np.int32 if isinstance(action, Discrete) else np.float32

    def checked(given: Any, count: int) -> np.ndarray:
        array, wanted = np.asarray(given), (count, *action.shape)
        if array.shape != wanted:
            name = getattr(f, "__name__", "the policy")
            raise ValueError(f"{name} gave actions of shape {list(array.shape)} for {count} observations; wanted {list(wanted)}")
        return array.astype(kind)

    def act(params: Any, key: Array, t: Array, memory: Any, obs: Array) -> tuple[Any, Array]:
        each, step = len(obs.shape), jnp.asarray(t)
        if not jax.tree.leaves(params):
            checked(f(np.zeros((2, *obs.shape), obs.dtype), np.zeros(2, np.int32)), 2)

        def call(params: Any, obs: Any, t: Any) -> np.ndarray:
            # Axes that are batched lead; those that an argument does not share have length 1.
            params, obs, t = jax.tree.map(np.asarray, (params, obs, t))
            lead = np.broadcast_shapes(obs.shape[: obs.ndim - each], t.shape)
            obs, t = np.broadcast_to(obs, (*lead, *obs.shape[obs.ndim - each :])), np.broadcast_to(t, lead)
            leaves = jax.tree.leaves(params)
            if not leaves:
                flat = obs.reshape(-1, *obs.shape[obs.ndim - each :])
                return checked(f(flat, t.reshape(-1)), len(flat)).reshape(*lead, *action.shape)
            out = np.empty((*lead, *action.shape), kind)
            own = np.broadcast_shapes(*(x.shape[: len(lead)] for x in leaves))
            for index in np.ndindex(own):
                at = tuple(i if n > 1 else slice(None) for i, n in zip(index, own, strict=True))
                mine = jax.tree.map(lambda x, i=index: x[tuple(min(k, n - 1) for k, n in zip(i, x.shape, strict=False))], params)
                seen = obs[at].reshape(-1, *obs.shape[obs.ndim - each :])
                out[at] = checked(f(mine, seen, t[at].reshape(-1)), len(seen)).reshape(out[at].shape)
            return out

        shape = jax.ShapeDtypeStruct(action.shape, kind)
        return memory, jax.pure_callback(call, shape, params, obs, step, vmap_method="expand_dims")

    return act
