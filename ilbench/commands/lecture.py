"""`ilbench lecture`: the lecture as a table of contents that runs."""

from __future__ import annotations

import dataclasses
import importlib
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import tyro
from tyro.conf import OmitArgPrefixes, Positional

from ilbench.commands.output import emit, say

if TYPE_CHECKING:
    from ilbench.report.lecture.item import Item


@dataclass(frozen=True)
class Lecture:
    """The lecture on imitation learning, item by item: the command that runs each, and what came out, with its numbers.

    ilbench lecture: all items in the lecture's order; what is not covered says why. ilbench lecture ITEM: runs it. A word that several
    items are looked for by (bound, history, T15) lists them.
    """

    item: Positional[str | None] = None
    """An item, or a word for it; default: all of them, listed."""
    list: bool = False
    """Only list, also where one item is named."""
    full: bool = False
    """Every column, however wide the terminal is."""
    results: str | None = None
    """Folder of records; default: runs/ if it holds a suite, else results/."""
    quiet: bool = False
    """No progress."""
    json: bool = False
    """Print JSON: the list, or what the item's own command prints with --json."""

    def execute(self) -> int:
        """Lists, or runs the item's command; its exit code."""
        from ilbench.report.lecture import contents

        found = contents.chosen(self.item)
        if self.item is not None and len(found) == 1 and found[0].command and not self.list:
            return self._run(found[0])
        return self._list()

    def _list(self) -> int:
        from ilbench.display import tables
        from ilbench.report.lecture import contents, known

        if not self.quiet and self.item is None:
            say("reading the records")
        rows = contents.build(known.read(self.results), self.item)
        emit(
            self.json,
            tables.plain([r.as_json() for r in rows]),
            lambda: print(contents.text(rows, tables.terminal(), self.full)),
        )
        return 0

    def _run(self, item: Item) -> int:
        from ilbench.display import tables

        if not self.quiet:
            say(f"{item.says} ilbench {item.command}, about {item.seconds:.2g} CPU seconds")
        if item.shows is not None:
            table = item.shows()
            emit(self.json, table._asdict(), lambda: print(tables.text([table], tables.terminal())))
            return 0
        given = {"results": self.results, "json": self.json or None, "quiet": self.quiet or None}
        return int(command(item.command, {k: v for k, v in given.items() if v is not None}).execute())


def command(line: str, given: dict[str, Any] | None = None) -> Any:
    """A command as it was written down (`theory T02 --exact`), with the options of `given` that it has; ValueError for one that is none."""
    name, *words = shlex.split(line)
    try:
        module = importlib.import_module(f"{__package__}.{name.replace('-', '_')}")
    except ModuleNotFoundError:
        raise ValueError(f"there is no command {name!r} (ilbench --help)") from None
    own = (k for k in vars(module).values() if isinstance(k, type) and k.__module__ == module.__name__)
    kind = next(k for k in own if hasattr(k, "execute"))
    made: Any = tyro.cli(kind, prog=f"ilbench {name}", args=words, config=(OmitArgPrefixes,))
    return dataclasses.replace(made, **{k: v for k, v in (given or {}).items() if hasattr(made, k)})
