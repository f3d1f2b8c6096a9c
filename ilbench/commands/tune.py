"""`ilbench tune`: try an algorithm's declared space on a suite, on seeds that the suite does not have."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from tyro.conf import Positional

from ilbench.commands.output import emit


@dataclass(frozen=True)
class Tune:
    """Try settings of an algorithm on a suite's tasks: equal trials for all, seeds apart, every trial a record."""

    algorithm: Positional[str]
    """Algorithm whose SPACE is tried (ilbench list algorithms)."""
    suite: str = "quick"
    """Suite whose blocks of it are tried."""
    tasks: str | None = None
    """Only tasks that match these comma-separated globs."""
    head: str | None = None
    """Only blocks with this head."""
    labels: str | None = None
    """Only blocks with these numbers of labels, e.g. 1000,5000."""
    trials: int = 8
    """Trials, the suite's own settings among them; the same number for every algorithm that is to be compared."""
    seeds: str = "100000-100004"
    """Tuning seeds: none of the suite's."""
    out: str = "runs"
    """Folder that records go to, under SUITE+tuning."""
    workers: int = 1
    """Blocks at a time."""
    quiet: bool = False
    """No progress."""
    json: bool = False
    """Print JSON."""

    def execute(self) -> int:
        """Runs what is missing of the trials, then says which is best; 3 if a trial failed."""
        import pathlib

        from ilbench.compute.parallel import setup
        from ilbench.records import store
        from ilbench.report import tuning as report
        from ilbench.running import runner, select, tuning

        seeds = select.parse_numbers(self.seeds, "seeds")
        labels = None if self.labels is None else select.parse_numbers(self.labels, "labels")
        setup()
        prepared, trials = tuning.trials(
            self.suite,
            self.algorithm,
            tasks=self.tasks,
            head=self.head,
            labels=labels,
            count=self.trials,
            seeds=seeds,
        )
        summary = runner.execute_plans(prepared, out=self.out, workers=self.workers, quiet=self.quiet)
        records, _ = store.read_all(pathlib.Path(self.out), prepared.suite)
        space = tuning.space(self.algorithm, any(plan.head.solve is None for plan in trials[0].plans))
        found = report.judged(self.algorithm, space, [(trial.changes, trial.ids()) for trial in trials], records)
        page = report.keep(found, pathlib.Path(self.out) / prepared.suite)
        emit(self.json, found, lambda: print(report.shown(found)))
        print(f"ilbench: kept in {page}", file=sys.stderr)
        for label, reason in summary.failed:
            print(f"ilbench: failed: {label}: {reason}", file=sys.stderr)
        return 3 if summary.failed else 0
