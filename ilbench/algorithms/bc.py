"""Behaviour cloning: supervised learning on the expert's own states, nothing else.

Paper: Pomerleau 1989, ALVINN; its O(eps H^2) cost is Ross & Bagnell 2010, https://proceedings.mlr.press/v9/ross10a.html
"""

from __future__ import annotations

from dataclasses import dataclass

from ilbench.training.lab import Lab
from ilbench.types import Trained

RATE = "<= 2"  # upper rate of the cost in H at fixed eps: O(eps H^2); it trains on expert states only
NEEDS = ("demonstrations",)
TRY = ("gridworld", "table", 300)  # what the contract test runs: task, head, labels


@dataclass(frozen=True)
class Config:
    """Nothing to choose: all labels go into demonstrations, all gradient steps into one fit."""


def train(lab: Lab, config: Config) -> Trained:
    """Spends the budget on demonstrations, the last of them cut off where it ends, and fits them all."""
    params, losses = lab.fit(lab.rows(lab.demonstrate(), lab.budget))
    return Trained({"last": lab.policy(params)}, "last", {"loss": losses})
