"""All items as one table of contents: what the lecture says, the command that runs it, and what came out.

files of parts, Known --> [Row] --> text, JSON, lecture.html
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ilbench.display.tables import Table, number
from ilbench.display.tables import text as render
from ilbench.names import meant
from ilbench.report import lecture
from ilbench.report.lecture import proofs
from ilbench.report.lecture.item import Item
from ilbench.report.lecture.known import Absent, Known

NOT_COVERED = "not covered"
MACHINE = "two x86 cores, compiled programs at hand"  # where `seconds` were measured
READ = (
    f"s: CPU seconds of the whole command, starting Python included, once measured on {MACHINE}. Numbers are of records or computed.",
    "ilbench lecture ITEM runs its command; a word that several items are looked for by lists them.",
)


@dataclass(frozen=True)
class Row:
    """One item, and what came out."""

    part: str
    item: Item
    said: str  # a sentence with its numbers, or why there is none

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        i = self.item
        return {
            "item": i.id, "name": i.title, "part": self.part, "says": i.says, "covered": bool(i.command),
            "command": f"ilbench {i.command}" if i.command else None, "seconds": i.seconds if i.command else None,
            "picture": i.picture or None, "found": self.said, "check": i.check or None, "words": list(i.words), "proof": i.id in proved(),
        }  # fmt: skip


def parts() -> list[tuple[str, tuple[Item, ...]]]:
    """The parts in their order, each with its items."""
    names = sorted(m.name for m in pkgutil.iter_modules(lecture.__path__) if re.match(r"p\d+_", m.name))
    modules = [importlib.import_module(f"{lecture.__name__}.{name}") for name in names]
    return [(m.PART, m.ITEMS) for m in modules]


def proved() -> list[str]:
    """The items that have a proof, by their files' names."""
    return sorted(m.name for m in pkgutil.iter_modules(proofs.__path__))


def proof(name: str) -> Any:
    """The file of an item's proof: TITLE, STATEMENT, PROOF, STEPS."""
    return importlib.import_module(f"{proofs.__name__}.{name}")


def every() -> Iterator[tuple[str, Item]]:
    """All items with the name of their part."""
    for part, items in parts():
        yield from ((part, item) for item in items)


def _plain(word: str) -> str:
    return re.sub(r"[\s_-]+", " ", word.strip().lower())


def chosen(wanted: str | None) -> list[Item]:
    """All items; the one of a name; or all that a word finds: whole words of their names and of what they are looked for by.

    Raises ValueError for a word that finds none, with the closest match.
    """
    items = [item for _, item in every()]
    if wanted is None:
        return items
    word = _plain(wanted)
    exact = [i for i in items if _plain(i.id) == word]
    names = {
        i.id: [_plain(i.id), _plain(i.title), *map(_plain, i.words), i.check, i.check.split("_")[0]] for i in items
    }
    found = exact or [i for i in items if any(word == name or f" {word} " in f" {name} " for name in names[i.id])]
    if not found:
        there = list(dict.fromkeys(name for i in items for name in (i.id, *i.words)))
        near = meant(wanted, there, n=3)
        raise ValueError(
            " ".join(filter(None, (f"no item {wanted!r} of the lecture.", near, "(ilbench lecture lists them)")))
        )
    return found


def said(item: Item, known: Known) -> str:
    """What came out of an item, or why it is not covered, or which command would make its record."""
    if item.found is None:
        return item.why
    try:
        return item.found(known)
    except Absent as lacking:
        return str(lacking)


def build(known: Known, wanted: str | None = None) -> list[Row]:
    """Every item with its sentence."""
    ids = {i.id for i in chosen(wanted)}
    return [Row(part, item, said(item, known)) for part, item in every() if item.id in ids]


def _cells(row: Row) -> tuple[str, ...]:
    i = row.item
    if not i.command:
        return i.id, NOT_COVERED, "-", f"{i.says} Not covered: {row.said}.", ""
    return i.id, f"ilbench {i.command}", number(i.seconds, 2), f"{i.says} => {row.said}", i.picture


def text(rows: Sequence[Row], width: int | None, full: bool = False) -> str:
    """For a terminal of `width` columns (None: any; `full`: every column): a table for each part."""
    columns = ("item", "command", "s", "what the lecture says => what came out", "picture")
    names = list(dict.fromkeys(r.part for r in rows))
    out = [Table(part, columns, [_cells(r) for r in rows if r.part == part], (), ("picture",)) for part in names]
    out[-1] = out[-1]._replace(notes=READ)
    return render(out, width, full)
