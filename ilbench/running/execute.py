"""Trains and evaluates one block: all its seeds at once, from labels to measured scores."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np

from ilbench.compute import parallel
from ilbench.evaluation import references
from ilbench.evaluation.coupling import random_expert
from ilbench.evaluation.evidence import held_out_errors, roll, split
from ilbench.evaluation.measuring import measure_all
from ilbench.records.schema import MAX_EPISODES
from ilbench.rollouts.keys import seed_keys
from ilbench.running import validate
from ilbench.running.plan import Plan
from ilbench.training import fit as fitting
from ilbench.training.deployed import finite, untrained
from ilbench.training.lab import Lab
from ilbench.training.ledger import SPENT
from ilbench.training.rows import rows
from ilbench.types import Demos, Policy, Task, Trained
from ilbench.wrappers.noisy import noisy

NOISY_EXPERT_EPISODES = 256  # of the expert under noise: what a noisy score of 1 is
LOSS_ROWS = 2**16  # held-out rows that go through a network at once
MISTAKES = ("cost", "eps", "bound", "faultless", "held_out_error", "worse_than_constant", "prefix_cost", "prefix_eps", "union")


@dataclass
class Session:
    """What the blocks of a run share while they are about one task: expert rollouts, demonstrations, references."""

    demos: dict[Any, Demos] = field(default_factory=dict)
    expert: dict[Any, Demos] = field(default_factory=dict)
    references: dict[Any, Any] = field(default_factory=dict)
    task: Task | None = None
    shared_s: float = 0.0  # seconds that went into them since they were last asked for, without compiling

    def enter(self, task: Task) -> None:
        """Forgets what belongs to another task, so that memory stays bounded by one."""
        if self.task is not task:
            self.demos.clear()
            self.expert.clear()
            self.references.clear()
            self.task = task
            parallel.spare_mappings()

    def once(self, kept: dict[Any, Any], key: Any, make: Callable[[], Any]) -> Any:
        """What `kept` has under `key`, made the first time; the time that takes is nobody's in particular."""
        if key not in kept:
            started, compiled = time.perf_counter(), parallel.COMPILE_SECONDS[0]
            kept[key] = make()
            self.shared_s += time.perf_counter() - started - (parallel.COMPILE_SECONDS[0] - compiled)
        return kept[key]


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
    spent: dict[str, int]  # labels, env_steps, takeovers, takeover_steps, switches


@dataclass(frozen=True)
class Executed:
    """What a block leaves for all its seeds."""

    outcomes: tuple[Outcome, ...]
    references: dict[str, Any]
    policy: Policy  # the scored one, leaves `[S, M, ...]`
    gradient_steps: int
    eval_steps: int  # live and dead env steps of evaluation, all seeds
    compile_s: float
    run_s: float  # of this block alone
    shared_s: float  # of what it made first and other blocks of the task use too: references, expert rollouts


def _evaluated(plan: Plan) -> Task:
    """The task of the clean evaluation: with noise declared, the noisy one at sigma = 0, so that one program serves both."""
    return noisy(plan.task, 0.0) if plan.block.protocol.noise else plan.task


def _expert_evidence(session: Session, plan: Plan, seeds: tuple[int, ...]) -> Demos:
    protocol = plan.block.protocol

    def make() -> Demos:
        return roll(_evaluated(plan), untrained(plan.head, seeds), seeds, protocol.held_out, beta=1.0)

    # With the head: the program that rolls holds the learner's network too, and another program rounds otherwise.
    key = (seeds, protocol.held_out, bool(protocol.noise), plan.head)
    return session.once(session.expert, key, make)


def _references(session: Session, plan: Plan) -> dict[str, Any]:
    """Returns of random and expert, and of the expert under the protocol's noise, seeing what the learner sees."""
    found = session.once(session.references, None, lambda: references.references(plan.task))
    noise = plan.block.protocol.noise
    if not noise:
        return found

    def make() -> dict[str, Any]:
        seeds = (references.SEED,)
        rolled = roll(noisy(plan.task, noise, blind=True), untrained(plan.head, seeds), seeds, NOISY_EXPERT_EPISODES, beta=1.0)
        return references.mean_of(np.asarray(rolled.reward, np.float64)[0].sum(-1))

    return {**found, "noisy_expert": session.once(session.references, (noise, plan.head), make)}


def _losses(plan: Plan, lab: Lab, expert: Demos) -> np.ndarray | None:
    """The head's loss on the expert's held-out states `[S, 2]`, half way through the last fit and at its end."""
    if not lab.fits:
        return None
    data, found = rows(expert._replace(revealed=np.asarray(expert.alive)), window=plan.head.window), []
    pieces = range(0, data.weight.shape[1], LOSS_ROWS)
    counts = np.stack([data.weight[:, i : i + LOSS_ROWS].sum(1) for i in pieces])
    for params in (lab.fits[-1].halfway, lab.fits[-1].params):
        parts = (jax.tree.map(lambda x, i=i: x[:, i : i + LOSS_ROWS], data) for i in pieces)
        keys = seed_keys("loss", lab.seeds)
        each = np.stack([np.asarray(fitting.loss(plan.head, keys, params, part), np.float64) for part in parts])
        found.append((each * counts).sum(0) / np.maximum(counts.sum(0), 1))
    return np.stack(found, axis=1)


def _scalar(value: Any) -> float | None:
    return None if value is None or not np.isfinite(value) else float(value)


def _measure(
    plan: Plan, seeds: tuple[int, ...], policy: Policy, expert: Demos, refs: dict[str, Any], losses: np.ndarray | None
) -> tuple[list[dict[str, Any]], Demos]:
    """All measures of one policy, a dict per seed, and its rollouts `[S, N, H]`."""
    protocol = plan.block.protocol
    learner = roll(_evaluated(plan), policy, seeds, protocol.episodes, beta=0.0)
    shaken = (
        roll(noisy(plan.task, protocol.noise), policy, seeds, protocol.episodes, beta=0.0) if protocol.noise else None
    )
    held_out = held_out_errors(plan.task, policy, seeds, expert)
    means = {name: ref["mean"] for name, ref in refs.items()}
    found = [measure_all(e) for e in split(plan.task, protocol, means, expert, held_out, learner, shaken, losses)]
    if random_expert(plan.task):  # two draws of one expert differ: counting that as mistakes would say nothing
        found = [{k: None if k.startswith(MISTAKES) else v for k, v in values.items()} for values in found]
    return found, learner


def _costs(learner: Demos, delta: float) -> np.ndarray:
    from ilbench.evaluation.evidence import mistakes

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
    spent: dict[str, int],
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
    if status == "diverged":  # what it did is no measurement: only that it fell, and erred at every step
        kept = ("noisy_expert_return", "noisy_expert_score")
        scalars = {k: v if k in kept else 0.0 if k.endswith("survived") else None for k, v in scalars.items()}
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
        spent,
    )


def execute(plan: Plan, seeds: tuple[int, ...], session: Session) -> Executed:
    """Trains the block's algorithm for `seeds`, evaluates every policy it returns, and measures them.

    A seed's outcome depends on the block and the seed alone. Raises ValueError for an algorithm that returns something else
    than it should, and what its plug-ins raise.
    """
    started, compiled = time.perf_counter(), parallel.COMPILE_SECONDS[0]
    session.enter(plan.task)
    session.shared_s = 0.0
    lab = Lab(plan.task, plan.head, seeds, plan.block.labels, plan.fit, session.demos)
    trained: Trained = plan.algorithm.train(lab, plan.config)
    validate.trained(trained, plan.block.algorithm, seeds, plan.task)
    if (lab.budget, lab.seeds) != (plan.block.labels, seeds):
        raise ValueError(f"algorithm {plan.block.algorithm!r} changed the budget or the seeds of its lab")
    refs = _references(session, plan)
    expert = _expert_evidence(session, plan, seeds)
    measured, rolled = {}, {}
    losses = _losses(plan, lab, expert)
    for name, policy in trained.policies.items():
        measured[name], rolled[name] = _measure(plan, seeds, policy, expert, refs, losses)
        if name != trained.selected:
            del rolled[name]  # a record as long as the evaluation: only the scored one's is read again
    learner, chosen = rolled[trained.selected], trained.policies[trained.selected]
    costs = _costs(learner, plan.task.deltas[0])
    if random_expert(plan.task):
        costs = np.full(costs.shape, np.nan)
    ok = np.broadcast_to(finite(chosen.params), (len(seeds),))
    ledger = lab.ledger
    spent = [{name: int(getattr(ledger, name)[s]) for name in SPENT} for s in range(len(seeds))]
    outcomes = tuple(
        _outcome(s, seed, measured, trained, learner, costs, bool(ok[s]), spent[s]) for s, seed in enumerate(seeds)
    )
    compile_s = parallel.COMPILE_SECONDS[0] - compiled
    steps = len(seeds) * plan.task.horizon * (plan.block.protocol.episodes * len(measured))
    return Executed(
        outcomes,
        refs,
        jax.tree.map(np.asarray, chosen),
        ledger.gradient_steps,
        steps,
        compile_s,
        time.perf_counter() - started - compile_s - session.shared_s,
        session.shared_s,
    )
