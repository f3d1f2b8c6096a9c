"""Trains and evaluates one block: all its seeds at once, from labels to measured scores."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np

from ilbench import fit as fitting
from ilbench import parallel, references, registry
from ilbench.evidence import held_out_errors, roll, split
from ilbench.lab import Lab, finite, to_policy
from ilbench.noise import noisy
from ilbench.plan import Plan
from ilbench.records import MAX_EPISODES
from ilbench.rollout import seed_keys
from ilbench.types import Demos, Policy, Task, Trained


@dataclass
class Session:
    """What the blocks of a run share while they are about one task: expert rollouts, demonstrations, references."""

    demos: dict[Any, Demos] = field(default_factory=dict)
    expert: dict[Any, Demos] = field(default_factory=dict)
    references: dict[Any, Any] = field(default_factory=dict)
    task: Task | None = None

    def enter(self, task: Task) -> None:
        """Forgets what belongs to another task, so that memory stays bounded by one."""
        if self.task is not task:
            self.demos.clear()
            self.expert.clear()
            self.task = task
            parallel.spare_mappings()


@dataclass(frozen=True)
class Outcome:
    """What a block leaves for one seed."""

    seed: int
    status: str  # ok or diverged
    reason: str | None
    scores: dict[str, float | None]
    variants: dict[str, dict[str, float | None]]
    curves: dict[str, np.ndarray]
    returns: np.ndarray  # `[N]`
    costs: np.ndarray  # `[N]`
    labels: int
    env_steps: int


@dataclass(frozen=True)
class Executed:
    """What a block leaves for all its seeds."""

    outcomes: tuple[Outcome, ...]
    references: dict[str, Any]
    policy: Policy  # the scored one, leaves `[S, M, ...]`
    gradient_steps: int
    eval_steps: int  # live and dead env steps of evaluation, all seeds
    compile_s: float
    run_s: float


def _evaluated(plan: Plan) -> Task:
    """The task of the clean evaluation: with noise declared, the noisy one at sigma = 0, so that one program serves both."""
    return noisy(plan.task, 0.0) if plan.block.protocol.noise else plan.task


def _expert_evidence(session: Session, plan: Plan, seeds: tuple[int, ...]) -> Demos:
    protocol = plan.block.protocol
    key = (seeds, protocol.held_out, bool(protocol.noise))
    if key not in session.expert:
        placeholder = to_policy(plan.head, fitting.init(plan.head, seed_keys("init", seeds)))
        session.expert[key] = roll(_evaluated(plan), placeholder, seeds, protocol.held_out, beta=1.0)
    return session.expert[key]


def _references(session: Session, task: Task) -> dict[str, Any]:
    key = (task.name, task.horizon, id(task))
    if key not in session.references:
        session.references[key] = references.references(task)
    return session.references[key]


def _scalar(value: Any) -> float | None:
    return None if value is None or not np.isfinite(value) else float(value)


def _measure(
    plan: Plan, seeds: tuple[int, ...], policy: Policy, expert: Demos, refs: dict[str, Any]
) -> tuple[list[dict[str, Any]], Demos]:
    """All measures of one policy, a dict per seed, and its rollouts `[S, N, H]`."""
    protocol = plan.block.protocol
    # With noise the clean evaluation runs in the noisy program at sigma = 0: one compile serves both.
    task = noisy(plan.task, 0.0) if protocol.noise else plan.task
    learner = roll(task, policy, seeds, protocol.episodes, beta=0.0)
    shaken = (
        roll(noisy(plan.task, protocol.noise), policy, seeds, protocol.episodes, beta=0.0) if protocol.noise else None
    )
    held_out = held_out_errors(plan.task, policy, seeds, expert)
    means = {name: ref["mean"] for name, ref in refs.items()}
    measured = []
    for evidence in split(plan.task, protocol, means, expert, held_out, learner, shaken):
        values: dict[str, Any] = {}
        for name in registry.entries("measures"):
            values.update(registry.load("measures", name).measure(evidence))
        measured.append(values)
    return measured, learner


def _costs(learner: Demos, delta: float) -> np.ndarray:
    from ilbench.evidence import mistakes

    assert learner.error is not None
    assert learner.alive is not None
    return mistakes(learner.error, learner.alive, delta).sum(-1)


def _outcome(
    s: int,
    seed: int,
    measured: dict[str, list[dict[str, Any]]],
    trained: Trained,
    learner: Demos,
    costs: np.ndarray,
    ok: bool,
    lab: Lab,
) -> Outcome:
    values = measured[trained.selected][s]
    scalars = {k: _scalar(v) for k, v in values.items() if np.ndim(v) == 0 or v is None}
    curves = {k: np.asarray(v) for k, v in values.items() if v is not None and np.ndim(v) > 0}
    if (
        len(learner_costs := curves.get("prefix_cost", np.zeros(0))) > MAX_EPISODES
    ):  # episodes by the thousand: their mean
        curves["prefix_cost"] = learner_costs.mean(0, keepdims=True).astype(np.float32)
        curves["prefix_return"] = curves["prefix_return"].mean(0, keepdims=True)
    curves = {k: v.astype(np.float32) if v.dtype == np.float64 else v for k, v in curves.items()}
    curves |= {f"train/{k}": np.asarray(v)[s] for k, v in trained.curve.items()}
    keep = ("score", "return", "gap", "cost", "eps_bar", "survived", "noisy_score", "noisy_return")
    variants = {
        name: {k: _scalar(rows[s][k]) for k in keep if k in rows[s]}
        for name, rows in measured.items()
        if len(measured) > 1
    }
    finite_scores = np.isfinite(np.float64(values["return"]))
    status = "ok" if ok and finite_scores else "diverged"
    reason = None if status == "ok" else "non-finite parameters after training" if not ok else "non-finite return"
    assert learner.reward is not None
    returns = np.asarray(learner.reward[s], np.float64).sum(-1)
    if status == "diverged":
        scalars = {k: v if k not in ("score", "gap", "return") else None for k, v in scalars.items()}
        returns = np.nan_to_num(returns, nan=0.0, posinf=0.0, neginf=0.0)
    curves = {k: np.nan_to_num(v, nan=0.0, posinf=0.0, neginf=0.0) for k, v in curves.items()}
    return Outcome(
        seed,
        status,
        reason,
        scalars,
        variants,
        curves,
        returns,
        costs[s],
        int(lab.ledger.labels[s]),
        int(lab.ledger.env_steps[s]),
    )


def execute(plan: Plan, seeds: tuple[int, ...], session: Session) -> Executed:
    """Trains the block's algorithm for `seeds`, evaluates every policy it returns, and measures them."""
    started, compiled = time.perf_counter(), parallel.COMPILE_SECONDS[0]
    session.enter(plan.task)
    lab = Lab(plan.task, plan.head, seeds, plan.block.labels, plan.fit, session.demos, plan.block.unit)
    trained: Trained = plan.algorithm.train(lab, seed_keys("algorithm", seeds), plan.task, plan.config)
    if trained.selected not in trained.policies:
        raise ValueError(
            f"{plan.block.algorithm} selected {trained.selected!r}, but returned only {sorted(trained.policies)}"
        )
    refs = _references(session, plan.task)
    expert = _expert_evidence(session, plan, seeds)
    measured, rolled = {}, {}
    for name, policy in trained.policies.items():
        measured[name], rolled[name] = _measure(plan, seeds, policy, expert, refs)
    learner, chosen = rolled[trained.selected], trained.policies[trained.selected]
    costs = _costs(learner, plan.task.deltas[0])
    ok = np.broadcast_to(finite(chosen.params), (len(seeds),))
    outcomes = tuple(
        _outcome(s, seed, measured, trained, learner, costs, bool(ok[s]), lab) for s, seed in enumerate(seeds)
    )
    compile_s = parallel.COMPILE_SECONDS[0] - compiled
    steps = len(seeds) * plan.task.horizon * (plan.block.protocol.episodes * len(measured))
    return Executed(
        outcomes,
        refs,
        jax.tree.map(np.asarray, chosen),
        lab.ledger.gradient_steps,
        steps,
        compile_s,
        time.perf_counter() - started - compile_s,
    )
