"""SafeDAgger: a classifier learnt beside the policy says from the observation where it would err, and the expert drives there.

Nobody has to watch: unlike HG-DAgger the rule asks the expert nothing before it drives. It lets go as soon as the classifier says safe.
Paper: Zhang & Cho 2017, https://arxiv.org/abs/1605.06450
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from ilbench.rollouts.gates import Rule, gated
from ilbench.training.lab import Lab
from ilbench.training.rounds import Novice, check_labels, in_rounds
from ilbench.training.safety import SafetyConfig, check_safety, classifier, learn
from ilbench.types import Array, Behaviour, Head, Space, Task, Trained

NEEDS = ("expert", "one step")
TRY = ("scalar_stable", "linear", 300)  # what the contract test runs: task, head, labels


@dataclass(frozen=True)
class Config(SafetyConfig):
    """What is safe, and the classifier (the paper's tau is .0025 of a squared steering angle)."""

    def __post_init__(self) -> None:
        check_safety("safe_dagger", self)


def check(budget: int, task: Task, head: Head, config: Config) -> None:
    """Raises ValueError for a budget that makes no episode of demonstrations, or no label a round."""
    check_labels("safe_dagger", budget, task, config)


@lru_cache(maxsize=64)
def unsafe(obs: Space, width: int) -> Rule:
    """Called where the classifier says unsafe, content where it says safe."""
    _, logit = classifier(obs, width)

    def rule(params: Any, key: Array, t: Array, obs: Array, proposal: Array, label: Array) -> tuple[Array, Array]:
        bad = logit(params, obs) > 0
        return bad, ~bad

    return rule


def gate(lab: Lab, config: Config, novice: Novice) -> Behaviour:
    """The classifier."""
    return gated(lab.task.env.action, unsafe(lab.task.env.obs, config.width), novice.carried, len(lab.seeds))


def train(lab: Lab, config: Config) -> Trained:
    """Rounds under the classifier."""
    return in_rounds(lab, config, learn, gate)[1]
