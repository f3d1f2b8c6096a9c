"""A linear map: logits for discrete actions, and for continuous ones the action itself by least squares in closed form.

Source: Rajaraman et al. 2021, linear experts, https://arxiv.org/abs/2102.12948
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp

from ilbench.heads._networks import actions_of, categorical, outputs, squared, standardise, units
from ilbench.training.nets import features, fit_norm, mlp, width_of
from ilbench.types import Array, Box, Data, Discrete, Head, Space, Spec

TRY = ("scalar_stable", "cartpole")  # what the contract test fits


@dataclass(frozen=True)
class Config:
    """The map."""

    ridge: float = 1e-6  # added to the diagonal of the normal equations, per row (continuous actions only)

    def __post_init__(self) -> None:
        if not self.ridge >= 0:
            raise ValueError(f"linear.ridge must be at least 0, got {self.ridge}")


@lru_cache
def _head(obs: Space, action: Space, config: Config) -> Head:
    init, out = outputs(*mlp(width_of(obs), (actions_of(action),)), obs)
    if isinstance(action, Discrete):
        return categorical(init, out, standardise(obs))
    assert isinstance(action, Box)
    head, (centre, half) = squared(init, out, action, standardise(obs)), units(action)

    def solve(data: Data, key: Array) -> Any:
        norm = fit_norm(obs, data.obs, data.weight)
        x = jax.vmap(lambda row: features(obs, norm, row))(data.obs)
        x = jnp.concatenate([x, jnp.ones((x.shape[0], 1), x.dtype)], axis=1)
        weighted = x * data.weight[:, None]
        gram = weighted.T @ x + config.ridge * jnp.sum(data.weight) * jnp.eye(x.shape[1], dtype=x.dtype)
        w = jnp.linalg.solve(gram, weighted.T @ ((data.action.reshape(x.shape[0], -1) - centre) / half))
        return {"net": {"Dense_0": {"kernel": w[:-1], "bias": w[-1]}}, "norm": norm}

    return dataclasses.replace(head, solve=solve)


def make(spec: Spec, config: Config) -> Head:
    """Logits `[n]` or actions `[*action]`, linear in the standardised observation."""
    return _head(spec.obs, spec.action, config)
