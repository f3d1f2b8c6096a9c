"""What finished records tell before anything runs: how long a cell takes, and what it scored.

Records are looked for in a run's own folder and in the results that come with ilbench; imports no JAX.
"""

from __future__ import annotations

import pathlib
import statistics
from collections import defaultdict
from collections.abc import Iterable
from typing import Any, NamedTuple

import ilbench
from ilbench.records import store
from ilbench.records.schema import Cell, Record, canonical


def folders() -> tuple[pathlib.Path, ...]:
    """The folder of results that comes with ilbench, of a checkout or of an installed package; none where there is none."""
    package = pathlib.Path(ilbench.__file__).parent
    return tuple(f for f in (package.parent / "results", package / "results") if f.is_dir())


def records(suite: str, *first: str | pathlib.Path) -> list[Record]:
    """The valid records of `name@version` in `first` and in what comes with ilbench, each id once; [] without any."""
    found: dict[str, Record] = {}
    for folder in (*map(pathlib.Path, first), *folders()):
        if (folder / suite).is_dir():
            try:
                found = {r.id: r for r in store.read_all(folder, suite)[0]} | found
            except (store.StoreError, OSError):  # what cannot be read tells nothing
                continue
    return list(found.values())


def but_for_seed(cell: Cell) -> str:
    """What a cell is apart from its seed, as a key."""
    return canonical(cell.model_dump(exclude={"seed"}))


class Estimate(NamedTuple):
    """Wall seconds of cells to run, from `n` records of the same cells (other seeds included)."""

    run_s: float | None  # None: no record tells
    compile_s: float | None  # on top, where nothing is compiled yet
    n: int


def estimates(blocks: Iterable[tuple[Cell, int]], known: Iterable[Record]) -> list[Estimate]:
    """Per block, given as one of its cells and how many are to run: the median record's seconds times their number."""
    costs: dict[str, list[Any]] = defaultdict(list)
    for record in known:
        if record.cost.run_s is not None and record.status != "failed":
            costs[but_for_seed(record.cell)].append(record.cost)
    out = []
    for cell, count in blocks:
        seen = costs.get(but_for_seed(cell), [])
        if count == 0 or not seen:
            out.append(Estimate(0.0 if count == 0 else None, 0.0 if count == 0 else None, len(seen)))
            continue
        run_s = statistics.median(c.run_s for c in seen)
        compile_s = statistics.median(c.compile_s or 0.0 for c in seen)
        out.append(Estimate(count * run_s, count * compile_s, len(seen)))
    return out
