"""What the theory says and what was measured: a page of all stored checks, and a page per suite for its sweeps over horizons."""

from __future__ import annotations

from ilbench.display.tables import Table
from ilbench.report import checks, theory
from ilbench.report.site.boards import inside
from ilbench.report.site.book import Book, suite_path
from ilbench.report.site.material import Material, Suite
from ilbench.report.site.sections import section


def write(book: Book, material: Material) -> None:
    """theory.html: statement, picture, predicted, measured and verdict of every check."""
    if not material.checks:
        return
    for name, content in material.pictures.items():
        book.files[f"theory/{name}"] = content
    whole = checks.totals(material.checks)
    sections = [section(tables=[book.table("theory.html", whole._replace(notes=(*whole.notes, *checks.NOTES)))])]
    for r in material.checks:
        about = r.id.split("_", 1)[-1].replace("_", " ")
        heading = f"{r.short} {about}" if r.short != r.id else r.id.replace("_", " ")
        text = [
            r.statement,
            *([f"Source: {r.source}"] if r.source else []),
            *([f"It broke: {r.error}"] if r.error else []),
        ]
        table = Table(f"Claims of {heading}", checks.COLUMNS, [checks.row_of(c) for c in r.claims])
        picture = f"theory/{r.id}.svg" if f"{r.id}.svg" in material.pictures else ""
        tables = [book.table("theory.html", table)] if r.claims else []
        sections.append(
            section(
                heading,
                text,
                tables,
                anchor=r.id,
                image=(picture, f"Picture of {heading}: its numbers are in the table"),
            )
        )
    book.page(
        "theory.html", "page.html", "Theory", heading="The theory, checked", sections=sections, lines=(),
        toc=[(r.id, r.short) for r in material.checks],
        aside=[a for a in material.aside if a.place.startswith(f"{checks.FOLDER}/")],
    )  # fmt: skip


def write_suite(book: Book, suite: Suite) -> None:
    """theory.html of a suite: the tables of THEORY.md."""
    if not suite.theory:
        return
    path = suite_path(suite.name, "theory")
    tables = [book.table(path, table, suite.name) for table in theory.tables(suite.theory)]
    book.page(
        path, "page.html", f"{suite.name}: theory", heading=f"{suite.name}: theory against measurement", suite=suite.name,
        inside=inside(suite), lines=("How the cost grew with the horizon, next to O(eps H^2) and O(eps H).",),
        sections=[section(tables=tables)],
    )  # fmt: skip
