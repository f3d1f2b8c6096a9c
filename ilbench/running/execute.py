"""Trains and evaluates one block: all its seeds at once, from labels to measured scores."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from ilbench.compute import parallel
from ilbench.evaluation.evaluate import Judged, Session, evaluate, expert_rollouts, reference_returns
from ilbench.records.schema import MAX_EPISODES
from ilbench.rollouts.keys import seed_keys
from ilbench.running import validate
from ilbench.running.plan import Plan
from ilbench.training import fit as fitting
from ilbench.training.deployed import finite, untrained
from ilbench.training.lab import Lab
from ilbench.training.ledger import SPENT
from ilbench.training.rows import rows
from ilbench.types import Demos, Policy, Trained

LOSS_ROWS = 2**16  # held-out rows that go through a network at once


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
    spent: dict[str, int]  # labels, env_steps, takeovers, takeover_steps, switches, model_steps


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
    scalars |= {f"own/{k}": _scalar(np.asarray(v)[s]) for k, v in trained.scalars.items()}
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
    lab = Lab(plan.task, plan.head, seeds, plan.block.budget, plan.fit, session.demos)
    trained: Trained = plan.algorithm.train(lab, plan.config)
    validate.trained(trained, plan.block.algorithm, seeds, plan.task)
    if (lab.budget, lab.seeds) != (plan.block.budget, seeds):
        raise ValueError(f"algorithm {plan.block.algorithm!r} changed the budget or the seeds of its lab")
    protocol, beside = plan.block.protocol, untrained(plan.head, seeds)
    refs = reference_returns(plan.task, protocol, beside, session)
    expert = expert_rollouts(plan.task, protocol, seeds, beside, session)
    losses = None if expert is None else _losses(plan, lab, expert)
    measured: dict[str, list[dict[str, Any]]] = {}
    scored: Judged | None = None
    for name, policy in trained.policies.items():
        judged = evaluate(plan.task, policy, protocol, seeds, session, beside=beside, losses=losses, deployed=name == trained.selected)
        measured[name] = judged.values
        if name == trained.selected:  # a record as long as the evaluation: only the scored one's is read again
            scored = judged
    assert scored is not None
    learner, costs, chosen = scored.learner, scored.costs, trained.policies[trained.selected]
    ok = np.broadcast_to(finite(chosen.params), (len(seeds),))
    ledger = lab.ledger
    models = {"model_steps": ledger.model_steps}
    spent = [{name: int(getattr(ledger, name)[s]) for name in SPENT} | models for s in range(len(seeds))]
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
