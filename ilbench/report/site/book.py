"""The files of a site while they are made: pages from templates, tables for them and the same tables as CSV.

Everything that a template shows is escaped, and what does not print as itself is spelled out: a name is text, whatever it holds.
"""

from __future__ import annotations

import csv
import functools
import hashlib
import io
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote

import jinja2
from markupsafe import Markup

import ilbench
from ilbench import registry
from ilbench.display.sheets import inert
from ilbench.display.style import COLOURS
from ilbench.display.tables import Table, shown

TEMPLATES = pathlib.Path(__file__).parent / "templates"
NUMERIC = re.compile(r"[-+]?[\d,]*\.?\d+(e[-+]?\d+)?\*?( \[.*\])?( \(.*\))?|-|", re.S)
INTERVAL = re.compile(r"(\S+) \[(\S+), (\S+)\](\S*)")
KINDS = ("num", "long", "")  # classes of a column's cells: numbers, sentences that want room, words
WIDE = 24  # characters from which on a cell is a sentence
NUMBER = re.compile(r"-|[-+]?[\d.,]+(e[-+]?\d+)?[*!#]*", re.I)  # or none; with the marks of a board


class Cell(NamedTuple):
    """What stands in a cell, where it leads, and a picture beside it."""

    text: str
    href: str = ""
    picture: Markup = Markup("")


class View(NamedTuple):
    """A table as a template shows it."""

    id: str
    title: str
    columns: list[tuple[str, str]]  # name, and what stands below it: one of KINDS
    head: int  # the column that names the rows
    rows: list[list[Cell]]
    notes: tuple[str, ...]
    csv: str  # href of the same table as a file


def slug(name: str) -> str:
    """A file name for a name; what had to be changed gets a digest, so that no two become one."""
    safe = re.sub(r"[^a-z0-9._@+-]+", "-", name.lower()).strip(".-") or "x"
    return safe if safe == name else f"{safe[:80]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def inert_csv(text: str) -> str:
    """A cell that no spreadsheet takes for a formula; what is a number is written as one."""
    return text if NUMBER.fullmatch(text) else inert(text)


def _split(table: Table) -> tuple[list[str], list[list[str]]]:
    """Columns and rows with `value [lo, hi]` as three columns, where a column has such."""
    wide = [any(INTERVAL.fullmatch(row[i]) for row in table.rows) for i in range(len(table.columns))]
    columns = [
        c
        for name, w in zip(table.columns, wide, strict=True)
        for c in ((name, f"{name} low", f"{name} high") if w else (name,))
    ]
    rows = []
    for row in table.rows:
        cells: list[str] = []
        for text, w in zip(row, wide, strict=True):
            found = INTERVAL.fullmatch(text) if w else None
            cells += [found[1] + found[4], found[2], found[3]] if found else [text, "", ""] if w else [text]
        rows.append(cells)
    return columns, rows


def _kind(column: str, cells: Sequence[str]) -> str:
    """Which of KINDS stands in a column."""
    if column.endswith("[95 %]") or all(NUMERIC.fullmatch(text) for text in cells):
        return "num"
    return "long" if max(map(len, cells)) > WIDE else ""


def as_csv(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> bytes:
    """RFC 4180, a header first."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerows([[inert_csv("" if x is None else str(x)) for x in row] for row in (columns, *rows)])
    return out.getvalue().encode()


def _said(value: Any) -> Any:
    """What a template shows of a value."""
    return (
        value
        if isinstance(value, Markup)
        else ""
        if value is None
        else shown(value)
        if isinstance(value, str)
        else value
    )


def breaks(text: str) -> Markup:
    """A name that a narrow column may break where its parts begin."""
    return Markup("<wbr>").join(re.split(r"(?=\[)|(?<=[+=_])", shown(text)))


@functools.cache
def environment() -> jinja2.Environment:
    """The templates, everything in them escaped."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_said,
    )
    made.filters["breaks"] = breaks
    return made


class Book:
    """Files by their path below the site's folder."""

    def __init__(self, sitewide: Mapping[str, Any]) -> None:
        self.files: dict[str, bytes] = {}
        self._sitewide = dict(sitewide)
        self._tables: dict[str, int] = {}
        self.tasks: set[tuple[str, str]] = set()  # (suite, task) that have a page

    def page(self, path: str, template: str, title: str, **context: Any) -> None:
        """Renders one page; its links are relative, so that it works wherever the folder lies."""
        root = "../" * path.count("/")
        text = environment().get_template(template).render(
            root=root, title=title, path=path, link=lambda to: root + quote(to, safe="/@+,-#._"),
            version=ilbench.__version__, **self._sitewide, **context,
        )  # fmt: skip
        self.files[path] = text.encode("utf-8")

    def table(
        self,
        path: str,
        table: Table,
        suite: str = "",
        pictures: tuple[str, Sequence[Markup]] | None = None,
        id: str = "",
    ) -> View:
        """A table for the page at `path`, written as CSV beside it; `pictures`: one for each row, in the column named."""
        n = self._tables[path] = self._tables.get(path, 0) + 1
        stem = path.removesuffix(".html")
        file = f"{stem}-{n}.csv"
        self.files[file] = as_csv(*_split(table))
        kept = [i for i in range(len(table.columns)) if not table.rows or any(row[i] for row in table.rows)]
        columns = [(table.columns[i], _kind(table.columns[i], [row[i] for row in table.rows])) for i in kept]
        names = [c for c, _ in columns]
        head = next((names.index(c) for c in ("algorithm", "learner") if c in names and "task" not in names), 0)
        rows = []
        for j, row in enumerate(table.rows):
            cells = [Cell(row[i], self.leads(table.columns[i], row[i], suite)) for i in kept]
            if pictures is not None and pictures[0] in names:
                at = names.index(pictures[0])
                cells[at] = cells[at]._replace(picture=pictures[1][j])
            rows.append(cells)
        return View(id or f"t{n}", table.title, columns, head, rows, table.notes, file)

    def leads(self, column: str, text: str, suite: str) -> str:
        """The page about what a cell names: an algorithm, or a task of the suite; empty for anything else."""
        if column in ("algorithm", "learner", "A", "B"):
            name = re.split(r"[^a-z0-9_]", text, maxsplit=1)[0]
            return f"algorithms/{name}.html" if name in registry.entries("algorithms") else ""
        if column in ("task", "robot"):
            for task in (text, *(t for s, t in self.tasks if s == suite and t.split("@")[0] == text)):
                if (suite, task) in self.tasks:
                    return task_path(suite, task)
        return ""


def suite_path(suite: str, page: str = "index") -> str:
    """Where a page of a suite lies."""
    return f"suites/{slug(suite)}/{page}.html"


def task_path(suite: str, task: str) -> str:
    """Where the page of a task lies."""
    return suite_path(suite, f"tasks/{slug(task)}")


def style() -> bytes:
    """The style sheet, with the colours of every picture."""
    return environment().get_template("site.css").render(colours=COLOURS).encode()
