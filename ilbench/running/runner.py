"""Runs a suite: blocks that lack records go to an executor, and what comes back is committed, one JSON record per cell, atomically.

Repeat the command and only what is missing runs; Ctrl-C loses at most the blocks in flight.
"""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ilbench.compute import arithmetic
from ilbench.names import meant
from ilbench.records import store
from ilbench.records.schema import Cell, Record, cell_id, check_cell, provenance
from ilbench.running import executors, foresight
from ilbench.running import plan as planning
from ilbench.running import select as selecting
from ilbench.running.executors import Executor
from ilbench.running.plan import Block, Plan, Suite, cells
from ilbench.running.progress import reporter, several
from ilbench.running.work import Done, Failure, Work, failure

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
    run_s: float = 0.0  # of several workers the sum, as of compile_s
    wall_s: float = 0.0
    workers: int = 1  # blocks at a time


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
    workers: int = 1,
    quiet: bool = False,
) -> Summary:
    """Runs what is missing of a suite and returns what was done; `changes` are `{"dagger.rounds": 10}`.

    `rerun`: also cells that have a record, `failed` (or diverged), `stale` (of other code or packages) or `all`.
    `workers`: blocks at a time, each in a process of its own; 1 runs them here. The records are the same.
    Raises ValueError (UnknownName) for names and numbers that do not fit, TooLarge for blocks that memory will not hold
    and StoreError for a results folder that cannot be written, all before any compute. A block that fails is reported and the
    others still run.
    """
    prepared = prepare(suite, tasks=tasks, algorithms=algorithms, horizons=horizons, seeds=seeds, changes=changes)
    how: dict[str, Any] = {"save_policies": save_policies, "rerun": rerun, "workers": workers, "quiet": quiet}
    return execute_plans(prepared, out=out, **how)


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
) -> dict[int, str]:
    """The seeds of a block that are to run, and the ids of their cells."""
    if rerun not in RERUN:
        raise ValueError(f"--rerun takes one of {', '.join(RERUN)}, got {rerun!r}. {meant(rerun, RERUN)}".rstrip())
    return {s: cell_id(cell) for s, cell in by_seed.items() if not _there(out, suite, cell, policy, rerun)}


def execute_plans(
    prepared: Prepared,
    *,
    out: str | pathlib.Path,
    save_policies: bool = False,
    rerun: str = "missing",
    workers: int = 1,
    quiet: bool = False,
) -> Summary:
    """Executes resolved blocks; see `run`."""
    executors.check(workers)
    by_plan = [(plan, cells(plan)) for plan in prepared.plans]
    missing = [(p, ids) for p, c in by_plan if (ids := _missing(out, prepared.suite, c, save_policies, rerun))]
    work = [Work(p.block, ids, prepared.suite, p.label, save_policies) for p, ids in missing]
    executor, count = _executor(workers, [_foresee(plan, tuple(ids)) for plan, ids in missing])
    total = sum(len(c) for _, c in by_plan)
    store.preflight(out, total * BYTES_PER_CELL)
    if work:
        arithmetic.require()
    summary = Summary(prepared.suite, str(pathlib.Path(out) / prepared.suite), total, workers=count)
    summary.cached = total - sum(len(w.seeds) for w in work)
    written, running, seconds, begun = [], list[str](), 0.0, time.perf_counter()
    with reporter(total, quiet) as (counter, show):
        counter.cached = summary.cached

        def started(w: Work) -> None:
            running.append(w.label)
            show(several(running))

        with contextlib.closing(executor(work, started)) as finished:
            for w, done in finished:
                running.remove(w.label)
                stored, failed = _keep(done, out, summary, replace=save_policies or rerun != "missing")
                summary.compile_s += done.compile_s
                seconds += done.seconds
                if failed is None:
                    counter.done += len(w.seeds)
                    written += stored
                else:
                    counter.failed += len(w.seeds)
                    summary.failed.append((w.label, failed.reason))
                    summary.log = _log(out, prepared.suite, w.label, failed.traceback)
                if running:
                    show(several(running))
        show("finished")
    lost = [id for id in written if store.read(out, prepared.suite, id) is None]
    if lost:
        summary.failed.append(
            (f"{len(lost)} records", f"written to {summary.folder} and no longer there: {', '.join(lost[:3])}; run again")
        )
    summary.done, summary.wall_s = counter.done - len(lost), time.perf_counter() - begun
    summary.run_s = (summary.wall_s if count == 1 else seconds) - summary.compile_s
    return summary


def _executor(workers: int, needs: Sequence[float]) -> tuple[Executor, int]:
    """Who runs blocks that need so many bytes, and how many at once: as asked for, as far as there are blocks and memory."""
    wanted = min(workers, len(needs))
    count = foresight.at_once(needs, wanted)
    if count < wanted:
        print(f"ilbench: {count} at a time rather than {wanted}: memory holds no more of these blocks", file=sys.stderr)
    return (executors.processes(count) if count > 1 else executors.inline), count


def _foresee(plan: Plan, seeds: tuple[int, ...]) -> float:
    """Bytes that a block's seeds need; TooLarge when they will not fit into memory together."""
    b = plan.block
    made = plan.algorithm.rows_per_label(plan.config)
    # 0-1 deployment keeps two more sets of the expert's episodes, and makes others beside them.
    held_out = b.protocol.held_out + (b.protocol.calibration + 2 * b.protocol.episodes if b.protocol.snap else 0)
    rows = seeds, b.budget, b.protocol.episodes, held_out, plan.task.horizon, made
    noise = b.protocol.noise > 0
    return foresight.foresee_block(plan.label, plan.task.env, *rows, noise=noise, fit=plan.fit, head=plan.head, block=plan.task.block)


def _keep(done: Done, out: str | pathlib.Path, summary: Summary, replace: bool) -> tuple[list[str], Failure | None]:
    """Stores what a block left: the ids of its records, and why some are missing. Raises StoreError: no other would fare better."""
    written: list[str] = []
    try:
        for record, arrays in done.results:
            # A record that is there was judged to lack something: the one that has it takes its place.
            kept = store.write(out, record, arrays, replace=replace)
            if kept.outcome == "conflict":
                summary.conflicts.append(str(kept.path))
            written.append(record.id)
    except store.StoreError:
        raise
    except Exception as error:
        return written, failure(error)
    return written, done.failure


def _log(out: str | pathlib.Path, suite: str, label: str, text: str) -> str:
    """Appends what is known of a failed block to the suite's failures.log; its path."""
    path = pathlib.Path(out) / suite / "failures.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as log:
        log.write(f"{label}\n{text}\n")
    return str(path)


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
                "budget": b.budget,
                "episodes": b.protocol.episodes,
                "seeds": len(by_seed),
                "cached": have,
                "to_run": len(by_seed) - have,
            }
        )
    return rows
