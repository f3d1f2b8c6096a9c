"""What is said of a claim: replicated, not replicated, contradicted; from paired differences over training seeds.

    replicated       the 95 % interval lies on the side that was claimed
    contradicted     it lies on the other side
    not replicated   it does not decide

A claim that two are alike is replicated where the interval lies within the margin, contradicted where it lies outside of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np

from ilbench import stats
from ilbench.display.tables import interval
from ilbench.records.schema import Record
from ilbench.records.store import StoreError
from ilbench.registry import UnknownName
from ilbench.report.groups import Group, group, positions, shared

REPLICATED, NOT, CONTRADICTED = "replicated", "not replicated", "contradicted"
UNTESTABLE = "not testable here"
ALIKE = 0.1  # of a normalised score: two methods that differ by less are alike


class Line(NamedTuple):
    """One setting of a claim."""

    setting: str
    ours: str
    verdict: str


class Suites:
    """The rows of the suites that claims read, each suite read once; `missing` names those that were not there."""

    def __init__(self, load: Callable[[str], list[Record]]) -> None:
        self._load = load
        self._records: dict[str, list[Record]] = {}
        self._rows: dict[str, list[Group]] = {}
        self.missing: list[str] = []

    def records(self, suite: str) -> list[Record]:
        """All records of a suite; none where there are none."""
        if suite not in self._records:
            try:
                self._records[suite] = self._load(suite)
            except (StoreError, UnknownName):
                self._records[suite] = []
                self.missing.append(suite)
        return self._records[suite]

    def rows(self, suite: str) -> list[Group]:
        """All rows of a suite; none where it has no records."""
        if suite not in self._rows:
            self._rows[suite] = group(self.records(suite))
        return self._rows[suite]

    def find(self, suite: str, task: str, algorithm: str, **wanted: object) -> list[Group]:
        """Rows of a task (by its id) and an algorithm; `budget`, `horizon` or settings (`ccil__width=512`) as they are asked for."""
        out = []
        for g in self.rows(suite):
            config = {key.replace(".", "__"): value for key, value in g.config.items()} | g._asdict()
            if g.task.split("@")[0] == task and g.algorithm == algorithm:
                out += [g] if all(config.get(key) == value for key, value in wanted.items()) else []
        return out

    def one(self, suite: str, task: str, algorithm: str, **wanted: object) -> Group | None:
        """The one such row; None where there is none. Raises ValueError where several are meant: a claim says which."""
        found = self.find(suite, task, algorithm, **wanted)
        if len(found) > 1:
            raise ValueError(f"{suite}: {len(found)} rows of {algorithm} on {task} with {wanted}; say which is meant")
        return found[0] if found else None


def side(lo: float, hi: float, edge: float = 0.0) -> str:
    """The verdict of "above `edge`" from an interval."""
    return REPLICATED if lo > edge else CONTRADICTED if hi < edge else NOT


def inside(lo: float, hi: float, low: float, high: float) -> str:
    """The verdict of "between low and high" from an interval."""
    return REPLICATED if lo > low and hi < high else CONTRADICTED if lo > high or hi < low else NOT


def paired(a: Group, b: Group, name: str = "score", level: float = 0.95) -> tuple[float, float, float, int]:
    """Mean of a - b over common seeds with its interval, and their number; NaN where either has no such score."""
    common = shared(a, b)
    x, y = a.scored(name), b.scored(name)
    if x is None or y is None or len(common) < 2:
        return np.nan, np.nan, np.nan, len(common)
    x, y = (v[positions(g.seeds, common)] for v, g in ((x, a), (y, b)))
    mean, lo, hi, _ = stats.seed_difference(x, y, *stats.score_range(x, y), level=level)
    return mean, lo, hi, len(common)


def above(setting: str, a: Group | None, b: Group | None, name: str = "score") -> Line:
    """Whether `a` scores above `b`."""
    if a is None or b is None:
        return _absent(setting)
    mean, lo, hi, n = paired(a, b, name)
    return Line(setting, f"{a.algorithm} - {b.algorithm}: {interval(mean, lo, hi, 2)}, {n} seeds", side(lo, hi))


def alike(setting: str, a: Group | None, b: Group | None, name: str = "score") -> Line:
    """Whether `a` and `b` score within ALIKE of each other."""
    if a is None or b is None:
        return _absent(setting)
    mean, lo, hi, n = paired(a, b, name)
    return Line(
        setting, f"{a.algorithm} - {b.algorithm}: {interval(mean, lo, hi, 2)}, {n} seeds", inside(lo, hi, -ALIKE, ALIKE)
    )


def at_least(setting: str, a: Group | None, b: Group | None, name: str = "score") -> Line:
    """Whether `a` is not below `b` by more than ALIKE."""
    if a is None or b is None:
        return _absent(setting)
    mean, lo, hi, n = paired(a, b, name)
    return Line(setting, f"{a.algorithm} - {b.algorithm}: {interval(mean, lo, hi, 2)}, {n} seeds", side(lo, hi, -ALIKE))


def mean(g: Group, name: str = "score") -> tuple[float, float, float]:
    """Mean over seeds of a score and its 95 % interval."""
    x = g.scored(name)
    assert x is not None
    found = stats.seed_mean(x, *stats.score_range(x))
    return found.value, found.lo, found.hi


def _absent(setting: str) -> Line:
    return Line(setting, "no records", UNTESTABLE)


def overall(lines: Iterable[Line]) -> str:
    """One word for a claim: that of all its settings where they agree, else how many say what."""
    said = [line.verdict for line in lines if line.verdict != UNTESTABLE]
    kinds = [kind for kind in (REPLICATED, NOT, CONTRADICTED) if kind in said]
    if len(kinds) <= 1:
        return kinds[0] if kinds else UNTESTABLE
    return ", ".join(f"{said.count(kind)} {kind}" for kind in kinds)
