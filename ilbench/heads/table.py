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

from ilbench.types import Array, Data, Discrete, Head, Task

RULES = ("uniform", "wrong", "fixed")
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


def skip(task: Task) -> str | None:
    """Needs discrete observations and actions."""
    if not (isinstance(task.env.obs, Discrete) and isinstance(task.env.action, Discrete)):
        return "table needs discrete observations and actions"
    return None


def _wrong_actions(task: Task) -> np.ndarray:
    """An action `[H, S]` that differs from the expert's everywhere."""
    assert isinstance(task.env.obs, Discrete)
    assert isinstance(task.env.action, Discrete)
    table = np.broadcast_to(np.asarray(task.expert.params), (task.horizon, task.env.obs.n))
    return ((table + 1) % task.env.action.n).astype(np.int32)


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

    def act(params: Any, key: Array, t: Array, obs: Array) -> Array:
        counts = row(params, t, obs)
        if config.unseen == "uniform":
            default = jax.random.randint(key, (), 0, actions, jnp.int32)
        else:
            default = params["unseen"][jnp.minimum(t, params["unseen"].shape[0] - 1), obs]
        return jnp.where(jnp.sum(counts) > 0, jnp.argmax(counts).astype(jnp.int32), default)

    def log_prob(params: Any, t: Array, obs: Array, action: Array) -> Array:
        counts = row(params, t, obs) + config.smoothing
        return jnp.log(counts[action]) - jnp.log(jnp.sum(counts))

    def loss(params: Any, t: Array, obs: Array, action: Array) -> Array:
        return -log_prob(params, t, obs, action)

    return Head(init, loss, act, solve=solve, log_prob=log_prob)


def make(task: Task, config: Config) -> Head:
    """The counting head of a tabular task: `[1 or H, S, A]` counts."""
    wrong = _wrong_actions(task).tobytes() if config.unseen == "wrong" else None
    assert isinstance(task.env.obs, Discrete)
    assert isinstance(task.env.action, Discrete)
    return _head(task.horizon if config.per_step else 1, task.env.obs.n, task.env.action.n, config, wrong)
