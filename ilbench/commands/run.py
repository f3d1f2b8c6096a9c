"""`ilbench run`: train and evaluate a suite."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

from tyro.conf import Positional, UseAppendAction

from ilbench.commands.output import emit, table


@dataclass(frozen=True)
class Run:
    """Train and evaluate every cell of a suite; repeat the command and only what is missing runs."""

    suite: Positional[str] = "quick"
    """Suite to run, e.g. quick or quick@1 (ilbench list suites)."""
    tasks: str | None = None
    """Only tasks that match these comma-separated globs, e.g. 'hopper,scalar_*'."""
    algorithms: str | None = None
    """Only algorithms that match these globs."""
    horizons: str | None = None
    """Horizons to sweep instead of the suite's, e.g. 16,32,64."""
    seeds: str | None = None
    """Seeds instead of the suite's, e.g. 0-9."""
    set: UseAppendAction[tuple[str, ...]] = ()
    """Change any config field: --set dagger.rounds=10 --set fit.updates=500 --set evaluation.episodes=256."""
    out: str = "runs"
    """Folder that records go to."""
    save_policies: bool = False
    """Keep the scored policies in the records' sidecars; cells whose records lack theirs run again."""
    dry_run: bool = False
    """Print what would run and stop."""
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
        from ilbench import plan, runner
        from ilbench.parallel import setup

        setup(self.devices, self.compile_cache)
        prepared = runner.prepare(
            self.suite,
            tasks=self.tasks,
            algorithms=self.algorithms,
            horizons=plan.parse_numbers(self.horizons, "horizons") if self.horizons is not None else None,
            seeds=plan.parse_numbers(self.seeds, "seeds") if self.seeds is not None else None,
            changes=plan.parse_set(self.set),
        )
        if self.dry_run:
            rows = runner.describe(prepared, self.out, save_policies=self.save_policies)
            emit(
                self.json,
                rows,
                lambda: table(rows, f"{prepared.suite}: {sum(r['to_run'] for r in rows)} cells to run"),
            )
            return 0
        summary = runner.execute_plans(prepared, out=self.out, save_policies=self.save_policies, quiet=self.quiet)
        emit(self.json, summary.__dict__, lambda: _print_summary(summary))
        return 3 if summary.failed else 0


def _print_summary(summary: Any) -> None:
    print(
        f"{summary.suite}: {summary.done} cells run, {summary.cached} already there, "
        f"{summary.cells - summary.done - summary.cached} failed, of {summary.cells}"
    )
    print(f"compiling {summary.compile_s:.1f} s, running {summary.run_s:.1f} s (wall clock, this machine, one run)")
    print(f"records: {summary.folder}")
    for label, reason in summary.failed:
        print(f"ilbench: failed: {label}: {reason}", file=sys.stderr)
