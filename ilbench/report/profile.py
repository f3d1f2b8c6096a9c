"""What one algorithm is good at: six abilities, each with its number, interval, n and how it was computed, and against bc.

An ability is a yardstick on some settings: score at the fewest labels, score at long horizons, survival where something falls, score
under noise, labels to .9 of the expert, seconds. Suites are not pooled: their protocols differ. Of an algorithm's rows in a suite the one
that ran on most of these settings is shown, at the settings in its name.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from ilbench import stats
from ilbench.display.tables import Table, fixed, interval
from ilbench.report import beside
from ilbench.report.groups import BASELINE, positions
from ilbench.report.overall import FEW
from ilbench.report.yardsticks import SEEDS, YARDSTICKS, Cell, Pairs, Place, Yardstick, sweep

LONG = 500  # steps: a long horizon
FEWEST, LONGER, ALL = "fewest", "longer", "all"  # which settings


class Ability(NamedTuple):
    """A yardstick on some settings."""

    name: str
    yard: str
    where: str
    how: str


ABILITIES = (
    Ability("few demonstrations", "score", FEWEST, "score at the fewest labels tried, of tasks with several budgets"),
    Ability("long horizon", "score", LONGER, f"score at H of {LONG} or more"),
    Ability("unrecoverable", "survived", ALL, "share of episodes without a fall, where some row falls"),
    Ability("noise", "noise", ALL, "score under noise, where the expert acts under it"),
    Ability("label cost", "labels", ALL, "labels to .9 of the expert, geometric mean where reached"),
    Ability("compute", "seconds", ALL, "wall seconds of a seed, geometric mean; one timing for a block"),
)
NOTES = (
    f"against {BASELINE}: of scores and survival the difference, paired by seed, on the settings that both ran on; of labels and seconds",
    "the ratio, its geometric mean and Student's t interval over settings. Below five seeds or settings there are no limits.",
)


class Measured(NamedTuple):
    """Cells of a suite by yardstick and by ability, and the row of the baseline that each is compared with."""

    suite: str
    cells: Mapping[str, Sequence[Cell]]
    able: Mapping[str, Mapping[str, Mapping[Place, Cell]]]  # by ability, label and setting
    names: Mapping[str, str]  # algorithm by label
    rival: Mapping[tuple[str, Place], str]


def measured(suite: str, pairs: Pairs, cells: Mapping[str, Sequence[Cell]]) -> Measured:
    """What a profile needs of a suite."""
    rival = {}
    for g, r in pairs:
        if r["minus_baseline"] is not None:
            for budget in (g.budget, None):
                rival[g.label, Place(g.task, g.horizon, g.apart, budget)] = r["minus_baseline"]["baseline"]
    able: dict[str, dict[str, dict[Place, Cell]]] = {ability.name: defaultdict(dict) for ability in ABILITIES}
    for ability in ABILITIES:
        for c in _there(ability, cells.get(ability.yard, ())):
            able[ability.name][c.label][c.place] = c
    return Measured(suite, cells, able, {g.label: g.algorithm for g, _ in pairs}, rival)


def _there(ability: Ability, cells: Sequence[Cell]) -> list[Cell]:
    """The cells on an ability's settings."""
    if ability.where == LONGER:
        return [c for c in cells if c.place.horizon >= LONG]
    if ability.where == ALL:
        return list(cells)
    budgets: dict[Place, set[int]] = defaultdict(set)
    for c in cells:
        budgets[sweep(c.place)].add(c.place.budget or 0)
    return [c for c in cells if len(budgets[sweep(c.place)]) > 1 and c.place.budget == min(budgets[sweep(c.place)])]


def against(yard: Yardstick, mine: Sequence[Cell], theirs: Sequence[Cell]) -> tuple[str, int]:
    """Two rows on settings in one order: their difference within seeds, or their ratio over settings; and on how many."""
    if yard.kind != SEEDS:
        known = [(a.value, b.value) for a, b in zip(mine, theirs, strict=True) if np.isfinite([a.value, b.value]).all()]
        if not known:
            return "-", 0
        a, b = np.log(known).T
        lo, hi = np.exp(stats.paired_difference(a, b)[1:3]) if len(known) >= FEW else (None, None)
        return f"x {interval(float(np.exp((a - b).mean())), lo, hi)}", len(known)
    seeds = sorted(set.intersection(*(set(c.seeds) for c in (*mine, *theirs)))) if mine else []
    if len(seeds) < 2:
        return "-", 0
    a, b = (np.mean([c.values[positions(c.seeds, seeds)] for c in cells], axis=0) for cells in (mine, theirs))
    mean, lo, hi, _ = stats.seed_difference(a, b, *stats.score_range(a, b))
    return (fixed(mean, lo, hi) if len(seeds) >= FEW else fixed(mean)), len(mine)


def _row(ability: Ability, of: Measured, name: str) -> tuple[str, ...] | None:
    """An ability in a suite."""
    yard = next(y for y in YARDSTICKS if y.id == ability.yard)
    by = of.able[ability.name]
    labels = [label for label in by if of.names.get(label) == name]
    if not labels:
        return None
    label = min(labels, key=lambda x: (-len(by[x]), x))
    found = beside.lines(yard, list(by[label].values()))
    if not found:
        return None
    both = [p for p in by[label] if p in by.get(of.rival.get((label, p), ""), {})]
    said, shared = against(yard, [by[label][p] for p in both], [by[of.rival[label, p]][p] for p in both])
    line, every = found[0], len({p for places in by.values() for p in places})
    reached = f"{line.reached} of " if yard.kind != SEEDS and line.reached < line.ran else ""
    settings = f"{reached}{line.ran}/{every}" + (f", {shared} shared" if both and shared != line.ran else "")
    return ability.name, of.suite, label, beside.said(yard, line), said, settings, str(line.seeds)


def table(name: str, suites: Sequence[Measured]) -> Table:
    """Six abilities, in every suite that has records of them."""
    columns = ("ability", "suite", "row", "value [95 %]", f"against {BASELINE} [95 %]", "settings", "seeds")
    rows: list[tuple[str, ...]] = []
    for ability in ABILITIES:
        found = [row for row in (_row(ability, of, name) for of in suites) if row is not None]
        rows += found or [(ability.name, "-", "-", "no record", "-", "-", "-")]
    return Table("Profile", columns, rows, (*(f"{a.name}: {a.how}." for a in ABILITIES), " ".join(NOTES)))
