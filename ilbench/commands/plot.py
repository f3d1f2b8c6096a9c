"""`ilbench plot`: a suite's pictures, for a paper."""

from __future__ import annotations

import pathlib
from dataclasses import dataclass
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from ilbench.commands.output import opened, say, target

ENDINGS = ("svg", "pdf", "png")


@dataclass(frozen=True)
class Plot:
    """One of the pictures that boards are written with, as SVG, PDF or PNG; the same records give the same bytes.

    ilbench plot overview -o overview.pdf; ilbench plot scores --suite brax -o scores.svg
    """

    kind: Positional[Literal["overview", "scores", "compounding"]]
    """overview: cost over the horizon, and scores. scores: against the budget. compounding: mistakes per step, of 0-1 deployment."""
    out: Annotated[pathlib.Path, arg(aliases=["-o"])]
    """File to write; its ending says what: .svg, .pdf or .png."""
    suite: str | None = None
    """Suite whose records are drawn; default: quick, and for compounding the suite compounding."""
    results: str | None = None
    """Folder of records; default: runs/ if it holds the suite, else results/."""

    def execute(self) -> int:
        """Reads records, draws, writes one file."""
        from ilbench.display import style
        from ilbench.records.files import write_atomic
        from ilbench.report import compounding_figure, compounding_page, figures

        ending = self.out.suffix[1:].lower()
        if ending not in ENDINGS:
            raise ValueError(
                f"{str(self.out)!r} says not what to write; give a file that ends in .{', .'.join(ENDINGS)}"
            )
        target(self.out)
        found, _ = opened(self.suite or ("compounding" if self.kind == "compounding" else "quick"), self.results)

        def save(canvas: object) -> bytes:
            return style.saved(canvas, ending)

        if self.kind == "overview":
            drawn = figures.overview(found.records, found.arrays, save)
        elif self.kind == "scores":
            drawn = figures.budgets(found.records, save)
        else:
            page = compounding_page.build(found.records, found.arrays)
            drawn = page and compounding_figure.draw([r for r in page.rows if r.target == page.target], save)
        if drawn is None:
            wanted = {"scores": "no two tasks with three budgets each", "compounding": "no record with 0-1 deployment"}[
                self.kind
            ]
            raise ValueError(
                f"{found.suite} has {wanted}: there is nothing to draw; ilbench plot overview draws any suite"
            )
        write_atomic(self.out, drawn)
        say(f"wrote {self.out}")
        return 0
