"""One table, two renderings: text for a terminal and Markdown for a page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple


class Table(NamedTuple):
    """A titled table of text cells, and notes that say how to read it."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    notes: tuple[str, ...] = ()


def number(value: float | None, digits: int = 3) -> str:
    """A number at so many significant digits, without exponents where they do not help; `-` for none."""
    if value is None or not math.isfinite(value):
        return "-"
    if value == 0:
        return "0"
    if abs(value) >= 10**digits or abs(value) < 1e-4:
        return f"{value:.{digits - 1}e}" if abs(value) >= 1e6 or abs(value) < 1e-4 else f"{value:.0f}"
    return f"{value:.{max(0, digits - 1 - math.floor(math.log10(abs(value))))}f}"


def interval(value: float | None, lo: float | None, hi: float | None, digits: int = 3) -> str:
    """`value [lo, hi]`."""
    if value is None:
        return "-"
    if lo is None or hi is None:
        return number(value, digits)
    return f"{number(value, digits)} [{number(lo, digits)}, {number(hi, digits)}]"


def text(tables: list[Table]) -> str:
    """Aligned columns, as wide as they need to be."""
    out = []
    for table in tables:
        widths = [
            max(len(c), *(len(r[i]) for r in table.rows)) if table.rows else len(c) for i, c in enumerate(table.columns)
        ]

        def line(cells: tuple[str, ...], widths: list[int] = widths) -> str:
            return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()

        out += [table.title, line(table.columns), "  ".join("-" * w for w in widths), *(line(r) for r in table.rows)]
        out += [f"  {note}" for note in table.notes] + [""]
    return "\n".join(out).rstrip()


def _escape(cell: Any) -> str:
    return str(cell).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace(">", "&gt;")


def markdown(tables: list[Table]) -> str:
    """GitHub-flavoured Markdown."""
    out = []
    for table in tables:
        out += [f"## {_escape(table.title)}", ""]
        out += ["| " + " | ".join(map(_escape, table.columns)) + " |", "|" + "---|" * len(table.columns)]
        out += ["| " + " | ".join(map(_escape, row)) + " |" for row in table.rows]
        out += [""] + [f"{_escape(note)}  " for note in table.notes] + ([""] if table.notes else [])
    return "\n".join(out).rstrip() + "\n"
