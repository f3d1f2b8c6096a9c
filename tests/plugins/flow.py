"""A conditional flow: an action is noise that a learnt velocity field carries along, so that several modes stay apart.

Training draws noise z and a time for every row and fits the velocity a - z on the straight line between the two; acting integrates the
field in Euler steps. Of a chunk whose first actions are known, those are held on their line and the others flow beside them.
Paper: Lipman et al. 2022, flow matching, https://arxiv.org/abs/2210.02747; holding a prefix: Black et al. 2025, https://arxiv.org/abs/2506.07339
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import jax
import jax.numpy as jnp

from ilbench.training.nets import features, fit_norm, identity_norm, mlp, width_of
from ilbench.types import Head

NEEDS = ("continuous actions",)
TRY = ("scalar_stable",)


@dataclass(frozen=True)
class Config:
    """The field, and how it is integrated."""

    width: int = 32  # units of its two hidden layers
    steps: int = 8  # Euler steps from noise to an action

    def __post_init__(self) -> None:
        for name in ("width", "steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"flow.{name} must be at least 1, got {getattr(self, name)}")


@lru_cache
def _head(obs, action, config):
    dim = action.dim
    init_net, apply = mlp(width_of(obs) + dim + 1, (config.width, config.width, dim), "silu")

    def init(key):
        scale = {"centre": jnp.zeros(dim), "unit": jnp.ones(dim)}
        return {"net": init_net(key), "norm": {"obs": identity_norm(obs), "action": scale}}

    def prepare(params, data):
        """Actions in their own mean and spread: the noise that the flow starts from is standard."""
        flat, weight = data.action.reshape(data.weight.shape[0], -1), data.weight[:, None]
        total = jnp.maximum(jnp.sum(weight), 1.0)
        centre = jnp.sum(weight * flat, axis=0) / total
        unit = jnp.sqrt(jnp.sum(weight * jnp.square(flat - centre[None]), axis=0) / total) + 1e-3
        scale = {"centre": centre, "unit": unit}
        return {**params, "norm": {"obs": fit_norm(obs, data.obs, data.weight), "action": scale}}

    def velocity(params, seen, time, x):
        return apply(params["net"], jnp.concatenate([seen, x, time[None]]))

    def loss(params, key, row):
        k_noise, k_time = jax.random.split(key)
        scale, time = params["norm"]["action"], jax.random.uniform(k_time)
        a, z = (row.action.reshape(-1) - scale["centre"]) / scale["unit"], jax.random.normal(k_noise, (dim,))
        seen = features(obs, params["norm"]["obs"], row.obs)
        return jnp.mean(jnp.square(velocity(params, seen, time, (1 - time) * z + time * a) - (a - z)))

    def complete(params, key, t, x, prefix, known):
        scale, z = params["norm"]["action"], jax.random.normal(key, (dim,))
        seen, held = features(obs, params["norm"]["obs"], x), (prefix.reshape(-1) - scale["centre"]) / scale["unit"]
        mask = jnp.repeat(known, dim // known.shape[0])

        def euler(i, y):
            time = i / config.steps
            y = mask * ((1 - time) * z + time * held) + (1 - mask) * y
            return y + velocity(params, seen, time, y) / config.steps

        y = jax.lax.fori_loop(0, config.steps, lambda i, y: euler(jnp.float32(i), y), z)
        return (scale["centre"] + scale["unit"] * (mask * held + (1 - mask) * y)).reshape(action.shape)

    def act(params, key, t, memory, x):
        return memory, complete(params, key, t, x, jnp.zeros(action.shape), jnp.zeros(action.shape[:1]))

    return Head(init, loss, act, prepare=prepare, complete=complete)


def make(spec, config):
    """Actions `[*action]`, drawn."""
    return _head(spec.obs, spec.action, config)
