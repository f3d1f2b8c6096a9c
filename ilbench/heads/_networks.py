"""What heads with a feature map share: a normaliser in the parameters, a net, and a loss on its output."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp

from ilbench.distributions import Categorical
from ilbench.names import meant
from ilbench.training.nets import ACTIVATIONS, features, fit_norm, identity_norm, mlp, width_of
from ilbench.types import Array, Box, Data, Discrete, Head, Space

WIDEST, DEEPEST = 65_536, 256  # units of a hidden layer, and hidden layers


@dataclass(frozen=True)
class NetConfig:
    """The network."""

    width: int = 64  # units per hidden layer
    depth: int = 2  # hidden layers
    activation: str = "tanh"  # tanh, relu or silu


def check_net(head: str, config: Any) -> None:
    """Raises ValueError for a width below 1, a negative depth, more of either than compiles, and an unknown activation of `head`."""
    for name, least, most in (("width", 1, WIDEST), ("depth", 0, DEEPEST)):
        if (given := getattr(config, name)) < least:
            raise ValueError(f"{head}.{name} must be at least {least}, got {given}")
        if given > most:
            raise ValueError(f"{head}.{name} must be at most {most}, got {given}")
    if config.activation not in ACTIVATIONS:
        near, given = meant(config.activation, ACTIVATIONS), f"got {config.activation!r}"
        raise ValueError(f"{head}.activation must be one of {', '.join(ACTIVATIONS)}, {given}. {near}".rstrip())


def network(obs: Space, config: Any, size: int) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """`(init, out)` of a multi-layer perceptron with `size` outputs on observations of the space `obs`."""
    sizes = (config.width,) * config.depth + (size,)
    return outputs(*mlp(width_of(obs), sizes, config.activation), obs)


def outputs(
    init_net: Callable[..., Any], apply_net: Callable[..., Any], obs: Space
) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """`(init(key) -> params, out(params, obs) -> [outputs])` with observation statistics inside the parameters."""

    def init(key: Array) -> Any:
        return {"net": init_net(key), "norm": identity_norm(obs)}

    def out(params: Any, x: Array) -> Array:
        return apply_net(params["net"], features(obs, params["norm"], x))

    return init, out


def standardise(obs: Space) -> Callable[[Any, Data], Any]:
    """The `prepare` of a head whose parameters hold observation statistics under "norm"; the same space gives the same function."""
    return _standardise(obs)


@lru_cache
def _standardise(obs: Space) -> Callable[[Any, Data], Any]:
    def prepare(params: Any, data: Data) -> Any:
        return {**params, "norm": fit_norm(obs, data.obs, data.weight)}

    return prepare


def categorical(init: Callable[..., Any], out: Callable[..., Any], prepare: Callable[[Any, Data], Any]) -> Head:
    """Softmax over logits; the most likely action is deployed."""

    def log_prob(params: Any, t: Array, obs: Array, action: Array) -> Array:
        return jax.nn.log_softmax(out(params, obs))[action]

    def loss(params: Any, key: Array, row: Data) -> Array:
        return -log_prob(params, row.t, row.obs, row.action)

    def act(params: Any, key: Array, t: Array, memory: Any, obs: Array) -> tuple[Any, Array]:
        return memory, jnp.argmax(out(params, obs)).astype(jnp.int32)

    def sample(params: Any, key: Array, t: Array, obs: Array) -> Array:
        return jax.random.categorical(key, out(params, obs)).astype(jnp.int32)

    def dist(params: Any, t: Array, obs: Array) -> Categorical:
        return Categorical(out(params, obs))

    return Head(init, loss, act, sample=sample, log_prob=log_prob, dist=dist, prepare=prepare)


UNBOUNDED = 1e6  # an action range from here on is no unit: limits that are only there to be never reached


def units(space: Box) -> tuple[float, float]:
    """`(centre, half range)` of bounded actions, `(0, 1)` of unbounded ones: what a net's outputs of order 1 are scaled by."""
    if not space.high - space.low < UNBOUNDED:
        return 0.0, 1.0
    return (space.low + space.high) / 2, (space.high - space.low) / 2


def squared(
    init: Callable[..., Any], out: Callable[..., Any], action: Box, prepare: Callable[[Any, Data], Any] | None
) -> Head:
    """Mean squared error of a predicted action `[*action]`, in units of half the action range."""
    (centre, half), shape = units(action), action.shape

    def loss(params: Any, key: Array, row: Data) -> Array:
        return jnp.mean(jnp.square(out(params, row.obs) - (row.action.reshape(-1) - centre) / half))

    def act(params: Any, key: Array, t: Array, memory: Any, obs: Array) -> tuple[Any, Array]:
        return memory, (centre + half * out(params, obs)).reshape(shape)

    return Head(init, loss, act, prepare=prepare)


def actions_of(space: Space) -> int:
    """Size of a net's output: n logits or A numbers."""
    return space.n if isinstance(space, Discrete) else space.dim
