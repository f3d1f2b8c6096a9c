"""A diagonal Gaussian over continuous actions with a learnt, state-dependent width, trained by maximum likelihood.

Source: forward KL to the expert, hence mode covering; the mean is deployed, `sample` draws.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp

from ilbench.heads._parametric import actions_of, check_net, network
from ilbench.types import Array, Box, Head, Space, Task


@dataclass(frozen=True)
class Config:
    """The network."""

    width: int = 64  # units per hidden layer
    depth: int = 2  # hidden layers
    activation: str = "tanh"  # tanh, relu or silu
    min_std: float = 1e-2  # floor: a deterministic expert would drive the width to 0 and the density to infinity

    def __post_init__(self) -> None:
        if not self.min_std > 0:
            raise ValueError(f"gaussian.min_std must be positive, got {self.min_std}")


def skip(task: Task) -> str | None:
    """Needs continuous actions."""
    return (
        None
        if isinstance(task.env.action, Box)
        else "gaussian needs continuous actions; for discrete ones take mlp, linear or table"
    )


@lru_cache
def _head(obs: Space, action: Space, config: Config) -> Head:
    dim = actions_of(action)
    init, out = network(obs, config, 2 * dim)

    def moments(params: Any, x: Array) -> tuple[Array, Array]:
        both = out(params, x)
        return both[:dim], config.min_std + jax.nn.softplus(both[dim:])

    def log_prob(params: Any, t: Array, x: Array, a: Array) -> Array:
        mean, std = moments(params, x)
        return jnp.sum(-0.5 * jnp.square((a - mean) / std) - jnp.log(std) - 0.5 * jnp.log(2 * jnp.pi))

    def loss(params: Any, t: Array, x: Array, a: Array) -> Array:
        return -log_prob(params, t, x, a)

    def act(params: Any, key: Array, t: Array, x: Array) -> Array:
        return moments(params, x)[0]

    def sample(params: Any, key: Array, t: Array, x: Array) -> Array:
        mean, std = moments(params, x)
        return mean + std * jax.random.normal(key, mean.shape, mean.dtype)

    return Head(init, loss, act, sample=sample, log_prob=log_prob, normalise=True)


def make(task: Task, config: Config) -> Head:
    """Means and widths `[A]` from observations `[*obs]`; the mean is deployed."""
    check_net("gaussian", config)
    return _head(task.env.obs, task.env.action, config)
