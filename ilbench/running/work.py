"""One block, from plain data to records: what is handed to whoever computes, and what comes back.

    Work(block, seeds, suite) --> names looked up here --> trained and evaluated --> Done(records, arrays) | Done(failure)

Both can be pickled. Nothing is written and nothing is said here: the store and progress are the caller's.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import numpy as np

from ilbench.compute import process
from ilbench.evaluation.evaluate import Session
from ilbench.records.schema import Cell, Record, cell_id, make_record, provenance, summarise_episodes
from ilbench.running.execute import Executed, Outcome, execute
from ilbench.running.plan import Block, Plan, cells, resolve


@dataclass(frozen=True)
class Work:
    """A block and its seeds that are to run."""

    block: Block
    ids: Mapping[int, str]  # the seeds that are to run, and the ids of their cells as they were planned
    suite: str  # name@version that its records are filed under
    label: str  # how a person refers to it
    policies: bool = False  # also the arrays of the scored policy

    @property
    def seeds(self) -> tuple[int, ...]:
        """Those that are to run."""
        return tuple(self.ids)


class Failure(NamedTuple):
    """Why a block has no records."""

    reason: str  # one line
    traceback: str


@dataclass(frozen=True)
class Done:
    """What became of a block: a record and its arrays for each of its seeds, or a failure."""

    results: tuple[tuple[Record, dict[str, np.ndarray]], ...] = ()
    failure: Failure | None = None
    compile_s: float = 0.0
    seconds: float = 0.0  # all of it, compiling too


def failure(error: Exception) -> Failure:
    """What is told of an exception that is being handled."""
    reason = (str(error).strip() or "no message given").splitlines()[0]
    return Failure(f"{type(error).__name__}: {reason}", traceback.format_exc())


def run_block(work: Work, session: Session | None = None) -> Done:
    """Trains and evaluates a block; a session shares demonstrations and references between blocks of a task.

    The results depend on the block and the seeds alone. Raises ValueError (UnknownName) for a block that does not resolve, or
    not to the cells that were planned, and what its plug-ins raise.
    """
    started, plan = time.perf_counter(), resolve(work.block)
    by_seed = cells(plan)
    if any(cell_id(by_seed[seed]) != id for seed, id in work.ids.items()):
        raise ValueError("it is another cell than was planned: a file that it is made of has changed since; run again")
    executed = execute(plan, work.seeds, session or Session())
    results = []
    for s, outcome in enumerate(executed.outcomes):
        record = _record(work, plan, by_seed[outcome.seed], executed, outcome)
        results.append((record, outcome.curves | (_policy_arrays(executed.policy, s) if work.policies else {})))
    return Done(tuple(results), compile_s=executed.compile_s, seconds=time.perf_counter() - started)


def attempt(work: Work, session: Session) -> Done:
    """`run_block`, with what it raises as a failure: one broken block must not cost the others."""
    started = time.perf_counter()
    try:
        return run_block(work, session)
    except Exception as error:
        return Done(failure=failure(error), seconds=time.perf_counter() - started)


def _record(work: Work, plan: Plan, cell: Cell, executed: Executed, outcome: Outcome) -> Record:
    seeds = len(work.seeds)
    cost = {
        **outcome.spent,
        "gradient_steps": executed.gradient_steps,
        "eval_steps": executed.eval_steps // seeds,
        "compile_s": round(executed.compile_s / seeds, 3),
        "run_s": round(executed.run_s / seeds, 3),
        "shared_s": round(executed.shared_s / seeds, 3),
    }
    return make_record(
        cell,
        work.suite,
        status=outcome.status,
        reason=outcome.reason,
        scores=_rounded(outcome.scores),
        variants={name: _rounded(scores) for name, scores in outcome.variants.items()},
        episodes=summarise_episodes(outcome.returns, outcome.costs),
        references=executed.references,
        cost=cost,
        provenance=provenance(
            device=jax.devices()[0].device_kind,
            devices=jax.device_count(),
            block=plan.task.block,
            precision=str(jax.config.values.get("jax_default_matmul_precision") or "default"),
            prng="threefry2x32",
            settings=process.settings(),
        ),
    )


def _rounded(scores: Mapping[str, float | None]) -> dict[str, float | None]:
    return {name: None if value is None else float(f"{value:.7g}") for name, value in scores.items()}


def _policy_arrays(policy: Any, s: int) -> dict[str, Any]:
    """Leaves of one seed's policy by path, under `policy/`."""
    leaves = jax.tree_util.tree_flatten_with_path(policy.params)[0]
    return {f"policy/{jax.tree_util.keystr(p, simple=True, separator='/')}": np.asarray(leaf)[s] for p, leaf in leaves}
