"""One label a round, on the states of the learner's own."""

from __future__ import annotations

from ilbench.report.replication.verdicts import Line, Suites, above

CLAIM = "For every labelled state, asking on one's own states beats cloning where recovery is cheap"
SOURCE = "Li & Zhang 2024, https://arxiv.org/abs/2412.07057"
DIFFERS = "tables and two control tasks; on tables ten labels a round, elsewhere a tenth of the budget; equal labels"
SUITES = ("repairs",)


def measure(records: Suites) -> list[Line]:
    """stagger against bc at equal labels."""
    out = []
    for task in ("reset_cliff_recoverable", "gridworld", "lane", "pendulum"):
        for g in records.find("repairs", task, "stagger"):
            out.append(above(f"{task}, {g.budget} labels", g, records.one("repairs", task, "bc", budget=g.budget, head=g.head)))
    return out or [Line("recoverable tasks", "no records", "not testable here")]
