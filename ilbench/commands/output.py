"""How commands print: a table for people, or one JSON document."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any


def emit(as_json: bool, value: Any, show: Callable[[], None]) -> None:
    """Prints `value` as JSON, or calls `show`; stdout holds nothing else."""
    if as_json:
        print(json.dumps(value, indent=2, allow_nan=False, default=str))
    else:
        show()


def table(rows: list[dict[str, Any]], title: str) -> None:
    """Prints dicts as a table as wide as it needs to be when piped, and as the terminal otherwise."""
    from rich.console import Console
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else 200, highlight=False)
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for name in rows[0] if rows else []:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(str(value) for value in row.values()))
    console.print(table)
