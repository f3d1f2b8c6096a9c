"""A shortcut model: a flow whose velocity knows how long a step it is for, so that one step, or a few, make an action.

A flow's velocity is right for short steps alone; here one long step is trained to end where two of half its length do. At the shortest
length, 1 / finest, the target is the flow's a - z, at each longer one the mean of two answers at half of it, without gradient. Every row
carries both losses, weighted 3/4 and 1/4; in the paper these are shares of the batch, and targets come from averaged parameters, here
from the ones of now. The second of the two answers is asked at its own time, as in the released code; the paper's formula leaves that out.
Beside consistency distillation it needs no teacher and takes any number of steps that is a power of two from one training.
Paper: Frans et al. 2024, One step diffusion via shortcut models, https://arxiv.org/abs/2410.12557
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
MOST = 1024  # steps that the shortest length divides a line into


@dataclass(frozen=True)
class Config:
    """The velocity, the lengths of its steps, and how many act."""

    width: int = 64  # units per hidden layer
    depth: int = 2  # hidden layers
    activation: str = "tanh"  # tanh, relu or silu
    finest: int = 32  # steps of the shortest length, a power of two 2 ... 1024; Frans et al. take 128
    steps: int = 1  # that make an action: 1, 2, 4 ... finest
    share: float = 0.25  # weight of the long steps in the loss, in (0, 1); the paper's share of a batch
    start: str = (
        "zero"  # what is deployed begins at z = 0, at a draw (normal), or is the mean over several draws (mean)
    )
    draws: int = 16  # of that mean

    def __post_init__(self) -> None:
        check_between("shortcut.finest", self.finest, 2, MOST)
        check_between("shortcut.steps", self.steps, 1, self.finest)
        for name in ("finest", "steps"):
            if (given := getattr(self, name)) & (given - 1):
                near = 1 << (given.bit_length() - 1)
                raise ValueError(
                    f"shortcut.{name} must be a power of two, as lengths are halved; got {given}. Did you mean {near}?"
                )
        if not 0 < self.share < 1:
            raise ValueError(f"shortcut.share must lie in (0, 1), got {self.share}; the paper takes 0.25")
        check_between("shortcut.draws", self.draws, 1, MOST)
        check_one_of("shortcut.start", self.start, STARTS)


@lru_cache
def _head(obs: Space, action: Space, config: Config) -> Head:
    assert isinstance(action, Box)
    dim, shape = action.dim, action.shape
    net = conditional(obs, config, dim, dim, times=2)
    longest = config.finest.bit_length() - 1  # a step of level k is 2^k / finest long, one of this level the whole line

    def init(key: Array) -> Any:
        return {"net": net.init(key), "norm": norms(obs, dim)}

    def velocity(params: Any, told: Array, y: Array, time: Array, level: Any) -> Array:
        return net.out(params["net"], told, y, time, jnp.float32(level) / longest)

    def loss(params: Any, key: Array, row: Data) -> Array:
        k_noise, k_time, k_level, k_step = jax.random.split(key, 4)
        a, told = scaled(params, row.action), seen(obs, params, row.obs)
        z, time = jax.random.normal(k_noise, (dim,), jnp.float32), jax.random.uniform(k_time)
        short = velocity(params, told, (1 - time) * z + time * a, time, 0) - (a - z)

        level = jax.random.randint(k_level, (), 1, longest + 1)
        length = 2.0 ** jnp.float32(level) / config.finest
        begin = jax.random.randint(k_step, (), 0, jnp.int32(config.finest) >> level).astype(jnp.float32) * length
        y = (1 - begin) * z + begin * a
        first = velocity(params, told, y, begin, level - 1)
        second = velocity(params, told, y + length / 2 * first, begin + length / 2, level - 1)
        long = velocity(params, told, y, begin, level) - jax.lax.stop_gradient((first + second) / 2)
        return (1 - config.share) * jnp.mean(jnp.square(short)) + config.share * jnp.mean(jnp.square(long))

    def made(params: Any, x: Array, z: Array, held: Held = free) -> Array:
        told, level = seen(obs, params, x), longest - (config.steps.bit_length() - 1)
        return euler(lambda y, time: velocity(params, told, y, time, level), z, config.steps, held)

    def sample(params: Any, key: Array, t: Array, x: Array) -> Array:
        return unscaled(params, made(params, x, jax.random.normal(key, (dim,), jnp.float32)), shape)

    def act(params: Any, key: Array, t: Array, memory: Any, x: Array) -> tuple[Any, Array]:
        return memory, unscaled(params, deployed(config, dim, lambda z: made(params, x, z))(key), shape)

    def complete(params: Any, key: Array, t: Array, x: Array, prefix: Array, known: Array) -> Array:
        z = jnp.zeros((dim,), jnp.float32) if config.start == "zero" else jax.random.normal(key, (dim,), jnp.float32)
        return completed(params, z, prefix, known, lambda z, held: made(params, x, z, held), shape)

    return Head(init, loss, act, sample=sample, prepare=prepare(obs), complete=complete)


def make(spec: Spec, config: Config) -> Head:
    """Velocities `[A]` from observations `[*obs]`, half-made actions, times and lengths; an action `[*action]` is deployed."""
    check_net("shortcut", config)
    return _head(spec.obs, spec.action, config)
