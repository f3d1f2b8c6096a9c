"""Noise injection: part of the demonstrations are made under Gaussian noise, and labelled with the action that was meant.

Unlike behaviour cloning the expert is pushed off its path and recorded on its way back: what is executed is noisy, the label is
clean. The noise is the same in every direction and known before the run; DART is the same with a learnt covariance.
Paper: Zhang, Pfrommer, Pan, Matni & Simchowitz 2025, https://arxiv.org/abs/2507.09061 (there sigma .5 and 1 on actions in [-1, 1])
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ilbench.rollouts.behaviours import mixed
from ilbench.training.deployed import untrained
from ilbench.training.lab import Lab
from ilbench.training.rows import concatenate
from ilbench.types import Discrete, Head, Task, Trained

# Upper rate of the cost in H at fixed eps on the expert's own states: O(eps H^2) holds for whatever policy. That noise takes H out
# of it needs an expert that is incrementally stable, which tasks do not state.
RATE = "<= 2"
NEEDS = ("expert",)
SPACE = {"noise_injection.sigma": (0.05, 0.1, 0.2, 0.5), "noise_injection.clean": (0.2, 0.5)}  # what `ilbench tune` tries
TRY = ("scalar_stable", "linear", 300)  # what the contract test runs: task, head, labels


@dataclass(frozen=True)
class Config:
    """How much noise, on which share of the labels."""

    sigma: float = 0.5  # sd of the noise in units of the action (not of its range); discrete: P(random action)
    clean: float = 0.5  # share of the labels that is demonstrated first, without noise; 1 is behaviour cloning

    def __post_init__(self) -> None:
        if not (math.isfinite(self.sigma) and self.sigma >= 0):
            raise ValueError(f"noise_injection.sigma is a standard deviation and must be 0 or more, got {self.sigma}")
        if not 0 <= self.clean <= 1:
            raise ValueError(f"noise_injection.clean is a share of the labels and must lie in [0, 1], got {self.clean}")


def check(budget: int, task: Task, head: Head, config: Config) -> None:
    """Raises ValueError for a sigma that is no probability where actions are discrete; called before any compute."""
    if isinstance(task.env.action, Discrete) and config.sigma > 1:
        raise ValueError(
            f"noise_injection.sigma is the probability of a random action on {task.name}, whose actions are discrete, "
            f"and must lie in [0, 1], got {config.sigma}"
        )


def train(lab: Lab, config: Config) -> Trained:
    """Demonstrations without noise, then with it until the last label is spent, and one fit on both."""
    first = round(config.clean * lab.budget)
    parts = [lab.demonstrate(labels=first)] if first else []
    if first < lab.budget or not parts:
        acting = lab.same(mixed(lab.task.env.action, lab.task.horizon, beta=1.0, noise=config.sigma))
        # The expert acts at every step: the learner's proposals, of a network that nobody has trained, are never executed.
        idle = untrained(lab.head, lab.seeds)
        parts.append(lab.collect(labels=lab.remaining, behaviour=acting, policy=idle))
    params, losses = lab.fit(lab.rows(concatenate(parts), lab.budget))
    return Trained({"last": lab.policy(params)}, "last", {"loss": losses})
