"""Policies trained anew for every horizon H, from so many demonstrations of length H: does what they lose grow with H?

A true horizon, and not a prefix of one rollout: another H is another training. Source: the regret that Foster, Block & Misra 2024
(https://arxiv.org/abs/2407.15007) find flat in H at a fixed number of demonstrations.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ilbench import stats
from ilbench.display.tables import Table, fixed, interval
from ilbench.records.schema import Record
from ilbench.report.groups import Group, group, positions

LEAST = 3  # horizons


@dataclass(frozen=True)
class Row:
    """One learner from a number of demonstrations, at every horizon that it was trained for."""

    task: str
    algorithm: str
    demonstrations: int
    horizons: tuple[int, ...]
    seeds: int
    lost: tuple[stats.Interval, ...]  # (J expert - J) / (J expert - J random), at every horizon
    gap: tuple[stats.Interval, ...]  # the same in what a step is worth: times H
    slope: stats.Slope  # of the gap in H

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return dataclasses.asdict(self) | {
            "lost": [x._asdict() for x in self.lost], "gap": [x._asdict() for x in self.gap], "slope": self.slope._asdict(),
        }  # fmt: skip


def _row(sweep: list[Group]) -> Row | None:
    seeds = sorted(set.intersection(*({r.cell.seed for r in g.records if r.status == "ok"} for g in sweep)))
    if len(seeds) < 2:
        return None
    horizons = tuple(g.horizon for g in sweep)
    lost = np.stack([1.0 - g.values("score")[positions(g.seeds, seeds)] for g in sweep], axis=1)
    if not np.isfinite(lost).all():
        return None
    gap = lost * np.asarray(horizons)
    positive = (gap.sum(0) - gap).min(0) > 0
    slope = stats.slope_ci(gap[:, None, positive], np.asarray(horizons)[positive]) if positive.sum() >= LEAST else None
    first = sweep[0]
    return Row(
        first.task, first.algorithm, first.budget // first.horizon, horizons, len(seeds),
        tuple(stats.seed_mean(x) for x in lost.T), tuple(stats.seed_mean(x) for x in gap.T),
        slope or stats.Slope(None, reason="nothing lost at too many horizons"),
    )  # fmt: skip


def build(records: Iterable[Record]) -> list[Row]:
    """A row for every trained learner with at least three horizons at one number of demonstrations and one setting."""
    sweeps: dict[Any, dict[int, Group]] = defaultdict(dict)
    for g in group(records):
        if g.budget and g.budget % g.horizon == 0 and g.head != "table" and not g.records[0].cell.evaluation.get("snap"):
            sweeps[g.task, g.algorithm, g.label, g.budget // g.horizon][g.horizon] = g
    whole = [[by[h] for h in sorted(by)] for by in sweeps.values() if len(by) >= LEAST]
    return [row for row in map(_row, whole) if row is not None]


def table(rows: list[Row]) -> Table:
    """A line for every horizon."""
    columns = ("task", "algorithm", "demonstrations", "H", "share lost [95 %]", "steps' worth lost [95 %]", "slope in H [95 %]", "seeds")
    cells = [
        (
            r.task.split("@")[0], r.algorithm, str(r.demonstrations), str(h), interval(*lost, digits=2), interval(*gap),
            fixed(*r.slope[:3], places=2) if i == 0 and r.slope.slope is not None else "", str(r.seeds),
        )
        for r in rows
        for i, (h, lost, gap) in enumerate(zip(r.horizons, r.lost, r.gap, strict=True))
    ]  # fmt: skip
    notes = (
        "Every H is a training of its own, on demonstrations of length H. A step's worth: (J expert - J random) / H. slope: of what is",
        "lost in H, on log axes, jackknife over seeds: 0 is flat, 1 a constant share of the return, 2 the bound at fixed eps.",
    )
    return Table("Trained anew for every horizon", columns, cells, notes)
