"""A diagonal Gaussian over continuous actions with a learnt, state-dependent width, trained by maximum likelihood.

Forward KL to the expert, hence mode covering; the mean is deployed, `sample` draws. Plain likelihood divides the error of the
mean by the variance, so that states which fit badly early are hardly learnt from again and a wide density is a trap; each
row's loss is therefore weighted by its standard deviation (beta-NLL with beta = 1/2), a weight without gradient.
Paper: Nix & Weigend 1994, estimating mean and variance; the weight: Seitzer et al. 2022, https://arxiv.org/abs/2203.09168
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp

from ilbench.distributions import Normal
from ilbench.heads._networks import actions_of, check_net, network, standardise, units
from ilbench.types import Array, Box, Data, Head, Space, Spec

NEEDS = ("continuous actions",)
TRY = ("scalar_stable",)  # what the contract test fits


@dataclass(frozen=True)
class Config:
    """The network."""

    width: int = 64  # units per hidden layer
    depth: int = 2  # hidden layers
    activation: str = "tanh"  # tanh, relu or silu
    min_std: float = 1e-2  # floor, in units of half the action range: a deterministic expert would drive the width to 0
    beta: float = 0.5  # exponent of the variance in a row's weight; 0: plain likelihood, 1: the mean learns as by squared error

    def __post_init__(self) -> None:
        if not self.min_std > 0:
            raise ValueError(f"gaussian.min_std must be positive, got {self.min_std}")
        if not 0 <= self.beta <= 1:
            raise ValueError(f"gaussian.beta must lie in [0, 1], got {self.beta}")


@lru_cache
def _head(obs: Space, action: Space, config: Config) -> Head:
    assert isinstance(action, Box)
    dim, (centre, half), shape = actions_of(action), units(action), action.shape
    init, out = network(obs, config, 2 * dim)

    def moments(params: Any, x: Array) -> tuple[Array, Array]:
        """Mean and width in units of half the action range."""
        both = out(params, x)
        return both[:dim], config.min_std + jax.nn.softplus(both[dim:])

    def terms(params: Any, x: Array, a: Array) -> tuple[Array, Array]:
        mean, std = moments(params, x)
        z = (a.reshape(-1) - centre) / half
        return -0.5 * jnp.square((z - mean) / std) - jnp.log(std) - 0.5 * jnp.log(2 * jnp.pi), std

    def log_prob(params: Any, t: Array, x: Array, a: Array) -> Array:
        return jnp.sum(terms(params, x, a)[0]) - dim * jnp.log(half)

    def loss(params: Any, key: Array, row: Data) -> Array:
        each, std = terms(params, row.obs, row.action)
        return -jnp.sum(each * jax.lax.stop_gradient(std) ** (2 * config.beta))

    def act(params: Any, key: Array, t: Array, memory: Any, x: Array) -> tuple[Any, Array]:
        return memory, (centre + half * moments(params, x)[0]).reshape(shape)

    def sample(params: Any, key: Array, t: Array, x: Array) -> Array:
        mean, std = moments(params, x)
        return (centre + half * (mean + std * jax.random.normal(key, mean.shape, mean.dtype))).reshape(shape)

    def dist(params: Any, t: Array, x: Array) -> Normal:
        mean, std = moments(params, x)
        return Normal(centre + half * mean, half * std)

    return Head(init, loss, act, sample=sample, log_prob=log_prob, dist=dist, prepare=standardise(obs))


def make(spec: Spec, config: Config) -> Head:
    """Means and widths `[A]` from observations `[*obs]`; the mean is deployed."""
    check_net("gaussian", config)
    return _head(spec.obs, spec.action, config)
