"""Policies that commit to chunks of actions: a head that predicts whole chunks, and a linear planner with its own model."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ilbench.envs._linear import Params, build
from ilbench.types import Array, Demos, Head, Policy, Task


def plant(name: str, A: Any, K: Any, horizon: int, *, noise: float = 0.0, start: Any = None) -> Task:
    """x' = A x + u + noise with the expert u = K x, actions as good as unlimited; start box half-widths `[d]`."""
    A, K = np.atleast_2d(A), np.atleast_2d(K)
    d = len(A)
    start = np.zeros(d) if start is None else start
    exact = Params(A, np.eye(d), [noise] * d, start, [1.0] * d, [0.1] * d, 1e20, 1e30)
    return build(name, 1, horizon, ("instrument", "linear"), exact, -K)


# ------------------------------------------------------------------------------- predicted chunks
@lru_cache(maxsize=64)
def _predicted(head: Head, length: int, actions: int) -> tuple[Any, Any]:
    def init(params: Any, key: Array) -> Array:
        return jnp.zeros((length, actions), jnp.float32)

    def act(params: Any, key: Array, t: Array, memory: Array, obs: Array) -> tuple[Array, Array]:
        plan = jnp.where(t % length == 0, head.act(params, key, t, (), obs)[1].reshape(length, actions), memory)
        return plan, plan[t % length]

    return init, act


def predicted(head: Head, params: Any, length: int, actions: int) -> Policy:
    """Executes all `length` actions of every prediction `[length * actions]`; leaves `[S, ...]` become `[S, 1, ...]`."""
    return Policy(jax.tree.map(lambda x: np.asarray(x)[:, None], params), *_predicted(head, length, actions))


def windows(demos: Demos, length: int, starts: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows `(obs [S, N * starts, d], chunk [S, N * starts, length * A])` that begin at steps 0 ... starts - 1."""
    obs, label = np.asarray(demos.obs), np.asarray(demos.label)
    seeds, episodes = obs.shape[:2]
    chunks = np.stack([label[:, :, k : k + length] for k in range(starts)], axis=2)
    return obs[:, :, :starts].reshape(seeds, episodes * starts, -1), chunks.reshape(seeds, episodes * starts, -1)


# -------------------------------------------------------------------------------- planned chunks
def _forget(params: Any, key: Array) -> Array:
    return jnp.zeros(params["K"].shape[-1:], jnp.float32)


def _plan(params: Any, key: Array, t: Array, memory: Array, obs: Array) -> tuple[Array, Array]:
    believed = jnp.where(t % params["length"] == 0, obs, memory)
    action = params["K"] @ believed
    return params["model"] @ believed + action, action


def planned(model: Any, K: Any, length: int, seeds: int) -> Policy:
    """Chunks planned with (model, K): see ilbench/exact/linear_errors.py; leaves `[seeds, 1, ...]`, length is a leaf."""
    values: dict[str, np.ndarray] = {
        "model": np.atleast_2d(np.asarray(model, np.float32)),
        "K": np.atleast_2d(np.asarray(K, np.float32)),
        "length": np.array(length, np.int32),
    }
    return Policy(
        {name: np.broadcast_to(v, (seeds, 1, *np.shape(v))).copy() for name, v in values.items()}, _forget, _plan
    )
