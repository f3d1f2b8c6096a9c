"""A mixture of Gaussians over continuous actions, trained by maximum likelihood: modes stay apart that one Gaussian would average.

The deployed action is the mean of one component, a deterministic rule; `sample` draws from the whole law. It has no closed
divergences, hence no `dist`.
Paper: Bishop 1994, Mixture density networks, https://publications.aston.ac.uk/id/eprint/373/; five components and their use in
imitation: Mandlekar et al. 2021, https://arxiv.org/abs/2108.03298
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp

from ilbench.heads._conditional import (
    check_one_of,
    check_positive,
    conditional,
    norms,
    prepare,
    scaled,
    seen,
    unscaled,
    volume,
)
from ilbench.heads._networks import check_net
from ilbench.types import Array, Box, Data, Head, Space, Spec

NEEDS = ("continuous actions",)
TRY = ("scalar_stable",)  # what the contract test fits
MOST = 16  # components


@dataclass(frozen=True)
class Config:
    """The network, the components, and which of them acts."""

    width: int = 64  # units per hidden layer
    depth: int = 2  # hidden layers
    activation: str = "tanh"  # tanh, relu or silu
    components: int = 5  # Gaussians, 1 ... 16; Mandlekar et al. take 5
    min_std: float = 1e-2  # floor, in units of the rows' spread: a deterministic expert would drive the width to 0
    # density: of the means the one where the whole law is highest; component: the mean of the weightiest; sample: a draw
    deploy: str = "density"

    def __post_init__(self) -> None:
        if not 1 <= self.components <= MOST:
            raise ValueError(
                f"mixture.components must be 1 ... {MOST}, got {self.components}; more are better binned: try bins"
            )
        check_positive("mixture.min_std", self.min_std)
        check_one_of("mixture.deploy", self.deploy, ("density", "component", "sample"))


@lru_cache
def _head(obs: Space, action: Space, config: Config) -> Head:
    assert isinstance(action, Box)
    dim, many, shape = action.dim, config.components, action.shape
    net = conditional(obs, config, 0, many * (1 + 2 * dim))

    def init(key: Array) -> Any:
        k_net, k_apart = jax.random.split(key)
        # Means begin apart: at an observation of zeros a fresh net answers the same for all, and equals get equal gradients.
        return {"net": net.init(k_net), "apart": jax.random.normal(k_apart, (many, dim)), "norm": norms(obs, dim)}

    def law(params: Any, x: Array) -> tuple[Array, Array, Array]:
        """Log-weights `[C]`, means and widths `[C, A]` in units of the rows."""
        out = net.out(params["net"], seen(obs, params, x), jnp.zeros((0,), jnp.float32))
        mean, raw = out[many:].reshape(2, many, dim)
        return jax.nn.log_softmax(out[:many]), params["apart"] + mean, config.min_std + jax.nn.softplus(raw)

    def density(log_weight: Array, mean: Array, std: Array, y: Array) -> Array:
        each = -0.5 * jnp.square((y[None] - mean) / std) - jnp.log(std) - 0.5 * jnp.log(2 * jnp.pi)
        return jax.nn.logsumexp(log_weight + jnp.sum(each, axis=-1))

    def log_prob(params: Any, t: Array, x: Array, a: Array) -> Array:
        return density(*law(params, x), scaled(params, a)) - volume(params)

    def loss(params: Any, key: Array, row: Data) -> Array:
        return -density(*law(params, row.obs), scaled(params, row.action))

    def sample(params: Any, key: Array, t: Array, x: Array) -> Array:
        k_which, k_noise = jax.random.split(key)
        log_weight, mean, std = law(params, x)
        which = jax.random.categorical(k_which, log_weight)
        return unscaled(params, mean[which] + std[which] * jax.random.normal(k_noise, (dim,), jnp.float32), shape)

    def act(params: Any, key: Array, t: Array, memory: Any, x: Array) -> tuple[Any, Array]:
        if config.deploy == "sample":
            return memory, sample(params, key, t, x)
        log_weight, mean, std = law(params, x)
        height = (
            jax.vmap(lambda y: density(log_weight, mean, std, y))(mean) if config.deploy == "density" else log_weight
        )
        return memory, unscaled(params, mean[jnp.argmax(height)], shape)

    return Head(init, loss, act, sample=sample, log_prob=log_prob, prepare=prepare(obs))


def make(spec: Spec, config: Config) -> Head:
    """Weights, means and widths of the components from observations `[*obs]`; one mean `[*action]` is deployed."""
    check_net("mixture", config)
    return _head(spec.obs, spec.action, config)
