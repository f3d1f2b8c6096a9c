"""Can an expert be cloned? The score of a 2x64 MLP with plentiful data, 0 a uniformly random policy and 1 the expert.

An expert that a small network cannot imitate from plenty of data measures the network, not the algorithms, so the figure
stands beside the expert's return.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from ilbench import registry, stats
from ilbench.evaluation.evidence import roll
from ilbench.experts import manifests
from ilbench.experts.training.train import to_stderr, untrained
from ilbench.heads import mse
from ilbench.records import files
from ilbench.training.fit import FitConfig
from ilbench.training.lab import Lab
from ilbench.training.rows import rows
from ilbench.types import Demos, Task

TRAJECTORIES, SEEDS, EPISODES = 200, 3, 32  # demonstrations and evaluation episodes are per seed
FIT = FitConfig(updates=20_000, batch=256, learning_rate=1e-3)


def scored(demos: Demos, references: dict[str, Any]) -> dict[str, Any]:
    """Normalised score of rollouts `[S, N, H]`: mean over seeds with its 95 % interval, by seed, and who survived."""
    low, high = references["random"]["mean"], references["expert"]["mean"]
    score = (np.asarray(demos.reward, np.float64).sum(-1).mean(1) - low) / (high - low)
    interval = stats.mean_ci(score)
    return {
        "score": float(interval.value),
        "ci": [float(interval.lo), float(interval.hi)],
        "score_by_seed": [float(s) for s in score],
        "survived": float(np.asarray(demos.alive)[..., -1].mean()),
    }


def clone(
    task: Task,
    references: dict[str, Any],
    trajectories: int = TRAJECTORIES,
    seeds: int = SEEDS,
    episodes: int = EPISODES,
    fit: FitConfig = FIT,
) -> dict[str, Any]:
    """Behaviour cloning from `trajectories` expert episodes, as the manifest states it; ValueError for fewer than one."""
    if trajectories < 1:
        raise ValueError(f"cloning needs at least one trajectory, got {trajectories}")
    started = time.monotonic()
    head = mse.make(task.spec, mse.Config())
    lab = Lab(task, head, tuple(range(seeds)), trajectories * task.horizon, fit)
    policy = lab.policy(lab.fit(rows(lab.demonstrate(trajectories)))[0])
    found = scored(roll(task, policy, lab.seeds, episodes, beta=0.0), references)
    settings: dict[str, Any] = {"trajectories": trajectories, "seeds": seeds, "episodes": episodes}
    settings |= {"updates": fit.updates, "batch": fit.batch, "learning_rate": fit.learning_rate}
    return found | settings | {"seconds": round(time.monotonic() - started, 1)}


def clone_expert(
    task_id: str, trajectories: int = TRAJECTORIES, keep: bool = False, log: Callable[[str], None] = to_stderr
) -> dict[str, Any]:
    """Clones the expert of a task; its manifest with the result, written back where `keep`; the weights stay as they are.

    FileNotFoundError where there is no expert, ValueError for a task whose expert is not trained.
    """
    name = untrained(task_id).name
    stated, path = manifests.manifest(name), manifests.find(name).with_suffix(".json")
    stated["cloned"] = found = clone(registry.task(task_id), stated["references"], trajectories)
    if keep:
        files.write_atomic(path, (json.dumps(stated, indent=1, allow_nan=False) + "\n").encode())
    log(
        f"{name}: cloned from {trajectories} trajectories to a score of {found['score']:.3f} "
        f"[{found['ci'][0]:.3f}, {found['ci'][1]:.3f}], {found['survived']:.0%} survive, {found['seconds']:.0f} s"
    )
    return stated
