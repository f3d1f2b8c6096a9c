"""`ilbench plot`: a suite's pictures, for a paper."""

from __future__ import annotations

import pathlib
from dataclasses import dataclass
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from ilbench.commands.output import opened, say, table, target

ENDINGS = ("svg", "pdf", "png")
KINDS = {  # what each shows
    "overview": "cost over the horizon, and scores at the largest budget",
    "scores": "score against the budget, a panel per task",
    "profiles": "share of runs that score above each score, over all settings, with 95 % limits",
    "compounding": "mistakes per step, of 0-1 deployment",
}


@dataclass(frozen=True)
class Plot:
    """A suite's pictures, as SVG, PDF or PNG; the same records give the same bytes. Without a kind, the kinds are listed.

    ilbench plot overview -o overview.pdf; ilbench plot scores --suite brax -o scores.svg; ilbench plot profiles -o profiles.svg
    """

    kind: Positional[Literal["list", "overview", "scores", "profiles", "compounding"]] = "list"
    """Which picture; list says what each of them shows."""
    out: Annotated[pathlib.Path | None, arg(aliases=["-o"])] = None
    """File to write; its ending says what: .svg, .pdf or .png."""
    suite: str | None = None
    """Suite whose records are drawn; default: quick, and for compounding the suite compounding."""
    results: str | None = None
    """Folder of records; default: runs/ if it holds the suite, else results/."""

    def execute(self) -> int:
        """Reads records, draws, writes one file."""
        from ilbench.records.files import write_atomic

        if self.kind == "list":
            table([{"kind": name, "what": what} for name, what in KINDS.items()], f"kinds ({len(KINDS)})")
            return 0
        if self.out is None:
            raise ValueError(f"ilbench plot {self.kind} writes a file; give one, e.g. -o {self.kind}.svg")
        ending = self.out.suffix[1:].lower()
        if ending not in ENDINGS:
            raise ValueError(
                f"{str(self.out)!r} says not what to write; give a file that ends in .{', .'.join(ENDINGS)}"
            )
        target(self.out)
        write_atomic(self.out, self._drawn(self.kind, ending))
        say(f"wrote {self.out}")
        return 0

    def _drawn(self, kind: str, ending: str) -> bytes:
        """The picture's bytes; ValueError where there is nothing to draw."""
        from ilbench.display import style
        from ilbench.report import compounding_figure, compounding_page, figures, leaderboard, profiles_figure

        found, _ = opened(self.suite or ("compounding" if kind == "compounding" else "quick"), self.results)

        def save(canvas: object) -> bytes:
            return style.saved(canvas, ending)

        if kind == "overview":
            drawn = figures.overview(found.records, found.arrays, save)
        elif kind == "scores":
            drawn = figures.budgets(found.records, save)
        elif kind == "profiles":
            drawn = profiles_figure.draw(leaderboard.shown_groups(found.records), save)
        else:
            page = compounding_page.build(found.records, found.arrays)
            drawn = page and compounding_figure.draw([r for r in page.rows if r.target == page.target], save)
        if drawn is None:
            wanted = {
                "scores": "no two tasks with three budgets each",
                "profiles": "no two rows that ran on one setting with two seeds or more",
                "compounding": "no record with 0-1 deployment",
            }[kind]
            raise ValueError(
                f"{found.suite} has {wanted}: there is nothing to draw; ilbench plot overview draws any suite"
            )
        made: bytes = drawn
        return made
