"""What is stated about an expert: return, survival, smoothness and reference scores, on episodes it was not chosen by."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ilbench.compute.parallel import per_seed
from ilbench.evaluation.references import mean_of
from ilbench.rollouts.behaviours import mixed
from ilbench.rollouts.episode import episode
from ilbench.rollouts.keys import episode_keys
from ilbench.rollouts.random import random_policy
from ilbench.types import Array, Policy, Task

REPORT, REFERENCE = 256, 1024  # episodes
CHUNK = 256  # episodes measured at a time: one shape, so that the physics is compiled once
PREFIXES = (10, 20, 50, 100, 200, 500, 1000)  # horizons whose reference returns come from prefixes
QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)  # of the return, for its distribution
# What separates a robot from its goal, from observations `[N, obs]`: the return hides how close it gets.
LEFT: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "reacher": lambda obs: obs[:, -3:],  # fingertip - target
    "pusher": lambda obs: obs[:, 17:20] - obs[:, 20:23],  # object - goal
}


def _score(shared: Any, key: Array, *, horizon: int, prefixes: tuple[int, ...]) -> dict[str, Array]:
    """One episode in a few numbers, so that thousands of them need no memory."""
    env, policy, behaviour = shared
    record = ("action", "reward", "alive", "final_obs")
    demos: Any = episode(env, policy, policy, behaviour, key, horizon=horizon, record=record)
    total = jnp.cumsum(demos.reward)
    change = jnp.max(jnp.abs(jnp.diff(demos.action, axis=0)), axis=-1) * demos.alive[1:].astype(jnp.float32)
    steps = jnp.sum(demos.alive)
    return {
        "return": total[-1],
        "prefix": total[jnp.asarray(prefixes) - 1],
        "steps": steps,
        "survived": demos.alive[-1],
        "change": jnp.sum(change) / jnp.maximum(steps - 1, 1).astype(jnp.float32),
        "final_obs": demos.final_obs,
    }


def _prefixes(horizon: int) -> tuple[int, ...]:
    return tuple(sorted({h for h in PREFIXES if h < horizon} | {horizon}))


def measure(task: Task, policy: Policy, keys: Array, prefixes: tuple[int, ...] | None = None) -> dict[str, np.ndarray]:
    """Episodes `keys [N]` of one policy at the task's horizon: return, steps, survived ... `[N]`, prefix `[N, P]`."""
    prefixes = prefixes or _prefixes(task.horizon)
    behaviour = mixed(task.env.action, task.horizon)
    run = per_seed(_score, block=task.block, horizon=task.horizon, prefixes=prefixes)
    parts = [run((task.env, policy, behaviour), keys[i : i + CHUNK]) for i in range(0, len(keys), CHUNK)]
    return jax.tree.map(lambda *leaves: np.concatenate([np.asarray(leaf) for leaf in leaves]), *parts)


def _interval(values: np.ndarray) -> dict[str, Any]:
    """Mean with its 95 % normal interval and n."""
    return mean_of(np.asarray(values, np.float64))


def report(task: Task, policy: Policy, seed: int) -> dict[str, Any]:
    """What the manifest states about the expert, on fresh episodes."""
    found = measure(task, policy, episode_keys("expert-report", [seed], REPORT)[0])
    stated = {
        "horizon": task.horizon,
        "episodes": REPORT,
        "return": _interval(found["return"]),
        "return_sd": float(found["return"].std(ddof=1)),
        "return_quantiles": {f"{q:g}": float(np.quantile(found["return"], q)) for q in QUANTILES},
        "survived": float(found["survived"].mean()),
        "mean_steps": float(found["steps"].mean()),
        "mean_action_change": float(found["change"].mean()),
    }
    if task.id in LEFT:
        stated["final_distance"] = _interval(np.linalg.norm(LEFT[task.id](found["final_obs"]), axis=-1))
    return stated


def references_of(task: Task, policy: Policy) -> dict[str, Any]:
    """`{horizon: {"random": {mean, ci, n}, "expert": ...}}` from prefixes of the longest horizon, seed-free keys."""
    longest = dataclasses.replace(task, horizon=max(task.horizon, *PREFIXES))
    horizons = tuple(sorted({*_prefixes(longest.horizon), task.horizon}))
    keys = episode_keys("expert-reference", [0], REFERENCE)[0]
    acting = {"random": random_policy(task.env.action), "expert": policy}
    prefix = {name: measure(longest, who, keys, horizons)["prefix"] for name, who in acting.items()}
    return {str(h): {name: _interval(prefix[name][:, i]) for name in acting} for i, h in enumerate(horizons)}
