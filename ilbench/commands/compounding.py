"""`ilbench compounding`: does it compound, why, and what mends it."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from tyro.conf import Positional

from ilbench.commands.output import emit


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
        from ilbench.report import compounding_figure, compounding_page, source

        found = source.load(self.suite, self.results)
        page, first = compounding_page.build(found.records, found.arrays), source.first_line(found, source.where(found))
        for line in source.elsewhere(found):
            print(f"ilbench: {line}", file=sys.stderr)
        if page is None:
            raise ValueError(
                f"{found.suite} has no record with 0-1 deployment; run one: ilbench run compounding, or any suite with "
                "--set evaluation.snap=[0.003,0.001]"
            )
        shown = {"suite": found.suite, "source": first} | tables.plain(page.as_json())
        emit(self.json, shown, lambda: print(compounding_page.text(page, first, tables.terminal(), self.full)))
        if self.write:
            written = compounding_page.markdown_page(page, found.suite, source.first_line(found))
            print(f"wrote {source.write_page(found, 'COMPOUNDING.md', written)}", file=sys.stderr)
            drawn = compounding_figure.draw([r for r in page.rows if r.target == page.target])
            print(f"wrote {source.write_page(found, 'compounding.svg', drawn)}", file=sys.stderr)
        return 3 if page.violated else 0
