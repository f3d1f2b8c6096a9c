"""Every number of an action cut into bins, an independent softmax over each: any shape of density, but no correlation.

It stands for several modes as classification does. The middle of the most probable bin is deployed; `sample` is uniform within a
drawn bin, so that the density of steps is exact.
Paper: Metz et al. 2017, Discrete sequential prediction of continuous actions, https://arxiv.org/abs/1705.05035; independent bins
for robots: Brohan et al. 2022, RT-1, https://arxiv.org/abs/2212.06817
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp

from ilbench.heads._bins import check_bins, chosen, index, log_density, placed, ranged
from ilbench.heads._conditional import conditional, seen
from ilbench.heads._networks import check_net
from ilbench.types import Array, Box, Data, Head, Space, Spec

NEEDS = ("continuous actions",)
TRY = ("scalar_stable",)  # what the contract test fits


@dataclass(frozen=True)
class Config:
    """The network, and the bins."""

    width: int = 64  # units per hidden layer
    depth: int = 2  # hidden layers
    activation: str = "tanh"  # tanh, relu or silu
    bins: int = 64  # of every number, at least 2; RT-1 takes 256
    over: str = "space"  # what they divide: the action bounds where there are any, or (data) the range of the rows
    deploy: str = "mode"  # the middle of the most probable bin, or (sample) a draw

    def __post_init__(self) -> None:
        check_bins("bins", self)


@lru_cache
def _head(obs: Space, action: Space, config: Config) -> Head:
    assert isinstance(action, Box)
    dim, bins, shape = action.dim, config.bins, action.shape
    net = conditional(obs, config, 0, dim * bins)
    start, prepare = ranged(obs, action, config.over)

    def init(key: Array) -> Any:
        return {"net": net.init(key), "norm": start()}

    def logits(params: Any, x: Array) -> Array:
        return net.out(params["net"], seen(obs, params, x), jnp.zeros((0,), jnp.float32)).reshape(dim, bins)

    def known(params: Any, x: Array, a: Array) -> Array:
        return chosen(logits(params, x), index(params, bins, a))

    def log_prob(params: Any, t: Array, x: Array, a: Array) -> Array:
        return log_density(params, bins, known(params, x, a), a)

    def loss(params: Any, key: Array, row: Data) -> Array:
        return -jnp.sum(known(params, row.obs, row.action))

    def sample(params: Any, key: Array, t: Array, x: Array) -> Array:
        k_which, k_within = jax.random.split(key)
        which = jax.random.categorical(k_which, logits(params, x))
        return placed(params, bins, which, jax.random.uniform(k_within, (dim,))).reshape(shape)

    def act(params: Any, key: Array, t: Array, memory: Any, x: Array) -> tuple[Any, Array]:
        if config.deploy == "sample":
            return memory, sample(params, key, t, x)
        return memory, placed(params, bins, jnp.argmax(logits(params, x), axis=-1)).reshape(shape)

    return Head(init, loss, act, sample=sample, log_prob=log_prob, prepare=prepare)


def make(spec: Spec, config: Config) -> Head:
    """Logits `[A, bins]` from observations `[*obs]`; the most probable action `[*action]` is deployed."""
    check_net("bins", config)
    return _head(spec.obs, spec.action, config)
