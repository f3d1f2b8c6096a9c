"""Averaging overlapping chunks."""

from __future__ import annotations

from ilbench.display.tables import interval
from ilbench.report.replication.verdicts import UNTESTABLE, Line, Suites, paired, side

CLAIM = "Temporal ensembling can hurt: 87.6 % of successes without, 70.8 % with m = .01"
SOURCE = "LeRobot, https://github.com/huggingface/lerobot/pull/319"
DIFFERS = (
    "tasks of our own and scores, not successes of a simulated ALOHA arm; chunks of 8 (there 100) of networks of 2x64, without a history "
    "or images; peg_easy: an expert that goes round by either side and a head that draws a way for every chunk"
)
SUITES = ("replication",)
TASKS = ("double_integrator", "pendulum", "lane", "peg_easy_one", "peg_easy")


def measure(records: Suites) -> list[Line]:
    """Chunks executed open loop against the mean of all that speak of now, of the same fits."""
    out = []
    for task in TASKS:
        setting = f"{task}: chunks of 8, open loop above their ensemble"
        plain, mean = (
            records.one("replication", task, "bc", policy__chunk=8, policy__decay=decay) for decay in (None, 0.01)
        )
        if plain is None or mean is None:
            out.append(Line(setting, "no records", UNTESTABLE))
            continue
        average, lo, hi, n = paired(plain, mean)
        scores = f"{plain.values('score').mean():.3f} without, {mean.values('score').mean():.3f} with"
        out.append(Line(setting, f"{scores}; {interval(average, lo, hi, 2)}, {n} seeds", side(lo, hi)))
    return out
