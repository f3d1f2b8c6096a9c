"""A conditional flow: an action is noise that a learnt velocity carries along, so that several modes stay apart.

Training draws noise z and a time and fits the velocity a - z on the straight line between the two; acting integrates it in Euler
steps. `sample` begins at noise; what is deployed begins where `start` says, at z = 0 by default, as the released code does.
Paper: Lipman et al. 2022, flow matching, https://arxiv.org/abs/2210.02747; 9 steps and the starts: Pan et al. 2025, Much Ado About
Noising, https://arxiv.org/abs/2512.01809
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp

from ilbench.heads._conditional import (
    STARTS,
    check_at_least,
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
        check_at_least("flow.steps", self.steps, 1)
        check_at_least("flow.draws", self.draws, 1)
        check_one_of("flow.start", self.start, STARTS)


def euler(
    velocity: Callable[[Array, Array], Array], z: Array, steps: int, held: Callable[[Array, Array], Array]
) -> Array:
    """Where `velocity(y [A], time []) -> [A]` carries `z [A]` from time 0 to 1; `held(y, time)` comes before every step."""

    def step(i: Any, y: Array) -> Array:
        time = jnp.float32(i) / steps
        y = held(y, time)
        return y + velocity(y, time) / steps

    return jax.lax.fori_loop(0, steps, step, z)


def _free(y: Array, time: Array) -> Array:
    return y


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

    def made(params: Any, x: Array, z: Array, held: Callable[[Array, Array], Array] = _free) -> Array:
        told = seen(obs, params, x)
        return euler(lambda y, time: net.out(params["net"], told, y, time), z, config.steps, held)

    def sample(params: Any, key: Array, t: Array, x: Array) -> Array:
        return unscaled(params, made(params, x, jax.random.normal(key, (dim,), jnp.float32)), shape)

    def act(params: Any, key: Array, t: Array, memory: Any, x: Array) -> tuple[Any, Array]:
        return memory, unscaled(params, deployed(config, dim, lambda z: made(params, x, z))(key), shape)

    def complete(params: Any, key: Array, t: Array, x: Array, prefix: Array, known: Array) -> Array:
        """What is known is held on its line from noise to it, and the rest flows beside it."""
        fixed, mask = scaled(params, prefix), jnp.repeat(known, dim // known.shape[0])
        z = jnp.zeros((dim,), jnp.float32) if config.start == "zero" else jax.random.normal(key, (dim,), jnp.float32)
        y = made(params, x, z, lambda y, time: mask * ((1 - time) * z + time * fixed) + (1 - mask) * y)
        return unscaled(params, mask * fixed + (1 - mask) * y, shape)

    return Head(init, loss, act, sample=sample, prepare=prepare(obs), complete=complete)


def make(spec: Spec, config: Config) -> Head:
    """Velocities `[A]` from observations `[*obs]`, half-made actions and times; an action `[*action]` is deployed."""
    check_net("flow", config)
    return _head(spec.obs, spec.action, config)
