"""f-divergences of a head from the expert's law beside a row: D(p || q) = integral of q f(p / q), p the expert's law, q the head's.

Each is one function of two log-densities, the integrand, with f written such that f(1) = f'(1) = 0 (linear terms integrate to nothing).
What is summed or integrated is this function, and its gradient is taken through log q alone:

    discrete actions     the sum over all of them, exact
    one number           Gauss and Legendre's nodes between the landmarks of both laws: to 1e-4 of the value, to 2e-3 where the integrand
                         has a kink (total variation); what lies beyond nine standard deviations of all is left out
    otherwise            draws of both laws, each with density m = (p + q) / 2: the mean of integrand / m is D and its gradient's mean is
                         D's, without bias for any head that draws and has a likelihood, and zero at every draw once p = q

A term beyond e^40 goes on as its tangent, where a float32 would end: a chi-squared that is infinite is large, and its gradient finite.
Source: Liese & Vajda 2006, https://doi.org/10.1109/TIT.2006.881731; weights of draws from both: Veach & Guibas 1995, https://doi.org/10.1145/218380.218498
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ilbench import distributions
from ilbench.compute.parallel import per_seed
from ilbench.distributions import Categorical, Mixture, Normal
from ilbench.training import laws
from ilbench.training.fit import Objective
from ilbench.training.lab import Lab
from ilbench.training.rows import compact
from ilbench.types import Array, Box, Data, Demos, Discrete, Head, PyTree

Integrand = Callable[[Array, Array, Any], Array]  # (log p, log q, alpha) -> q f(p / q)
MOST = 40.0  # exponent from which a term goes on as its tangent
LEAST = -1e4  # log-density that stands for none


# ------------------------------------------------------------------------------------- integrands
def _exp(x: Array) -> Array:
    """exp, with its tangent beyond MOST."""
    low = jnp.minimum(x, MOST)
    return jnp.exp(low) * (1.0 + x - low)


def forward_kl(log_p: Array, log_q: Array, alpha: Any = None) -> Array:
    """Of KL(p || q), f = u log u - u + 1: what behaviour cloning minimises."""
    p = jnp.exp(log_p)
    return p * (log_p - log_q) - p + jnp.exp(log_q)


def reverse_kl(log_p: Array, log_q: Array, alpha: Any = None) -> Array:
    """Of KL(q || p), f = -log u + u - 1."""
    q = jnp.exp(log_q)
    return q * (log_q - log_p) - q + jnp.exp(log_p)


def jensen_shannon(log_p: Array, log_q: Array, alpha: Any = None) -> Array:
    """Of the Jensen-Shannon divergence, at most log 2."""
    middle = jnp.logaddexp(log_p, log_q) - jnp.float32(np.log(2))
    return 0.5 * (jnp.exp(log_p) * (log_p - middle) + jnp.exp(log_q) * (log_q - middle))


def total_variation(log_p: Array, log_q: Array, alpha: Any = None) -> Array:
    """Of the total variation, f = |u - 1| / 2, at most 1."""
    return 0.5 * jnp.abs(jnp.exp(log_p) - jnp.exp(log_q))


def chi_squared(log_p: Array, log_q: Array, alpha: Any = None) -> Array:
    """Of Pearson's chi-squared, f = (u - 1)^2: the integral of p^2 / q, minus 1."""
    return _exp(2.0 * log_p - log_q) - 2.0 * jnp.exp(log_p) + jnp.exp(log_q)


def alpha_divergence(log_p: Array, log_q: Array, alpha: Any) -> Array:
    """f = (u^a - a u - 1 + a) / (a (a - 1)), a not 0 or 1: the reverse KL as a goes to 0, the forward one to 1, chi-squared / 2 at 2."""
    both = _exp(alpha * log_p + (1.0 - alpha) * log_q)
    return (both - alpha * jnp.exp(log_p) - (1.0 - alpha) * jnp.exp(log_q)) / (alpha * (alpha - 1.0))


DIVERGENCES: dict[str, Integrand] = {
    "forward_kl": forward_kl,
    "reverse_kl": reverse_kl,
    "jensen_shannon": jensen_shannon,
    "total_variation": total_variation,
    "chi_squared": chi_squared,
    "alpha": alpha_divergence,
}


# ------------------------------------------------------------------------------------- quadrature
LANDMARKS = (0.0, 1.0, 2.0, 3.0, 4.5, 6.5, 9.0)  # standard deviations to either side of every Gaussian's mean
NODES = 12  # of Gauss and Legendre's rule, between two landmarks


def nodes(law: Mixture, mine: Normal) -> tuple[Array, Array]:
    """Numbers and weights `[K]` that integrate what two laws of one number make, on the scale of whichever is narrow there."""
    away = jnp.asarray(sorted({s * z for z in LANDMARKS for s in (-1.0, 1.0)}), jnp.float32)
    mean, std = (jnp.concatenate([a[:, 0], b]) for a, b in ((law.mean, mine.mean), (law.std, mine.std)))
    edges = jnp.sort((mean[:, None] + std[:, None] * away[None]).reshape(-1))
    x, w = (jnp.asarray(v, jnp.float32) for v in np.polynomial.legendre.leggauss(NODES))
    half, middle = (edges[1:] - edges[:-1]) / 2.0, (edges[1:] + edges[:-1]) / 2.0
    return (middle[:, None] + half[:, None] * x[None]).reshape(-1), (half[:, None] * w[None]).reshape(-1)


# ------------------------------------------------------------------------------------- objectives
def _exact(integrand: Integrand, head: Head, alpha: Any, params: PyTree, row: Data) -> Array:
    assert head.dist is not None
    mine, law = head.dist(params, row.t, row.obs), row.extra
    if isinstance(law, Categorical):
        return jnp.sum(integrand(jax.nn.log_softmax(law.logits), jax.nn.log_softmax(mine.logits), alpha))
    x, weight = nodes(law, jax.lax.stop_gradient(mine))
    log_p, log_q = (jax.vmap(partial(distributions.log_prob, d))(x[:, None]) for d in (law, mine))
    return weight @ integrand(log_p, log_q, alpha)


def _drawn(integrand: Integrand, draws: int, head: Head, alpha: Any, params: PyTree, key: Array, row: Data) -> Array:
    assert head.sample is not None
    assert head.log_prob is not None
    sample, log_prob, law = head.sample, head.log_prob, row.extra

    def one(action: Array) -> Array:
        action = jax.lax.stop_gradient(action).reshape(row.action.shape)
        q = log_prob(params, row.t, row.obs, action)
        q = jnp.where(jnp.isfinite(q), q, LEAST)  # outside of what the head can do
        p = distributions.log_prob(law, action if isinstance(law, Categorical) else action.reshape(-1))
        middle = jax.lax.stop_gradient(jnp.logaddexp(p, q)) - jnp.float32(np.log(2))
        return integrand(p - middle, q - middle, alpha)

    def both(key: Array) -> Array:
        k_mine, k_law = jax.random.split(key)
        mine = sample(jax.lax.stop_gradient(params), k_mine, row.t, row.obs)
        return 0.5 * (one(mine) + one(distributions.sample(law, k_law)))

    return jnp.mean(jax.vmap(both)(jax.random.split(key, draws)))


@lru_cache
def objective(divergence: str, draws: int = 0) -> Objective:
    """D of a row whose `extra` is the expert's law, for a fit; exactly, or of so many draws from either law. `given` is alpha `[]`."""
    integrand = DIVERGENCES[divergence]

    def loss(head: Head, given: PyTree, params: PyTree, key: Array, row: Data) -> Array:
        if draws:
            return _drawn(integrand, draws, head, given, params, key, row)
        return _exact(integrand, head, given, params, row)

    return loss


# ------------------------------------------------------------------------------------------ laws
def _mixtures(shared: Any, item: Any, *, law: Any) -> Any:
    """What an expert says of rows `[R]`."""
    return jax.vmap(law, (None, 0, 0))(shared, item.t, item.obs)


def _points(data: Data, space: Any) -> Any:
    """The laws of experts that do one thing: at every row its label."""
    if isinstance(space, Discrete):
        one: Any = np.arange(space.n) == np.asarray(data.action)[..., None]
        sure: Any = np.where(one, 0.0, -np.inf).astype(np.float32)
        return Categorical(sure)
    mean: Any = np.asarray(data.action).reshape(*np.shape(data.weight), 1, -1)
    parts: Any = np.zeros(mean.shape[:-1], np.float32), np.zeros_like(mean)
    return Mixture(parts[0], mean, parts[1])


def smoothed(law: Any, space: Any, smoothing: float) -> Any:
    """A law of which a share is uniform over the actions, or with so many halves of their range as the sd of a noise added to them."""
    if isinstance(law, Categorical):
        p = np.asarray(jax.nn.softmax(jnp.asarray(law.logits), axis=-1))
        with np.errstate(divide="ignore"):
            return (
                Categorical(np.log((1 - smoothing) * p + smoothing / p.shape[-1]).astype(np.float32))
                if smoothing
                else law
            )
    assert isinstance(space, Box)
    half = (space.high - space.low) / 2 if np.isfinite(space.high - space.low) else 1.0
    return law._replace(std=np.hypot(law.std, np.float32(smoothing * half)).astype(np.float32))


def demonstrated(lab: Lab, smoothing: float = 0.0) -> tuple[Demos, Data]:
    """Demonstrations for all of the budget, and their rows `[S, budget, ...]`, each with the expert's law of its state as `extra`.

    A law is charged as the label that it comes with. Raises what `demonstrate` raises.
    """
    expert, space = lab.task.ask(), lab.task.env.action
    demos = lab.demonstrate(record=() if expert.dist is None else ("dist",))
    data, law = lab.rows(demos), None
    if expert.dist is not None:
        data = laws.beside(data, demos.dist)
    data = compact(data, lab.budget)
    if expert.dist is not None:
        law = data.extra
        if isinstance(law, Normal):
            alone: Any = np.zeros((*np.shape(data.weight), 1), np.float32)
            law = Mixture(alone, *(x[..., None, :] for x in law))
    elif expert.mixture is not None:
        law = per_seed(_mixtures, law=expert.mixture)(expert.params, data)
    law = smoothed(_points(data, space) if law is None else jax.tree.map(np.asarray, law), space, smoothing)
    if isinstance(law, Mixture):  # where there is no row the law is of width 1, and has a density
        std: Any = np.where(np.asarray(data.weight)[..., None, None] > 0, law.std, np.float32(1))
        law = law._replace(std=std)
    return demos, data._replace(extra=law)
