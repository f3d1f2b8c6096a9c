"""HG-DAgger: a person watches, takes the wheel where the learner strays too far, and gives it back once it agrees again.

Labels are those of the stretches that the expert drives, and nothing else is asked of it. The person is simulated: it is called where
the learner's action is far from its own, comes after a reaction time, and leaves after a run of steps at which both agree closely.
How far an ensemble's members disagreed when it was called becomes the threshold of doubt that the paper deploys.
Paper: Kelly, Sidrane, Driggs-Campbell & Kochenderfer 2019, https://arxiv.org/abs/1810.02890
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from ilbench.rollouts.gates import Rule, apart, gated
from ilbench.training.bootstrap import members
from ilbench.training.deployed import to_policy
from ilbench.training.lab import Lab
from ilbench.training.ledger import EXPERT
from ilbench.training.rounds import Novice, RoundsConfig, check_labels, check_rounds, in_rounds, labelled
from ilbench.training.rows import compact
from ilbench.types import Array, Behaviour, Data, Demos, Head, Space, Task, Trained
from ilbench.wrappers.ensemble import bagged, stacked, variances

NEEDS = ("expert", "one step")
TRY = ("scalar_stable", "linear", 300)  # what the contract test runs: task, head, labels
LAST = 0.75  # the threshold of doubt is the mean of what was recorded from this share of the interventions on (the paper's)


@dataclass(frozen=True)
class Config(RoundsConfig):
    """The person, and the ensemble. The paper's gate is a real person: the defaults of the simulated one are our own."""

    high: float = 0.008  # called where ||a - a*||^2, as a share of the squared diagonal of the action box, is above
    low: float = 0.002  # content where it is below; of discrete actions it is 1 where they differ, else 0
    reaction: int = 2  # steps from being called to driving
    hold: int = 3  # steps in a row that it has to be content before it lets go
    members: int = 5  # networks of the ensemble

    def __post_init__(self) -> None:
        check_rounds("hg_dagger", self)
        if not 0 < self.low <= self.high < 1:
            raise ValueError(f"hg_dagger.low and high are shares, 0 < low <= high < 1, got {self.low} and {self.high}")
        if self.reaction < 0 or self.hold < 1 or self.members < 2:
            raise ValueError(
                "hg_dagger.reaction must be at least 0, hold at least 1 and members at least 2, got "
                f"{self.reaction}, {self.hold} and {self.members}"
            )


def check(budget: int, task: Task, head: Head, config: Config) -> None:
    """Raises ValueError for a budget that makes no episode of demonstrations, or no label a round."""
    check_labels("hg_dagger", budget, task, config)


@lru_cache
def watching(space: Space) -> Rule:
    """Called above `high`, content below `low`, of the true distance."""

    def rule(params: Any, key: Array, t: Array, obs: Array, proposal: Array, label: Array) -> tuple[Array, Array]:
        far = apart(space, proposal, label)
        return far > params["high"], far < params["low"]

    return rule


def interventions(demos: Demos) -> np.ndarray:
    """Where the expert began to drive, `[S, N, H]` bool."""
    acts = (np.asarray(demos.actor) == EXPERT) & np.asarray(demos.alive)
    return acts & ~np.pad(acts, ((0, 0), (0, 0), (1, 0)))[:, :, :-1]


def doubts(lab: Lab, novice: Novice, demos: Demos) -> list[np.ndarray]:
    """||diag Cov||_2 of the ensemble that drove, at each intervention of a seed, in their order."""
    began = interventions(demos)
    seeds, _, horizon = began.shape
    t = np.broadcast_to(np.arange(horizon, dtype=np.int32), began.shape).reshape(seeds, -1).copy()
    obs = np.asarray(demos.obs)
    every = Data(t, obs.reshape(seeds, -1, *obs.shape[3:]), t, began.reshape(seeds, -1).astype(np.float32))
    rows = compact(every, lab.budget)  # an intervention costs a label at least
    found = np.asarray(variances(lab.head, novice.params, lab.keys("doubt"), rows.t, rows.obs))
    size = np.sqrt(np.square(found.reshape(seeds, lab.budget, -1)).sum(-1))
    return [d[w > 0] for d, w in zip(size, rows.weight, strict=True)]


def learn(lab: Lab, config: Config, parts: list[Demos], before: Novice | None) -> Novice:
    """An ensemble on all labels, and the doubts recorded so far."""
    start = None if before is None else before.params
    fits, losses = members(
        lab, labelled(lab, parts), config.members, stage=len(parts) - 1, stages=config.rounds + 1, start=start
    )
    recorded = [np.zeros(0)] * len(lab.seeds)
    if before is not None:
        recorded = [np.concatenate(d) for d in zip(before.carried, doubts(lab, before, parts[-1]), strict=True)]
    params, head = stacked(fits), bagged(lab.head, config.members, lab.task.env.action)
    return Novice(params, to_policy(head, params), losses, recorded)


def threshold(recorded: np.ndarray) -> float:
    """The mean of the last quarter of the doubts at interventions; NaN without one."""
    return float(recorded[int(LAST * len(recorded)) :].mean()) if len(recorded) else float("nan")


def gate(lab: Lab, config: Config, novice: Novice) -> Behaviour:
    """The person."""
    space, seeds = lab.task.env.action, len(lab.seeds)
    numbers = {name: np.full(seeds, getattr(config, name), np.float32) for name in ("high", "low")}
    return gated(space, watching(space), numbers, seeds, delay=config.reaction, hold=config.hold)


def train(lab: Lab, config: Config) -> Trained:
    """Rounds under the person's gate; `doubt` is the threshold learnt from its interventions."""
    novice, trained = in_rounds(lab, config, learn, gate)
    doubt = np.array([threshold(d) for d in novice.carried])
    return replace(trained, scalars={**trained.scalars, "doubt": doubt})
