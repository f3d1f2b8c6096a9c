"""Bins of one number of an action after the other, each given those before it: correlation that independent bins cannot have.

p(a | o) = prod_i p(a_i | a_1 ... a_{i-1}, o), by an LSTM or a causal Transformer over the numbers. The density is exact. What is
deployed is greedy: the most probable bin of every number given those already taken, which need not be the most probable action.
Paper: Metz et al. 2017, Discrete sequential prediction of continuous actions, https://arxiv.org/abs/1705.05035; a Transformer over
binned actions: Janner et al. 2021, https://arxiv.org/abs/2106.02039
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp

from ilbench.heads._bins import check_bins, chosen, index, log_density, placed, ranged
from ilbench.heads._conditional import check_one_of, conditional, seen
from ilbench.heads._networks import check_net
from ilbench.heads._sequence import NETWORKS
from ilbench.types import Array, Box, Data, Head, Space, Spec

NEEDS = ("continuous actions",)
TRY = ("scalar_stable",)  # what the contract test fits


@dataclass(frozen=True)
class Config:
    """The networks, and the bins."""

    width: int = 64  # units per hidden layer, and of what runs over the numbers
    depth: int = 2  # hidden layers on the observation
    activation: str = "tanh"  # tanh, relu or silu
    network: str = "lstm"  # over the numbers of an action: lstm or transformer (one causal layer, one head)
    bins: int = 64  # of every number, at least 2
    over: str = "space"  # what they divide: the action bounds where there are any, or (data) the range of the rows
    deploy: str = "mode"  # greedy, the middle of the most probable bin; or (sample) a draw

    def __post_init__(self) -> None:
        check_bins("autoregressive", self)
        check_one_of("autoregressive.network", self.network, tuple(NETWORKS))


@lru_cache
def _head(obs: Space, action: Space, config: Config) -> Head:
    assert isinstance(action, Box)
    dim, bins, shape = action.dim, config.bins, action.shape
    trunk = conditional(obs, config, 0, config.width)
    over = NETWORKS[config.network](dim, config.width, bins)
    start, prepare = ranged(obs, action, config.over)

    def init(key: Array) -> Any:
        k_trunk, k_over = jax.random.split(key)
        return {"trunk": trunk.init(k_trunk), "over": over.init(k_over), "norm": start()}

    def context(params: Any, x: Array) -> Array:
        return trunk.out(params["trunk"], seen(obs, params, x), jnp.zeros((0,), jnp.float32))

    def known(params: Any, x: Array, a: Array) -> Array:
        which = index(params, bins, a)
        return chosen(over.logits(params["over"], context(params, x), which), which)

    def log_prob(params: Any, t: Array, x: Array, a: Array) -> Array:
        return log_density(params, bins, known(params, x, a), a)

    def loss(params: Any, key: Array, row: Data) -> Array:
        return -jnp.sum(known(params, row.obs, row.action))

    def walk(params: Any, x: Array, noise: Array) -> Array:
        """Bins `[A]` one after the other, of the highest logit + noise `[A, bins]`: Gumbel noise draws, none is greedy."""
        told = context(params, x)

        def step(i: Any, which: Array) -> Array:
            here = over.logits(params["over"], told, which)[i]  # of what is not yet taken it sees nothing
            return which.at[i].set(jnp.argmax(here + noise[i]).astype(jnp.int32))

        return jax.lax.fori_loop(0, dim, step, jnp.zeros((dim,), jnp.int32))

    def sample(params: Any, key: Array, t: Array, x: Array) -> Array:
        k_which, k_within = jax.random.split(key)
        which = walk(params, x, jax.random.gumbel(k_which, (dim, bins), jnp.float32))
        return placed(params, bins, which, jax.random.uniform(k_within, (dim,))).reshape(shape)

    def act(params: Any, key: Array, t: Array, memory: Any, x: Array) -> tuple[Any, Array]:
        if config.deploy == "sample":
            return memory, sample(params, key, t, x)
        return memory, placed(params, bins, walk(params, x, jnp.zeros((dim, bins), jnp.float32))).reshape(shape)

    return Head(init, loss, act, sample=sample, log_prob=log_prob, prepare=prepare)


def make(spec: Spec, config: Config) -> Head:
    """Logits `[A, bins]`, each given the numbers before it, from observations `[*obs]`; a greedy action `[*action]` is deployed."""
    check_net("autoregressive", config)
    return _head(spec.obs, spec.action, config)
