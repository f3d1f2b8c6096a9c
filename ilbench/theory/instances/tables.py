"""Tabular learners given by their probabilities, as policies of the product: what exact claims are held against in rollouts."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ilbench.evaluation.evidence import mistakes
from ilbench.rollouts.behaviours import mixed, same
from ilbench.rollouts.keys import episode_keys
from ilbench.rollouts.rollout import rollout
from ilbench.types import EVIDENCE, Array, Policy, Task, no_memory


def _act(params: Any, key: Array, t: Array, memory: Any, obs: Array) -> tuple[Any, Array]:
    draw = jax.random.uniform(key)
    return memory, jnp.sum(draw >= params["cumulative"][t, obs]).astype(jnp.int32)


def table_policy(table: Any, horizon: int, actions: int, seeds: int = 1) -> Policy:
    """A policy from action indices `[S]`, `[H, S]` or probabilities `[S, A]`, `[H, S, A]`; leaves `[seeds, 1, H, S, A - 1]`."""
    table = np.asarray(table)
    probabilities = np.eye(actions)[table] if np.issubdtype(table.dtype, np.integer) else table.astype(np.float64)
    if probabilities.ndim == 2:
        probabilities = np.broadcast_to(probabilities, (horizon, *probabilities.shape))
    cumulative = np.cumsum(probabilities[:horizon], axis=-1)[..., :-1].astype(np.float32)
    params = {"cumulative": np.broadcast_to(cumulative, (seeds, 1, *cumulative.shape)).copy()}
    return Policy(params, no_memory, _act)


def rolled(
    task: Task, policy: Policy, seeds: int, episodes: int, stream: str, *, beta: float = 0.0
) -> dict[str, np.ndarray]:
    """Rollouts of a policy with leaves `[seeds, M, ...]`: `mistakes` bool, `reward`, `alive`, `obs`, `label`, all `[seeds, N, H]`.

    beta = 1 lets the expert act. `stream` names the random numbers: claims that must be independent need two names.
    """
    behaviour = same(mixed(task.env.action, task.horizon, beta=beta), seeds)
    demos = rollout(
        task.env,
        task.expert,
        policy,
        behaviour,
        episode_keys(f"theory/{stream}", range(seeds), episodes),
        horizon=task.horizon,
        record=EVIDENCE,
        block=task.block,
        seeds=range(seeds),
    )
    return {
        "mistakes": mistakes(np.asarray(demos.error), np.asarray(demos.alive), task.deltas[0]),
        "reward": np.asarray(demos.reward, np.float64),
        "alive": np.asarray(demos.alive),
        "obs": np.asarray(demos.obs),
        "label": np.asarray(demos.label),
    }
