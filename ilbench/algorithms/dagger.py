"""Dataset aggregation: label the states that the learner itself visits, aggregate, refit.

Unlike behaviour cloning the training states come from the learner's own distribution, so mistakes cost
O(u eps H) instead of O(eps H^2) where the expert can recover. Every round buys its share of the labels: where the learner
falls early it is more episodes, and every fit is one to convergence, from the last round's parameters on.
Paper: Ross, Gordon & Bagnell 2011, https://arxiv.org/abs/1011.0686
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ilbench.rollouts.behaviours import mixed
from ilbench.training.deployed import choose
from ilbench.training.lab import Lab
from ilbench.training.rows import concatenate
from ilbench.types import Head, Task, Trained

RATE = "<= 1"  # upper rate of the cost in H at fixed eps: O(u eps H)
NEEDS = ("expert",)
SPACE = {"dagger.rounds": (2, 4, 8), "dagger.schedule": ("first", "geometric")}  # what `ilbench tune` tries
TRY = ("gridworld", "table", 600)  # what the contract test runs: task, head, labels
SCHEDULES = ("first", "geometric", "linear")
SELECTED = ("last", "best", "mixture")


@dataclass(frozen=True)
class Config:
    """How the budget is spread over rounds, and who acts in them."""

    rounds: int = 5  # fits; round 0 is on demonstrations, the others follow a collection
    schedule: str = "first"  # beta per round: first = 1 then 0; geometric = p^i; linear = 1 - i/rounds
    p: float = 0.5  # base of the geometric schedule
    selected: str = "last"  # which policy is scored: last, best (lowest loss on its own validation labels) or mixture
    validate: bool = True  # spend one round's labels on the last iterate's own states, for `best`; no other use

    def __post_init__(self) -> None:
        if self.rounds < 1:
            raise ValueError(f"dagger.rounds must be at least 1, got {self.rounds}")
        if self.schedule not in SCHEDULES:
            raise ValueError(f"dagger.schedule must be one of {', '.join(SCHEDULES)}, got {self.schedule!r}")
        if self.selected not in SELECTED:
            raise ValueError(f"dagger.selected must be one of {', '.join(SELECTED)}, got {self.selected!r}")
        if not 0 <= self.p <= 1:
            raise ValueError(f"dagger.p is a beta and must lie in [0, 1], got {self.p}")
        if self.selected == "best" and not self.validate:
            raise ValueError(
                "dagger.selected=best needs dagger.validate=true: the last iterate has no validation labels otherwise"
            )


def beta(config: Config, i: int) -> float:
    """Probability that the expert acts at a step of round i >= 0; always 1 in round 0."""
    if i == 0 or config.schedule == "first":
        return float(i == 0)
    return config.p**i if config.schedule == "geometric" else max(0.0, 1.0 - i / config.rounds)


def check(budget: int, task: Task, head: Head, config: Config) -> None:
    """Raises ValueError when the budget does not make an episode of labels per round; called before any compute."""
    episodes = budget // task.horizon
    if episodes < config.rounds + config.validate:
        raise ValueError(
            f"dagger needs at least {config.rounds + config.validate} episodes of labels for {config.rounds} rounds"
            f"{' and a validation round' if config.validate else ''}; {task.name}'s budget buys {episodes}: "
            "lower dagger.rounds or raise the budget"
        )


def train(lab: Lab, config: Config) -> Trained:
    """Demonstrate, fit, then (collect under the mixture with the expert, aggregate, fit) for every further round."""
    task = lab.task
    rounds = config.rounds + config.validate
    parts = [lab.demonstrate(labels=lab.budget // rounds)]
    params, losses = lab.fit(lab.rows(parts[0], lab.budget), stages=config.rounds)
    iterates, fresh = [params], []
    for i in range(1, rounds):
        acting = lab.same(mixed(task.env.action, task.horizon, beta=beta(config, i) if i < config.rounds else 0.0))
        # What is left is spread over the rounds that are left, to the last label.
        new = lab.collect(labels=lab.remaining // (rounds - i), behaviour=acting, policy=lab.policy(params))
        # Labels on states that the iterate has just visited are its validation before they become training data.
        fresh.append(lab.loss(params, lab.rows(new, lab.budget)))
        if i < config.rounds:
            parts.append(new)
            params, losses = lab.fit(lab.rows(concatenate(parts), lab.budget), stage=i, stages=config.rounds, start=params)
            iterates.append(params)
    policies = {"last": lab.policy(params), "mixture": lab.mixture(iterates)}
    if config.validate:
        policies["best"] = lab.policy(choose(iterates, np.argmin(np.stack(fresh, axis=1), axis=1)))
    return Trained(
        policies, config.selected, {"loss": losses, "validation": np.stack(fresh, axis=1) if fresh else losses[:, :0]}
    )
