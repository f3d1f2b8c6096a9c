"""Forward training: a policy for every step, or block of steps, each taught on the states that those before it lead to.

Unlike behaviour cloning no step is taught on states that the expert would have reached and the learner does not; unlike DAgger
nothing is taught twice, and what is deployed is not stationary: its parameters change with the step. Within its block the expert
acts, so that one block is behaviour cloning and blocks of one step are the paper's algorithm. Episodes go on to their end
after the block, which costs env steps and no labels.
Paper: Ross & Bagnell 2010, Efficient reductions for imitation learning, https://proceedings.mlr.press/v9/ross10a.html
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ilbench.rollouts.behaviours import mixed
from ilbench.rollouts.keys import seed_keys
from ilbench.training import fit as fitting
from ilbench.training.deployed import choose, in_turn
from ilbench.training.lab import PATIENCE, Lab
from ilbench.training.rows import concatenate
from ilbench.types import Head, Task, Trained

RATE = "<= 1"  # upper rate of the cost in H at fixed eps: O(u eps H)
NEEDS = ("expert", "one step")
TRY = ("gridworld", "table", 600)  # what the contract test runs: task, head, labels


@dataclass(frozen=True)
class Config:
    """How the steps are shared out."""

    blocks: int = 10  # groups of consecutive steps with a policy each; H or more: one for every step, as in the paper

    def __post_init__(self) -> None:
        if self.blocks < 1:
            raise ValueError(f"forward.blocks must be at least 1, got {self.blocks}")


def turns(horizon: int, blocks: int) -> np.ndarray:
    """The block `[H]` of every step: at most one per step, of equal lengths up to one step."""
    count = min(blocks, horizon)
    return np.arange(horizon) * count // horizon


def calls(labels: int, length: int, horizon: int) -> int:
    """In how many calls a block of `length` steps asks for its labels: an episode has so many of them, and one call stops after
    as many episodes as would do if one in 64 steps had a label."""
    return 1 if PATIENCE * length >= horizon else -(-labels // (PATIENCE * length))


def check(budget: int, task: Task, head: Head, config: Config) -> None:
    """Raises ValueError where a block would get no label; called before any compute."""
    count = min(config.blocks, task.horizon)
    if budget < count:
        raise ValueError(
            f"forward needs a label for each of its {count} blocks and {task.name}'s budget is {budget}: lower forward.blocks "
            "or raise the budget"
        )


def train(lab: Lab, config: Config) -> Trained:
    """For every block in turn: the policies before it lead in, the expert shows its steps, and they alone are fitted."""
    task, steps = lab.task, turns(lab.task.horizon, config.blocks)
    count = int(steps[-1]) + 1
    params = fitting.init(lab.head, seed_keys("init", lab.seeds))
    iterates = [params] * count
    for b in range(count):
        here = (steps == b).astype(np.float32)
        acting = lab.same(mixed(task.env.action, task.horizon, beta=here, reveal=here))
        policy, parts = in_turn(lab.head, iterates, steps), []
        before = lab.remaining
        share = before // (count - b)
        for left in range(calls(-(-lab.budget // count), int(here.sum()), task.horizon), 0, -1):
            wanted = (share - (before - lab.remaining)) // left
            parts.append(lab.collect(labels=wanted, behaviour=acting, policy=policy))
        data = lab.rows(concatenate(parts), lab.budget)
        fitted, losses = lab.fit(data, stage=b, stages=count)
        # Where every episode of a seed ended before the block there is nothing to learn: the policy before it goes on.
        reached = (np.asarray(data.weight) > 0).any(1)
        params = choose([params, fitted], reached.astype(int))
        iterates[b:] = [params] * (count - b)
    return Trained({"last": in_turn(lab.head, iterates, steps)}, "last", {"loss": losses})
