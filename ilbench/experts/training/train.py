"""Trains the expert of a task with the one RL loop, chooses a checkpoint on validation episodes, and says what it is.

A policy that falls is no expert for a fixed horizon: the checkpoint with the best mean return among those that
survive is taken, and everything stated about it is measured on fresh episodes. Experts are there to be cloned, so
that training also charges for changes of the action from step to step (`smooth`). Training stops and goes on: see
checkpoint.py.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import math
import pathlib
import sys
import time
from collections.abc import Callable
from importlib import metadata
from typing import Any

import jax
import numpy as np

from ilbench import registry
from ilbench.experts import manifests, weights
from ilbench.experts.training import checkpoint
from ilbench.experts.training.checkpoint import Training
from ilbench.experts.training.measure import REPORT, measure, references_of, report
from ilbench.experts.training.recipes import RECIPES, Recipe
from ilbench.records import files, store
from ilbench.rollouts.keys import episode_keys, seed_keys
from ilbench.training import ppo, rl
from ilbench.types import Policy, Task

SURVIVE = (0.96, 0.9)  # fractions of validation episodes that must not end early, best tier first: the bar is 0.95
CHATTER = 0.01  # fraction of the return that a mean action change of 1 (half the range, every step) is charged
VALIDATION = 256  # episodes
CURVE_COLUMNS = ("env_steps", "return_mean", "return_sd", "mean_steps", "survived")


def untrained(task_id: str) -> Task:
    """The task without its expert; ValueError for tasks whose expert is not trained, UnknownName for unknown ones."""
    module = "ilbench.envs.brax"
    if task_id in registry.entries("tasks"):
        module = registry.entry("tasks", task_id).module
    maker = getattr(importlib.import_module(module), "untrained", None)
    if maker is None:
        raise ValueError(
            f"task {task_id!r} brings its own expert; only tasks whose module has `untrained` need training"
        )
    return maker(task_id)


def better(one: list[float], other: list[float]) -> bool:
    """Whether checkpoint `one` [env steps, mean return, survived, action change] beats `other` (empty: there is none).

    By mean return, but one that survives beats any that does not: an expert's falls are nobody's lesson. And a smooth
    one is easier to clone: chatter costs one per cent of the return per unit of action change. Of equals the later one
    wins, which has been refined for longer.
    """
    if not math.isfinite(one[1]):
        return False
    rank = [(*(it[2] >= bar for bar in SURVIVE), it[1] - CHATTER * abs(it[1]) * it[3]) for it in (one, other) if it]
    return not other or rank[0] >= rank[1]


def _said(task: Task, recipe: Recipe, training: Training, found: dict[str, Any], stats: ppo.Stats) -> str:
    steps, mean, sd, _, survived = training.curve[-1]
    best = ", best so far" if training.best_at[:1] == [steps] else ""
    return (
        f"{task.name}: {steps / 1e6:5.2f}M of {recipe.steps / 1e6:g}M steps, {training.seconds:4.0f} s, return {mean:8.1f} "
        f"+- {sd:.1f}, {survived:4.0%} survive, action change {found['change'].mean():.3f}, "
        f"kl {stats.kl.mean():.3f}, {stats.skipped.mean():.0%} of updates skipped{best}"
    )


def _spelled(recipe: Recipe, seed: int) -> dict[str, Any]:
    spelled = dataclasses.asdict(recipe) | {"reward": recipe.reward.__name__ if recipe.reward else None, "seed": seed}
    del spelled["notes"]  # they say nothing about how it is trained
    return spelled


def search(
    task: Task, recipe: Recipe, seed: int, path: pathlib.Path, log: Callable[[str], None], seconds: float | None = None
) -> tuple[Training, bool]:
    """Trains on from the checkpoint at `path`, if there is one; the state, and whether all steps are done.

    `path` is rewritten after every validation; `seconds` stops at the first validation after that time. Raises ValueError for
    a checkpoint of another recipe.
    """
    env, config = task.env, dataclasses.replace(recipe.ppo, decay_steps=float(recipe.steps))
    if recipe.absorbing_reward is not None:
        env = dataclasses.replace(env, absorbing_reward=np.float32(recipe.absorbing_reward))
    key = seed_keys("expert-train", [seed])[0]
    learner, lanes = rl.begin(env, config, key, horizon=task.horizon)
    spelled = json.dumps(_spelled(recipe, seed))
    shape = weights.zeros(env.obs.shape[0], env.action.shape[0], config.hidden)
    found = checkpoint.load(path, task.name, spelled, learner, shape)
    training = found or Training(learner, None, [], [], 0, 0.0)
    if found is not None:
        log(f"{task.name}: goes on from {found.curve[-1][0] / 1e6:.2f}M steps, {found.seconds:.0f} s")
        lanes = rl.restart(env, config, jax.random.fold_in(key, 10_000_000 + found.number), horizon=task.horizon)
        learner = rl.everywhere(found.learner)
    validation = episode_keys("expert-validation", [seed], VALIDATION)[0]
    rounds = max(1, min(recipe.every, recipe.steps) // (config.lanes * config.unroll))
    started, before = time.monotonic(), training.seconds
    while learner.steps < recipe.steps:
        number = training.number + 1
        learner, lanes, stats = rl.advance(
            env,
            config,
            learner,
            lanes,
            jax.random.fold_in(key, number),
            horizon=task.horizon,
            iterations=rounds,
            reward=recipe.reward,
        )
        params = jax.tree.map(np.asarray, ppo.expert_params(learner))
        seen = measure(task, weights.policy(params), validation)
        mean, survived = float(seen["return"].mean()), float(seen["survived"].mean())
        at = [int(learner.steps), mean, float(seen["return"].std(ddof=1)), float(seen["steps"].mean()), survived]
        curve = [*training.curve, [round(x, 4) if math.isfinite(x) else -1e30 for x in at]]
        rival, best, best_at = [at[0], mean, survived, float(seen["change"].mean())], training.best, training.best_at
        if better(rival, best_at):
            best, best_at = params, rival
        training = Training(learner, best, best_at, curve, number, before + time.monotonic() - started)
        checkpoint.save(path, task.name, spelled, training)
        log(_said(task, recipe, training, seen, stats))
        if seconds is not None and time.monotonic() - started >= seconds:
            break
    return training, bool(learner.steps >= recipe.steps)


def to_stderr(line: str) -> None:
    """Progress where it does not mix with results."""
    print(line, file=sys.stderr, flush=True)


def _manifest(task: Task, recipe: Recipe, seed: int, training: Training, policy: Policy) -> dict[str, Any]:
    by_horizon = references_of(task, policy)
    return {
        "format": manifests.FORMAT,
        "task": task.name,
        "digest": weights.digest(training.best),
        "absorbing_reward": float(task.env.absorbing_reward),
        "method": "PPO (ilbench/training/rl.py), deterministic mode",
        "recipe": _spelled(recipe, seed),
        "seed": seed,
        "env_steps": training.curve[-1][0],
        "chosen_at": training.best_at[0],
        "seconds": round(training.seconds, 1),  # compiling and validation included, all pieces together
        "devices": f"{jax.device_count()} x {jax.devices()[0].platform}",
        "packages": {name: metadata.version(name) for name in ("jax", "jaxlib", "brax", "mujoco", "optax", "flax")},
        **({"notes": recipe.notes} if recipe.notes else {}),
        "curve_columns": list(CURVE_COLUMNS),
        "curve": training.curve,
        "report": report(task, policy, seed),
        "references": by_horizon[str(task.horizon)],
        "references_by_horizon": by_horizon,
    }


def train_expert(
    task_id: str,
    *,
    seed: int = 0,
    steps: int | None = None,
    seconds: float | None = None,
    out: pathlib.Path | None = None,
    recipe: Recipe | None = None,
    log: Callable[[str], None] = to_stderr,
) -> pathlib.Path | None:
    """Trains and writes `<task>@<version>.safetensors` with its manifest; returns the path of the weights.

    `out` is a folder (default: the user's experts). Stopped by Ctrl-C or after `seconds`, it leaves a checkpoint there
    and the same call goes on; None means that steps are left. Virtual CPU devices must have been set up before.
    Raises ValueError for a task that is not trained, for fewer than one step, and for a checkpoint of other settings;
    StoreError, before any training, for a folder that cannot be written.
    """
    task = untrained(task_id)
    recipe = recipe or RECIPES.get(task.id, Recipe())
    recipe = recipe if steps is None else dataclasses.replace(recipe, steps=int(steps))
    if recipe.steps < 1:
        raise ValueError(f"an expert needs at least one step of training, got {steps}")
    path = pathlib.Path(out or manifests.user_folder()) / f"{task.name}.safetensors"
    store.preflight(path.parent)
    resume = checkpoint.path_of(path)
    training, done = search(task, recipe, seed, resume, log, seconds)
    if not done:
        log(f"{task.name}: stopped with steps left; the same command goes on from {resume.name}")
        return None
    if training.best is None:
        raise ValueError(f"training {task.name} gave no finite policy; lower the learning rate of its recipe")
    stated = _manifest(task, recipe, seed, training, weights.policy(training.best))
    content = json.dumps(stated, indent=1, allow_nan=False) + "\n"
    weights.save(path, training.best, task.name)
    files.write_atomic(path.with_suffix(".json"), content.encode())
    resume.unlink(missing_ok=True)
    told = stated["report"]
    log(
        f"{task.name}: return {told['return']['mean']:.1f}, {told['survived']:.1%} of {REPORT} fresh episodes "
        f"survive {task.horizon} steps; wrote {path.name}"
    )
    return path
