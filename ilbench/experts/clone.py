"""Whether an expert can be cloned: the score of a 2x64 MLP with plentiful data. An expert that cannot measures its own noise."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from ilbench import references, registry, stats
from ilbench.evidence import roll
from ilbench.experts import weights
from ilbench.fit import FitConfig
from ilbench.heads import mse
from ilbench.lab import Lab, rows
from ilbench.types import Task

TRAJECTORIES, SEEDS, EPISODES = 200, 3, 32
FIT = FitConfig(updates=20_000, batch=256, learning_rate=1e-3)
UNIT = 50  # trajectories rolled at a time: bounds memory


def clone(task: Task, trajectories: int = TRAJECTORIES, seeds: int = SEEDS, episodes: int = EPISODES) -> dict[str, Any]:
    """Behaviour cloning from `trajectories` expert episodes: mean score over seeds with its 95 % interval."""
    head = mse.make(task, mse.Config())
    lab = Lab(task, head, tuple(range(seeds)), trajectories * task.horizon, FIT, unit=min(UNIT, trajectories))
    policy = lab.policy(lab.fit(rows(lab.demonstrate(trajectories)))[0])
    reward = np.asarray(roll(task, policy, lab.seeds, episodes, beta=0.0).reward, np.float64).sum(-1).mean(1)
    mean = {name: ref["mean"] for name, ref in references.references(task).items()}
    interval = stats.mean_ci((reward - mean["random"]) / (mean["expert"] - mean["random"]))
    return {
        "score": float(interval.value),
        "ci": [float(interval.lo), float(interval.hi)],
        "trajectories": trajectories,
        "seeds": seeds,
        "episodes": episodes,
        "updates": FIT.updates,
        "batch": FIT.batch,
    }


def clone_expert(task_id: str) -> dict[str, Any]:
    """Clones the expert of a task and writes the result into its manifest, which it returns. Raises FileNotFoundError."""
    task = registry.task(task_id)
    path = weights.find(task.name).with_suffix(".json")
    stated = weights.manifest(task.name)
    stated["cloned"] = clone(task)
    weights.write_atomic(path, (json.dumps(stated, indent=1, allow_nan=False) + "\n").encode())
    return stated
