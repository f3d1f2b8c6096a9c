"""An implicit policy: a net tells the energy of an action, and acting searches for the lowest one.

Where a regression has to draw a line between two modes, an energy has two valleys and jumps. It is trained to tell the expert's action
among uniform ones (InfoNCE), for which the best energy is -log p(a | o) up to a constant. The search, over the range of the rows and 5 %
more: `shrink` draws again from softmax(-energy) and adds noise that halves each time, `langevin` walks down the gradient under noise.
`sample` takes one of `candidates` uniform actions by softmax(-energy), which is the law itself as they grow in number. The constant is
not known, so there is no `log_prob`.
Here: 64 uniform actions instead of 256, and fewer candidates halved more often (16,384 and 3 times), for nets and actions as small as
ours; negatives of the Langevin walk and the penalty on gradients that come with it are left out.
Paper: Florence et al. 2021, Implicit behavioral cloning, https://arxiv.org/abs/2109.00137, and its released code, ibc.agents.mcmc
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp

from ilbench.compute import prng
from ilbench.heads._conditional import check_between, check_one_of, conditional, norms, prepare, scaled, seen, unscaled
from ilbench.heads._networks import check_net
from ilbench.types import Array, Box, Data, Head, Space, Spec

NEEDS = ("continuous actions",)
TRY = ("scalar_stable",)  # what the contract test fits
MOST = 65_536  # candidates of a search, and uniform actions beside each row
BEYOND = 0.05  # of the rows' range, searched on either side of it; released code
NOISE, LESS = 0.33, 0.5  # of half the range: the first noise of `shrink`, and what is left of it each time; the paper's
STEP, LAST, POWER, FAR = 0.1, 1e-5, 2.0, 0.1  # of `langevin`: from, to, by which power, how far at most; released
ITERATIONS = {"shrink": 6, "langevin": 25}  # the paper shrinks 3 times; the released walk has 25 steps


@dataclass(frozen=True)
class Config:
    """The network, what it is trained against, and the search."""

    width: int = 64  # units per hidden layer
    depth: int = 2  # hidden layers
    activation: str = "tanh"  # tanh, relu or silu
    negatives: int = 64  # uniform actions beside each row, 1 ... 65536; Florence et al. take 256
    search: str = "shrink"  # shrink: draw again under shrinking noise; langevin: walk down the gradient under noise
    candidates: int = 256  # actions that are searched from, 2 ... 65536; Florence et al. take 16,384, and 512 to walk
    iterations: int = 0  # evaluations of each, 1 ... 1000; 0: 6 (shrink) or 25 (langevin)

    def __post_init__(self) -> None:
        check_between("energy.negatives", self.negatives, 1, MOST)
        check_between("energy.candidates", self.candidates, 2, MOST)
        check_between("energy.iterations", self.iterations, 0, 1000)
        check_one_of("energy.search", self.search, tuple(ITERATIONS))


Energy = Callable[[Array], Array]  # of actions `[N, A]` in half ranges from the middle: `[N]`


def taken(key: Array, energy: Array, count: int) -> Array:
    """`count` draws of an index by softmax(-energy `[N]`), `[count]` int32."""
    below = jnp.cumsum(jax.nn.softmax(-energy))
    at = jax.random.uniform(key, (count,)) * below[-1]
    return jnp.minimum(jnp.searchsorted(below, at, side="right"), energy.shape[0] - 1).astype(jnp.int32)


def shrunk(key: Array, energy: Energy, u: Array, iterations: int) -> Array:
    """Candidates `u [N, A]` after draws by their energies and noise of .33, .165 ...: one evaluation is left for the last of them."""

    def again(i: Any, u: Array) -> Array:
        k_which, k_noise = jax.random.split(jax.random.fold_in(key, i))
        u = u[taken(k_which, energy(u), u.shape[0])]
        noise = NOISE * LESS ** jnp.float32(i) * jax.random.normal(k_noise, u.shape, jnp.float32)
        return jnp.clip(u + noise, -1, 1)

    return jax.lax.fori_loop(0, iterations - 1, again, u)


def walked(key: Array, energy: Energy, u: Array, iterations: int) -> Array:
    """Candidates `u [N, A]` after steps of (half the gradient + noise) times a rate that falls from .1."""
    slope = jax.grad(lambda u: jnp.sum(energy(u)))

    def step(i: Any, u: Array) -> Array:
        left = 1 - jnp.float32(i) / max(iterations - 1, 1)
        rate = (STEP - LAST) * left**POWER + LAST
        noise = jax.random.normal(jax.random.fold_in(key, i), u.shape, jnp.float32)
        return jnp.clip(u - jnp.clip(rate * (0.5 * slope(u) + noise), -FAR, FAR), -1, 1)

    return jax.lax.fori_loop(0, iterations, step, u)


SEARCH = {"shrink": shrunk, "langevin": walked}


@lru_cache
def _head(obs: Space, action: Space, config: Config) -> Head:
    assert isinstance(action, Box)
    dim, shape, bounds = action.dim, action.shape, (action.low, action.high)
    net = conditional(obs, config, dim, 1)
    search, iterations = SEARCH[config.search], config.iterations or ITERATIONS[config.search]

    def init(key: Array) -> Any:
        return {"net": net.init(key), "norm": norms(obs, dim)}

    def box(params: Any) -> tuple[Array, Array]:
        """Middle and half `[A]` of what is searched, in units of the rows: their range, 5 % more, and no action beyond the bounds."""
        scale = params["norm"]["action"]
        more = BEYOND * (scale["high"] - scale["low"])
        least, most = ((jnp.float32(limit) - scale["centre"]) / scale["unit"] for limit in bounds)
        low = jnp.minimum(jnp.maximum(scale["low"] - more, least), scale["low"])  # rows beyond the bounds stay inside
        high = jnp.maximum(jnp.minimum(scale["high"] + more, most), scale["high"])
        return (low + high) / 2, (high - low) / 2

    def energy_at(params: Any, x: Array) -> Energy:
        told = seen(obs, params, x)
        return lambda u: jax.vmap(lambda one: net.out(params["net"], told, one)[0])(u)

    def uniform(key: Array, count: int) -> Array:
        return jax.random.uniform(key, (count, dim), jnp.float32, -1, 1)

    def loss(params: Any, key: Array, row: Data) -> Array:
        middle, half = box(params)
        u = (scaled(params, row.action) - middle) / half
        energy = energy_at(params, row.obs)(jnp.concatenate([u[None], uniform(key, config.negatives)]))
        return energy[0] + jax.nn.logsumexp(-energy)

    def placed(params: Any, u: Array) -> Array:
        middle, half = box(params)
        return unscaled(params, middle + half * u, shape)

    def sample(params: Any, key: Array, t: Array, x: Array) -> Array:
        k_from, k_which = jax.random.split(prng.builtin(key))
        u = uniform(k_from, config.candidates)
        return placed(params, u[taken(k_which, energy_at(params, x)(u), 1)[0]])

    def act(params: Any, key: Array, t: Array, memory: Any, x: Array) -> tuple[Any, Array]:
        # JAX's own generator, the same bits: a search draws in a loop, and jaxlib 0.12 compiles written-out rounds there for an hour.
        k_from, k_search = jax.random.split(prng.builtin(key))
        energy = energy_at(params, x)
        u = search(k_search, energy, uniform(k_from, config.candidates), iterations)
        return memory, placed(params, u[jnp.argmin(energy(u))])

    return Head(init, loss, act, sample=sample, prepare=prepare(obs))


def make(spec: Spec, config: Config) -> Head:
    """Energies `[]` from observations `[*obs]` and actions `[A]`; the action `[*action]` of the lowest one found is deployed."""
    check_net("energy", config)
    return _head(spec.obs, spec.action, config)
