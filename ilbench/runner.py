"""Runs a suite: blocks that lack records are trained and evaluated, one JSON record per cell is committed atomically.

Repeat the command and only what is missing runs; Ctrl-C loses at most the block in flight.
"""

from __future__ import annotations

import dataclasses
import pathlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ilbench import memory, store
from ilbench import plan as planning
from ilbench.plan import Block, Plan, Suite
from ilbench.progress import reporter
from ilbench.records import Cell, Record, cell_id, make_record, provenance, summarise_episodes

BYTES_PER_CELL = 16_000  # what a record and its sidecar take on disk at most, for the check of free space


@dataclass
class Summary:
    """What a run did."""

    suite: str
    folder: str
    cells: int = 0
    done: int = 0
    cached: int = 0
    failed: list[tuple[str, str]] = field(default_factory=list)  # (block, reason)
    compile_s: float = 0.0
    run_s: float = 0.0


@dataclass(frozen=True)
class Prepared:
    """A suite after filters and overrides, with every name resolved: what `--dry-run` prints and `run` executes."""

    suite: str  # name@version under which records are filed
    plans: tuple[Plan, ...]


def prepare(
    suite: str | Suite = "quick",
    *,
    tasks: str | None = None,
    algorithms: str | None = None,
    horizons: tuple[int, ...] | None = None,
    seeds: tuple[int, ...] | None = None,
    changes: Mapping[str, Any] | None = None,
) -> Prepared:
    """Resolves a suite; raises ValueError (UnknownName) before any compute.

    Records of a suite whose cells were changed (`changes`, `horizons`) are filed under `<suite>+custom`, so that a
    board never mixes them with the declared ones.
    """
    found = planning.load_suite(suite) if isinstance(suite, str) else suite
    blocks = planning.select(found.blocks, tasks=tasks, algorithms=algorithms, horizons=horizons, seeds=seeds)
    blocks = planning.override(blocks, changes or {})
    custom = "+custom" if changes or horizons is not None else ""
    plans = [planning.resolve(block) for block in blocks]
    for plan in plans:
        check = getattr(plan.algorithm, "check", None)
        if check is not None:
            check(plan.block.labels // plan.task.horizon, plan.task, plan.config)
    plans.sort(key=lambda p: (p.task.id, p.task.horizon))  # cells that share compiled physics run next to each other
    return Prepared(f"{found.name}{custom}@{found.version}", tuple(plans))


def cells(plan: Plan) -> dict[int, Cell]:
    """The cell of every seed of a block."""
    from ilbench.experts import weights

    block, task = plan.block, plan.task
    evaluation = dataclasses.asdict(block.protocol) | {"deltas": task.deltas}
    expert = weights.digest(task.expert.params)
    return {
        seed: Cell(
            task=task.name,
            expert=expert,
            algorithm=block.algorithm,
            head=block.head,
            config=plan.resolved,
            horizon=task.horizon,
            budget=block.labels,
            evaluation=evaluation,
            seed=seed,
        )
        for seed in block.seeds
    }


def _record(prepared: Prepared, plan: Plan, cell: Cell, executed: Any, outcome: Any, seeds: int) -> Record:
    import jax

    cost = {
        "labels": outcome.labels,
        "env_steps": outcome.env_steps,
        "gradient_steps": executed.gradient_steps,
        "eval_steps": executed.eval_steps // seeds,
        "compile_s": round(executed.compile_s / seeds, 3),
        "run_s": round(executed.run_s / seeds, 3),
    }
    return make_record(
        cell,
        prepared.suite,
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
        ),
    )


def _rounded(scores: Mapping[str, float | None]) -> dict[str, float | None]:
    return {name: None if value is None else float(f"{value:.7g}") for name, value in scores.items()}


def run(
    suite: str | Suite = "quick",
    *,
    tasks: str | None = None,
    algorithms: str | None = None,
    horizons: tuple[int, ...] | None = None,
    seeds: tuple[int, ...] | None = None,
    changes: Mapping[str, Any] | None = None,
    out: str | pathlib.Path = "results",
    save_policies: bool = False,
    quiet: bool = False,
) -> Summary:
    """Runs what is missing of a suite and returns what was done; `changes` are `{"dagger.rounds": 10}`.

    Raises ValueError (UnknownName) for names and numbers that do not fit, TooLarge for blocks that memory will not hold
    and StoreError for a results folder that cannot be written, all before any compute. A block that fails is reported and the
    others still run.
    """
    prepared = prepare(suite, tasks=tasks, algorithms=algorithms, horizons=horizons, seeds=seeds, changes=changes)
    return execute_plans(prepared, out=out, save_policies=save_policies, quiet=quiet)


def _there(out: str | pathlib.Path, suite: str, cell: Cell, policy: bool) -> bool:
    """Whether the cell has a sound record, and with `policy` one that holds the scored policy."""
    record = store.read(out, suite, cell_id(cell))
    if record is None or not policy:
        return record is not None
    try:
        return any(name.startswith("policy/") for name in store.read_sidecar(out, record))
    except store.StoreError:  # lost or damaged arrays hold no policy
        return False


def _missing(out: str | pathlib.Path, suite: str, by_seed: Mapping[int, Cell], policy: bool = False) -> tuple[int, ...]:
    """The seeds of a block that have no record yet, or with `policy` none that holds one."""
    return tuple(s for s, cell in by_seed.items() if not _there(out, suite, cell, policy))


def execute_plans(
    prepared: Prepared, *, out: str | pathlib.Path, save_policies: bool = False, quiet: bool = False
) -> Summary:
    """Executes resolved blocks; see `run`."""
    from ilbench.execute import Session, execute

    wanted = [(plan, cells(plan)) for plan in prepared.plans]
    total = sum(len(c) for _, c in wanted)
    for plan, by_seed in wanted:
        if missing := _missing(out, prepared.suite, by_seed, save_policies):
            b, horizon = plan.block, plan.task.horizon
            made = getattr(plan.algorithm, "rows_per_label", lambda config: 1)(plan.config)
            episodes = b.protocol.episodes, b.protocol.held_out
            memory.foresee_block(plan.label, plan.task.env, missing, b.labels, *episodes, horizon, made)
    store.preflight(out, total * BYTES_PER_CELL)
    summary = Summary(prepared.suite, str(pathlib.Path(out) / prepared.suite), total)
    session, started = Session(), time.perf_counter()
    with reporter(total, quiet) as (counter, show):
        for plan, by_seed in wanted:
            missing = _missing(out, prepared.suite, by_seed, save_policies)
            counter.cached += len(by_seed) - len(missing)
            if not missing:
                continue
            show(plan.label)
            try:
                executed = execute(plan, missing, session)
            except (
                Exception
            ) as error:  # one broken block must not cost the others; it is named and the exit code says so
                summary.failed.append((plan.label, f"{type(error).__name__}: {error}"))
                counter.failed += len(missing)
                continue
            for outcome in executed.outcomes:
                record = _record(prepared, plan, by_seed[outcome.seed], executed, outcome, len(missing))
                arrays = dict(outcome.curves)
                if save_policies:
                    arrays |= _policy_arrays(executed.policy, missing.index(outcome.seed))
                # A record that is there was judged to lack its policy: the one that has it takes its place.
                store.write(out, record, arrays, replace=save_policies)
            counter.done += len(missing)
            summary.compile_s += executed.compile_s
        show("finished")
    summary.done, summary.cached = counter.done, counter.cached
    summary.run_s = time.perf_counter() - started - summary.compile_s
    return summary


def _policy_arrays(policy: Any, s: int) -> dict[str, Any]:
    """Leaves of one seed's policy by path, under `policy/`."""
    import jax
    import numpy as np

    leaves = jax.tree_util.tree_flatten_with_path(policy.params)[0]
    return {f"policy/{jax.tree_util.keystr(p, simple=True, separator='/')}": np.asarray(leaf)[s] for p, leaf in leaves}


def describe(prepared: Prepared, out: str | pathlib.Path, *, save_policies: bool = False) -> list[dict[str, Any]]:
    """One row per block: what it is and how many of its cells have records (with `save_policies`, that hold policies)."""
    rows = []
    for plan in prepared.plans:
        by_seed = cells(plan)
        have = len(by_seed) - len(_missing(out, prepared.suite, by_seed, save_policies))
        b: Block = plan.block
        rows.append(
            {
                "task": plan.task.name,
                "horizon": plan.task.horizon,
                "algorithm": b.algorithm,
                "head": b.head,
                "labels": b.labels,
                "episodes": b.protocol.episodes,
                "seeds": len(by_seed),
                "cached": have,
                "to_run": len(by_seed) - have,
            }
        )
    return rows
