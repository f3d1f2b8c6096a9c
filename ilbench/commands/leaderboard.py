"""`ilbench leaderboard`: who is better."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from tyro.conf import Positional

from ilbench.commands.output import emit, opened


@dataclass(frozen=True)
class Leaderboard:
    """Who is better, by how much, how sure, at what cost: a table per task and one over tasks."""

    suite: Positional[str] = "quick"
    """Suite whose records are ranked."""
    results: str | None = None
    """Folder of records; default: runs/ if it holds the suite, else results/."""
    write: bool = False
    """Also write LEADERBOARD.md beside the records."""
    full: bool = False
    """Every column, and how the limits are made; without it a table fits the terminal."""
    json: bool = False
    """Print JSON: source, overall rankings, a row per task and algorithm."""

    def execute(self) -> int:
        """Reads records; computes nothing on a device."""
        from ilbench.display import tables
        from ilbench.report import leaderboard, source

        found, first = opened(self.suite, self.results)
        board = leaderboard.build(found.records)
        emit(
            self.json,
            {"suite": found.suite, "source": first} | board.as_json(),
            lambda: print(leaderboard.text(board, first, tables.terminal(), self.full)),
        )
        if self.write:
            page = leaderboard.page(board, found.suite, source.first_line(found))
            print(f"wrote {source.write_page(found, 'LEADERBOARD.md', page)}", file=sys.stderr)
        return 0
