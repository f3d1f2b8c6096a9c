"""`ilbench export`: into a paper, a spreadsheet, a data frame."""

from __future__ import annotations

import pathlib
from dataclasses import dataclass
from typing import Annotated, Literal

from tyro.conf import arg

from ilbench.commands.output import opened, say, target


@dataclass(frozen=True)
class Export:
    """A suite's board as data or for a paper: every number with its interval and n.

    ilbench export --format latex --suite brax -o tables.tex writes booktabs tables; --format macros a macro for every cell of them
    (\\ilbHopperBcScore), so that text and tables cannot disagree; csv, json and parquet are flat rows with all digits.
    """

    format: Literal["csv", "json", "markdown", "latex", "macros", "parquet"] = "csv"
    """csv: no cell is a formula. parquet: takes pyarrow or duckdb, and -o."""
    suite: str = "quick"
    """Suite whose records are read."""
    results: str | None = None
    """Folder of records; default: runs/ if it holds the suite, else results/."""
    out: Annotated[pathlib.Path | None, arg(aliases=["-o"])] = None
    """File to write; default: stdout."""

    def execute(self) -> int:
        """Reads records, writes one text or file; computes nothing on a device."""
        from ilbench.display import sheets
        from ilbench.records.files import write_atomic
        from ilbench.report import export, leaderboard

        if self.out is not None:
            target(self.out)
        elif self.format == "parquet":
            raise ValueError("--format parquet is no text for a terminal; give a file, e.g. -o board.parquet")
        found, first = opened(self.suite, self.results, arrays=False)
        board = leaderboard.build(found.records, found.tiers)
        if not board.rows:
            raise ValueError(
                f"{found.suite} has no row that belongs on a board (instruments never do): there is nothing to export"
            )
        if self.format == "parquet":
            content = sheets.parquet(export.flat(board, found.suite))
        else:
            content = export.document(self.format, board, found.suite, first).encode()
        if self.out is None:
            print(content.decode(), end="")
        else:
            write_atomic(self.out, content)
            say(f"wrote {self.out}")
        return 0
