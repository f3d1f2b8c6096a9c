"""What the board of one's own choice is made from: values of every row, setting and seed, and presets that the tasks' tags and labels give.

The page computes nothing that these values do not hold: settings are averaged within a seed and rows told apart as in
ilbench/report/beside.py, by Student's t alone. Without JavaScript the boards of the page say the same of all tasks.
"""

from __future__ import annotations

import functools
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ilbench import registry, stats
from ilbench.display.tables import shown
from ilbench.report import beside, yardsticks
from ilbench.report.overall import FEW, LEAST
from ilbench.report.site.book import Book
from ilbench.report.yardsticks import Cell, Place, sweep

LONG = 500  # steps: a long horizon
BY_TAG = (  # a preset, tags of which a task of it has one, and what it says
    ("Robots", {"brax"}, "physics, experts that had to be trained"),
    ("Control", {"control"}, "experts in closed form"),
    ("Theory", {"tabular", "linear"}, "tasks whose costs are known exactly"),
)
BY = (("Robust", "noise"), ("Cheap labels", "labels"), ("Compounding", "amplification"), ("Quick", "seconds"))
MORE = -1.0  # stands for a budget beyond the largest that was run


def data(book: Book, suite: str, cells: Mapping[str, Sequence[Cell]]) -> str:
    """The JSON of a suite's cells; empty where there is nothing to choose: fewer than two rows."""
    rows = sorted({c.label for found in cells.values() for c in found})
    places = sorted({c.place for found in cells.values() for c in found}, key=lambda p: (*p[:3], p.budget or 0))
    if len(rows) < LEAST or not places:
        return ""
    tasks = sorted({sweep(p) for p in places})
    seeds = sorted({c.seeds for found in cells.values() for c in found})
    yards = [y for y in yardsticks.YARDSTICKS if y.id in cells]
    most = max(map(len, seeds))
    known = {
        "yards": [y._asdict() | {"column": beside.column(y)} for y in yards],
        "rows": [{"name": shown(r), "href": _href(book, r, suite)} for r in rows],
        "tasks": [shown(t.name) for t in tasks],
        "places": _places(places, tasks),
        "seeds": seeds,
        "cells": {y.id: [_cell(c, rows, places, seeds) for c in cells[y.id]] for y in yards},
        "presets": _presets(tasks, places, [y.id for y in yards]),
        "few": FEW, "least": LEAST, "t": [_quantiles(df, max(1, len(rows) - 1)) for df in range(1, most)],
    }  # fmt: skip
    return json.dumps(known, separators=(",", ":"), allow_nan=False)


def _href(book: Book, label: str, suite: str) -> str:
    """The page of a row's algorithm, from a page of a suite."""
    to = book.leads("algorithm", label, suite)
    return f"../../{to}" if to else ""


def _places(places: Sequence[Place], tasks: Sequence[Place]) -> list[dict[str, Any]]:
    """Of each setting its task, and whether it has the fewest or the most labels that were tried there."""
    budgets: dict[Place, list[int]] = defaultdict(list)
    for p in places:
        budgets[sweep(p)] += [] if p.budget is None else [p.budget]

    def one(p: Place, end: Callable[[list[int]], int]) -> bool:
        return p.budget is None or p.budget == end(budgets[sweep(p)])

    return [{"task": tasks.index(sweep(p)), "fewest": one(p, min), "most": one(p, max)} for p in places]


def _cell(c: Cell, rows: Sequence[str], places: Sequence[Place], seeds: Sequence[tuple[int, ...]]) -> list[Any]:
    """Row and setting; then the seeds and their values, or a value with its limits and how many seeds it is of."""
    where = [rows.index(c.label), places.index(c.place)]
    if len(c.values):
        return [*where, seeds.index(c.seeds), [float(f"{x:.5g}") for x in c.values.tolist()]]
    ends = [None if x is None else float(f"{x:.5g}") if np.isfinite(x) else MORE for x in (c.value, c.lo, c.hi)]
    return [*where, *ends, len(c.seeds)]


@functools.cache
def _quantiles(df: int, rivals: int) -> list[float]:
    """Student's quantiles of a two-sided 95 % interval, Bonferroni over 1 ... `rivals`."""
    return [float(f"{stats.t_quantile(1 - 0.025 / k, df):.6g}") for k in range(1, rivals + 1)]


def _tags(task: Place) -> set[str]:
    entry = registry.entries("tasks").get(task.task.split(" ")[0].rpartition("@")[0])
    return set() if entry is None else set(entry.tags)


def _presets(tasks: Sequence[Place], places: Sequence[Place], yards: Sequence[str]) -> list[dict[str, Any]]:
    """Choices by name: which tasks, how many labels, by what; none that there is nothing for, and none twice."""
    every, name = range(len(tasks)), {y.id: y.name for y in yardsticks.YARDSTICKS}
    swept = len({p for p in places if p.budget is not None}) > len(tasks)
    found: list[tuple[str, Iterable[int], str, str, str]] = [
        ("Everything", every, "all", "score", "all tasks and budgets")
    ]
    for said, labels in (("Few demos", "fewest"), ("Many demos", "most")):
        found += [(said, every, labels, "score", f"the {labels} labels that were tried on each task")] if swept else []
    for said, tags, what in BY_TAG:
        found.append((said, [i for i in every if _tags(tasks[i]) & tags], "all", "score", what))
    for said, long in (("Long horizon", True), ("Short horizon", False)):
        mine = [i for i in every if (tasks[i].horizon >= LONG) == long]
        found.append((said, mine, "all", "score", f"H {'at least' if long else 'below'} {LONG} steps"))
    found += [(said, every, "all", by, f"by {name[by]}") for said, by in BY if by in yards]
    out: dict[Any, dict[str, Any]] = {}
    for said, chosen, labels, by, what in found:
        if list(chosen) and by in yards:
            one = {"tasks": list(chosen), "labels": labels, "by": by}
            out.setdefault(json.dumps(one), {"name": said, "said": what} | one)
    return list(out.values())
