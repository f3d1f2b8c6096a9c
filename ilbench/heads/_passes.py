"""One net, two passes: it answers at time 0 and, shown something near the action, again at time t*.

    w1 |pi(o, s z, 0) - aim|^2 + w2 |pi(o, I, t*) - a|^2,    I = c a + n z',    aim = a or I
    act: a0 = pi(o, 0, 0), then pi(o, f a0, t*)

Residual regression, two-step denoising and the minimal iterative policy differ in these numbers alone. Squares are means over the
numbers of an action, in units of the rows. `AT` is t*.
Source: Pan et al. 2025, Much Ado About Noising, eq. 4.4, https://arxiv.org/abs/2512.01809, and its released code, mip.losses
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ilbench.heads._conditional import check_one_of, conditional, norms, prepare, scaled, seen, unscaled
from ilbench.types import Array, Box, Data, Head, Space

FORMS = ("paper", "released")


@dataclass(frozen=True)
class PassConfig:
    """The network, and the time of its second pass."""

    width: int = 64  # units per hidden layer
    depth: int = 2  # hidden layers
    activation: str = "tanh"  # tanh, relu or silu
    at: float = 0.9  # t*, the time of the second pass, in (0, 1); the paper's

    def __post_init__(self) -> None:
        if not 0 < self.at < 1:
            raise ValueError(f"the time of the second pass (at) must lie in (0, 1), got {self.at}; the paper takes 0.9")


@dataclass(frozen=True)
class FormConfig(PassConfig):
    """The network, the time of its second pass, and which text is followed."""

    form: str = "paper"  # the paper's formula, or what the released code computes

    def __post_init__(self) -> None:
        super().__post_init__()
        check_one_of("form", self.form, FORMS)


class Passes(NamedTuple):
    """The numbers of two passes."""

    noise: float  # s: of standard normal z in the first pass's input
    middle: bool  # whether the first pass aims at I, and not at the action
    keep: float  # c: what is left of the action in I
    blur: float  # n: the noise in I
    same: bool  # whether that is the noise of the first pass, as on a flow's line
    weights: tuple[float, float]  # w1, w2
    feed: float  # f: what the first answer is multiplied by before it is shown again


@lru_cache
def two_passes(obs: Space, action: Space, config: PassConfig, how: Passes) -> Head:
    """The head of such a loss; deployed from z = 0."""
    assert isinstance(action, Box)
    dim, shape = action.dim, action.shape
    net = conditional(obs, config, dim, dim, times=1)
    start, at = jnp.float32(0.0), jnp.float32(config.at)

    def init(key: Array) -> Any:
        return {"net": net.init(key), "norm": norms(obs, dim)}

    def loss(params: Any, key: Array, row: Data) -> Array:
        one, two = jax.random.normal(key, (2, dim), jnp.float32)
        a, told = scaled(params, row.action), seen(obs, params, row.obs)
        between = how.keep * a + how.blur * (one if how.same else two)
        first = net.out(params["net"], told, how.noise * one, start) - (between if how.middle else a)
        second = net.out(params["net"], told, between, at) - a
        return how.weights[0] * jnp.mean(jnp.square(first)) + how.weights[1] * jnp.mean(jnp.square(second))

    def act(params: Any, key: Array, t: Array, memory: Any, x: Array) -> tuple[Any, Array]:
        told = seen(obs, params, x)
        first = net.out(params["net"], told, jnp.zeros((dim,), jnp.float32), start)
        return memory, unscaled(params, net.out(params["net"], told, how.feed * first, at), shape)

    return Head(init, loss, act, prepare=prepare(obs))


def released(at: float) -> tuple[float, float]:
    """Weights of the released code, which divides residuals by t* and 1 - t* inside the square."""
    return 1 / at**2, 1 / (1 - at) ** 2
