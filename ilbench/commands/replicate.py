"""`ilbench replicate`: published claims, held against our records."""

from __future__ import annotations

import pathlib
import sys
from dataclasses import dataclass

from tyro.conf import Positional

from ilbench.commands.output import emit, say


@dataclass(frozen=True)
class Replicate:
    """Published claims held against our records: replicated, not replicated, contradicted, or not testable here.

    It reads the suites that a claim names; where one has no records it says which to run (ilbench run SUITE).
    """

    claim: Positional[str | None] = None
    """One claim, by its number or name; default: all."""
    results: str | None = None
    """Folder of records; default: runs/ if it holds a suite, else results/."""
    write: bool = False
    """Also write REPLICATION.md into the folder of records (--results)."""
    json: bool = False
    """Print JSON: claims, settings, verdicts."""

    def execute(self) -> int:
        """Reads records; computes nothing on a device."""
        from ilbench.display import tables
        from ilbench.records.files import write_atomic
        from ilbench.report import source
        from ilbench.report.replication import table
        from ilbench.report.replication.verdicts import Suites

        table.chosen(self.claim)  # a name that is none is told before anything is read
        if self.write and (self.results is None or self.claim is not None):
            raise ValueError(
                "--write makes the page of all claims in one folder: ilbench replicate --write --results results"
            )
        records = Suites(lambda suite: source.load(suite, self.results).records)
        rows = table.build(records, self.claim)
        for suite in records.missing:
            say(f"no records of {suite}: ilbench run {suite}")
        shown = tables.plain([row.as_json() for row in rows])
        emit(self.json, shown, lambda: print(table.text(rows, tables.terminal())))
        if self.write and self.results is not None:
            path = pathlib.Path(self.results) / table.PAGE
            write_atomic(path, table.page(rows).encode())
            print(f"wrote {path}", file=sys.stderr)
        return 0
