"""A policy plus a given offset at every step: constant errors, single kicks and replayed actions in one program.

Two rollouts on the same keys see the same noise, so their difference is the error that the offset caused, and its
growth rate per step is a finite-difference Lyapunov exponent of (env, policy).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import jax
import numpy as np

from ilbench.theory.instances.tables import rolled
from ilbench.types import Array, Policy, Task


@lru_cache(maxsize=64)
def _functions(init: Any, act: Any) -> tuple[Any, Any]:
    def nudged_init(params: Any, key: Array) -> Any:
        return init(params["policy"], key)

    def nudged_act(params: Any, key: Array, t: Array, memory: Any, obs: Array) -> tuple[Any, Array]:
        memory, action = act(params["policy"], key, t, memory, obs)
        return memory, params["share"] * action + params["offset"][t]

    return nudged_init, nudged_act


def repeated(policy: Policy, seeds: int) -> Policy:
    """One policy without seed axis as `seeds` equal learners, leaves `[seeds, 1, ...]`."""
    params = jax.tree.map(lambda x: np.broadcast_to(np.asarray(x), (seeds, 1, *np.shape(x))).copy(), policy.params)
    return Policy(params, policy.init, policy.act)


def nudged(policy: Policy, seeds: int, offset: Any, share: float = 1.0) -> Policy:
    """share * policy + offset: leaves `[S, 1, ...]`; offset `[H, A]` or `[S, H, A]`; share = 0 replays the offset."""
    offset = np.asarray(offset, np.float32)
    offset = np.broadcast_to(offset, (seeds, *offset.shape[-2:]))[:, None].copy()
    params = {"policy": policy.params, "share": np.full((seeds, 1), share, np.float32), "offset": offset}
    return Policy(params, *_functions(policy.init, policy.act))


def kick(horizon: int, actions: int, at: int, size: float) -> np.ndarray:
    """An offset `[H, A]` that is `size` in the first action at step `at` and 0 elsewhere."""
    out = np.zeros((horizon, actions), np.float32)
    out[at, 0] = size
    return out


def observations(task: Task, policy: Policy, seeds: int, episodes: int, stream: str) -> np.ndarray:
    """Observations `[S, N, H, d]` float64 of rollouts; the same stream gives the same starts and noise."""
    return rolled(task, policy, seeds, episodes, stream)["obs"].astype(np.float64)


def log_rate(difference: Any, lags: Any) -> np.ndarray:
    """Growth per step `[S]` from distances `[S, N, H]`: least-squares slope over `lags` of the episodes' mean log distance."""
    lags = np.asarray(lags)
    y = np.log(np.maximum(np.asarray(difference)[..., lags], 1e-300)).mean(1)
    x = lags - lags.mean()
    return np.asarray(y @ x / (x @ x))
