"""`ilbench run`: train and evaluate a suite."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any, Literal

from tyro.conf import Positional, UseAppendAction

from ilbench.commands.output import emit, table


@dataclass(frozen=True)
class Run:
    """Train and evaluate every cell of a suite; repeat the command and only what is missing runs."""

    suite: Positional[str] = "quick"
    """Suite to run, e.g. quick (ilbench list suites); NAME@VERSION insists on a version."""
    tasks: str | None = None
    """Only tasks that match these comma-separated globs, e.g. 'hopper,grid*'."""
    algorithms: str | None = None
    """Only algorithms that match these globs, e.g. 'bc,dagger'."""
    horizons: str | None = None
    """Horizons to sweep instead of the suite's, e.g. 16,32,64."""
    seeds: str | None = None
    """Seeds instead of the suite's, e.g. 0-9."""
    set: UseAppendAction[tuple[str, ...]] = ()
    """Change any config field, e.g. --set fit.updates=500 --set evaluation.episodes=256, or the head: --set block.head=linear."""
    demos: str | None = None
    """Learn from this file's demonstrations (ilbench data), every seed from the same; what is in it is part of every cell."""
    out: str = "runs"
    """Folder that records go to."""
    save_policies: bool = False
    """Keep the scored policies in the records' sidecars; cells whose records lack theirs run again."""
    rerun: Literal["missing", "failed", "stale", "all"] = "missing"
    """Which cells run again although they have a record: failed (or diverged), stale (made by other code or packages), all."""
    doubled: bool = False
    """Give every fit twice its updates, filed under SUITE+doubled: what `ilbench convergence` compares with."""
    dry_run: bool = False
    """Print what would run, and how long it takes where records of the same cells tell; then stop."""
    workers: int = 1
    """Blocks at a time, each in a process with all --devices: for many cores (--devices 2 --workers 8 on 16). On two, 1 is as fast."""
    devices: int | None = None
    """CPU devices to make; default: one per core."""
    compile_cache: str = "auto"
    """auto, off, or a folder for compiled programs."""
    quiet: bool = False
    """No progress."""
    json: bool = False
    """Print a JSON summary instead of text."""

    def execute(self) -> int:
        """Runs; returns the exit code."""
        from ilbench.compute.parallel import setup
        from ilbench.running import runner, select

        setup(self.devices, self.compile_cache)
        changes = select.parse_set(self.set)
        if self.demos is not None:
            changes["task.demonstrations"] = self.demos
        prepared = runner.prepare(
            self.suite,
            tasks=self.tasks,
            algorithms=self.algorithms,
            horizons=select.parse_numbers(self.horizons, "horizons") if self.horizons is not None else None,
            seeds=select.parse_numbers(self.seeds, "seeds") if self.seeds is not None else None,
            changes=changes,
            doubled=self.doubled,
        )
        how: dict[str, Any] = {"save_policies": self.save_policies, "rerun": self.rerun}
        if self.dry_run:
            rows = runner.describe(prepared, self.out, **how)
            said = _estimate(prepared, rows, self.out)
            emit(self.json, rows, lambda: _print_rows(prepared.suite, rows, said))
            return 0
        summary = runner.execute_plans(prepared, out=self.out, workers=self.workers, quiet=self.quiet, **how)
        emit(self.json, summary.__dict__, lambda: _print_summary(summary))
        return 3 if summary.failed else 0


def _estimate(prepared: Any, rows: list[dict[str, Any]], out: str) -> str:
    """Adds `run_s`, `compile_s` and `estimated_from` (records) to every row, None where no record tells; says the sum."""
    from ilbench.records import shipped
    from ilbench.running.plan import cells

    declared = prepared.suite.replace("+custom@", "@")
    known = [r for suite in dict.fromkeys((prepared.suite, declared)) for r in shipped.records(suite, out)]
    blocks = [
        (next(iter(cells(p).values())), row["to_run"]) for p, row in zip(prepared.plans, rows, strict=True)
    ]
    for row, guess in zip(rows, shipped.estimates(blocks, known), strict=True):
        row |= {"run_s": guess.run_s, "compile_s": guess.compile_s, "estimated_from": guess.n}
    count, told = sum(r["to_run"] for r in rows), [r for r in rows if r["to_run"] and r["run_s"] is not None]
    if not told:
        return "how long: no record of these cells tells"
    run_s, compile_s = (sum(r[key] for r in told) for key in ("run_s", "compile_s"))
    devices = sorted({f"{r.provenance.devices} x {r.provenance.device}" for r in known if r.provenance.device})
    where, rest = f", as recorded on {' and '.join(devices)}" if devices else "", count - sum(r["to_run"] for r in told)
    more = f"; {rest} cells more that no record tells of" if rest else ""
    return f"running about {_seconds(run_s)}, compiling up to {_seconds(compile_s)}{where}{more}"


def _print_rows(suite: str, rows: list[dict[str, Any]], said: str) -> None:
    table([_shown(r) for r in rows], f"{suite}: {sum(r['to_run'] for r in rows)} cells to run")
    print(said)


def _seconds(s: float) -> str:
    return f"{s:.2g} s" if s < 10 else f"{s:.0f} s" if s < 180 else f"{s / 60:.0f} min"


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    """A row for people: the estimate as one word."""
    kept = {k: v for k, v in row.items() if k not in ("run_s", "compile_s", "estimated_from")}
    return {**kept, "time": "-" if row["run_s"] is None else _seconds(row["run_s"])}


def _print_summary(summary: Any) -> None:
    print(
        f"{summary.suite}: {summary.done} cells run, {summary.cached} already there, "
        f"{summary.cells - summary.done - summary.cached} failed, of {summary.cells}"
    )
    clock = "wall clock, this machine, one run"
    if summary.workers > 1:
        clock = f"summed over {summary.workers} workers; {summary.wall_s:.1f} s by the clock, this machine, one run"
    print(f"compiling {summary.compile_s:.1f} s, running {summary.run_s:.1f} s ({clock})")
    print(f"records: {summary.folder}")
    for label, reason in summary.failed:
        print(f"ilbench: failed: {label}: {reason}", file=sys.stderr)
    if summary.log:
        print(f"ilbench: tracebacks: {summary.log}", file=sys.stderr)
    if summary.conflicts:
        print(
            f"ilbench: {len(summary.conflicts)} results differ from those that another run had stored; theirs count, these are "
            f"kept: {summary.conflicts[0]}",
            file=sys.stderr,
        )
