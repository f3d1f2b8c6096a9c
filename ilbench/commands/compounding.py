"""`ilbench compounding`: does it compound, why, and what mends it."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from tyro.conf import Positional

from ilbench.commands.output import emit, opened


@dataclass(frozen=True)
class Compounding:
    """Mistakes on the learner's own states for one on the expert's, in 0-1 deployment: A(H), its bounds, and what a mistake costs.

    It reads records of a suite whose evaluation has `snap` (the suite compounding, or any with
    --set evaluation.snap=[0.003,0.001]).
    """

    suite: Positional[str] = "compounding"
    """Suite whose records are read."""
    results: str | None = None
    """Folder of records; default: runs/ if it holds the suite, else results/."""
    write: bool = False
    """Also write COMPOUNDING.md and compounding.svg beside the records."""
    full: bool = False
    """Every column and every table."""
    json: bool = False
    """Print JSON: sentences, rows, costs."""

    def execute(self) -> int:
        """Reads records; exit code 3 where a theorem is violated."""
        from ilbench.display import tables
        from ilbench.report import compounding_page, pages, source

        found, first = opened(self.suite, self.results)
        page = compounding_page.build(found.records, found.arrays)
        if page is None:
            raise ValueError(
                f"{found.suite} has no record with 0-1 deployment; run one: ilbench run compounding, or any suite with "
                "--set evaluation.snap=[0.003,0.001]"
            )
        shown = {"suite": found.suite, "source": first} | tables.plain(page.as_json())
        emit(self.json, shown, lambda: print(compounding_page.text(page, first, tables.terminal(), self.full)))
        for name, content in pages.compounding_pages(page, found).items() if self.write else ():
            print(f"wrote {source.write_page(found, name, content)}", file=sys.stderr)
        return 3 if page.violated else 0
