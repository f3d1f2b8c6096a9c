"""Two networks, one of which follows: it is fitted to the expert and, under noise, to its own running average, which acts.

Paper: Tarvainen & Valpola 2017, mean teachers, https://arxiv.org/abs/1703.01780; target networks: Lillicrap et al. 2015
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import jax
import jax.numpy as jnp

from ilbench.training.nets import features, fit_norm, identity_norm, mlp, width_of
from ilbench.types import Head

NEEDS = ("continuous actions", "continuous observations")
TRY = ("scalar_stable",)


@dataclass(frozen=True)
class Config:
    """The networks and what ties them."""

    width: int = 16  # units of the two hidden layers
    rate: float = 0.05  # by which the target moves to the network at every step (Polyak)
    noise: float = 0.1  # on standardised observations, where the two are held together
    tie: float = 0.1  # weight of that beside the error on the expert's action


@lru_cache
def _head(obs, action, config):
    init_net, apply = mlp(width_of(obs), (config.width, config.width, action.dim))

    def init(key):
        net = init_net(key)
        return {"net": net, "target": net, "norm": identity_norm(obs)}

    def loss(params, key, row):
        x = features(obs, params["norm"], row.obs)
        near = x + config.noise * jax.random.normal(key, x.shape)
        apart = apply(params["net"], near) - apply(params["target"], x)  # `fixed`: the target gets no gradient
        error = apply(params["net"], x) - row.action.reshape(-1)
        return jnp.mean(jnp.square(error)) + config.tie * jnp.mean(jnp.square(apart))

    def after(params):
        moved = jax.tree.map(lambda a, b: a + config.rate * (b - a), params["target"], params["net"])
        return {**params, "target": moved}

    def act(params, key, t, memory, x):
        return memory, apply(params["target"], features(obs, params["norm"], x)).reshape(action.shape)

    def prepare(params, data):
        return {**params, "norm": fit_norm(obs, data.obs, data.weight)}

    return Head(init, loss, act, prepare=prepare, after=after, fixed=("norm", "target"))


def make(spec, config):
    """Actions `[*action]` of the averaged network."""
    return _head(spec.obs, spec.action, config)
