"""All claims as one table: a row for each of a claim's settings, and one word for the whole.

files of claims, suites of records --> [Row] --> text, REPLICATION.md, JSON
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ilbench.display.tables import Table, markdown
from ilbench.display.tables import text as render
from ilbench.names import hint
from ilbench.report import replication
from ilbench.report.replication.verdicts import UNTESTABLE, Line, Suites, overall

PAGE = "REPLICATION.md"
READ = (
    "replicated: the 95 % interval over training seeds lies on the claimed side; contradicted: on the other; not replicated: it does "
    "not decide. Two methods are alike where the interval lies within .1 of a normalised score.",
    "Engine, experts, label counts and networks differ from the papers': what differs is said under each claim.",
)


@dataclass(frozen=True)
class Row:
    """One published claim, and what we find."""

    name: str  # the file's number: "01"
    claim: str
    source: str
    differs: str
    suites: tuple[str, ...]
    lines: tuple[Line, ...]
    verdict: str

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self) | {"lines": [line._asdict() for line in self.lines]}


def names() -> list[str]:
    """The claims there are, by their files' names."""
    return sorted(
        m.name for m in pkgutil.iter_modules(replication.__path__) if m.name.startswith("r") and m.name[1:3].isdigit()
    )


def chosen(wanted: str | None) -> list[str]:
    """All claims, or the one of a number or a name; raises ValueError for none, with the closest match."""
    known = names()
    if wanted is None:
        return known
    found = [n for n in known if wanted in (n, n[1:3], n[1:3].lstrip("0"), n[4:])]
    if not found:
        allowed = [n[4:] for n in known]
        raise ValueError(
            f"no claim {wanted!r}{hint(wanted, allowed)}; allowed are {', '.join(f'{n[1:3]} {n[4:]}' for n in known)}"
        )
    return found


def suites(wanted: str | None = None) -> list[str]:
    """The suites that claims read."""
    found = [getattr(_module(name), "SUITES", ()) for name in chosen(wanted)]
    return sorted({suite for some in found for suite in some})


def build(records: Suites, wanted: str | None = None) -> list[Row]:
    """Every claim held against the records."""
    out = []
    for name in chosen(wanted):
        m = _module(name)
        why = getattr(m, "WHY", None)
        lines = (Line("-", why, UNTESTABLE),) if why else tuple(m.measure(records))
        needs = () if why else m.SUITES
        out.append(Row(name[1:3], m.CLAIM, m.SOURCE, getattr(m, "DIFFERS", ""), needs, lines, overall(lines)))
    return out


def _module(name: str) -> Any:
    return importlib.import_module(f"{replication.__name__}.{name}")


def text(rows: Sequence[Row], width: int | None) -> str:
    """For a terminal: claims, and what we find in each of their settings."""
    claims = [(r.name, r.claim, r.verdict) for r in rows]
    cells = [(r.name, line.setting, line.ours, line.verdict) for r in rows for line in r.lines]
    found = Table("What we find", ("", "setting", "ours", "verdict"), cells, READ)
    return render([Table("Published claims", ("", "claim", "verdict"), claims), found], width)


def page(rows: Sequence[Row]) -> str:
    """REPLICATION.md: first a line for each claim, then its settings."""
    first = Table("Claims", ("", "claim", "verdict"), [(r.name, r.claim, r.verdict) for r in rows], READ)
    return "# Published claims, held against ours\n\n" + markdown([first, *map(_detail, rows)])


def _detail(r: Row) -> Table:
    about = [f"Claim: {r.claim}.", f"Source: {r.source}."] + ([f"What differs: {r.differs}."] if r.differs else [])
    about += [f"From records of {', '.join(r.suites)}: `ilbench replicate {r.name}`."] if r.suites else []
    return Table(
        f"{r.name}: {r.verdict}", ("setting", "ours", "verdict"), [tuple(line) for line in r.lines], tuple(about)
    )
