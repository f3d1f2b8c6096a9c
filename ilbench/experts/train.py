"""Trains the expert of a task with the one RL loop, chooses a checkpoint on validation episodes, and says what it is.

A policy that falls is no expert for a fixed horizon: the checkpoint with the best mean return among those that
survive is taken, and everything stated about it is measured on fresh episodes. Experts are there to be cloned, so
that training also charges for changes of the action from step to step (`smooth`).
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
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ilbench import ppo, registry, rl
from ilbench.experts import weights
from ilbench.parallel import per_seed
from ilbench.references import random_policy
from ilbench.rollout import episode, episode_keys, mixed, seed_keys
from ilbench.types import Array, Policy, PyTree, Task

SURVIVE = (0.99, 0.95)  # fractions of validation episodes that must not end early, best tier first
VALIDATION, REPORT, REFERENCE = 256, 256, 1024  # episodes
CHUNK = 256  # episodes measured at a time: one shape, so that the physics is compiled once
PREFIXES = (10, 20, 50, 100, 200, 500, 1000)  # horizons whose reference returns come from prefixes
EVERY = 500_000  # env steps between validations


@dataclass(frozen=True)
class Recipe:
    """How one task's expert is trained."""

    steps: int = 10_000_000  # env steps
    reward: rl.Reward | None = None  # while training; None: the task's own. What is stated is always the task's own
    absorbing_reward: float | None = None  # while training; None: the task's own. A low one teaches not to fall
    ppo: ppo.Config = field(default_factory=lambda: ppo.Config(lr=1e-3, epochs=4, value_hidden=(64, 64), smooth=0.1))


def _centred(params: PyTree, obs: Array, action: Array, next_obs: Array, reward: Array) -> Array:
    """Balancing pays 1 a step wherever the cart is; without this it drifts to the end of its rail and leans there."""
    x, angle, speed, spin = next_obs
    return reward - 4 * x**2 - 10 * angle**2 - 0.2 * speed**2 - 0.1 * spin**2


def _precise(params: PyTree, obs: Array, action: Array, next_obs: Array, reward: Array) -> Array:
    """A bonus within centimetres of the target, where the task's own reward hardly tells near from there."""
    return reward + 0.1 * jnp.exp(-jnp.linalg.norm(next_obs[-3:]) / 0.02)


RECIPES = {
    "inverted_pendulum": Recipe(
        5_000_000,
        _centred,
        -4.0,
        ppo.Config(gamma=0.99, lam=0.98, unroll=40, smooth=0.02, lr=1e-3, epochs=4, value_hidden=(64, 64), entropy=0.0),
    ),
    "hopper": Recipe(
        12_000_000,
        None,
        -1.0,  # at 0 it hops fast and falls (1,876, 23 % survive after 5.5M steps); at -2 some seeds only stand
        ppo.Config(lr=1e-3, epochs=4, value_hidden=(64, 64), smooth=0.1, entropy=1e-2),
    ),
    "reacher": Recipe(
        16_000_000,
        _precise,
        ppo=ppo.Config(
            lr=1e-3,
            unroll=40,
            epochs=4,
            value_hidden=(64, 64),
            gamma=0.985,
            entropy=3e-2,  # less, and the noise collapses before the arm has learnt to reach
            reward_scale=5.0,
            max_kl=0.05,
            initial_std=0.2,  # a large one costs more (minus the squared action) than reaching is worth
        ),
    ),
}


def untrained(task_id: str) -> Task:
    """The task without its expert; ValueError for tasks whose expert is not trained, UnknownName for unknown ones."""
    module = "ilbench.envs.brax"
    if not task_id.startswith(("brax:", "brax-")):
        module = registry.entry("tasks", task_id).module
    maker = getattr(importlib.import_module(module), "untrained", None)
    if maker is None:
        raise ValueError(
            f"task {task_id!r} brings its own expert; only tasks whose module has `untrained` need training"
        )
    return maker(task_id)


# ------------------------------------------------------------------------------------------- measuring
def _score(shared: Any, key: Array, *, horizon: int, prefixes: tuple[int, ...]) -> dict[str, Array]:
    """One episode in a few numbers, so that thousands of them need no memory."""
    env, policy, behaviour = shared
    record = ("action", "reward", "alive", "final_obs")
    demos: Any = episode(env, policy, policy, behaviour, key, horizon=horizon, record=record)
    total = jnp.cumsum(demos.reward)
    change = jnp.max(jnp.abs(jnp.diff(demos.action, axis=0)), axis=-1) * demos.alive[1:]
    steps = jnp.sum(demos.alive)
    return {
        "return": total[-1],
        "prefix": total[jnp.asarray(prefixes) - 1],
        "steps": steps,
        "survived": demos.alive[-1],
        "change": jnp.sum(change) / jnp.maximum(steps - 1, 1),
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
    values = np.asarray(values, np.float64)
    half = 1.96 * values.std(ddof=1) / math.sqrt(len(values))
    return {
        "mean": float(values.mean()),
        "ci": [float(values.mean() - half), float(values.mean() + half)],
        "n": len(values),
    }


def _report(task: Task, policy: Policy, seed: int) -> dict[str, Any]:
    """What the manifest states about the expert, on fresh episodes."""
    found = measure(task, policy, episode_keys("expert-report", [seed], REPORT)[0])
    stated = {
        "horizon": task.horizon,
        "episodes": REPORT,
        "return": _interval(found["return"]),
        "return_sd": float(found["return"].std(ddof=1)),
        "survived": float(found["survived"].mean()),
        "mean_steps": float(found["steps"].mean()),
        "mean_action_change": float(found["change"].mean()),
    }
    if task.id == "reacher":  # its return hides how close it gets: the last three entries are fingertip - target
        stated["final_distance"] = _interval(np.linalg.norm(found["final_obs"][:, -3:], axis=-1))
    return stated


def _references(task: Task, policy: Policy) -> dict[str, Any]:
    """`{horizon: {"random": {mean, ci, n}, "expert": ...}}` from prefixes of the longest horizon, seed-free keys."""
    longest = dataclasses.replace(task, horizon=max(task.horizon, *PREFIXES))
    horizons = tuple(sorted({*_prefixes(longest.horizon), task.horizon}))
    keys = episode_keys("expert-reference", [0], REFERENCE)[0]
    acting = {"random": random_policy(task.env.action), "expert": policy}
    prefix = {name: measure(longest, who, keys, horizons)["prefix"] for name, who in acting.items()}
    return {str(h): {name: _interval(prefix[name][:, i]) for name in acting} for i, h in enumerate(horizons)}


# -------------------------------------------------------------------------------------------- training
@dataclass(frozen=True)
class _Checkpoint:
    params: PyTree
    steps: int
    mean: float
    survived: float

    def beats(self, other: _Checkpoint | None) -> bool:
        """By mean return, but one that survives beats any that does not: an expert's falls are nobody's lesson."""
        rank = [(*(it.survived >= bar for bar in SURVIVE), it.mean) for it in (self, other) if it is not None]
        return other is None or rank[0] >= rank[1]  # of equals the later one, which has been refined for longer


def _search(task: Task, recipe: Recipe, seed: int, log: Callable[[str], None]) -> tuple[_Checkpoint, list[list[float]]]:
    """The best checkpoint on validation episodes, and the curve `[steps, mean, sd, mean survived steps, survived]`."""
    env, config = task.env, dataclasses.replace(recipe.ppo, decay_steps=float(recipe.steps))
    if recipe.absorbing_reward is not None:
        env = dataclasses.replace(env, absorbing_reward=np.float32(recipe.absorbing_reward))
    key = seed_keys("expert-train", [seed])[0]
    learner, lanes = rl.begin(env, config, key, horizon=task.horizon)
    validation = episode_keys("expert-validation", [seed], VALIDATION)[0]
    rounds = max(1, min(EVERY, recipe.steps) // (config.lanes * config.unroll))
    best, curve, started, number = None, [], time.monotonic(), 0
    while learner.steps < recipe.steps:
        number += 1
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
        found = measure(task, weights.policy(params), validation)
        mean, sd = float(found["return"].mean()), float(found["return"].std(ddof=1))
        steps, survived = int(learner.steps), float(found["survived"].mean())
        curve.append([steps, round(mean, 3), round(sd, 3), round(float(found["steps"].mean()), 1), round(survived, 4)])
        checkpoint = _Checkpoint(params, steps, mean, survived)
        if math.isfinite(mean) and checkpoint.beats(best):
            best = checkpoint
        log(
            f"{task.name}: {steps / 1e6:5.2f}M of {recipe.steps / 1e6:g}M steps, {time.monotonic() - started:4.0f} s, "
            f"return {mean:8.1f} +- {sd:.1f}, {survived:4.0%} survive, action change {found['change'].mean():.3f}, "
            f"kl {stats.kl.mean():.3f}{', best so far' if best is checkpoint else ''}"
        )
    if best is None:
        raise ValueError(f"training {task.name} gave no finite policy; lower the learning rate of its recipe")
    return best, curve


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def train_expert(
    task_id: str,
    *,
    seed: int = 0,
    steps: int | None = None,
    out: pathlib.Path | None = None,
    recipe: Recipe | None = None,
    log: Callable[[str], None] = _to_stderr,
) -> pathlib.Path:
    """Trains and writes `<task>@<version>.safetensors` with its manifest; returns the path of the weights.

    `out` is a folder (default: the user's experts). Virtual CPU devices must have been set up by the entry point.
    Raises ValueError for a task that is not trained or for fewer than one step.
    """
    task = untrained(task_id)
    recipe = recipe or RECIPES.get(task.id, Recipe())
    recipe = recipe if steps is None else dataclasses.replace(recipe, steps=int(steps))
    if recipe.steps < 1:
        raise ValueError(f"an expert needs at least one step of training, got {steps}")
    started = time.monotonic()
    best, curve = _search(task, recipe, seed, log)
    seconds = time.monotonic() - started
    policy = weights.policy(best.params)
    report, by_horizon = _report(task, policy, seed), _references(task, policy)
    path = pathlib.Path(out or weights.user_folder()) / f"{task.name}.safetensors"
    manifest = {
        "format": weights.FORMAT,
        "task": task.name,
        "digest": weights.digest(best.params),
        "absorbing_reward": float(task.env.absorbing_reward),
        "method": "PPO (ilbench/rl.py), deterministic mode",
        "recipe": dataclasses.asdict(recipe) | {"reward": recipe.reward.__name__ if recipe.reward else None},
        "seed": seed,
        "env_steps": curve[-1][0],
        "chosen_at": best.steps,
        "seconds": round(seconds, 1),  # compiling and validation included
        "devices": f"{jax.device_count()} x {jax.devices()[0].platform}",
        "packages": {name: metadata.version(name) for name in ("jax", "jaxlib", "brax", "mujoco", "optax", "flax")},
        "curve_columns": ["env_steps", "return_mean", "return_sd", "mean_steps", "survived"],
        "curve": curve,
        "report": report,
        "references": by_horizon[str(task.horizon)],
        "references_by_horizon": by_horizon,
    }
    content = json.dumps(manifest, indent=1, allow_nan=False) + "\n"
    weights.save(path, best.params, task.name)
    weights.write_atomic(path.with_suffix(".json"), content.encode())
    log(
        f"{task.name}: return {report['return']['mean']:.1f}, {report['survived']:.1%} of {REPORT} fresh episodes "
        f"survive {task.horizon} steps; wrote {path.name}"
    )
    return path
