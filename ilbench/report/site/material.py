"""What a site is made from: suites with their boards and tables, stored checks, and everything that was set aside."""

from __future__ import annotations

import functools
import hashlib
import pathlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ilbench import registry
from ilbench.experts import manifests
from ilbench.records import places
from ilbench.records.files import read_regular
from ilbench.records.schema import scrub
from ilbench.report import (
    checks,
    compounding_page,
    convergence,
    exponents,
    leaderboard,
    pages,
    profile,
    source,
    theory,
    tuning,
    yardsticks,
)
from ilbench.report.groups import Group
from ilbench.running.checks import Ran

Say = Callable[[str], None]
MAX_PICTURE = 2**22  # bytes of a stored picture
LIVELY = re.compile(
    rb"<script|<foreignobject|<iframe|\son[a-z]+\s*=\s*[\"']|javascript:|<!entity|href\s*=\s*[\"'](?!#|data:image/png;base64,)",
    re.I,
)


@dataclass(frozen=True)
class Suite:
    """One suite's records and what every report says of them, each computed once a page asks for it: the front page asks for little."""

    found: source.Found
    groups: list[Group]  # of the board: instruments are not among them
    line: str  # what it was made from

    @functools.cached_property
    def board(self) -> leaderboard.Board:
        """The board."""
        return leaderboard.of(self.groups, self.found.tiers)

    @functools.cached_property
    def compounding(self) -> compounding_page.Page | None:
        """What 0-1 deployment says; None without it."""
        return compounding_page.build(self.found.records, self.found.arrays) if self.found.records else None

    @functools.cached_property
    def theory(self) -> list[theory.Row | exponents.Row]:
        """Sweeps over horizons."""
        return theory.build(self.found.records, self.found.arrays)

    @functools.cached_property
    def twice(self) -> list[convergence.Row]:
        """What twice the updates moved, where that was tried."""
        return pages.doubled(self.found)

    @functools.cached_property
    def measured(self) -> profile.Measured:
        """The rows by every yardstick."""
        pairs = yardsticks.pairs(self.groups, self.board.rows)
        return profile.measured(self.name, pairs, yardsticks.cells(pairs))

    @property
    def name(self) -> str:
        """quick@2."""
        return self.found.suite

    @property
    def newer(self) -> str:
        """The suite that supersedes it, or nothing."""
        return source.superseded(self.name)

    @property
    def digest(self) -> str:
        """Of the records that went in: the same digits mean the same numbers."""
        seals = sorted(str(r.self_hash) for r in self.found.records)
        return hashlib.sha256("\n".join(seals).encode()).hexdigest()[:12]


class Aside(NamedTuple):
    """A file that no page could use, and why."""

    place: str
    reason: str


@dataclass(frozen=True)
class Material:
    """All that there is to show."""

    suites: tuple[Suite, ...]
    checks: tuple[Ran, ...]
    pictures: dict[str, bytes]  # by file name, of checks
    aside: tuple[Aside, ...]

    @property
    def snapped(self) -> Suite | None:
        """The suite whose records tell of compounding; the newest one of the first name."""
        return next((s for s in self.suites if s.compounding is not None), None)


def collect(suites: Sequence[str], results: str | pathlib.Path | None, say: Say) -> Material:
    """Reads the suites, all there are for none named; raises what ilbench/records/places.py raises for a name without records."""
    found, aside = [], []
    for name in [places.find(name, results).suite for name in suites] or _all(results):
        say(f"reading {name}")
        made = _suite(name, results)
        found.append(made)
        aside += [Aside(_short(p.path, made.found), scrub(p.reason)) for p in made.found.aside]
    ran, pictures, wrong = _checks(results)
    order = sorted(found, key=lambda s: (bool(s.newer), "+" in s.name, s.name))
    return Material(tuple(order), tuple(ran), pictures, (*aside, *wrong))


def _all(results: str | pathlib.Path | None) -> list[str]:
    """Every suite and version, from the first folders that have it; trials of tuning are a table of their suite's board."""
    names = {name for folder in places.folders(results) for name in places.suites(folder)}
    return sorted(name for name in names if not places.split(name)[0].endswith(tuning.WORD))


def _suite(name: str, results: str | pathlib.Path | None) -> Suite:
    found = source.load(name, results, lists=False)
    return Suite(found, leaderboard.shown_groups(found.records), source.first_line(found))


def _short(path: str, found: source.Found) -> str:
    """A file as others may see it: from the suite's folder on."""
    prefix = str(found.folder.parent) + "/"
    return path.removeprefix(prefix) if path.startswith(prefix) else pathlib.PurePath(path).name


def _checks(results: str | pathlib.Path | None) -> tuple[list[Ran], dict[str, bytes], list[Aside]]:
    """The stored checks of the first folder that has some, their pictures, and what is none."""
    folder = next((f / checks.FOLDER for f in places.folders(results) if (f / checks.FOLDER).is_dir()), None)
    ran: list[Ran] = []
    pictures: dict[str, bytes] = {}
    aside: list[Aside] = []
    for path in sorted(folder.glob("*.json")) if folder is not None else ():
        try:
            ran.append(checks.read(path))
        except (OSError, ValueError) as error:
            aside.append(Aside(f"{checks.FOLDER}/{path.name}", scrub(str(error))))
            continue
        picture = path.with_name(f"{ran[-1].id}.svg")
        if picture.is_file():
            try:
                pictures[picture.name] = still(read_regular(picture, picture.parent, MAX_PICTURE))
            except (OSError, ValueError) as error:
                aside.append(Aside(f"{checks.FOLDER}/{picture.name}", scrub(str(error))))
    return checks.ordered(ran), pictures, aside


def still(picture: bytes) -> bytes:
    """The picture, if nothing in it runs, listens or loads; raises ValueError otherwise: it may be opened by itself."""
    lively = LIVELY.search(picture)
    if lively:
        raise ValueError(f"a picture with {lively[0].decode(errors='replace')!r} in it: it could run or load something")
    return picture


def known_task(task: str) -> registry.Entry | None:
    """The plug-in of a task as this ilbench has it, `hopper@1`; None for another version and for strangers."""
    name, _, version = task.split(" ")[0].rpartition("@")
    entry = registry.entries("tasks").get(name)
    return entry if entry is not None and str(entry.version) == version else None


def is_robot(task: str) -> bool:
    """Whether a task is one whose expert had to be trained: physics that nobody solves in closed form."""
    entry = registry.entries("tasks").get(task.split("@")[0])
    return entry is not None and manifests.kind(entry.tags) == "trained"
