"""Uniformly random actions: what every number is by chance, at no labels.

Unlike any learner it has seen nothing; its return is a score of 0 by definition, up to the chance of the evaluation's episodes.
Source: our own
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ilbench.rollouts.random import random_policy
from ilbench.training.lab import Lab
from ilbench.types import Box, Head, Task, Trained

INSTRUMENT = True  # it buys no labels and learns nothing: boards say 0 by definition
TRY = ("gridworld", "table", 0)  # what the contract test runs: task, head, labels


@dataclass(frozen=True)
class Config:
    """Nothing to choose."""


def skip(task: Task, head: Head) -> str | None:
    """Uniform over bounded actions only."""
    space = task.env.action
    bounded = not isinstance(space, Box) or (math.isfinite(space.low) and math.isfinite(space.high))
    return None if bounded else "its actions are not bounded"


def train(lab: Lab, config: Config) -> Trained:
    """The random policy, which has no numbers."""
    return Trained({"last": random_policy(lab.task.env.action)}, "last")
