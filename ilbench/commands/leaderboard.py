"""`ilbench leaderboard`: who is better."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from tyro.conf import Positional

from ilbench.commands.output import emit


@dataclass(frozen=True)
class Leaderboard:
    """Who is better, by how much, how sure, at what cost: a table per task and one over tasks."""

    suite: Positional[str] = "quick"
    """Suite whose records are ranked."""
    results: str | None = None
    """Folder of records; default: runs/ if it holds the suite, else results/."""
    write: bool = False
    """Also write LEADERBOARD.md beside the records."""
    json: bool = False
    """Print JSON."""

    def execute(self) -> int:
        """Reads records; computes nothing on a device."""
        from ilbench.report import leaderboard, source

        found = source.load(self.suite, self.results)
        board = leaderboard.build(found.records)
        emit(self.json, board.as_json(), lambda: print(leaderboard.text(board)))
        if self.write:
            print(
                f"wrote {source.write_page(found, 'LEADERBOARD.md', leaderboard.page(board, found.suite))}",
                file=sys.stderr,
            )
        return 0
