"""Straight flow: regression whose net is shown noise beside the observation. Noise in training, and no second pass.

The noise says nothing about the action, so the best answer is the mean, whatever the noise: this is no density, and is not drawn
from. It stands beside flow and mip to tell what noise alone is worth.
Paper: Pan et al. 2025, Much Ado About Noising, https://arxiv.org/abs/2512.01809
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp

from ilbench.heads._conditional import (
    STARTS,
    check_between,
    check_one_of,
    conditional,
    deployed,
    norms,
    prepare,
    scaled,
    seen,
    unscaled,
)
from ilbench.heads._networks import check_net
from ilbench.types import Array, Box, Data, Head, Space, Spec

NEEDS = ("continuous actions",)
TRY = ("scalar_stable",)  # what the contract test fits
MOST = 1024  # draws of a mean


@dataclass(frozen=True)
class Config:
    """The network, and what it is shown where it acts."""

    width: int = 64  # units per hidden layer
    depth: int = 2  # hidden layers
    activation: str = "tanh"  # tanh, relu or silu
    start: str = (
        "zero"  # it acts at z = 0 as in the released code, at a draw (normal), or by the mean over several draws (mean)
    )
    draws: int = 16  # of that mean

    def __post_init__(self) -> None:
        check_between("straight_flow.draws", self.draws, 1, MOST)
        check_one_of("straight_flow.start", self.start, STARTS)


@lru_cache
def _head(obs: Space, action: Space, config: Config) -> Head:
    assert isinstance(action, Box)
    dim, shape = action.dim, action.shape
    net = conditional(
        obs, config, dim, dim, times=1
    )  # the time is 0 throughout: flow's and mip's layers, to the number

    def init(key: Array) -> Any:
        return {"net": net.init(key), "norm": norms(obs, dim)}

    def answer(params: Any, x: Array, z: Array) -> Array:
        return net.out(params["net"], seen(obs, params, x), z, jnp.float32(0.0))

    def loss(params: Any, key: Array, row: Data) -> Array:
        z = jax.random.normal(key, (dim,), jnp.float32)
        return jnp.mean(jnp.square(answer(params, row.obs, z) - scaled(params, row.action)))

    def act(params: Any, key: Array, t: Array, memory: Any, x: Array) -> tuple[Any, Array]:
        return memory, unscaled(params, deployed(config, dim, lambda z: answer(params, x, z))(key), shape)

    return Head(init, loss, act, prepare=prepare(obs))


def make(spec: Spec, config: Config) -> Head:
    """Actions `[*action]` from observations `[*obs]` and noise."""
    check_net("straight_flow", config)
    return _head(spec.obs, spec.action, config)
