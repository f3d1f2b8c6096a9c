"""Whether what is lost grows with the horizon when policies are trained on demonstrations of that length."""

from __future__ import annotations

from ilbench.display.tables import fixed
from ilbench.report import lengths
from ilbench.report.replication.verdicts import CONTRADICTED, NOT, REPLICATED, UNTESTABLE, Line, Suites

CLAIM = "With the number of demonstrations fixed, the regret of BC does not grow with the horizon on a walking robot"
SOURCE = "Foster, Block, Misra 2024, https://arxiv.org/abs/2407.15007, figures for Walker2d"
DIFFERS = "hopper instead of Walker2d, squared error instead of log loss, 5 demonstrations, policies trained anew for every length"
SUITES = ("compounding",)
FLAT = 0.25  # a slope in H whose interval lies below is called flat


def measure(records: Suites) -> list[Line]:
    """The slope of what is lost in H."""
    rows = [r for r in lengths.build(records.records("compounding")) if r.algorithm == "bc"]
    return [_line(r) for r in rows] or [Line("hopper", "no records", UNTESTABLE)]


def _line(r: lengths.Row) -> Line:
    setting, (slope, lo, hi) = (
        f"{r.task.split('@')[0]}, {r.demonstrations} demonstrations of H = {', '.join(map(str, r.horizons))}",
        r.slope[:3],
    )
    if slope is None or lo is None or hi is None:
        return Line(setting, r.slope.reason or "no slope", NOT)
    verdict = REPLICATED if hi < FLAT else CONTRADICTED if lo > FLAT else NOT
    return Line(setting, f"slope of what is lost in H: {fixed(slope, lo, hi, 2)}, {r.seeds} seeds", verdict)
