"""One action per observation, counted: the maximum-likelihood table for tabular tasks.

Paper: Pomerleau 1989 (behaviour cloning); the finite-sample analysis of the per-step table is Rajaraman et al. 2020, https://arxiv.org/abs/2009.05990
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ilbench.types import Array, Data, Discrete, Head, Spec

RULES = ("uniform", "wrong", "fixed")
NEEDS = ("discrete observations", "discrete actions")
TRY = ("gridworld",)  # what the contract test fits


@dataclass(frozen=True)
class Config:
    """How observations are counted, and what happens where there are none."""

    per_step: bool = False  # one table per time step (no parameter sharing) or one for all
    unseen: str = (
        "uniform"  # uniform: any action each time; wrong: never the expert's; fixed: a random one drawn at init
    )
    smoothing: float = 1.0  # Laplace count for log-probabilities; the deployed action is the most counted one

    def __post_init__(self) -> None:
        if self.unseen not in RULES:
            raise ValueError(f"table.unseen must be one of {', '.join(RULES)}, got {self.unseen!r}")
        if not self.smoothing >= 0:
            raise ValueError(f"table.smoothing must be at least 0, got {self.smoothing}")


@lru_cache(maxsize=256)
def _head(steps: int, states: int, actions: int, config: Config, wrong: bytes | None) -> Head:
    avoid = None if wrong is None else np.frombuffer(wrong, np.int32).reshape(-1, states)

    def row(params: Any, t: Array, obs: Array) -> Array:
        return params["counts"][jnp.minimum(t, steps - 1), obs]

    def init(key: Array) -> Any:
        params = {"counts": jnp.zeros((steps, states, actions), jnp.float32)}
        if config.unseen == "fixed":
            params["unseen"] = jax.random.randint(key, (steps, states), 0, actions, jnp.int32)
        elif avoid is not None:
            params["unseen"] = jnp.asarray(avoid)
        return params

    def solve(data: Data, key: Array) -> Any:
        step = jnp.minimum(data.t, steps - 1)
        return {
            **init(key),
            "counts": jnp.zeros((steps, states, actions), jnp.float32).at[step, data.obs, data.action].add(data.weight),
        }

    def act(params: Any, key: Array, t: Array, memory: Any, obs: Array) -> tuple[Any, Array]:
        counts = row(params, t, obs)
        if config.unseen == "uniform":
            default = jax.random.randint(key, (), 0, actions, jnp.int32)
        else:
            default = params["unseen"][jnp.minimum(t, params["unseen"].shape[0] - 1), obs]
        return memory, jnp.where(jnp.sum(counts) > 0, jnp.argmax(counts).astype(jnp.int32), default)

    def log_prob(params: Any, t: Array, obs: Array, action: Array) -> Array:
        counts = row(params, t, obs) + config.smoothing
        return jnp.log(counts[action]) - jnp.log(jnp.sum(counts))

    def loss(params: Any, key: Array, row: Data) -> Array:
        return -log_prob(params, row.t, row.obs, row.action)

    return Head(init, loss, act, solve=solve, log_prob=log_prob)


def make(spec: Spec, config: Config) -> Head:
    """The counting head of a tabular task: `[1 or H, S, A]` counts; ValueError for `wrong` where the expert is no table."""
    assert isinstance(spec.obs, Discrete)
    assert isinstance(spec.action, Discrete)
    wrong = None
    if config.unseen == "wrong":
        if spec.worst is None:
            raise ValueError("table.unseen=wrong needs an expert that is a table; take uniform or fixed")
        wrong = np.asarray(spec.worst(), np.int32).tobytes()
    return _head(spec.horizon if config.per_step else 1, spec.obs.n, spec.action.n, config, wrong)
