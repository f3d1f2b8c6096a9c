"""A conditional variational autoencoder: a latent, drawn before the action, stands for what the observation leaves open.

Squared error and one Gaussian average modes; here the latent says which mode, and the Gaussian after it need not be wide. Minimised is
the negative evidence bound E_q[-log p(a | o, z)] + beta KL(q(z | o, a) || N(0, I)): the encoder q sees the action, in training alone.
Deployed is the decoder's mean at a draw of z, or (ACT) at z = 0; `sample` draws z and the decoder's noise. The density is an integral
over z that the bound only bounds, so there is no `log_prob`. The decoder's width is learnt, one of every number for all observations.
Paper: Sohn, Lee & Yan 2015, Learning structured output representation using deep conditional generative models,
https://papers.nips.cc/paper/5775; beta: Higgins et al. 2017, https://openreview.net/forum?id=Sy2fzU9gl; as a policy, z = 0: Zhao et al.
2023, ACT, https://arxiv.org/abs/2304.13705; the width: Rybkin et al. 2021, https://arxiv.org/abs/2006.13202
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp

from ilbench.heads._conditional import (
    check_at_least,
    check_between,
    check_one_of,
    check_positive,
    conditional,
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
MOST = 1024  # numbers of a latent


@dataclass(frozen=True)
class Config:
    """The networks, the latent, and where it acts from."""

    width: int = 64  # units per hidden layer, of the encoder and of the decoder
    depth: int = 2  # hidden layers of each
    activation: str = "tanh"  # tanh, relu or silu
    # Numbers of z, 1 ... 1024. ACT takes 32 for chunks of 100 actions of 14 numbers; more than there are modes to tell apart are noise
    # that the decoder first learns to ignore, all of them together: of 8, two modes of one number learnt none.
    latent: int = 2
    beta: float = 1.0  # weight of the KL term; 1 is the bound itself, ACT takes 10 beside an absolute error of width 1
    min_std: float = 1e-2  # floor of the decoder's width, in units of the rows' spread
    z: str = "normal"  # what is deployed begins at a draw of z, or (zero) at z = 0 as ACT does

    def __post_init__(self) -> None:
        check_between("cvae.latent", self.latent, 1, MOST)
        check_at_least("cvae.beta", self.beta, 0)
        check_positive("cvae.min_std", self.min_std)
        check_one_of("cvae.z", self.z, ("normal", "zero"))


def divergence(mean: Array, log_std: Array) -> Array:
    """KL `[]` of a diagonal Gaussian `[Z]` from the standard normal law, in nats."""
    return 0.5 * jnp.sum(jnp.square(mean) + jnp.exp(2 * log_std) - 1 - 2 * log_std)


@lru_cache
def _head(obs: Space, action: Space, config: Config) -> Head:
    assert isinstance(action, Box)
    dim, shape, size = action.dim, action.shape, config.latent
    encoder, decoder = conditional(obs, config, dim, 2 * size), conditional(obs, config, size, dim)

    def init(key: Array) -> Any:
        k_in, k_out = jax.random.split(key)
        nets = {"encoder": encoder.init(k_in), "decoder": decoder.init(k_out)}
        return {**nets, "raw_std": jnp.zeros((dim,), jnp.float32), "norm": norms(obs, dim)}

    def width(params: Any) -> Array:
        return config.min_std + jax.nn.softplus(params["raw_std"])

    def decoded(params: Any, x: Array, z: Array) -> Array:
        return decoder.out(params["decoder"], seen(obs, params, x), z)

    def loss(params: Any, key: Array, row: Data) -> Array:
        a = scaled(params, row.action)
        mean, log_std = encoder.out(params["encoder"], seen(obs, params, row.obs), a).reshape(2, size)
        z = mean + jnp.exp(log_std) * jax.random.normal(key, (size,), jnp.float32)
        std = width(params)
        miss = (a - decoded(params, row.obs, z)) / std
        told = 0.5 * jnp.sum(jnp.square(miss)) + jnp.sum(jnp.log(std)) + 0.5 * dim * jnp.log(2 * jnp.pi)
        return told + config.beta * divergence(mean, log_std)

    def sample(params: Any, key: Array, t: Array, x: Array) -> Array:
        k_latent, k_noise = jax.random.split(key)
        mean = decoded(params, x, jax.random.normal(k_latent, (size,), jnp.float32))
        return unscaled(params, mean + width(params) * jax.random.normal(k_noise, (dim,), jnp.float32), shape)

    def act(params: Any, key: Array, t: Array, memory: Any, x: Array) -> tuple[Any, Array]:
        z = jnp.zeros((size,), jnp.float32) if config.z == "zero" else jax.random.normal(key, (size,), jnp.float32)
        return memory, unscaled(params, decoded(params, x, z), shape)

    return Head(init, loss, act, sample=sample, prepare=prepare(obs))


def make(spec: Spec, config: Config) -> Head:
    """Means `[A]` from observations `[*obs]` and a latent `[Z]`; the mean `[*action]` at one of them is deployed."""
    check_net("cvae", config)
    return _head(spec.obs, spec.action, config)
