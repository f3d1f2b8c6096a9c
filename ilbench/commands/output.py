"""How commands print: a table for people, or one JSON document. What is printed is shown as it is: no markup, no control characters."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ilbench.report import source


def emit(as_json: bool, value: Any, show: Callable[[], None]) -> None:
    """Prints `value` as JSON, or calls `show`; stdout holds nothing else."""
    if as_json:
        print(json.dumps(value, indent=2, allow_nan=False, default=str))
    else:
        show()


def opened(suite: str, results: str | None, *, arrays: bool = True, lists: bool = True) -> tuple[source.Found, str]:
    """A suite's records, and the line that says where they are from; what else holds some is named on stderr."""
    from ilbench.report import source

    found = source.load(suite, results, arrays=arrays, lists=lists)
    for line in source.elsewhere(found):
        say(line)
    return found, source.first_line(found, source.where(found))


def target(path: pathlib.Path) -> None:
    """ValueError, before anything is computed, for a file that could not be written: a folder, or one in no folder."""
    if path.is_dir():
        raise ValueError(f"{str(path)!r} is a folder; give a file in it")
    if not path.parent.is_dir():
        raise ValueError(f"{str(path)!r} cannot be written: there is no folder {str(path.parent)!r}")


def plain(text: Any) -> str:
    """`text` with everything that would steer a terminal (escape sequences, text direction) spelled out; lines stay lines."""
    return "".join(c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in str(text))


def say(text: Any) -> None:
    """One message on stderr, under our name."""
    print(f"ilbench: {plain(text)}", file=sys.stderr, flush=True)


def width() -> int | None:
    """Columns to print in: $COLUMNS, else the terminal's; None where there is neither, and lines may be as long as they are."""
    given = os.environ.get("COLUMNS", "")
    if given.isdigit() and int(given) > 0:
        return int(given)
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def table(rows: list[dict[str, Any]], title: str) -> None:
    """Prints dicts as a table that fits the terminal; piped, a line to a row."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    if not rows:
        print(plain(title))
        return
    names = list(rows[0])
    cells = [[plain(value) for value in row.values()] for row in rows]
    longest = [max(map(len, column)) for column in zip(names, *cells, strict=True)]
    console = Console(
        width=width() or max(sum(longest) + 2 * len(names), len(title), 1), highlight=False, soft_wrap=False
    )
    table = Table(title=Text(plain(title)), title_justify="left", box=None, pad_edge=False, header_style="bold")
    for name in names:
        table.add_column(Text(plain(name)), overflow="fold")
    for row in cells:
        table.add_row(*map(Text, row))
    if console.is_terminal:
        console.print(table)
        return
    with console.capture() as capture:
        console.print(table)
    print("\n".join(line.rstrip() for line in capture.get().splitlines()))
