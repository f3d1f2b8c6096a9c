"""A conditional flow: an action is noise that a learnt velocity carries along, so that several modes stay apart.

Training draws noise z and a time and fits the velocity a - z on the straight line between the two; acting integrates it in Euler
steps. `sample` begins at noise; what is deployed begins where `start` says, at z = 0 by default, as the released code does.
Paper: Lipman et al. 2022, flow matching, https://arxiv.org/abs/2210.02747; 9 steps and the starts: Pan et al. 2025, Much Ado About
Noising, https://arxiv.org/abs/2512.01809
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
from ilbench.heads._lines import Held, completed, euler, free
from ilbench.heads._networks import check_net
from ilbench.types import Array, Box, Data, Head, Space, Spec

NEEDS = ("continuous actions",)
TRY = ("scalar_stable",)  # what the contract test fits
MOST = 1024  # steps, and draws of a mean


@dataclass(frozen=True)
class Config:
    """The velocity field, and how it is integrated."""

    width: int = 64  # units per hidden layer
    depth: int = 2  # hidden layers
    activation: str = "tanh"  # tanh, relu or silu
    steps: int = 9  # Euler steps from noise to an action; Pan et al. see no gain from more
    start: str = (
        "zero"  # what is deployed begins at z = 0, at a draw (normal), or is the mean over several draws (mean)
    )
    draws: int = 16  # of that mean

    def __post_init__(self) -> None:
        check_between("flow.steps", self.steps, 1, MOST)
        check_between("flow.draws", self.draws, 1, MOST)
        check_one_of("flow.start", self.start, STARTS)


@lru_cache
def _head(obs: Space, action: Space, config: Config) -> Head:
    assert isinstance(action, Box)
    dim, shape = action.dim, action.shape
    net = conditional(obs, config, dim, dim, times=1)

    def init(key: Array) -> Any:
        return {"net": net.init(key), "norm": norms(obs, dim)}

    def loss(params: Any, key: Array, row: Data) -> Array:
        k_noise, k_time = jax.random.split(key)
        a, z, time = (
            scaled(params, row.action),
            jax.random.normal(k_noise, (dim,), jnp.float32),
            jax.random.uniform(k_time),
        )
        found = net.out(params["net"], seen(obs, params, row.obs), (1 - time) * z + time * a, time)
        return jnp.mean(jnp.square(found - (a - z)))

    def made(params: Any, x: Array, z: Array, held: Held = free) -> Array:
        told = seen(obs, params, x)
        return euler(lambda y, time: net.out(params["net"], told, y, time), z, config.steps, held)

    def sample(params: Any, key: Array, t: Array, x: Array) -> Array:
        return unscaled(params, made(params, x, jax.random.normal(key, (dim,), jnp.float32)), shape)

    def act(params: Any, key: Array, t: Array, memory: Any, x: Array) -> tuple[Any, Array]:
        return memory, unscaled(params, deployed(config, dim, lambda z: made(params, x, z))(key), shape)

    def complete(params: Any, key: Array, t: Array, x: Array, prefix: Array, known: Array) -> Array:
        z = jnp.zeros((dim,), jnp.float32) if config.start == "zero" else jax.random.normal(key, (dim,), jnp.float32)
        return completed(params, z, prefix, known, lambda z, held: made(params, x, z, held), shape)

    return Head(init, loss, act, sample=sample, prepare=prepare(obs), complete=complete)


def make(spec: Spec, config: Config) -> Head:
    """Velocities `[A]` from observations `[*obs]`, half-made actions and times; an action `[*action]` is deployed."""
    check_net("flow", config)
    return _head(spec.obs, spec.action, config)
