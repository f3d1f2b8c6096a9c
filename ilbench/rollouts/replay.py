"""Replay: what a policy would do at recorded observations, without stepping any physics."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ilbench.compute.parallel import per_seed
from ilbench.rollouts.keys import raw
from ilbench.rollouts.rollout import chunks_of, per_item
from ilbench.types import Array, Policy

BLOCK = 16  # items of a device at once


def _replay_chunk(shared: Any, item: Any, *, horizon: int, impl: Any) -> Any:
    policy, obs, words = item
    keys = jax.random.wrap_key_data(words, impl=impl)

    def one(obs: Array, key: Array) -> Any:
        k_init, k_steps = jax.random.split(key)

        def step(memory: Any, at: Any) -> Any:
            t, o, k = at
            return policy.act(policy.params, k, t, memory, o)

        steps = (jnp.arange(horizon, dtype=jnp.int32), obs, jax.random.split(k_steps, horizon))
        return jax.lax.scan(step, policy.init(policy.params, k_init), steps)[1]

    return jax.vmap(one)(obs, keys)


def replay(policy: Policy, obs: Any, keys: Array, seeds: Any = None) -> Any:
    """What policies with leaves `[S, M, ...]` would do at recorded observations `[S, N, H, *obs]`; returns `[S, N, H, *action]`.

    The policy's memory runs along the recorded episode; chunks of episodes go round the M iterates as in `rollout`.
    """
    host = np.asarray(obs)
    count, episodes, horizon = host.shape[:3]
    lanes, chunks = chunks_of(episodes)
    index = np.arange(chunks * lanes) % episodes
    words, impl = raw(keys)
    recorded = host[:, index].reshape(count * chunks, lanes, *host.shape[2:])
    items = (per_item(policy, count, chunks, seeds), recorded, words[:, index].reshape(count * chunks, lanes, 2))
    out = per_seed(_replay_chunk, horizon=horizon, impl=impl, block=BLOCK)((), items)
    return jax.tree.map(lambda leaf: leaf.reshape(count, chunks * lanes, *leaf.shape[2:])[:, :episodes], out)
