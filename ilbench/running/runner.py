"""Runs a suite: blocks that lack records are trained and evaluated, one JSON record per cell is committed atomically.

Repeat the command and only what is missing runs; Ctrl-C loses at most the block in flight.
"""

from __future__ import annotations

import dataclasses
import pathlib
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ilbench.compute import arithmetic
from ilbench.configs import stated
from ilbench.names import meant
from ilbench.records import store
from ilbench.records.schema import Cell, Record, cell_id, check_cell, make_record, provenance, summarise_episodes
from ilbench.running import foresight
from ilbench.running import plan as planning
from ilbench.running import select as selecting
from ilbench.running.plan import Block, Plan, Suite
from ilbench.running.progress import reporter

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
    conflicts: list[str] = field(default_factory=list)  # files of results that differ from those of an earlier writer
    log: str | None = None  # where the tracebacks of failed blocks are
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
    doubled: bool = False,
) -> Prepared:
    """Resolves a suite; raises ValueError (UnknownName) before any compute.

    `doubled` gives every fit by gradient steps twice its updates, and leaves out what has none: SUITE+doubled.
    Records of a suite whose cells were changed (`changes`, `horizons`) are filed under `<suite>+custom`, so that a
    board never mixes them with the declared ones.
    """
    found = planning.load_suite(suite) if isinstance(suite, str) else suite
    blocks = selecting.select(found.blocks, tasks=tasks, algorithms=algorithms, horizons=horizons, seeds=seeds)
    blocks = selecting.override(blocks, changes or {})
    custom = "+custom" if changes or horizons is not None else ""
    plans = [planning.resolve(block) for block in blocks]
    if doubled:
        custom += "+doubled"
        plans = [planning.resolve(twice) for plan in plans if (twice := _twice(plan)) is not None]
    for plan in plans:
        check_cell(next(iter(cells(plan).values())))  # what a record would refuse is refused before any compute
    plans.sort(key=lambda p: (p.task.id, p.task.horizon))  # cells that share compiled physics run next to each other
    return Prepared(f"{found.name}{custom}@{found.version}", tuple(plans))


def _twice(plan: Plan) -> Block | None:
    """The block with twice the updates of every fit; None for what takes no gradient steps."""
    if plan.head.solve is not None or plan.algorithm.instrument:
        return None
    return dataclasses.replace(plan.block, config={**plan.block.config, "fit.updates": 2 * plan.fit.updates})


def cells(plan: Plan) -> dict[int, Cell]:
    """The cell of every seed of a block."""
    from ilbench.experts import weights

    block, task = plan.block, plan.task
    evaluation = stated(block.protocol) | {"deltas": task.deltas}
    expert = task.demonstrator or weights.digest(task.ask().params)
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
            versions=plan.versions,
            plugins=plan.plugins,
        )
        for seed in block.seeds
    }


def _record(prepared: Prepared, plan: Plan, cell: Cell, executed: Any, outcome: Any, seeds: int) -> Record:
    import jax

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
            settings=arithmetic.settings(),
        ),
    )


def _rounded(scores: Mapping[str, float | None]) -> dict[str, float | None]:
    return {name: None if value is None else float(f"{value:.7g}") for name, value in scores.items()}


RERUN = ("missing", "failed", "stale", "all")
CODE = ("jax", "jaxlib", "brax", "flax", "optax", "numpy")  # packages whose version makes a record stale


def run(
    suite: str | Suite = "quick",
    *,
    tasks: str | None = None,
    algorithms: str | None = None,
    horizons: tuple[int, ...] | None = None,
    seeds: tuple[int, ...] | None = None,
    changes: Mapping[str, Any] | None = None,
    out: str | pathlib.Path = "runs",
    save_policies: bool = False,
    rerun: str = "missing",
    quiet: bool = False,
) -> Summary:
    """Runs what is missing of a suite and returns what was done; `changes` are `{"dagger.rounds": 10}`.

    `rerun`: also cells that have a record, `failed` (or diverged), `stale` (of other code or packages) or `all`.
    Raises ValueError (UnknownName) for names and numbers that do not fit, TooLarge for blocks that memory will not hold
    and StoreError for a results folder that cannot be written, all before any compute. A block that fails is reported and the
    others still run.
    """
    prepared = prepare(suite, tasks=tasks, algorithms=algorithms, horizons=horizons, seeds=seeds, changes=changes)
    return execute_plans(prepared, out=out, save_policies=save_policies, rerun=rerun, quiet=quiet)


def _stale(record: Record) -> bool:
    """Whether a record was made by other code than this: packages, ilbench itself, or a checkout with changes."""
    mine, its = provenance(), record.provenance
    packages = any(mine.packages.get(name) != its.packages.get(name) for name in CODE)
    return packages or (mine.ilbench, mine.git_sha) != (its.ilbench, its.git_sha) or bool(its.git_dirty or mine.git_dirty)


def _there(out: str | pathlib.Path, suite: str, cell: Cell, policy: bool, rerun: str) -> bool:
    """Whether the cell has a sound record that may stay, and with `policy` one that holds the scored policy."""
    if rerun == "all":
        return False
    id = cell_id(cell)
    if not store.sound(out, suite, id, policy=policy):
        return False
    record = store.read(out, suite, id) if rerun != "missing" else None
    return record is None or not (record.status != "ok" if rerun == "failed" else _stale(record))


def _missing(
    out: str | pathlib.Path, suite: str, by_seed: Mapping[int, Cell], policy: bool = False, rerun: str = "missing"
) -> tuple[int, ...]:
    """The seeds of a block that are to run."""
    if rerun not in RERUN:
        raise ValueError(f"--rerun takes one of {', '.join(RERUN)}, got {rerun!r}. {meant(rerun, RERUN)}".rstrip())
    return tuple(s for s, cell in by_seed.items() if not _there(out, suite, cell, policy, rerun))


@dataclass(frozen=True)
class _Work:
    """A block and its seeds that are to run."""

    plan: Plan
    cells: Mapping[int, Cell]
    seeds: tuple[int, ...]


def execute_plans(
    prepared: Prepared,
    *,
    out: str | pathlib.Path,
    save_policies: bool = False,
    rerun: str = "missing",
    quiet: bool = False,
) -> Summary:
    """Executes resolved blocks; see `run`."""
    from ilbench.running.execute import Session

    by_plan = [(plan, cells(plan)) for plan in prepared.plans]
    work = [_Work(p, c, _missing(out, prepared.suite, c, save_policies, rerun)) for p, c in by_plan]
    total = sum(len(w.cells) for w in work)
    for w in work:
        if w.seeds:
            _foresee(w)
    store.preflight(out, total * BYTES_PER_CELL)
    if any(w.seeds for w in work):
        arithmetic.require()
    summary = Summary(prepared.suite, str(pathlib.Path(out) / prepared.suite), total)
    session, started, written = Session(), time.perf_counter(), []
    replace = save_policies or rerun != "missing"
    with reporter(total, quiet) as (counter, show):
        for w in work:
            counter.cached += len(w.cells) - len(w.seeds)
            if not w.seeds:
                continue
            show(w.plan.label)
            try:
                written += _block(prepared, w, session, out, summary, save_policies, replace)
            except store.StoreError:
                raise  # the disk refuses: no other block would fare better
            except Exception as error:  # one broken block must not cost the others; it is named and the exit code says so
                reason = (str(error).strip() or "no message given").splitlines()[0]
                summary.failed.append((w.plan.label, f"{type(error).__name__}: {reason}"))
                summary.log = _log(out, prepared.suite, w.plan.label)
                counter.failed += len(w.seeds)
                continue
            counter.done += len(w.seeds)
        show("finished")
    lost = [id for id in written if store.read(out, prepared.suite, id) is None]
    if lost:
        summary.failed.append(
            (f"{len(lost)} records", f"written to {summary.folder} and no longer there: {', '.join(lost[:3])}; run again")
        )
    summary.done, summary.cached = counter.done - len(lost), counter.cached
    summary.run_s = time.perf_counter() - started - summary.compile_s
    return summary


def _foresee(work: _Work) -> None:
    """TooLarge when a block's seeds will not fit into memory together."""
    plan, b = work.plan, work.plan.block
    made = plan.algorithm.rows_per_label(plan.config)
    episodes = b.protocol.episodes, b.protocol.held_out
    rows = work.seeds, b.labels, *episodes, plan.task.horizon, made
    foresight.foresee_block(plan.label, plan.task.env, *rows, noise=b.protocol.noise > 0, fit=plan.fit, head=plan.head)


def _block(
    prepared: Prepared,
    work: _Work,
    session: Any,
    out: str | pathlib.Path,
    summary: Summary,
    policies: bool,
    replace: bool,
) -> list[str]:
    """Trains, evaluates and stores one block; the ids of its records."""
    from ilbench.running.execute import execute

    executed = execute(work.plan, work.seeds, session)
    summary.compile_s += executed.compile_s
    written = []
    for s, outcome in enumerate(executed.outcomes):
        record = _record(prepared, work.plan, work.cells[outcome.seed], executed, outcome, len(work.seeds))
        arrays = dict(outcome.curves) | (_policy_arrays(executed.policy, s) if policies else {})
        # A record that is there was judged to lack something: the one that has it takes its place.
        done = store.write(out, record, arrays, replace=replace)
        if done.outcome == "conflict":
            summary.conflicts.append(str(done.path))
        written.append(record.id)
    return written


def _log(out: str | pathlib.Path, suite: str, label: str) -> str:
    """Appends the traceback of the exception being handled to the suite's failures.log; its path."""
    path = pathlib.Path(out) / suite / "failures.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as log:
        log.write(f"{label}\n{traceback.format_exc()}\n")
    return str(path)


def _policy_arrays(policy: Any, s: int) -> dict[str, Any]:
    """Leaves of one seed's policy by path, under `policy/`."""
    import jax
    import numpy as np

    leaves = jax.tree_util.tree_flatten_with_path(policy.params)[0]
    return {f"policy/{jax.tree_util.keystr(p, simple=True, separator='/')}": np.asarray(leaf)[s] for p, leaf in leaves}


def describe(
    prepared: Prepared, out: str | pathlib.Path, *, save_policies: bool = False, rerun: str = "missing"
) -> list[dict[str, Any]]:
    """One row per block: what it is and how many of its cells have records that may stay (see `run`)."""
    rows = []
    for plan in prepared.plans:
        by_seed = cells(plan)
        have = len(by_seed) - len(_missing(out, prepared.suite, by_seed, save_policies, rerun))
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
