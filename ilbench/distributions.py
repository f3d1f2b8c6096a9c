"""The laws of an action that have closed forms: what stochastic experts and densities expose as `dist`.

Each is a NamedTuple of arrays, so that a rollout can record it; leading axes are batches. A mixture has no closed divergences and is
no Dist: its density is known and it is drawn from, no more.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ilbench.types import Array


class Categorical(NamedTuple):
    """Softmax of `logits [..., n]`."""

    logits: Array


class Normal(NamedTuple):
    """Independent Gaussians `mean [..., A]`, `std [..., A]`."""

    mean: Array
    std: Array


Dist = Categorical | Normal


class Mixture(NamedTuple):
    """Independent Gaussians `mean [..., C, A]`, `std [..., C, A]` of log-weights `[..., C]` that sum to 1."""

    log_weight: Array
    mean: Array
    std: Array


def _alike(p: Dist, q: Dist) -> None:
    if type(p) is not type(q):
        raise TypeError(f"no divergence between a {type(p).__name__} and a {type(q).__name__}: give both the same kind")


def log_prob(dist: Dist | Mixture, action: Array) -> Array:
    """Log-probability (density) of `action [..., *action]`, `[...]`."""
    if isinstance(dist, Mixture):
        return jax.nn.logsumexp(dist.log_weight + log_prob(Normal(dist.mean, dist.std), action[..., None, :]), axis=-1)
    if isinstance(dist, Categorical):
        return jnp.take_along_axis(jax.nn.log_softmax(dist.logits), action[..., None], axis=-1)[..., 0]
    z = (action - dist.mean) / dist.std
    return jnp.sum(-0.5 * jnp.square(z) - jnp.log(dist.std) - 0.5 * jnp.log(2 * jnp.pi), axis=-1)


def sample(dist: Dist | Mixture, key: Array) -> Array:
    """One draw per batch element, `[..., *action]`."""
    if isinstance(dist, Mixture):
        k_which, k_noise = jax.random.split(key)
        which = jax.random.categorical(k_which, dist.log_weight)[..., None, None]
        mean, std = (jnp.take_along_axis(leaf, which, axis=-2)[..., 0, :] for leaf in (dist.mean, dist.std))
        return mean + std * jax.random.normal(k_noise, mean.shape, mean.dtype)
    if isinstance(dist, Categorical):
        return jax.random.categorical(key, dist.logits).astype(jnp.int32)
    return dist.mean + dist.std * jax.random.normal(key, dist.mean.shape, dist.mean.dtype)


def mode(dist: Dist) -> Array:
    """The most likely action `[..., *action]`."""
    return jnp.argmax(dist.logits, axis=-1).astype(jnp.int32) if isinstance(dist, Categorical) else dist.mean


def kl(p: Dist, q: Dist) -> Array:
    """KL(p || q) `[...]`, exact; raises TypeError for laws of two kinds."""
    _alike(p, q)
    if isinstance(p, Categorical) and isinstance(q, Categorical):
        log_p = jax.nn.log_softmax(p.logits)
        return jnp.sum(jnp.exp(log_p) * (log_p - jax.nn.log_softmax(q.logits)), axis=-1)
    assert isinstance(p, Normal)
    assert isinstance(q, Normal)
    ratio, gap = p.std / q.std, (p.mean - q.mean) / q.std
    return jnp.sum(0.5 * (jnp.square(ratio) + jnp.square(gap) - 1.0) - jnp.log(ratio), axis=-1)


NODES = 64  # of the quadrature in one dimension


def jensen_shannon(p: Dist, q: Dist) -> Array:
    """Jensen-Shannon divergence `[...]`, at most log 2: exact for categorical laws, by quadrature for Gaussians of one dimension.

    With l = log wide/narrow it is log 2 - E_narrow[log(1 + e^l) + e^l log(1 + e^-l)] / 2: two terms that grow at most as l, which
    Gauss and Hermite's nodes of the narrower law take in. Raises TypeError for laws of two kinds, ValueError for more dimensions.
    """
    _alike(p, q)
    log_2 = jnp.float32(np.log(2))
    if isinstance(p, Categorical) and isinstance(q, Categorical):
        ours, theirs = jax.nn.log_softmax(p.logits), jax.nn.log_softmax(q.logits)
        middle = jnp.logaddexp(ours, theirs) - log_2
        return 0.5 * jnp.sum(jnp.exp(ours) * (ours - middle) + jnp.exp(theirs) * (theirs - middle), axis=-1)
    assert isinstance(p, Normal)
    assert isinstance(q, Normal)
    if p.mean.shape[-1] != 1:
        raise ValueError(
            f"Gaussians of {p.mean.shape[-1]} dimensions have no closed Jensen-Shannon divergence, and quadrature is of one: take a KL"
        )
    nodes, weights = np.polynomial.hermite_e.hermegauss(NODES)
    narrow, wide = (
        Normal(*(jnp.where(one, a, b) for a, b in zip(p, q, strict=True))) for one in (p.std <= q.std, p.std > q.std)
    )
    x = narrow.mean + narrow.std * jnp.asarray(nodes, jnp.float32)
    every = (Normal(law.mean[..., None, :], law.std[..., None, :]) for law in (wide, narrow))
    of_wide, of_narrow = (log_prob(law, x[..., None]) for law in every)
    ratio = of_wide - of_narrow
    low = jnp.minimum(ratio, 30.0)  # beyond, the second term is 1
    each = jax.nn.softplus(ratio) + jnp.exp(low) * jax.nn.softplus(-low)
    return log_2 - 0.5 * (each @ jnp.asarray(weights / weights.sum(), jnp.float32))


DRAWS = 256  # fixed normal draws a side, where the total variation of two Gaussians has no closed form


def total_variation(p: Dist, q: Dist) -> Array:
    """Total variation `[...]`: exact for categorical laws and for Gaussians of equal widths, else to a few percent.

    TV = E_p (1 - q/p)_+, averaged with E_q (1 - p/q)_+ over the same normal draws and their mirror images, since Gaussians of
    different widths in several dimensions have no closed form. Raises TypeError for laws of two kinds.
    """
    _alike(p, q)
    if isinstance(p, Categorical) and isinstance(q, Categorical):
        return 0.5 * jnp.sum(jnp.abs(jax.nn.softmax(p.logits) - jax.nn.softmax(q.logits)), axis=-1)
    assert isinstance(p, Normal)
    assert isinstance(q, Normal)
    equal = jax.lax.erf(jnp.linalg.norm((p.mean - q.mean) / p.std, axis=-1) / 8.0**0.5)
    z = jax.random.normal(jax.random.key(0), (DRAWS, p.mean.shape[-1]), jnp.float32)
    z = jnp.concatenate([z, -z])

    def outside(a: Normal, b: Normal) -> Array:
        x = a.mean[..., None, :] + a.std[..., None, :] * z
        every = Normal(*(leaf[..., None, :] for leaf in a)), Normal(*(leaf[..., None, :] for leaf in b))
        return jnp.mean(jnp.maximum(0.0, 1.0 - jnp.exp(log_prob(every[1], x) - log_prob(every[0], x))), axis=-1)

    return jnp.where((p.std == q.std).all(-1), equal, 0.5 * (outside(p, q) + outside(q, p)))


def variation_at(action: Array, q: Dist) -> Array:
    """Total variation between always taking `action [..., *action]` and q, `[...]`: 1 - q(action), and 1 for a density."""
    if isinstance(q, Categorical):
        return 1.0 - jnp.exp(log_prob(q, action))
    return jnp.ones(q.mean.shape[:-1], jnp.float32)
