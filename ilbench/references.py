"""Reference scores of a task: the return of a uniformly random policy (score 0) and of the expert (score 1).

Exact where the task has `mdp()`; from the manifest that ships with trained weights; else measured on fixed keys.
"""

from __future__ import annotations

import dataclasses
import math
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ilbench.evidence import roll
from ilbench.exact import dp
from ilbench.experts import weights
from ilbench.types import Array, Box, Discrete, Policy, Space, Task

EPISODES = 1024
SEED = 2**31 - 1  # a stream of its own: never a seed of a run


def _init(params: Any, key: Array) -> tuple[()]:
    return ()


@lru_cache
def _uniform(space: Space) -> Any:
    def act(params: Any, key: Array, t: Array, memory: Any, obs: Array) -> tuple[Any, Array]:
        if isinstance(space, Discrete):
            return memory, jax.random.randint(key, (), 0, space.n, jnp.int32)
        return memory, jax.random.uniform(key, (space.dim,), jnp.float32, space.low, space.high)

    return act


def random_policy(space: Space) -> Policy:
    """Uniform over actions; raises ValueError for unbounded ones."""
    if isinstance(space, Box) and not (math.isfinite(space.low) and math.isfinite(space.high)):
        raise ValueError("a random policy needs bounded actions; give the env's Box low and high")
    return Policy((), _init, _uniform(space))


def mean_of(returns: np.ndarray) -> dict[str, Any]:
    """`{mean, ci, n}` of returns `[N]`, a normal interval."""
    mean, half = float(returns.mean()), 1.96 * float(returns.std(ddof=1)) / math.sqrt(len(returns))
    return {"mean": mean, "ci": [mean - half, mean + half], "n": len(returns)}


def _measured(task: Task, policy: Policy) -> dict[str, Any]:
    return mean_of(np.asarray(roll(task, policy, (SEED,), EPISODES, beta=0.0).reward, np.float64)[0].sum(-1))


def _exact(value: float) -> dict[str, Any]:
    return {"mean": float(value), "ci": [float(value), float(value)], "n": 0}  # n = 0: not sampled, exact


def references(task: Task) -> dict[str, dict[str, Any]]:
    """`{"random": {mean, ci, n}, "expert": {...}}` returns at the task's horizon; n = 0 means exact."""
    if task.mdp is not None:
        mdp, H = task.mdp(), task.horizon
        uniform = np.full(mdp.R.shape, 1.0 / mdp.R.shape[1])
        table = np.asarray(task.expert.params)
        return {"random": _exact(dp.total_return(mdp, uniform, H)), "expert": _exact(dp.total_return(mdp, table, H))}
    shipped = weights.references(task)
    if shipped is not None:
        return shipped
    expert = dataclasses.replace(
        task.expert, params=jax.tree.map(lambda x: np.asarray(x)[None, None], task.expert.params)
    )
    return {"random": _measured(task, random_policy(task.env.action)), "expert": _measured(task, expert)}
