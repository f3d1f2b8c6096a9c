"""Instances of the bound ladder: random MDPs and tabular tasks in exact numbers, trained learners in rollouts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ilbench import registry
from ilbench.evaluation import coupling
from ilbench.exact import bounds, dp
from ilbench.exact.mdp import MDP
from ilbench.running import plan
from ilbench.running.policies import untrained
from ilbench.training.lab import Lab
from ilbench.training.rows import rows
from ilbench.types import Demos, Policy, Task

NAMES = ("b3", "b2", "b1", "b0")
TABULAR = (
    "cliff",
    "recoverable",
    "stable",
    "disjoint",
    "first_step",
    "copy_chain",
    "reset_cliff",
    "reset_cliff_recoverable",
    "gridworld",
    "random_mdp",
)


# --------------------------------------------------------------------------------------------- exact
class Rungs(NamedTuple):
    """Both gaps of one instance and its bounds, in units of a step's cost (returns divided by the range's width)."""

    cost: float  # sum_t E_{learner} TV
    gap: float  # (J* - J) / width
    b3: float
    b2: float
    b1: float
    b0: float
    horizon: int


def rungs(mdp: MDP, learner: Any, expert: Any, H: int, width: float = 1.0) -> Rungs:
    """The ladder of a learner and an expert (tables as in ilbench/exact/dp.py) by dynamic programming."""
    ladder = bounds.ladder(dp.expert_errors(mdp, learner, expert, H), dp.first_mistake(mdp, learner, expert, H))
    b3, b2, b1, b0 = (float(ladder[name]) for name in NAMES)
    return Rungs(
        float(dp.expected_mistakes(mdp, learner, expert, H).sum()),
        (dp.total_return(mdp, expert, H) - dp.total_return(mdp, learner, H)) / width,
        b3,
        b2,
        b1,
        b0,
        H,
    )


def random_instances(count: int) -> list[Rungs]:
    """Random MDPs with rewards in [0, 1]; every other expert is deterministic, so is every third learner."""
    out, rng = [], np.random.default_rng(4)
    for i in range(count):
        S, A, H = (int(rng.integers(low, high)) for low, high in ((2, 8), (2, 5), (1, 13)))
        P = rng.dirichlet(np.full(S, rng.choice([0.1, 1.0])), (S, A))
        mdp = MDP(P, rng.uniform(size=(S, A)), rng.dirichlet(np.ones(S)))
        table = np.eye(A)[rng.integers(0, A, (H, S))]
        expert = table if i % 2 == 0 else 0.9 * table + 0.1 * rng.dirichlet(np.ones(A), (H, S))
        other = np.eye(A)[rng.integers(0, A, (H, S))] if i % 3 == 0 else rng.dirichlet(np.ones(A), (H, S))
        share = 10.0 ** rng.uniform(-4, 0, (H, S, 1))
        if i % 3 == 0:  # deterministic: another action at some of the steps and states
            share = (rng.uniform(size=(H, S, 1)) < share).astype(float)
        out.append(rungs(mdp, (1 - share) * expert + share * other, expert, H))
    return out


def erring(task: Task, eps: float) -> Any:
    """The learner of a tabular task: errs with probability eps where the expert goes, always wrong elsewhere.

    `disjoint`, `first_step` and `copy_chain` have learners of their own.
    """
    assert task.mdp is not None
    mdp, H = task.mdp(), task.horizon
    if task.id in ("disjoint", "first_step"):
        return registry.load("tasks", task.id).learner(H, len(mdp.rho) - 2)
    if task.id == "copy_chain":
        return registry.load("tasks", task.id).learner(eps)
    A = mdp.R.shape[1]
    expert = np.broadcast_to(np.asarray(task.ask().params), (H, len(mdp.rho)))
    seen = dp.occupancy(mdp, expert, H).max(0) > 0
    rate = np.where(seen, eps, 1.0)[:, None]
    return (1 - rate) * np.eye(A)[expert] + rate * np.eye(A)[dp.worst_actions(mdp, expert, H)]


def tabular_instances(eps: float) -> dict[str, Rungs]:
    """The ladder of every tabular task at its own horizon."""
    out = {}
    for name in TABULAR:
        task = registry.task(name)
        assert task.reward_range is not None
        width = task.reward_range[1] - task.reward_range[0]
        out[name] = rungs(task.mdp(), erring(task, eps), task.ask().params, task.horizon, width)
    return out


def tolerance_counterexample(H: int) -> tuple[float, float]:
    """`(cost, every bound)` with 0-1 cost 1{|da| > .01}: x' = x + u, x_0 = 0, expert u = -x / 2, learner u = .009."""
    expert: Callable[[float], float] = lambda x: -0.5 * x  # noqa: E731
    learner: Callable[[float], float] = lambda x: 0.009  # noqa: E731

    def mistakes(act: Callable[[float], float]) -> np.ndarray:
        x, wrong = 0.0, []
        for _ in range(H):
            wrong.append(abs(learner(x) - expert(x)) > 0.01)
            x += act(x)
        return np.array(wrong, float)

    eps = mistakes(expert)
    return float(mistakes(learner).sum()), float(max(bounds.b1(eps), bounds.b0(eps)))


# --------------------------------------------------------------------------------------- Monte Carlo
@dataclass(frozen=True)
class Instance:
    """A learner trained by behaviour cloning on few demonstrations; sigma smooths continuous actions."""

    task: str
    horizon: int
    head: str
    demonstrations: int
    sigma: float | None = None
    episodes: int = 64  # expert rollouts, held-out expert rollouts and learner rollouts per seed
    config: tuple[tuple[str, Any], ...] = ()

    @property
    def label(self) -> str:
        """How a statement names it."""
        smooth = "" if self.sigma is None else f", sigma = {self.sigma:g}"
        return f"{self.task}, BC of {self.demonstrations}, H = {self.horizon}{smooth}"


class Measured(NamedTuple):
    """Gaps and bounds as estimated, one value an episode `[S, N]` where their mean is what is meant, else a seed `[S]`.

    Given the trained policies episodes are independent, so that rare mistakes keep their power.
    """

    cost: np.ndarray  # `[S, N]`
    gap: np.ndarray | None  # `[S, N]` return gap over the width of the declared range
    b3: np.ndarray  # `[S, N]`
    b2: np.ndarray  # `[S]`
    b1: np.ndarray  # `[S]`
    b0: np.ndarray  # `[S, N]`
    path: np.ndarray  # `[S, N]` sum_t TV_t
    trivial: float  # H, the largest possible


def trained(instance: Instance, seeds: tuple[int, ...], stream: str) -> tuple[Task, Policy]:
    """Fits the head to the first `demonstrations` expert rollouts, which carry the noise that will be deployed."""
    labels = instance.demonstrations * instance.horizon
    block = plan.Block(
        instance.task, "bc", instance.head, labels, horizon=instance.horizon, config=dict(instance.config)
    )
    resolved = plan.resolve(block)
    task, lab = resolved.task, Lab(resolved.task, resolved.head, seeds, labels, resolved.fit)
    # Rolled with the shapes of the held-out rollouts: physics compiles once per instance.
    demos = coupling.rolls(
        task, untrained(resolved.head, seeds), seeds, instance.episodes, stream, beta=1.0, sigma=instance.sigma or 0.0
    )
    few = [np.asarray(x)[:, : instance.demonstrations] for x in (demos.obs, demos.label, demos.alive)]
    params, _ = lab.fit(rows(Demos(obs=few[0], label=few[1], revealed=few[2])))
    return task, lab.policy(params)


def measured(task: Task, policy: Policy, seeds: tuple[int, ...], instance: Instance, stream: str) -> Measured:
    """Held-out expert rollouts for the bounds, independent learner rollouts for the gap."""
    sides = {
        who: coupling.side(task, policy, seeds, instance.episodes, f"{stream}/{who}", who=who, sigma=instance.sigma)
        for who in ("expert", "learner")
    }
    on = coupling.paths(sides["expert"], falls=True)
    eps, returns = on.differs.mean(1), coupling.paths(sides["expert"], falls=False)
    gap = None
    if task.reward_range is not None:
        low, high = task.reward_range
        gap = (sides["expert"].reward - sides["learner"].reward).sum(-1) / (high - low)
    return Measured(
        coupling.costs(sides["learner"]).sum(-1),
        gap,
        on.failed.sum(-1),
        bounds.b2(eps),
        bounds.b1(eps),
        bounds.b0(on.differs),
        returns.apart.sum(-1),
        float(task.horizon),
    )
