"""What heads of continuous actions beyond squared error share: actions in units of their rows, and one trunk for every kind of net.

A net sees the observation's features, numbers of an action's size (noise, half-made actions, a latent) and times. Every head has the
same layers by default, so that a comparison is one of heads, not of nets.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ilbench.names import hint
from ilbench.training.nets import features, fit_norm, identity_norm, mlp, scale_of, width_of
from ilbench.types import Array, Data, Space

WAVES = (1.0, 2.0, 4.0, 8.0)  # half turns of a time's embedding over [0, 1]
TIMED = 1 + 2 * len(WAVES)  # numbers in it
FLAT = 1e-2  # half the range that a constant action is given, in units of its scale


def check_one_of(where: str, given: str, known: tuple[str, ...]) -> None:
    """Raises ValueError for a word that is none of `known`, with the closest one."""
    if given not in known:
        raise ValueError(f"{where} must be one of {', '.join(known)}, got {given!r}. {hint(given, known)}")


def check_at_least(where: str, given: float, least: float) -> None:
    """Raises ValueError for a number below the least one allowed."""
    if not given >= least:
        raise ValueError(f"{where} must be at least {least}, got {given}")


def check_between(where: str, given: float, least: float, most: float) -> None:
    """Raises ValueError for a number that is not within `least` ... `most`: what is absurd is refused before it fills the memory."""
    if not least <= given <= most:
        raise ValueError(f"{where} must be {least} ... {most}, got {given}")


def check_positive(where: str, given: float) -> None:
    """Raises ValueError for a number that is not above 0."""
    if not given > 0:
        raise ValueError(f"{where} must be positive, got {given}")


# ------------------------------------------------------------------------------------------- actions
def identity_scale(dim: int) -> dict[str, Array]:
    """Statistics that leave actions as they are, `[A]` each."""
    zero, one = jnp.zeros((dim,), jnp.float32), jnp.ones((dim,), jnp.float32)
    return {"centre": zero, "unit": one, "low": -one, "high": one}


def fit_scale(action: Array, weight: Array) -> dict[str, Array]:
    """Mean, spread and, in units of that, range `[A]` each of actions `[R, *action]` with weights `[R]`; a constant has the unit 1."""
    flat, there = action.reshape(action.shape[0], -1).astype(jnp.float32), (weight > 0)[:, None]
    total = jnp.maximum(jnp.sum(weight), 1.0)
    centre = weight @ flat / total
    unit = scale_of(jnp.sqrt(weight @ jnp.square(flat - centre[None]) / total))
    y = (flat - centre[None]) / unit[None]
    low = jnp.min(jnp.where(there, y, jnp.inf), axis=0)
    high = jnp.max(jnp.where(there, y, -jnp.inf), axis=0)
    some = jnp.any(there)
    low, high = jnp.where(some, low, -1.0), jnp.where(some, high, 1.0)
    middle, half = (low + high) / 2, jnp.maximum((high - low) / 2, FLAT)
    return {"centre": centre, "unit": unit, "low": middle - half, "high": middle + half}


def scaled(params: Any, action: Array) -> Array:
    """An action `[*action]` in units of the rows, `[A]`."""
    scale = params["norm"]["action"]
    return (action.reshape(-1) - scale["centre"]) / scale["unit"]


def unscaled(params: Any, y: Array, shape: tuple[int, ...]) -> Array:
    """`y [A]` in units of the rows as an action `[*action]`."""
    scale = params["norm"]["action"]
    return (scale["centre"] + scale["unit"] * y).reshape(shape)


def volume(params: Any) -> Array:
    """log |d action / d y| `[]`: what a log-density in units of the rows is lowered by."""
    return jnp.sum(jnp.log(params["norm"]["action"]["unit"]))


@lru_cache
def prepare(obs: Space) -> Callable[[Any, Data], Any]:
    """The `prepare` of heads that standardise observations and actions; the same space gives the same function."""

    def fill(params: Any, data: Data) -> Any:
        action = fit_scale(data.action, data.weight)
        return {**params, "norm": {"obs": fit_norm(obs, data.obs, data.weight), "action": action}}

    return fill


def norms(obs: Space, dim: int) -> dict[str, Any]:
    """What `prepare` fills in, as it is before."""
    return {"obs": identity_norm(obs), "action": identity_scale(dim)}


# ----------------------------------------------------------------------------------------------- nets
class Net(NamedTuple):
    """`init(key) -> weights`, `out(weights, seen [features], y [inputs], *times []) -> [size]`."""

    init: Callable[[Array], Any]
    out: Callable[..., Array]


def embedded(time: Array) -> Array:
    """A time in [0, 1] as numbers `[9]` that a small net tells apart: itself, sines and cosines."""
    angle = jnp.pi * time * jnp.asarray(WAVES, jnp.float32)
    return jnp.concatenate([jnp.asarray(time, jnp.float32)[None], jnp.sin(angle), jnp.cos(angle)])


def conditional(obs: Space, config: Any, inputs: int, size: int, times: int = 0) -> Net:
    """A perceptron of `config`'s layers on the observation, `inputs` numbers and so many times."""
    sizes = (config.width,) * config.depth + (size,)
    init, apply = mlp(width_of(obs) + inputs + times * TIMED, sizes, config.activation)

    def out(weights: Any, seen: Array, y: Array, *time: Any) -> Array:
        return apply(weights, jnp.concatenate([seen, y, *map(embedded, time)]))

    return Net(init, out)


def seen(obs: Space, params: Any, x: Array) -> Array:
    """The network input `[features]` of an observation, by the statistics in `params`."""
    return features(obs, params["norm"]["obs"], x)


# ------------------------------------------------------------------------------------- what is deployed
STARTS = ("zero", "normal", "mean")


def deployed(config: Any, dim: int, made: Callable[[Array], Array]) -> Callable[[Array], Array]:
    """What acts, of a map `made(z [A]) -> y [A]` from noise, by the rule `config.start`: key -> y.

    From z = 0; from one standard normal draw; or the mean over `config.draws` of those.
    """

    def act(key: Array) -> Array:
        if config.start == "zero":
            return made(jnp.zeros((dim,), jnp.float32))
        if config.start == "normal":
            return made(jax.random.normal(key, (dim,), jnp.float32))
        return jnp.mean(jax.vmap(made)(jax.random.normal(key, (config.draws, dim), jnp.float32)), axis=0)

    return act
