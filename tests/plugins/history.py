"""A recurrent network that reads the last observations, oldest first: what it cannot see now it may remember.

Under policy.history it is made for `[K, *obs]`; the wrapper keeps the window, so that rows and rollouts see the same.
Paper: Cho et al. 2014, gated recurrent units, https://arxiv.org/abs/1406.1078
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import jax
import jax.numpy as jnp

from ilbench.training.nets import features, fit_norm, identity_norm, mlp
from ilbench.types import Box, Head

NEEDS = ("continuous observations", "continuous actions")
TRY = ("scalar_stable",)


@dataclass(frozen=True)
class Config:
    """The network."""

    width: int = 8  # units of its state


def skip(spec):
    """Needs vectors, one or a window of them."""
    return None if len(spec.obs.shape) <= 2 else "history reads vectors, and these observations are images"


@lru_cache
def _head(obs, action, config):
    back, size, width = (obs.shape[0] if len(obs.shape) == 2 else 1), obs.shape[-1], config.width
    gates, new, out = mlp(size + width, (2 * width,)), mlp(size + width, (width,)), mlp(width, (action.dim,))

    def init(key):
        keys = jax.random.split(key, 3)
        net = {name: part[0](k) for name, part, k in zip(("gates", "new", "out"), (gates, new, out), keys, strict=True)}
        return {**net, "norm": identity_norm(Box(size))}

    def read(params, window):
        norm = params["norm"]
        seen = jax.vmap(lambda x: features(Box(size), norm, x))(window.reshape(back, size))

        def cell(h, x):
            z, r = jnp.split(jax.nn.sigmoid(gates[1](params["gates"], jnp.concatenate([x, h]))), 2)
            return z * h + (1 - z) * jnp.tanh(new[1](params["new"], jnp.concatenate([x, r * h]))), None

        h, _ = jax.lax.scan(cell, jnp.zeros(width), seen)
        return out[1](params["out"], h).reshape(action.shape)

    def loss(params, key, row):
        return jnp.mean(jnp.square(read(params, row.obs) - row.action))

    def act(params, key, t, memory, window):
        return memory, read(params, window)

    def prepare(params, data):
        rows, weight = data.obs.reshape(-1, size), jnp.repeat(data.weight, back)
        return {**params, "norm": fit_norm(Box(size), rows, weight)}

    return Head(init, loss, act, prepare=prepare)


def make(spec, config):
    """Actions `[*action]` from `[K, n]` observations, or from one."""
    return _head(spec.obs, spec.action, config)
