"""LazyDAgger: SafeDAgger whose expert, once it drives, stays until the learner truly agrees with it: fewer switches, longer stretches.

A classifier calls the expert from the observation; while it drives both actions are known, and it lets go where they are closer than a
share of what counts as safe. Its actions may be executed under noise, so that it shows the way back.
Paper: Hoque et al. 2021, https://arxiv.org/abs/2104.00053
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from ilbench.rollouts.gates import Rule, apart, gated
from ilbench.training.lab import Lab
from ilbench.training.rounds import Novice, check_labels, in_rounds
from ilbench.training.safety import SafetyConfig, check_safety, classifier, learn
from ilbench.types import Array, Behaviour, Discrete, Head, Space, Task, Trained

NEEDS = ("expert", "one step")
TRY = ("scalar_stable", "linear", 300)  # what the contract test runs: task, head, labels


@dataclass(frozen=True)
class Config(SafetyConfig):
    """What is safe, the classifier, and when the expert lets go."""

    release: float = 0.25  # share of tau below which it does (the paper's tau_auto)
    noise: float = 0.0  # executed while it drives: sd in units of the action; discrete: P(random action)

    def __post_init__(self) -> None:
        check_safety("lazy_dagger", self)
        if not 0 < self.release <= 1:
            raise ValueError(f"lazy_dagger.release is a share of tau and must lie in (0, 1], got {self.release}")
        if not (math.isfinite(self.noise) and self.noise >= 0):
            raise ValueError(f"lazy_dagger.noise must be 0 or more, got {self.noise}")


def check(budget: int, task: Task, head: Head, config: Config) -> None:
    """Raises ValueError for a budget that makes no episode of demonstrations, or no label a round, and for a noise that is none."""
    check_labels("lazy_dagger", budget, task, config)
    if isinstance(task.env.action, Discrete) and config.noise > 1:
        raise ValueError(
            f"lazy_dagger.noise is a probability on {task.name}, whose actions are discrete, got {config.noise}"
        )


@lru_cache(maxsize=64)
def lazily(obs: Space, action: Space, width: int) -> Rule:
    """Called where the classifier says unsafe, content where the true distance is below `release`."""
    _, logit = classifier(obs, width)

    def rule(params: Any, key: Array, t: Array, obs: Array, proposal: Array, label: Array) -> tuple[Array, Array]:
        return logit(params["judge"], obs) > 0, apart(action, proposal, label) < params["release"]

    return rule


def gate(lab: Lab, config: Config, novice: Novice) -> Behaviour:
    """The classifier, and the distance that it lets go at."""
    space, seeds = lab.task.env, len(lab.seeds)
    numbers = {"judge": novice.carried, "release": np.full(seeds, config.release * config.tau, np.float32)}
    return gated(space.action, lazily(space.obs, space.action, config.width), numbers, seeds, noise=config.noise)


def train(lab: Lab, config: Config) -> Trained:
    """Rounds under the lazy gate."""
    return in_rounds(lab, config, learn, gate)[1]
