"""Which of the usual robots behaviour cloning solves from a few demonstrations."""

from __future__ import annotations

from ilbench.display.tables import fixed
from ilbench.report.replication.verdicts import UNTESTABLE, Line, Suites, mean, side

CLAIM = "Standard benchmarks are too easy: naive BC is excellent on them"
SOURCE = "Spencer et al. 2021, https://arxiv.org/abs/2102.02872, abstract"
DIFFERS = "excellent is taken to be .95 of the expert's score or more from five demonstrations; Brax and our experts"
SUITES = ("brax@2",)
EXCELLENT = 0.95


def measure(records: Suites) -> list[Line]:
    """bc's score at five demonstrations, on every robot."""
    out = []
    for g in records.rows("brax@2"):
        if g.algorithm == "bc" and g.budget == 5 * g.horizon:
            value, lo, hi = mean(g)
            said = f"{fixed(value, lo, hi, 2)}, {len(g.records)} seeds"
            out.append(Line(g.task.split("@")[0], said, side(lo, hi, EXCELLENT)))
    return out or [Line("robots", "no records", UNTESTABLE)]
