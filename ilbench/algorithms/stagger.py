"""State-wise aggregation: a round buys the label of one state, drawn uniformly from the learner's own episodes, and refits.

Unlike DAgger, which labels whole episodes of a policy that is known to be wrong after the first few, every label is bought under
the newest policy: cheap in labels, dear in env steps. Of an episode that ended before the drawn step nothing is bought, and
another one is begun, so that states are drawn from those that the learner visits alive. The last policy is deployed.
Paper: Li & Zhang 2024, Interactive and hybrid imitation learning: provably beating behavior cloning (Stagger; with demonstrations
first, Warm-Stagger), https://arxiv.org/abs/2412.07057
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ilbench.rollouts.keys import seed_keys
from ilbench.training import fit as fitting
from ilbench.training.lab import Lab
from ilbench.training.rows import compact, concatenate
from ilbench.types import Array, Behaviour, Choice, Head, Task, Trained

RATE = "<= 1"  # upper rate of the cost in H at fixed eps: O(u eps H)
NEEDS = ("expert",)
TRY = ("gridworld", "table", 100)  # what the contract test runs: task, head, labels
TRAINED = 10  # rounds of a head that takes gradient steps, where nobody says how many labels a round has


@dataclass(frozen=True)
class Config:
    """How many labels a round buys, and what comes before the first."""

    labels_per_round: int = 0  # 0: one where the head is solved in closed form, else a tenth of what is not demonstrated
    demonstrations: float = 0.0  # share of the labels that is demonstrated first (Warm-Stagger); 0: the first policy is untrained

    def __post_init__(self) -> None:
        if self.labels_per_round < 0:
            raise ValueError(f"stagger.labels_per_round must be at least 1, or 0 for the default, got {self.labels_per_round}")
        if not 0 <= self.demonstrations < 1:
            raise ValueError(f"stagger.demonstrations is a share of the labels and must lie in [0, 1), got {self.demonstrations}")


def shares(budget: int, head: Head, config: Config) -> tuple[int, int]:
    """Labels that are demonstrated, and the number of rounds that the others are spread over."""
    first = min(round(config.demonstrations * budget), budget - 1)
    each = config.labels_per_round or (1 if head.solve is not None else -(-(budget - first) // TRAINED))
    return first, -(-(budget - first) // each)


def check(budget: int, task: Task, head: Head, config: Config) -> None:
    """Raises ValueError for a round that is larger than all of the labels; called before any compute."""
    if config.labels_per_round > budget:
        raise ValueError(
            f"stagger.labels_per_round is {config.labels_per_round} and {task.name}'s budget {budget}: lower one or raise the other"
        )


def _step(params: Any, key: Array) -> Array:
    """The step at which this episode asks."""
    return jax.random.randint(key, (), 0, params["horizon"], jnp.int32)


def _choose(params: Any, key: Array, t: Array, step: Any, obs: Array, proposal: Array, label: Array) -> Choice:
    return Choice(step, jnp.int32(0), proposal, t == step)


def train(lab: Lab, config: Config) -> Trained:
    """Demonstrations if any, and then as many rounds as there are labels: an episode, one question, a fit on all so far."""
    first, rounds = shares(lab.budget, lab.head, config)
    params, parts = fitting.init(lab.head, seed_keys("init", lab.seeds)), []
    if first:
        parts = [compact(lab.rows(lab.demonstrate(labels=first)), lab.budget)]
        params, losses = lab.fit(parts[0], stages=rounds + 1)
    asking = lab.same(Behaviour({"horizon": np.int32(lab.task.horizon)}, _step, _choose))
    for i in range(rounds):
        # A seed whose episodes all ended too early buys its labels later.
        new = lab.collect(labels=lab.remaining // (rounds - i), behaviour=asking, policy=lab.policy(params))
        parts = [compact(concatenate([*parts, lab.rows(new)]), lab.budget)]
        params, losses = lab.fit(parts[0], stage=i + 1, stages=rounds + 1, start=params)
    return Trained({"last": lab.policy(params)}, "last", {"loss": losses})
