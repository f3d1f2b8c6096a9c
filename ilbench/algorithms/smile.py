"""Stochastic mixing: every round a further policy takes a share alpha of the steps over from the expert, which leaves in the end.

pi_n = (1 - alpha)^n pi* + alpha sum_j (1 - alpha)^(j - 1) pihat_j, drawn anew at every step, where pihat_j is fitted to the expert's
labels on the states of pi_{j-1} alone. Unlike DAgger nothing is aggregated, so that the state law changes slowly by construction;
unlike behaviour cloning later policies are taught where earlier ones lead. Deployed is the mixture without the expert,
renormalised: its oldest policy, which is a clone, has the largest share.
Paper: Ross & Bagnell 2010, Efficient reductions for imitation learning, https://proceedings.mlr.press/v9/ross10a.html
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ilbench.rollouts.behaviours import mixed
from ilbench.rollouts.keys import seed_keys
from ilbench.training import fit as fitting
from ilbench.training.deployed import by_lot
from ilbench.training.lab import Lab
from ilbench.types import Head, Task, Trained

NEEDS = ("expert", "one step")
TRY = ("gridworld", "table", 600)  # what the contract test runs: task, head, labels


@dataclass(frozen=True)
class Config:
    """How fast the expert leaves."""

    rounds: int = 5  # policies mixed; each is fitted to its own share of the labels
    alpha: float = 0.1  # share of the steps that a round's policy takes over; the paper's, and that of Ross et al. 2011

    def __post_init__(self) -> None:
        if self.rounds < 1:
            raise ValueError(f"smile.rounds must be at least 1, got {self.rounds}")
        if not 0 < self.alpha < 1:
            raise ValueError(f"smile.alpha is a share and must lie in (0, 1), got {self.alpha}")


def check(budget: int, task: Task, head: Head, config: Config) -> None:
    """Raises ValueError when the budget does not make an episode of labels per round; called before any compute."""
    if budget // task.horizon < config.rounds:
        raise ValueError(
            f"smile needs at least {config.rounds} episodes of labels for {config.rounds} rounds; {task.name}'s budget buys "
            f"{budget // task.horizon}: lower smile.rounds or raise the budget"
        )


def train(lab: Lab, config: Config) -> Trained:
    """Demonstrations for the first policy; then states of the expert and all policies so far, mixed at every step."""
    task, rounds = lab.task, config.rounds
    shares = config.alpha * (1 - config.alpha) ** np.arange(rounds)
    iterates = [fitting.init(lab.head, seed_keys("init", lab.seeds))] * rounds
    curve = []
    for j in range(rounds):
        labels = lab.remaining // (rounds - j)
        if j == 0:
            demos = lab.demonstrate(labels=labels)
        else:
            acting = lab.same(mixed(task.env.action, task.horizon, beta=(1 - config.alpha) ** j))
            so_far = by_lot(lab.head, iterates, np.where(np.arange(rounds) < j, shares, 0.0))
            demos = lab.collect(labels=labels, behaviour=acting, policy=so_far)
        params, losses = lab.fit(lab.rows(demos, lab.budget), stage=j, stages=rounds)
        iterates[j] = params
        curve.append(losses[:, -1])
    return Trained({"mixture": by_lot(lab.head, iterates, shares)}, "mixture", {"loss": np.stack(curve, axis=1)})
