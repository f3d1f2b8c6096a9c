"""A Gaussian squashed by tanh into the action bounds: no density is spent on actions that the env would cut off.

The density is exact, by change of variables. What is deployed is the squashed mean, the median of every number of the action.
A label at a bound has no density: labels are read as at most 1 - 1e-4 of half the range from the centre.
Paper: Haarnoja et al. 2018, Soft actor-critic, appendix C, https://arxiv.org/abs/1801.01290; rows are weighted as in the gaussian head
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp

from ilbench.heads._conditional import check_positive
from ilbench.heads._networks import UNBOUNDED, check_net, network, standardise, units
from ilbench.types import Array, Box, Data, Head, Space, Spec

NEEDS = ("continuous actions",)
TRY = ("scalar_stable",)  # what the contract test fits
EDGE = 1e-4  # of half the range: how near to a bound a label is read


@dataclass(frozen=True)
class Config:
    """The network."""

    width: int = 64  # units per hidden layer
    depth: int = 2  # hidden layers
    activation: str = "tanh"  # tanh, relu or silu
    min_std: float = 1e-2  # floor before squashing: a deterministic expert would drive the width to 0
    beta: float = (
        0.5  # exponent of the variance in a row's weight; 0: plain likelihood, 1: the mean learns as by squared error
    )

    def __post_init__(self) -> None:
        check_positive("tanh_gaussian.min_std", self.min_std)
        if not 0 <= self.beta <= 1:
            raise ValueError(f"tanh_gaussian.beta must lie in [0, 1], got {self.beta}")


@lru_cache
def _head(obs: Space, action: Space, config: Config) -> Head:
    assert isinstance(action, Box)
    dim, (centre, half), shape = action.dim, units(action), action.shape
    init, out = network(obs, config, 2 * dim)

    def moments(params: Any, x: Array) -> tuple[Array, Array]:
        """Mean and width before squashing."""
        both = out(params, x)
        return both[:dim], config.min_std + jax.nn.softplus(both[dim:])

    def terms(params: Any, x: Array, a: Array) -> tuple[Array, Array]:
        """Log-density `[A]` of every number, in units of half the range, and widths."""
        mean, std = moments(params, x)
        u = jnp.arctanh(jnp.clip((a.reshape(-1) - centre) / half, EDGE - 1, 1 - EDGE))
        slope = 2 * (jnp.log(2.0) - u - jax.nn.softplus(-2 * u))  # log(1 - tanh(u)^2), without cancellation
        return -0.5 * jnp.square((u - mean) / std) - jnp.log(std) - 0.5 * jnp.log(2 * jnp.pi) - slope, std

    def squashed(u: Array) -> Array:
        return (centre + half * jnp.tanh(u)).reshape(shape)

    def log_prob(params: Any, t: Array, x: Array, a: Array) -> Array:
        inside = jnp.all(jnp.abs(a.reshape(-1) - centre) <= half)
        return jnp.where(inside, jnp.sum(terms(params, x, a)[0]) - dim * jnp.log(half), -jnp.inf)

    def loss(params: Any, key: Array, row: Data) -> Array:
        each, std = terms(params, row.obs, row.action)
        return -jnp.sum(each * jax.lax.stop_gradient(std) ** (2 * config.beta))

    def act(params: Any, key: Array, t: Array, memory: Any, x: Array) -> tuple[Any, Array]:
        return memory, squashed(moments(params, x)[0])

    def sample(params: Any, key: Array, t: Array, x: Array) -> Array:
        mean, std = moments(params, x)
        return squashed(mean + std * jax.random.normal(key, mean.shape, mean.dtype))

    return Head(init, loss, act, sample=sample, log_prob=log_prob, prepare=standardise(obs))


def skip(spec: Spec) -> str | None:
    """Actions without bounds have nothing to be squashed into."""
    bounded = not isinstance(spec.action, Box) or spec.action.high - spec.action.low < UNBOUNDED
    return (
        None
        if bounded
        else "tanh_gaussian squashes into the action bounds, and these actions have none; take gaussian or mixture"
    )


def make(spec: Spec, config: Config) -> Head:
    """Means and widths `[A]` from observations `[*obs]`; the squashed mean is deployed."""
    check_net("tanh_gaussian", config)
    return _head(spec.obs, spec.action, config)
