"""Boards beside the score: rows ranked by a yardstick, those that ran everywhere first, the others below the line.

A setting counts as much as any other. Where a yardstick has a value for each seed, settings are averaged within a seed, rows are
compared over the seeds that they share, and places are those of `stats.rank_intervals`. A first budget that does, and a timing, are not
tested between rows: they are in order, and the board says so.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ilbench import stats
from ilbench.display.tables import Table, fixed, interval, number
from ilbench.report.groups import positions
from ilbench.report.overall import FEW, LEAST, sharing
from ilbench.report.yardsticks import ONCE, REACH, SEEDS, Cell, Place, Yardstick

SHARES = ("score", "noise", "survived")  # of yardsticks: between 0 and 1, as far as nothing else was seen


class Line(NamedTuple):
    """A row of a board; `rank` is empty below the line."""

    rank: str
    label: str
    value: float | None
    lo: float | None
    hi: float | None
    ran: int  # settings of `of`
    of: int
    reached: int
    seeds: int


# ------------------------------------------------------------------------------------------- lines
def lines(yard: Yardstick, found: Sequence[Cell]) -> list[Line]:
    """The board of a yardstick: rows that ran on every setting first, in order, or on what those that ran on most share; then the rest."""
    by: dict[str, dict[Place, Cell]] = defaultdict(dict)
    for c in found:
        by[c.label][c.place] = c
    every = {c.place for c in found}
    whole = {label: mine for label, mine in by.items() if set(mine) == every}
    if len(whole) < LEAST:
        shared = sharing(by)
        common = set.intersection(*map(set, shared.values())) if shared else set()
        whole = {label: {p: c for p, c in mine.items() if p in common} for label, mine in shared.items()}
    top = sorted(_lined(yard, whole, len(every)), key=lambda line: (_order(yard, line), line.label))
    if yard.kind != SEEDS:
        top = [line._replace(rank=str(i + 1)) for i, line in enumerate(top)]
    rest = []
    for label, mine in sorted(by.items(), key=lambda item: (-len(item[1]), item[0])):
        if label not in whole:
            rest += _lined(yard, {label: mine}, len(every))
    return top + [line._replace(rank="") for line in rest]


def _lined(yard: Yardstick, rows: dict[str, dict[Place, Cell]], of: int) -> list[Line]:
    """Rows that are compared with each other."""
    return _averaged(yard, rows, of) if yard.kind == SEEDS else [_one(label, mine, of) for label, mine in rows.items()]


def _order(yard: Yardstick, line: Line) -> tuple[float, float]:
    value = np.inf if line.value is None else line.value
    return -line.reached, value if yard.less else -value


def _averaged(yard: Yardstick, rows: dict[str, dict[Place, Cell]], of: int) -> list[Line]:
    """Means over settings within a seed, over the seeds that all of these share."""
    if not rows:
        return []
    seeds = sorted(set.intersection(*(set(c.seeds) for mine in rows.values() for c in mine.values())))
    if len(seeds) < 2:
        return []
    x = {
        label: np.mean([c.values[positions(c.seeds, seeds)] for c in mine.values()], axis=0)
        for label, mine in rows.items()
    }
    sign = -1.0 if yard.less else 1.0
    many = len(x) > 1 and len(seeds) >= FEW
    ranks = stats.rank_intervals({label: sign * v for label, v in x.items()}) if many else {}
    ends = stats.score_range(*x.values()) if yard.id in SHARES else (-np.inf, np.inf)
    out = []
    for label, v in x.items():
        low, high = stats.seed_mean(v, *ends)[1:] if len(seeds) >= FEW else (np.nan, np.nan)
        lo, hi = (low, high) if np.isfinite([low, high]).all() else (None, None)
        rank = ranks[label].label if label in ranks else "-"
        out.append(Line(rank, label, float(v.mean()), lo, hi, len(rows[label]), of, 0, len(seeds)))
    return out


def _one(label: str, mine: dict[Place, Cell], of: int) -> Line:
    """A geometric mean over the settings at which there is a value."""
    there = [c for c in mine.values() if np.isfinite(c.value)]
    seeds = min(len(c.seeds) for c in mine.values())

    def geometric(values: Sequence[float | None]) -> float | None:
        known = [v for v in values if v is not None]
        return float(np.exp(np.mean(np.log(known)))) if known and len(known) == len(values) else None

    value, lo, hi = (geometric([getattr(c, name) for c in there]) for name in ("value", "lo", "hi"))
    return Line("", label, value, lo, hi, len(mine), of, len(there), seeds)


# ------------------------------------------------------------------------------------------ tables
def said(yard: Yardstick, line: Line) -> str:
    """The value of a line, with its limits."""
    if line.value is None:
        return "never reached" if yard.kind == REACH else "-"
    if yard.kind == REACH:
        limits = (
            ""
            if line.lo is None or line.hi is None
            else f" [{number(line.lo)}, {'more' if np.isinf(line.hi) else number(line.hi)}]"
        )
        return number(line.value) + limits
    return (fixed if yard.id in SHARES else interval)(line.value, line.lo, line.hi)


def column(yard: Yardstick) -> str:
    """The head of the column of values."""
    return yard.name + {SEEDS: " [95 %]", REACH: " [95 %]", ONCE: ""}[yard.kind]


def table(yard: Yardstick, found: Sequence[Cell]) -> Table | None:
    """A board; None where fewer than two rows have the yardstick."""
    made = lines(yard, found)
    if len(made) < 2:
        return None
    reached = yard.kind == REACH
    columns = ("rank", "algorithm", column(yard), *(("reached on",) if reached else ()), "settings", "seeds")
    rows = [
        (
            x.rank,
            x.label,
            said(yard, x),
            *((f"{x.reached}/{x.ran}",) if reached else ()),
            f"{x.ran}/{x.of}",
            str(x.seeds),
        )
        for x in made
    ]
    how = {
        SEEDS: "Mean over seeds and settings; rows whose paired difference is not clear share a place.",
        REACH: "Order: by settings on which it is reached, then the geometric mean over those; not tested between rows.",
        ONCE: "Geometric mean over settings; in order, not tested between rows.",
    }[yard.kind]
    below, shared = sum(not x.rank for x in made), made[0].ran
    notes = [yard.said, how]
    if made[0].rank and shared < made[0].of:
        notes.append(f"Ranked on the {shared} of {made[0].of} settings that all of these ran on.")
    if below:
        notes.append(
            f"Without a rank: {below} rows that did not run on all of them; over those that they ran on, not to be compared."
        )
    return Table(f"By {yard.name}", columns, rows, tuple(notes))
