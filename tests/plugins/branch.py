"""Behaviour cloning that asks what a deviation costs: branches off the learner's own episodes, after which the expert goes on.

The same keys are rolled with and without one action that is not the learner's; the difference in return is what it lost.
Paper: Ross & Bagnell 2014, AggreVaTe, https://arxiv.org/abs/1406.5979: the expert's cost to go of one exploring action
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ilbench.types import Trained

NEEDS = ("expert",)
TRY = ("recoverable", "table", 1000)


@dataclass(frozen=True)
class Config:
    """How many, and which deviations."""

    branches: int = 4  # episodes, each rolled twice
    explore: str = "random"  # any action, or the learner's own


def check(budget, task, head, config):
    """Raises ValueError for a budget that leaves no demonstration beside the branches."""
    most = 2 * config.branches * task.horizon
    if budget < most + task.horizon:
        raise ValueError(f"branch: {config.branches} branches of {task.horizon} steps take up to {most} of {budget} labels")


def train(lab, config):
    """Demonstrations for what the branches may leave, a fit, and the branches off it."""
    ahead = 2 * config.branches * lab.task.horizon
    params, losses = lab.fit(lab.rows(lab.demonstrate(labels=lab.budget - ahead), lab.budget))
    policy = lab.policy(params)
    found = lab.branch(policy, config.branches, config.explore)
    lost = (np.float64(found.straight.reward) - np.float64(found.deviated.reward)).sum(-1)
    scalars = {"lost": lost.mean(1), "lost_max": lost.max(1)}
    return Trained({"last": policy}, "last", {"loss": losses}, scalars)
