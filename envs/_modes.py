"""The law of an expert that has several ways to act: Gaussians of one width round each, and how likely each is.

It has no closed divergences and is no Dist; its likelihood is known, and so is the mean action, which is what is fatal.
Source: Bishop 1994, Mixture density networks, https://publications.aston.ac.uk/id/eprint/373/
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ilbench.types import Array


class Modes(NamedTuple):
    """A mixture of Gaussians with one width."""

    log_weight: Array  # `[K]`, of probabilities that sum to 1; -inf for a way that is not taken
    mean: Array  # `[K, A]`
    std: Any  # `[]` in units of the action


def draw(law: Modes, key: Array) -> Array:
    """A draw `[A]`: of a way, then round it."""
    k_way, k_noise = jax.random.split(key)
    way = jax.random.categorical(k_way, law.log_weight)
    return law.mean[way] + law.std * jax.random.normal(k_noise, law.mean.shape[1:], jnp.float32)


def log_prob(law: Modes, action: Array) -> Array:
    """Log-density `[]` of `action [A]`, before an env clips it; the std must be positive."""
    z = (action[None] - law.mean) / law.std
    volume = action.shape[-1] * (jnp.log(law.std) + 0.5 * jnp.log(2 * jnp.pi))
    return jax.nn.logsumexp(law.log_weight - 0.5 * jnp.sum(z * z, -1)) - volume


def average(law: Modes) -> Array:
    """The mean action `[A]`: what regression on draws of the law tends to."""
    return jnp.exp(law.log_weight) @ law.mean


def likeliest(law: Modes) -> Array:
    """The middle `[A]` of the likeliest way, the first of equals."""
    return law.mean[jnp.argmax(law.log_weight)]
