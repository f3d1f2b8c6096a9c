"""One table, two renderings: text for a terminal and Markdown for a page.

What a name from a record holds is shown and never obeyed: control characters are escaped in both, and on a page links,
pictures, HTML and pipes are inert.
"""

from __future__ import annotations

import math
import os
import re
import shutil
import sys
import textwrap
from collections.abc import Sequence
from typing import Any, NamedTuple

NARROW = 12  # characters that a column of a table too wide for the terminal keeps at least
GAP = 2  # spaces between columns
READABLE = 140  # characters of a line of notes where nothing limits it


class Table(NamedTuple):
    """A titled table of text cells, and notes that say how to read it."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    notes: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()  # columns that a narrow terminal does without, the first to go first
    extra: tuple[str, ...] = ()  # columns that are shown only in full


# ----------------------------------------------------------------------------------------- numbers
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


def fixed(value: float | None, lo: float | None = None, hi: float | None = None, places: int = 3) -> str:
    """`value [lo, hi]` with so many decimals, as scores have: 0.953 [0.824, 1.000]; `-` for none."""
    if value is None or not math.isfinite(value):
        return "-"
    if lo is None or hi is None or not math.isfinite(lo) or not math.isfinite(hi):
        return _decimals(value, places)
    return f"{_decimals(value, places)} [{_decimals(lo, places)}, {_decimals(hi, places)}]"


def _decimals(value: float, places: int) -> str:
    said = f"{value:.{places}f}"
    return said.removeprefix("-") if float(said) == 0 else said


def plain(value: Any) -> Any:
    """A value for JSON: numbers that are not finite become None, inside lists, tuples and dicts too."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: plain(v) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    return value


# ------------------------------------------------------------------------------------------ names
def shown(value: Any) -> str:
    """Text with everything that does not print as itself escaped: control characters, line ends, marks of direction."""
    text = str(value)
    return text if text.isprintable() else "".join(c if c.isprintable() else _escaped(c) for c in text)


def _escaped(c: str) -> str:
    return c.encode("unicode_escape").decode("ascii")


def inert(value: Any) -> str:
    """`shown`, for a page: no pipe, tag, link, picture, code or address comes to life."""
    text = shown(value).replace("\\", "\\\\").replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    text = re.sub(r"([|`*])", r"\\\1", text).replace("](", "]\\(").replace("![", "!\\[").replace("][", "]\\[")
    return re.sub(r"(?i)\bwww\.", lambda m: m[0][:-1] + "&#46;", text.replace("://", "&#58;//"))


# --------------------------------------------------------------------------------------- terminal
def terminal() -> int | None:
    """Columns of the terminal (or COLUMNS); None where nobody looks: a pipe or a file, which takes any width."""
    told = os.environ.get("COLUMNS", "")
    if told.isdigit() and int(told) > 0:
        return max(40, int(told))
    return max(40, shutil.get_terminal_size().columns) if sys.stdout.isatty() else None


def text(tables: Sequence[Table], width: int | None = None, full: bool = False) -> str:
    """Aligned columns, as wide as they need to be, or fitted to `width`: first columns that can be spared go, then
    cells break between words. `full` spares none and takes the width that it needs."""
    out: list[str] = []
    width = None if full else width
    gone: dict[str, None] = {}
    for table in tables:
        columns, rows, left = _fitted(table, width, full)
        gone |= dict.fromkeys(left)
        widths = [max(len(c), *(len(r[i]) for r in rows)) if rows else len(c) for i, c in enumerate(columns)]
        if width is not None:
            widths = _narrowed(widths, width)
        out += wrapped(shown(table.title), width)
        out += [*_line(columns, widths), "  ".join("-" * w for w in widths)]
        out += [line for row in rows for line in _line(row, widths)]
        out += [line for note in table.notes for line in wrapped(f"  {shown(note)}", width or READABLE)] + [""]
    if gone:
        out += wrapped(f"Left out to fit {width} columns: {', '.join(gone)} (--full shows them).", width)
    return "\n".join(out).rstrip()


def _fitted(table: Table, width: int | None, full: bool) -> tuple[list[str], list[list[str]], list[str]]:
    """Columns and rows that are shown, escaped, and the names of the columns left out for want of room."""
    kept = [i for i, c in enumerate(table.columns) if full or c not in table.extra]
    kept = [i for i in kept if not table.rows or any(row[i] for row in table.rows)]  # a column of notes without any
    rows = [[shown(cell) for cell in row] for row in table.rows]
    need = [max(len(c), *(len(r[i]) for r in rows)) if rows else len(c) for i, c in enumerate(table.columns)]
    left = []
    for name in table.drop if width is not None and not full else ():
        if sum(need[i] + GAP for i in kept) - GAP <= (width or 0):
            break
        if name in table.columns and table.columns.index(name) in kept:
            kept.remove(table.columns.index(name))
            left.append(name)
    return [shown(table.columns[i]) for i in kept], [[row[i] for i in kept] for row in rows], left


def _narrowed(widths: list[int], width: int) -> list[int]:
    """Widths that fit, taken from the widest column first and from the first, which names the rows, last; none below NARROW."""
    out = list(widths)
    for among in (range(1, len(out)), range(len(out))):
        while sum(out) + GAP * (len(out) - 1) > width and max((out[i] for i in among), default=0) > NARROW:
            out[max(among, key=lambda i: out[i])] -= 1
    return out


def _line(cells: Sequence[str], widths: list[int]) -> list[str]:
    """One row, in as many lines as its longest cell takes."""
    parts = [
        [cell] if len(cell) <= w else textwrap.wrap(cell, w) or [""] for cell, w in zip(cells, widths, strict=True)
    ]
    height = max((len(p) for p in parts), default=0)
    padded = [[*p, *[""] * (height - len(p))] for p in parts]
    return ["  ".join(p[k].ljust(w) for p, w in zip(padded, widths, strict=True)).rstrip() for k in range(height)]


def wrapped(line: str, width: int | None) -> list[str]:
    """A line broken between words to fit a width (None: any), its indent kept."""
    if width is None or len(line) <= width:
        return [line]
    indent = " " * (len(line) - len(line.lstrip()))
    return textwrap.wrap(line.strip(), width, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False)


# ------------------------------------------------------------------------------------------- page
def markdown(tables: Sequence[Table]) -> str:
    """GitHub-flavoured Markdown, every column."""
    out = []
    for table in tables:
        out += [f"## {inert(table.title)}", ""]
        out += ["| " + " | ".join(map(inert, table.columns)) + " |", "|" + "---|" * len(table.columns)]
        out += ["| " + " | ".join(map(inert, row)) + " |" for row in table.rows]
        out += [""] + [f"{inert(note)}  " for note in table.notes] + ([""] if table.notes else [])
    return "\n".join(out).rstrip() + "\n"
