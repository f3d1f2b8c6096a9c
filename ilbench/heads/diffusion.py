"""Denoising diffusion: a net tells the noise in a disturbed action, and acting takes it out level by level.

Trained on the noise (epsilon) under the squared-cosine schedule of K levels. Two samplers over n of these levels: `ddpm` draws from
the posterior at every level (all K of them are the original), `ddim` follows it without noise. Estimates of the action are clipped
to the range of the rows, without which the first levels, all noise, would throw them far away.
Paper: Ho et al. 2020, DDPM, https://arxiv.org/abs/2006.11239; Song et al. 2020, DDIM, https://arxiv.org/abs/2010.02502; schedule:
Nichol & Dhariwal 2021, https://arxiv.org/abs/2102.09672; as a policy: Chi et al. 2023, https://arxiv.org/abs/2303.04137
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ilbench.heads._conditional import check_between, check_one_of, conditional, norms, prepare, scaled, seen, unscaled
from ilbench.heads._networks import check_net
from ilbench.types import Array, Box, Data, Head, Space, Spec

NEEDS = ("continuous actions",)
TRY = ("scalar_stable",)  # what the contract test fits
MOST = 4096  # levels; Nichol & Dhariwal train with 4000


@dataclass(frozen=True)
class Config:
    """The network, the levels of noise, and how they are walked down."""

    width: int = 64  # units per hidden layer
    depth: int = 2  # hidden layers
    activation: str = "tanh"  # tanh, relu or silu
    levels: int = 100  # K; Chi et al. train with 100
    sampler: str = "ddim"  # ddim: no noise on the way; ddpm: noise at every step
    steps: int = 10  # levels that are visited, 1 ... K; Chi et al. take 100 in simulation, 10 (ddim) on robots
    start: str = "normal"  # what is deployed begins at a draw; or (zero) at z = 0, without noise at all under ddim

    def __post_init__(self) -> None:
        check_between("diffusion.levels", self.levels, 2, MOST)
        if not 1 <= self.steps <= self.levels:
            raise ValueError(f"diffusion.steps must be 1 ... levels = {self.levels}, got {self.steps}")
        check_one_of("diffusion.sampler", self.sampler, ("ddim", "ddpm"))
        check_one_of("diffusion.start", self.start, ("normal", "zero"))


@lru_cache
def schedule(levels: int) -> np.ndarray:
    """Share of the action's variance left at levels 0 ... K, `[K + 1]` float64 (alpha bar), by the squared cosine."""
    f = np.cos((np.arange(levels + 1) / levels + 0.008) / 1.008 * np.pi / 2) ** 2
    return np.concatenate([[1.0], np.cumprod(1 - np.minimum(1 - f[1:] / f[:-1], 0.999))])


def posterior(estimate: Any, y: Any, left: Any, then: Any) -> tuple[Any, Any]:
    """`(mean, variance)` of the action at the lower level, given `y` at the higher one and the `estimate` of the clean one.

    `left` and `then` are alpha bar at the higher and the lower level, which need not be neighbours.
    """
    ratio = left / then
    mean = (then**0.5 * (1 - ratio) * estimate + ratio**0.5 * (1 - then) * y) / (1 - left)
    return mean, (1 - then) / (1 - left) * (1 - ratio)


def walked(
    noise_in: Callable[[Array, Array], Array], z: Array, noise: Array, config: Config, clip: Callable[[Array], Array]
) -> Array:
    """From `z [A]` at the highest level to an action; `noise_in(y, level / K) -> [A]`, `noise [n, A]` that ddpm adds."""
    visited = np.round(np.linspace(config.levels, 0, config.steps + 1)).astype(int)
    left = jnp.asarray(schedule(config.levels)[visited], jnp.float32)
    times = jnp.asarray(visited / config.levels, jnp.float32)

    def step(i: Any, y: Array) -> Array:
        now, then = left[i], left[i + 1]
        estimate = clip((y - jnp.sqrt(1 - now) * noise_in(y, times[i])) / jnp.sqrt(now))
        if config.sampler == "ddpm":
            mean, variance = posterior(estimate, y, now, then)
            return mean + jnp.sqrt(variance) * noise[i]
        within = (y - jnp.sqrt(now) * estimate) / jnp.sqrt(1 - now)  # of the clipped estimate, that both agree
        return jnp.sqrt(then) * estimate + jnp.sqrt(1 - then) * within

    return jax.lax.fori_loop(0, config.steps, step, z)


@lru_cache
def _head(obs: Space, action: Space, config: Config) -> Head:
    assert isinstance(action, Box)
    dim, shape = action.dim, action.shape
    net = conditional(obs, config, dim, dim, times=1)
    left = jnp.asarray(schedule(config.levels), jnp.float32)

    def init(key: Array) -> Any:
        return {"net": net.init(key), "norm": norms(obs, dim)}

    def loss(params: Any, key: Array, row: Data) -> Array:
        k_level, k_noise = jax.random.split(key)
        level = jax.random.randint(k_level, (), 1, config.levels + 1)
        noise = jax.random.normal(k_noise, (dim,), jnp.float32)
        y = jnp.sqrt(left[level]) * scaled(params, row.action) + jnp.sqrt(1 - left[level]) * noise
        found = net.out(params["net"], seen(obs, params, row.obs), y, jnp.float32(level) / config.levels)
        return jnp.mean(jnp.square(found - noise))

    def made(params: Any, x: Array, key: Array, start: str) -> Array:
        told, scale = seen(obs, params, x), params["norm"]["action"]
        noise = jax.random.normal(key, (config.steps + 1, dim), jnp.float32)
        z = noise[-1] if start == "normal" else jnp.zeros((dim,), jnp.float32)
        y = walked(
            lambda y, time: net.out(params["net"], told, y, time), z, noise, config,
            lambda y: jnp.clip(y, scale["low"], scale["high"]),
        )  # fmt: skip
        return unscaled(params, y, shape)

    def sample(params: Any, key: Array, t: Array, x: Array) -> Array:
        return made(params, x, key, "normal")

    def act(params: Any, key: Array, t: Array, memory: Any, x: Array) -> tuple[Any, Array]:
        return memory, made(params, x, key, config.start)

    return Head(init, loss, act, sample=sample, prepare=prepare(obs))


def make(spec: Spec, config: Config) -> Head:
    """Noise `[A]` from observations `[*obs]`, disturbed actions and levels; a drawn action `[*action]` is deployed."""
    check_net("diffusion", config)
    return _head(spec.obs, spec.action, config)
