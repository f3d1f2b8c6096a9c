"""`ilbench convergence`: had the fits of a suite converged?"""

from __future__ import annotations

import sys
from dataclasses import dataclass

from tyro.conf import Positional

from ilbench.commands.output import emit


@dataclass(frozen=True)
class Convergence:
    """Had the fits of a suite converged? Its records beside those of `ilbench run SUITE --doubled`, paired by seed."""

    suite: Positional[str] = "quick"
    """Suite whose records are compared with those of SUITE+doubled."""
    results: str | None = None
    """Folder of records; default: where the suite's are found."""
    write: bool = False
    """Also write CONVERGENCE.md beside the records."""
    json: bool = False
    """Print JSON."""

    def execute(self) -> int:
        """Reads records; computes nothing on a device."""
        from ilbench.report import convergence, source

        declared = source.load(self.suite, self.results)
        stem, _, version = declared.suite.partition("@")
        doubled = source.load(f"{stem}{convergence.DOUBLED}@{version}", self.results)
        rows = convergence.build(declared.records, doubled.records)
        emit(self.json, convergence.as_json(rows), lambda: print(convergence.text(rows, declared.suite)))
        if self.write:
            page = convergence.page(rows, declared.suite)
            print(f"wrote {source.write_page(declared, 'CONVERGENCE.md', page)}", file=sys.stderr)
        return 0
