"""Aggregation of costs: what an action costs, if the expert goes on after it, in place of whether the expert would have taken it.

Unlike DAgger a mistake that costs nothing is none, and one that cannot be undone weighs what it costs. Cost-sensitive classification
becomes weighted classification: action a of a state whose estimated costs are C weighs max C - C(a), so that the most weight,
summed over whatever states a class cannot tell apart, is the least cost. `cost_to_go=exact` reads all costs of every labelled state
off the table's dynamic programming. `branch` has one number per branch: the learner up to a random step, another action than
the expert's there, then the expert, and the same without it, whose expert's actions are all charged; actions that were not tried
are believed to cost what tried ones did on average, which biases nothing, for what was tried is corrected by as much. Continuous
actions have no such table of costs; a method that follows the gradient of the cost-to-go is another one.
Paper: Ross & Bagnell 2014, Reinforcement and imitation learning via interactive no-regret learning, https://arxiv.org/abs/1406.5979
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ilbench.exact import dp
from ilbench.rollouts.behaviours import mixed
from ilbench.rollouts.branch import Branches
from ilbench.training.lab import Lab
from ilbench.training.rows import concatenate
from ilbench.types import Data, Discrete, Head, Task, Trained

RATE = "<= 1"  # upper rate of the cost in H at fixed eps, which is of costs here
NEEDS = ("expert", "discrete actions", "one step")
TRY = ("gridworld", "table", 600)  # what the contract test runs: task, head, labels
COSTS = ("auto", "exact", "branch")


@dataclass(frozen=True)
class Config:
    """Where costs come from, and how the labels are spread."""

    rounds: int = 3  # fits on costs; round 0 of exact ones is on the expert's own states
    cost_to_go: str = "auto"  # exact: of the task's table; branch: of rollouts; auto: exact where there is a table
    demonstrations: float = 0.5  # of branch: the share of the labels that is demonstrated first, for the first policy
    # Of branch: what all demonstrated labels together weigh in the later fits over all that was tried. It decides where nothing was
    # tried and little elsewhere; 0, the paper's, leaves them out.
    prior: float = 0.1

    def __post_init__(self) -> None:
        if self.rounds < 1:
            raise ValueError(f"aggrevate.rounds must be at least 1, got {self.rounds}")
        if self.cost_to_go not in COSTS:
            raise ValueError(f"aggrevate.cost_to_go must be one of {', '.join(COSTS)}, got {self.cost_to_go!r}")
        if not 0 < self.demonstrations < 1:
            raise ValueError(f"aggrevate.demonstrations is a share of the labels and must lie in (0, 1), got {self.demonstrations}")
        if not 0 <= self.prior < np.inf:
            raise ValueError(f"aggrevate.prior is a weight and must be finite and at least 0, got {self.prior}")


def rows_per_label(config: Config) -> int:
    """A row for every action: four, which is what most discrete tasks have at most."""
    return 4


def known(task: Task) -> bool:
    """Whether the task's table speaks of what the learner sees."""
    return task.mdp is not None and isinstance(task.env.obs, Discrete) and task.env.expert_obs is None


def branches(budget: int, task: Task, config: Config) -> tuple[int, int]:
    """Labels that are demonstrated, and branches of a round: those that the others buy if each takes two episodes of labels."""
    first = max(1, round(config.demonstrations * budget))
    return first, (budget - first) // (2 * task.horizon * config.rounds)


def check(budget: int, task: Task, head: Head, config: Config) -> None:
    """Raises ValueError for costs that are not known and for rounds without a label; called before any compute."""
    if config.cost_to_go == "exact" and not known(task):
        raise ValueError(f"aggrevate.cost_to_go=exact needs the table of what the learner sees, and {task.name} has none: take branch")
    exact = config.cost_to_go != "branch" and known(task)
    if exact and budget // task.horizon < config.rounds:
        raise ValueError(
            f"aggrevate needs at least {config.rounds} episodes of labels for {config.rounds} rounds; {task.name}'s budget buys "
            f"{budget // task.horizon}: lower aggrevate.rounds or raise the budget"
        )
    if not exact and branches(budget, task, config)[1] < 1:
        raise ValueError(
            f"aggrevate needs {2 * task.horizon} labels for a branch in each of {config.rounds} rounds, beside the "
            f"{config.demonstrations:g} that are demonstrated, and {task.name}'s budget is {budget}: lower aggrevate.rounds or "
            "aggrevate.demonstrations, or raise the budget"
        )


def weighted(t: Any, obs: Any, costs: Any, exists: Any) -> Data:
    """Rows of all actions `[S, R n]`, weighing max C - C(a), of steps `[S, R]` with costs `[S, R, n]`; none where `exists` is 0."""
    seeds, count, n = costs.shape
    weight = (costs.max(-1, keepdims=True) - costs) * (np.asarray(exists)[..., None] > 0)
    action = np.broadcast_to(np.arange(n, dtype=np.int32), costs.shape)
    seen = np.repeat(np.asarray(obs), n, axis=1)
    flat = (seeds, count * n)
    return Data(np.repeat(np.asarray(t, np.int32), n, axis=1), seen, action.reshape(flat), np.float32(weight.reshape(flat)))


def train(lab: Lab, config: Config) -> Trained:
    """Costs by the one way or the other."""
    return _exact(lab, config) if config.cost_to_go != "branch" and known(lab.task) else _branching(lab, config)


def regrets(task: Task) -> np.ndarray:
    """What an action costs over the expert's, the expert going on: V*_t(s) - Q*_t(s, a), `[H, S, n]` (less than 0: it is better)."""
    assert task.mdp is not None
    mdp, H = task.mdp(), task.horizon
    table = np.broadcast_to(np.asarray(task.ask().params), (H, mdp.rho.size))
    Q = dp.q_values(mdp, table, H)
    return np.take_along_axis(Q, table[..., None], -1) - Q


def _exact(lab: Lab, config: Config) -> Trained:
    """The expert's states in round 0, then the learner's own, all of them labelled with all of their costs."""
    task, rounds, costs = lab.task, config.rounds, regrets(lab.task)
    own, parts, params = lab.same(mixed(task.env.action, task.horizon)), [], None
    for i in range(rounds):
        labels = lab.remaining // (rounds - i)
        if params is None:
            parts.append(lab.demonstrate(labels=labels))
        else:
            parts.append(lab.collect(labels=labels, behaviour=own, policy=lab.policy(params)))
        seen = lab.rows(concatenate(parts), lab.budget)
        data = weighted(seen.t, seen.obs, costs[seen.t, seen.obs], seen.weight)
        params, losses = lab.fit(data, stage=i, stages=rounds, start=params)
    assert params is not None
    return Trained({"last": lab.policy(params)}, "last", {"loss": losses})


def tried(found: Branches) -> tuple[Any, ...]:
    """`(t, obs, expert's action, other action, its cost, exists)`, `[S, N]` each, of branches off an episode that had not ended."""
    index = np.asarray(found.step)
    seeds, episodes = np.arange(len(index))[:, None], np.arange(index.shape[1])
    obs, label, action, alive = (
        np.asarray(x)[seeds, episodes, index]
        for x in (found.deviated.obs, found.deviated.label, found.deviated.action, found.deviated.alive)
    )
    cost = (np.asarray(found.straight.reward, np.float64) - np.asarray(found.deviated.reward, np.float64)).sum(-1)
    return index.astype(np.int32), obs, label, action, cost, alive


def estimated(n: int, label: Any, action: Any, cost: Any, exists: Any) -> np.ndarray:
    """Costs `[S, R, n]` over the expert's action, estimated from one other action each: none for `label`, for the others the mean
    cost of all that were tried, and for `action`, one of n - 1 that were as likely, what it really cost beyond that, n - 1 times."""
    there = np.asarray(exists) > 0
    mean = (cost * there).sum(1) / np.maximum(there.sum(1), 1)
    belief = np.maximum(mean, 0.0)[:, None]
    eye = np.eye(n)
    return belief[..., None] * (1 - eye[label]) + ((n - 1) * (cost - belief))[..., None] * eye[action]


def _branching(lab: Lab, config: Config) -> Trained:
    """Demonstrations and a clone of them; then, round by round, branches off the newest policy and a fit on all costs so far.

    A branch takes less than two episodes of labels, and what is left over is demonstrated before the last fit.
    """
    task, rounds = lab.task, config.rounds
    first, each = branches(lab.budget, task, config)
    shown, found, mean = [lab.demonstrate(labels=first)], [], np.zeros(len(lab.seeds))
    params, losses = lab.fit(lab.rows(shown[0], lab.budget), stages=rounds + 1)
    for i in range(rounds):
        policy = lab.policy(params)
        # A push of discrete actions is any other one than the expert's, each as likely.
        found.append(tried(lab.branch(policy, each, 1.0)))
        if i == rounds - 1 and (lab.remaining > 0).any():
            acting = lab.same(mixed(task.env.action, task.horizon, beta=1.0))
            shown.append(lab.collect(labels=lab.remaining, behaviour=acting, policy=policy))
        data, mean = _together(lab, rounds * each, found, lab.rows(concatenate(shown), lab.budget), config.prior)
        params, losses = lab.fit(data, stage=i + 1, stages=rounds + 1, start=params)
    return Trained({"last": lab.policy(params)}, "last", {"loss": losses}, {"deviation": mean})


def _together(lab: Lab, most: int, found: list[Any], shown: Data, prior: float) -> tuple[Data, np.ndarray]:
    """Rows of at most `most` branches and of the demonstrations, and the mean cost `[S]` of what was tried."""
    assert isinstance(lab.task.env.action, Discrete)

    def filled(x: Any) -> np.ndarray:  # one shape whatever the round
        return np.pad(x, [(0, 0), (0, most - x.shape[1]), *[(0, 0)] * (x.ndim - 2)])

    t, obs, label, action, cost, exists = (filled(np.concatenate(parts, axis=1)) for parts in zip(*found, strict=True))
    costs = weighted(t, obs, estimated(lab.task.env.action.n, label, action, cost, exists), exists)
    total, rows = costs.weight.sum(1), np.asarray(shown.weight) > 0
    # Where all that was tried costs the same there is nothing else to go by than the demonstrations.
    share = np.where(total > 0, prior * total / np.maximum(rows.sum(1), 1), 1.0)
    data = concatenate([costs, shown._replace(weight=np.float32(rows * share[:, None]))])
    there = exists > 0
    return data, (cost * there).sum(1) / np.maximum(there.sum(1), 1)
