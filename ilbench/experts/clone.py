"""Can an expert be cloned? Behaviour cloning of a 2x64 MLP from many trajectories, deployed and scored.

An expert that a small network cannot imitate from plenty of data measures the network, not the algorithms; so the figure
is stated beside the expert's return. Score: 0 is a uniformly random policy, 1 the expert.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from ilbench import evidence
from ilbench.algorithms import bc
from ilbench.experts import manifests
from ilbench.experts.train import to_stderr, untrained
from ilbench.fit import FitConfig
from ilbench.heads import mse
from ilbench.lab import Lab
from ilbench.rollout import seed_keys
from ilbench.types import Demos, Task

TRAJECTORIES, EPISODES = 200, 64  # demonstrations and evaluation episodes, per seed
SEEDS = (0, 1)
FIT = FitConfig(updates=20_000, batch=256, learning_rate=1e-3)
UNIT = 40  # demonstrations per collect call: bounds the memory of a call


def scored(demos: Demos, references: dict[str, Any]) -> dict[str, Any]:
    """Normalised score of rollouts `[S, N, H]`: mean over seeds and episodes, its 95 % normal interval, per seed, survival."""
    low, high = references["random"]["mean"], references["expert"]["mean"]
    score = (np.asarray(demos.reward, np.float64).sum(-1) - low) / (high - low)
    half = 1.96 * score.std(ddof=1) / math.sqrt(score.size)
    return {
        "score": float(score.mean()),
        "ci": [float(score.mean() - half), float(score.mean() + half)],
        "score_by_seed": [float(s) for s in score.mean(1)],
        "survived": float(np.asarray(demos.alive)[..., -1].mean()),
        "seeds": score.shape[0],
        "episodes": score.shape[1],
    }


def measure(
    task: Task, references: dict[str, Any], trajectories: int = TRAJECTORIES, fit: FitConfig = FIT
) -> dict[str, Any]:
    """What the manifest states as `cloned`; ValueError for fewer than one trajectory."""
    if trajectories < 1:
        raise ValueError(f"cloning needs at least one trajectory, got {trajectories}")
    started = time.monotonic()
    lab = Lab(task, mse.make(task, mse.Config()), SEEDS, trajectories * task.horizon, fit, unit=min(UNIT, trajectories))
    trained = bc.train(lab, seed_keys("clone", SEEDS), task, bc.Config())
    demos = evidence.roll(task, trained.policies[trained.selected], SEEDS, EPISODES, beta=0.0)
    settings: dict[str, Any] = {"trajectories": trajectories, "labels": int(lab.ledger.labels.mean())}
    settings |= {"updates": fit.updates, "batch": fit.batch, "learning_rate": fit.learning_rate}
    return scored(demos, references) | settings | {"seconds": round(time.monotonic() - started, 1)}


def clone_expert(
    task_id: str, trajectories: int = TRAJECTORIES, log: Callable[[str], None] = to_stderr
) -> dict[str, Any]:
    """Clones the expert of a task and keeps the result in the manifest beside its weights, which stay as they are.

    Returns the manifest. FileNotFoundError where there is no expert, ValueError for a task whose expert is not trained.
    """
    from ilbench import registry

    name = untrained(task_id).name
    manifest, path = manifests.manifest(name), manifests.find(name).with_suffix(".json")
    task = registry.task(task_id)
    manifest["cloned"] = found = measure(task, manifest["references"], trajectories)
    manifests.write_atomic(path, (json.dumps(manifest, indent=1, allow_nan=False) + "\n").encode())
    log(
        f"{name}: cloned from {trajectories} trajectories to a score of {found['score']:.3f} "
        f"[{found['ci'][0]:.3f}, {found['ci'][1]:.3f}], {found['survived']:.0%} survive, {found['seconds']:.0f} s"
    )
    return manifest
