"""The expert itself, deployed where a learner would be: what every number is at best, at no labels.

Unlike any learner it makes no mistake; its score is 1 by definition, up to the chance of the evaluation's episodes.
Source: our own
"""

from __future__ import annotations

from dataclasses import dataclass

from ilbench.rollouts.behaviours import same
from ilbench.training.lab import Lab
from ilbench.types import Head, Task, Trained

INSTRUMENT = True  # it buys no labels and learns nothing: boards say 1 by definition
NEEDS = ("expert",)
TRY = ("gridworld", "table", 0)  # what the contract test runs: task, head, labels


@dataclass(frozen=True)
class Config:
    """Nothing to choose."""


def skip(task: Task, head: Head) -> str | None:
    """In the learner's place it sees what the learner sees."""
    return None if task.env.expert_obs is None else "its expert sees what a policy in the learner's place does not"


def train(lab: Lab, config: Config) -> Trained:
    """The task's expert, the same for all seeds."""
    return Trained({"last": same(lab.task.ask(), len(lab.seeds), iterates=True)}, "last")
