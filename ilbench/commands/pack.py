"""`ilbench pack`: a finished suite in two files."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from tyro.conf import Positional

from ilbench.commands.output import emit


@dataclass(frozen=True)
class Pack:
    """Put a finished suite into two files: records.jsonl.gz, which DuckDB and pandas read as it is, and arrays.zip.

    Every record keeps its id and its seal, every command reads packs and single files alike, and a run goes on beside a
    pack: packing again merges. Single files are removed only after the pack was read back.
    """

    suite: Positional[str]
    """Suite in the folder of records, e.g. brax (its newest version there) or brax@1."""
    results: str = "results"
    """Folder of records."""
    keep: bool = False
    """Keep the single files too."""
    undo: bool = False
    """Put the records back into single files, byte for byte, and remove the pack."""
    json: bool = False
    """Print JSON."""

    def execute(self) -> int:
        """Packs or unpacks; computes nothing on a device."""
        from ilbench import registry
        from ilbench.records import packing, store

        if self.keep and self.undo:
            raise ValueError("--keep is about packing and --undo takes a pack apart; give one of them")
        have = store.suites(self.results)
        there = [s for s in have if self.suite in (s, s.rpartition("@")[0])]
        if not there:
            raise (
                registry.unknown("suites", self.suite, have)
                if have
                else store.StoreError(f"{self.results!r} holds no records; give their folder with --results")
            )
        suite = max(there, key=lambda name: int(name.rpartition("@")[2]))
        done = packing.undo(self.results, suite) if self.undo else packing.do(self.results, suite, keep=self.keep)
        left = [{"path": p.path, "reason": p.reason} for p in done.left]
        value = {"suite": suite, "records": done.records, "moved": done.moved, "bytes": done.size, "left": left}
        verb = "restored from" if self.undo else "new in"
        say = f"{suite}: {done.records} records, {done.moved} {verb} the pack of {done.size / 1e6:.1f} MB in {self.results}/"
        emit(self.json, value, lambda: print(say))
        for problem in done.left:
            print(f"ilbench: stays outside: {problem.path}: {problem.reason}", file=sys.stderr)
        return 0
