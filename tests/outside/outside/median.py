"""A linear map fitted by absolute error: the median of what the expert does, which a few odd labels do not move.

Source: least absolute deviations; a head as a package of one's own begins
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jax.numpy as jnp

from ilbench.training.nets import features, fit_norm, identity_norm, mlp, width_of
from ilbench.types import Array, Box, Data, Head, Space, Spec

NEEDS = ("continuous actions",)
TRY = ("scalar_stable",)  # what its contract test fits


@dataclass(frozen=True)
class Config:
    """Nothing to choose."""


@lru_cache  # the same arguments give the same functions, so that nothing compiles anew
def _head(obs: Space, action: Box) -> Head:
    init_net, apply = mlp(width_of(obs), (action.dim,))

    def init(key: Array) -> Any:
        return {"net": init_net(key), "norm": identity_norm(obs)}

    def prepare(params: Any, data: Data) -> Any:
        return {**params, "norm": fit_norm(obs, data.obs, data.weight)}

    def out(params: Any, x: Array) -> Array:
        return apply(params["net"], features(obs, params["norm"], x)).reshape(action.shape)

    def loss(params: Any, key: Array, row: Data) -> Array:
        return jnp.mean(jnp.abs(out(params, row.obs) - row.action))

    def act(params: Any, key: Array, t: Array, memory: Any, x: Array) -> tuple[Any, Array]:
        return memory, out(params, x)

    return Head(init, loss, act, prepare=prepare)


def make(spec: Spec, config: Config) -> Head:
    """Actions `[*action]`, linear in the standardised observation."""
    assert isinstance(spec.action, Box)
    return _head(spec.obs, spec.action)
