"""EnsembleDAgger: the learner drives only where it is both near the expert and sure of itself; else the expert does.

The distance has to be asked for at every step, so that every step costs a label, and all labels are kept: unlike DAgger what is saved
is not labels but mistakes while training.
Paper: Menda, Driggs-Campbell & Kochenderfer 2019, https://arxiv.org/abs/1807.08364
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jax.numpy as jnp
import numpy as np

from ilbench.rollouts.gates import Rule, apart, diagonal, gated
from ilbench.training.bootstrap import members
from ilbench.training.deployed import to_policy
from ilbench.training.lab import Lab
from ilbench.training.rounds import Novice, RoundsConfig, check_labels, check_rounds, in_rounds, labelled
from ilbench.types import Array, Behaviour, Box, Demos, Head, Space, Task, Trained
from ilbench.wrappers.ensemble import bagged, stacked, variance

NEEDS = ("expert", "one step")
TRY = ("scalar_stable", "linear", 300)  # what the contract test runs: task, head, labels


@dataclass(frozen=True)
class Config(RoundsConfig):
    """The two limits, both shares of the squared diagonal of the action box; the paper sets its own for each task."""

    tau: float = 0.008  # largest ||mean - a*||^2 (discrete: 1 where the commonest action is not the expert's)
    chi: float = (
        0.002  # largest summed variance of the members (discrete: share of them that differs from the commonest)
    )
    members: int = 5  # networks of the ensemble

    def __post_init__(self) -> None:
        check_rounds("ensemble_dagger", self)
        if not (self.tau >= 0 and self.chi >= 0 and self.members >= 2):
            raise ValueError(
                "ensemble_dagger.tau and chi must be at least 0 and members at least 2, got "
                f"{self.tau}, {self.chi} and {self.members}"
            )


def check(budget: int, task: Task, head: Head, config: Config) -> None:
    """Raises ValueError for a budget that makes no episode of demonstrations, or no label a round."""
    check_labels("ensemble_dagger", budget, task, config)


@lru_cache(maxsize=64)
def unsure(head: Head, space: Space) -> Rule:
    """Called where the distance is above tau or the variance above chi, content elsewhere."""
    unit = diagonal(space) if isinstance(space, Box) else 1.0

    def rule(params: Any, key: Array, t: Array, obs: Array, proposal: Array, label: Array) -> tuple[Array, Array]:
        doubt = jnp.sum(variance(head, params["members"], key, t, obs)) / jnp.float32(unit)
        trusted = (apart(space, proposal, label) <= params["tau"]) & (doubt <= params["chi"])
        return ~trusted, trusted

    return rule


def learn(lab: Lab, config: Config, parts: list[Demos], before: Novice | None) -> Novice:
    """An ensemble on all labels."""
    start = None if before is None else before.params
    fits, losses = members(
        lab, labelled(lab, parts), config.members, stage=len(parts) - 1, stages=config.rounds + 1, start=start
    )
    params, head = stacked(fits), bagged(lab.head, config.members, lab.task.env.action)
    return Novice(params, to_policy(head, params), losses)


def gate(lab: Lab, config: Config, novice: Novice) -> Behaviour:
    """Both limits, asked at every step."""
    space, seeds = lab.task.env.action, len(lab.seeds)
    numbers = {name: np.full(seeds, getattr(config, name), np.float32) for name in ("tau", "chi")}
    return gated(space, unsure(lab.head, space), {"members": novice.params, **numbers}, seeds, asked=True)


def train(lab: Lab, config: Config) -> Trained:
    """Rounds under the two limits."""
    return in_rounds(lab, config, learn, gate)[1]
