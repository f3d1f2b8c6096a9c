"""Gates: the learner drives until a rule calls the expert, who drives until the rule lets go; how far apart two actions are.

What a rule reads is its own: the true distance of the two actions, a classifier, an ensemble's doubt. What is shared is the wheel:
how many steps pass before it is taken, how many contented ones before it is given back, and how many are driven at the least. All of
these are numbers of each seed, so that no threshold compiles anything.
Paper: Kelly et al. 2019, HG-DAgger, https://arxiv.org/abs/1810.02890 (whose gate is a person); two thresholds: Hoque et al. 2021,
LazyDAgger, https://arxiv.org/abs/2104.00053
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ilbench.compute import prng
from ilbench.types import Array, Behaviour, Box, Choice, Discrete, Space

UNBOUNDED = 1e6  # an action range from here on is no unit: its entries count as if they lay in [-1, 1]
# (params, key, t, obs, proposal, label) -> whether the expert is wanted [], whether it may let go [] where it drives
Rule = Callable[[Any, Array, Array, Array, Array, Array], tuple[Array, Array]]


def diagonal(space: Box) -> float:
    """The squared diagonal of a box of actions, sum (high - low)^2: the largest squared distance of two of them."""
    width = space.high - space.low
    return float(space.dim * (width if width < UNBOUNDED else 2.0) ** 2)


def apart(space: Space, a: Any, b: Any, xp: Any = jnp) -> Any:
    """How far two actions `[..., *action]` are apart, `[...]` float32: ||a - b||^2 as a share of the squared diagonal; 1{a != b}.

    As in `imitation_error` both are clipped to the box first, and what is not finite is infinitely far.
    """
    if isinstance(space, Discrete):
        return (a != b).astype(xp.float32)
    axes = tuple(range(-len(space.shape), 0))
    gap = xp.clip(a, space.low, space.high) - xp.clip(b, space.low, space.high)
    far = (gap * gap).sum(axes) / np.float32(diagonal(space))
    return xp.where(xp.isfinite(a).all(axes) & xp.isfinite(far), far, np.float32(np.inf))


class Wheel(NamedTuple):
    """What a gate remembers, `[]` each."""

    engaged: Array  # bool: the expert drives
    noticed: Array  # int32: steps since the expert was called, this one included; 0: it was not
    content: Array  # int32: steps in a row at which it could have let go, this one included
    driven: Array  # int32: steps that it has driven, before this one


def start(params: Any, key: Array) -> Wheel:
    """The learner drives first."""
    zero = jnp.int32(0)
    return Wheel(jnp.bool_(False), zero, zero, zero)


def turn(numbers: Any, wheel: Wheel, wanted: Array, content: Array) -> Wheel:
    """Who drives at this step, from who drove at the last one and from what the rule says of this one.

    Once called the expert comes `delay` steps later, whatever the rule says meanwhile; it leaves at the `hold`-th step in a row that
    it is content with, which the learner then drives, but not before it has driven `least` steps.
    """
    count = jnp.where(content, wheel.content + 1, 0)
    noticed = jnp.where(wanted | (wheel.noticed > 0), wheel.noticed + 1, 0)
    stays = wheel.engaged & ~((count >= numbers["hold"]) & (wheel.driven >= numbers["least"]))
    engaged = jnp.where(wheel.engaged, stays, noticed > numbers["delay"])
    return Wheel(
        engaged,
        jnp.where(wheel.engaged | engaged, 0, noticed),
        jnp.where(stays, count, 0),
        jnp.where(engaged, wheel.driven + 1, 0),
    )


def _disturbed(space: Space, sigma: Array, key: Array, action: Array) -> Array:
    """The action under noise: Gaussian of standard deviation sigma, of discrete ones a random one with probability sigma."""
    if isinstance(space, Discrete):
        u = prng.uniforms(key, 2)
        other = jnp.minimum((u[1] * space.n).astype(jnp.int32), space.n - 1)
        return jnp.where(u[0] < sigma, other, action)
    drawn = jnp.stack(prng.uniforms(key, space.dim)).reshape(space.shape)
    return action + sigma * jnp.float32(2**0.5) * jax.lax.erf_inv(2.0 * drawn - 1.0)


@lru_cache(maxsize=256)
def _choose(rule: Rule, space: Space) -> Any:
    def choose(params: Any, key: Array, t: Array, wheel: Wheel, obs: Array, proposal: Array, label: Array) -> Choice:
        k_rule, k_noise = jax.random.split(key)
        wanted, content = rule(params["rule"], k_rule, t, obs, proposal, label)
        wheel = turn(params, wheel, wanted, content)
        driven = _disturbed(space, params["noise"], k_noise, label)
        action = jnp.where(wheel.engaged, driven, proposal)
        return Choice(wheel, wheel.engaged.astype(jnp.int32), action, wheel.engaged | params["asked"])

    return choose


def gated(
    space: Space, rule: Rule, numbers: Any, seeds: int, *,
    delay: int = 0, hold: int = 1, least: int = 0, noise: float = 0.0, asked: bool = False,
) -> Behaviour:  # fmt: skip
    """The behaviour `[S, ...]` of a gate: the expert drives where `rule` calls it, which reads `numbers`, leaves `[S, ...]`.

    A label is revealed, and so charged, where the expert drives, and with `asked` at every step: where the rule has to ask for it.
    `noise` is executed while the expert drives: a standard deviation in units of the action, of discrete ones the probability of a
    random one; the label is what was meant. Rules hash by identity: use a module's function, or cache the factory that makes it.
    """
    leaves = {name: np.full(seeds, n, np.int32) for name, n in (("delay", delay), ("hold", hold), ("least", least))}
    leaves |= {"noise": np.full(seeds, noise, np.float32), "asked": np.full(seeds, asked, bool)}
    return Behaviour({"rule": numbers, **leaves}, start, _choose(rule, space))
