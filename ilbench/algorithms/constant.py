"""The best constant action: the commonest of the labels, or their mean, whatever is seen.

Unlike behaviour cloning it ignores the observation, so that what a learner has above it is what it took from what it saw. The head
is not used.
Source: our own
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np

from ilbench.training.lab import Lab
from ilbench.types import Array, Discrete, Policy, Trained, no_memory

NEEDS = ("demonstrations",)
TRY = ("gridworld", "table", 300)  # what the contract test runs: task, head, labels


@dataclass(frozen=True)
class Config:
    """Nothing to choose: all labels are demonstrated."""


def _act(params: Any, key: Array, t: Array, memory: Any, obs: Array) -> tuple[Any, Array]:
    return memory, jnp.asarray(params)


def train(lab: Lab, config: Config) -> Trained:
    """Spends the budget on demonstrations and counts them, or takes their mean; of equally common actions the lowest."""
    demos, space = lab.demonstrate(), lab.task.env.action
    best: list[Any] = []
    for labels, had in zip(np.asarray(demos.label), np.asarray(demos.revealed), strict=True):
        discrete = isinstance(space, Discrete)
        best.append(np.bincount(labels[had]).argmax() if discrete else labels[had].mean(0, dtype=np.float64))
    action = np.asarray(best, np.int32 if isinstance(space, Discrete) else np.float32)
    return Trained({"last": Policy(action[:, None], no_memory, _act)}, "last")
