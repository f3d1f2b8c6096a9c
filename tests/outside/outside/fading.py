"""Behaviour cloning that cares less about what comes late: a row's weight fades along the episode.

Source: none; how a package of one's own begins
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ilbench.training.lab import Lab
from ilbench.types import Trained

NEEDS = ("demonstrations",)  # what `ilbench list` shows, and what is refused without it
TRY = ("scalar_stable", "median", 200)  # what its contract test runs: task, head, labels


@dataclass(frozen=True)
class Config:
    """How fast."""

    rate: float = 0.01  # per step: a row at t weighs exp(-rate t)

    def __post_init__(self) -> None:
        if not self.rate >= 0:
            raise ValueError(f"fading.rate must be at least 0, got {self.rate}")


def train(lab: Lab, config: Config) -> Trained:
    """Demonstrations, weights, one fit."""
    data = lab.rows(lab.demonstrate(), lab.budget)
    weight = data.weight * np.exp(-config.rate * np.asarray(data.t, np.float32))
    params, losses = lab.fit(data._replace(weight=weight.astype(np.float32)))
    return Trained({"last": lab.policy(params)}, "last", {"loss": losses}, {"lightest": weight.min(1)})
