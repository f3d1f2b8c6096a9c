"""What sentences of the lecture are made from: stored checks of the theory, suites of records, and the page on compounding.

All of it is read when it is asked for. What is not there raises `Absent` with the command that makes it: a sentence without its
number is not said.
"""

from __future__ import annotations

import functools
import pathlib
from collections.abc import Callable, Sequence

from ilbench.display.tables import interval, number
from ilbench.records import places
from ilbench.records.store import StoreError
from ilbench.registry import UnknownName
from ilbench.report import checks, compounding_page, source
from ilbench.report.groups import Group
from ilbench.report.replication.verdicts import Suites, mean, paired
from ilbench.running.checks import Ran
from ilbench.stats.claims import Claim


class Absent(Exception):
    """There is no such number; the text says which command makes it."""


class Known:
    """Numbers by name."""

    def __init__(
        self, ran: Sequence[Ran], suites: Suites, compounding: Callable[[], compounding_page.Page | None]
    ) -> None:
        self._checks = {r.id: r for r in ran}
        self._suites = suites
        self._compounding = functools.cache(compounding)

    def claim(self, check: str, *parts: str) -> Claim:
        """The one claim of a stored check whose statement contains all parts; ValueError where several do: an item says which."""
        if check not in self._checks:
            raise Absent(f"no record of it: ilbench theory {check} --out results")
        found = [c for c in self._checks[check].claims if all(part in c.statement for part in parts)]
        if len(found) > 1:
            raise ValueError(f"{check}: {len(found)} claims with {parts}; say which is meant")
        if not found or found[0].measured is None:
            raise Absent(f"no such claim in its record: ilbench theory {check} --out results")
        return found[0]

    def measured(self, check: str, *parts: str, digits: int = 3) -> str:
        """What a claim measured, with its interval where it has one of that number."""
        c = self.claim(check, *parts)
        lo, hi = c.interval if c.interval is not None and c.interval_of == "measured" else (None, None)
        return interval(c.measured, lo, hi, digits)

    def predicted(self, check: str, *parts: str, digits: int = 3) -> str:
        """What a claim predicts."""
        return number(self.claim(check, *parts).predicted, digits)

    def verdicts(self, check: str) -> str:
        """How the claims of a check came out, counted."""
        if check not in self._checks:
            raise Absent(f"no record of it: ilbench theory {check} --out results")
        return ", ".join(f"{n} {verdict}" for verdict, n in checks.counts([self._checks[check]]).items())

    def row(self, suite: str, task: str, algorithm: str, **wanted: object) -> Group:
        """The one row of a suite."""
        found = self._suites.one(suite, task, algorithm, **wanted)
        if found is None or found.scored() is None:
            raise Absent(f"no records of it: ilbench run {suite}")
        return found

    def score(self, suite: str, task: str, algorithm: str, **wanted: object) -> str:
        """Mean over seeds of a normalised score and its 95 % interval; random is 0, the expert 1."""
        return interval(*mean(self.row(suite, task, algorithm, **wanted)))

    def difference(self, suite: str, task: str, a: str, b: str, **wanted: object) -> str:
        """Score of `a` minus that of `b`, paired by seed, its 95 % interval and the number of seeds."""
        value, lo, hi, n = paired(self.row(suite, task, a, **wanted), self.row(suite, task, b, **wanted))
        return f"{interval(value, lo, hi, 2)} over {n} seeds"

    def rows(self, suite: str) -> list[Group]:
        """All rows of a suite."""
        found = self._suites.rows(suite)
        if not found:
            raise Absent(f"no records of it: ilbench run {suite}")
        return found

    def compounding(self) -> compounding_page.Page:
        """The page on 0-1 deployment."""
        page = self._compounding()
        if page is None:
            raise Absent("no records of it: ilbench run compounding")
        return page


def read(results: str | None) -> Known:
    """What is known from a folder of records, or of those that reports read by default; raises StoreError, ValueError."""

    def page() -> compounding_page.Page | None:
        try:
            found = source.load("compounding", results)
        except (StoreError, UnknownName):
            return None
        return compounding_page.build(found.records, found.arrays)

    folder = next((f for f in places.folders(results) if (f / checks.FOLDER).is_dir()), None)
    ran = [] if folder is None else checks.load(pathlib.Path(folder))
    return Known(ran, Suites(lambda suite: source.load(suite, results).records), page)
