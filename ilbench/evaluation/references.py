"""Reference scores of a task: the return of a uniformly random policy (score 0) and of the expert (score 1).

Exact where the task has `mdp()`; from the manifest that ships with trained weights; else measured on fixed keys, and kept
in the user's cache folder (ILBENCH_CACHE names another) under everything that decides the numbers.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import pathlib
import re
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy import special

import ilbench
from ilbench import registry
from ilbench.compute import caches, parallel, prng
from ilbench.evaluation.evidence import roll
from ilbench.exact import dp
from ilbench.experts import weights
from ilbench.records.files import write_atomic
from ilbench.rollouts.random import random_policy
from ilbench.stats.intervals import normal_ci
from ilbench.types import Discrete, Policy, Task

EPISODES = 1024  # of each policy, unless told otherwise
FORMAT, MAX_BYTES = "ilbench-references-1", 16_384
SEED = 2**31 - 1  # a stream of its own: never a seed of a run


def mean_of(returns: np.ndarray) -> dict[str, Any]:
    """`{mean, ci, n}` of returns `[N]`, a normal interval."""
    found = normal_ci(returns)
    return {"mean": found.value, "ci": [found.lo, found.hi], "n": len(returns)}


def _measured(task: Task, policy: Policy, episodes: int, beta: float = 0.0) -> dict[str, Any]:
    return mean_of(np.asarray(roll(task, policy, (SEED,), episodes, beta=beta).reward, np.float64)[0].sum(-1))


def _exact(value: float) -> dict[str, Any]:
    return {"mean": float(value), "ci": [float(value), float(value)], "n": 0}  # n = 0: not sampled, exact


# ---------------------------------------------------------------------------------------- kept on disk
@cache
def _code() -> str:
    """A digest of ilbench's own source: what is measured depends on it."""
    total = hashlib.sha256()
    for root in map(pathlib.Path, ilbench.__path__):
        own = root.rglob("*.py") if (root / "registry.py").is_file() else (root / "envs").rglob("*.py")
        for file in sorted(own):
            total.update(str(file.relative_to(root)).encode() + b"|" + file.read_bytes() + b"|")
    return total.hexdigest()[:16]


def _named(task: Task) -> str | None:
    """How the registry knows a task: the functions of `task` are those that it makes, only numbers may differ; else None.

    Functions have no digest, so that a task that was put together by hand, or wrapped, is not known by its name.
    """
    found = re.sub(r"^brax-([a-z0-9_]+)-([a-z]+)$", r"brax:\1/\2", task.id)  # as tasks are asked for
    try:
        made = registry.task(found, task.horizon)
    except (ValueError, FileNotFoundError):
        return None
    same = made.name == task.name and made.block == task.block

    def parts(t: Task) -> tuple[Any, ...]:
        env = t.env
        return env.reset, env.step, env.expert_obs, env.obs, env.action, t.ask().init, t.ask().act

    return found if same and parts(made) == parts(task) else None


def _key(task: Task, episodes: int) -> dict[str, Any] | None:
    """Everything that decides what is measured, as plain values; None where that cannot be told."""
    name = _named(task)
    if name is None:
        return None
    try:
        entry = registry.entry("tasks", name)
        module = hashlib.sha256(pathlib.Path(entry.path).read_bytes()).hexdigest()[:16]
        plugin = [module, *registry.identity("tasks", name)[1:]]
    except registry.UnknownName:  # any registered Brax env: code of ilbench and of Brax
        plugin = []
    return {
        "format": FORMAT,
        "task": task.name,
        "horizon": task.horizon,
        "expert": weights.digest(task.ask().params),
        "env": weights.digest(task.env.params),
        "absorbing_reward": float(task.env.absorbing_reward),
        "action": repr(task.env.action),
        "episodes": episodes,
        "block": task.block,
        "plugin": plugin,
        "code": [ilbench.__version__, _code()],
        "packages": {n: _version(n) for n in ("jaxlib", "jax", "brax", "mujoco")},
        "devices": [parallel.device_count(), jax.devices()[0].device_kind, caches.processor()],
        "settings": [str(jax.config.values.get(n)) for n in ("jax_enable_x64", "jax_default_matmul_precision")],
    }


def _version(package: str) -> str | None:
    from importlib import metadata

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _file(key: dict[str, Any]) -> pathlib.Path | None:
    root = caches.root()
    name = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:32]
    return None if root is None else root / "references" / f"{name}.json"


def _sound(ref: Any, episodes: int) -> bool:
    numbers = [ref["mean"], *ref["ci"]]
    floats = len(numbers) == 3 and all(isinstance(x, float) and math.isfinite(x) for x in numbers)
    return (
        floats
        and set(ref) == {"mean", "ci", "n"}
        and ref["n"] == episodes
        and ref["ci"][0] <= ref["mean"] <= ref["ci"][1]
    )


def _kept(file: pathlib.Path, key: dict[str, Any]) -> dict[str, dict[str, Any]] | None:
    """What an earlier process measured; None without a file, and for one that is not exactly what this one would write."""
    try:
        if not file.is_file() or file.stat().st_size > MAX_BYTES:
            return None
        stored = json.loads(file.read_text(encoding="utf-8"))
        if stored["key"] != key:
            return None
        found = {who: stored[who] for who in ("random", "expert")}
        return found if all(_sound(ref, key["episodes"]) for ref in found.values()) else None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _keep(file: pathlib.Path, key: dict[str, Any], found: dict[str, dict[str, Any]]) -> None:
    try:
        content = json.dumps({"key": key, **found}, indent=1, allow_nan=False)
        write_atomic(file, content.encode())
    except (OSError, ValueError):  # a folder that cannot be written, a task with NaN rewards: measured anew each time
        return


def _of_recorded(task: Task, episodes: int) -> dict[str, dict[str, Any]]:
    """Random as ever; of the expert what the recorded demonstrations say, if they hold rewards."""
    found = {"random": _measured(task, random_policy(task.env.action), episodes)}
    demos = None if task.recorded is None else task.recorded()
    if demos is not None and demos.reward is not None and demos.alive.shape[1] > 1:
        # Where ends are known, what follows them counts as it does of a rollout.
        counted = demos.alive if demos.final_alive is None else np.ones_like(demos.alive)
        found["expert"] = mean_of(np.where(counted, demos.reward, 0.0).sum(-1, dtype=np.float64)[0])
    return found


def expert_table(task: Task) -> np.ndarray:
    """What a table's expert does, for exact dynamic programming: actions `[S]` or `[H, S]`, probabilities `[H, S, A]` if it draws."""
    expert = task.ask()
    if expert.dist is None:
        return np.asarray(expert.params)
    assert isinstance(task.env.obs, Discrete)
    law, memory = expert.dist, expert.init(expert.params, prng.key(0))
    states, steps = (jnp.arange(n, dtype=jnp.int32) for n in (task.env.obs.n, task.horizon))
    every = jax.vmap(jax.vmap(lambda t, s: law(expert.params, t, memory, s), (None, 0)), (0, None))
    logits = np.asarray(every(steps, states).logits, np.float64)
    return np.asarray(special.softmax(logits, axis=-1))


def references(task: Task, episodes: int = EPISODES) -> dict[str, dict[str, Any]]:
    """`{"random": {mean, ci, n}, "expert": {...}}` returns at the task's horizon; n = 0 means exact.

    Where they have to be measured: from `episodes` episodes of each. Raises ValueError for fewer than two, and for a random
    policy on unbounded actions.
    """
    if episodes < 2:
        raise ValueError(f"references need at least 2 episodes, got {episodes}")
    if task.mdp is not None:
        mdp, H = task.mdp(), task.horizon
        uniform = np.full(mdp.R.shape, 1.0 / mdp.R.shape[1])
        return {
            "random": _exact(dp.total_return(mdp, uniform, H)),
            "expert": _exact(dp.total_return(mdp, expert_table(task), H)),
        }
    if task.expert is None:
        return _of_recorded(task, episodes)
    shipped = weights.references(task)
    if shipped is not None:
        return shipped
    key = _key(task, episodes)
    file = None if key is None else _file(key)
    if key is not None and file is not None and (kept := _kept(file, key)) is not None:
        return kept
    chance = random_policy(task.env.action)
    found = {"random": _measured(task, chance, episodes)}
    if task.env.expert_obs is None:
        expert = dataclasses.replace(
            task.ask(), params=jax.tree.map(lambda x: np.asarray(x)[None, None], task.ask().params)
        )
        found["expert"] = _measured(task, expert, episodes)
    else:  # what the expert sees is not what a policy in the learner's place would
        found["expert"] = _measured(task, chance, episodes, beta=1.0)
    if key is not None and file is not None:
        _keep(file, key, found)
    return found
