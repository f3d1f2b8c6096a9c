"""Why generative policies win."""

from __future__ import annotations

from typing import Any

from ilbench.display.tables import interval
from ilbench.report.groups import Group
from ilbench.report.replication.verdicts import ALIKE, UNTESTABLE, Line, Suites, inside, paired, side

CLAIM = "Flow and MIP beat regression, straight flow and residual on hard tasks, and all are equal on easy ones"
SOURCE = "Pan et al. 2025, Much Ado About Noising, https://arxiv.org/abs/2512.01809"
DIFFERS = (
    "a peg and its slot that we made, 100 demonstrations, networks of 2x64 for 20 M parameters, no chunks; "
    "hard: a slot of .002, easy: of .02; peg: the expert goes round by either side; peg_one, peg_easy_one: by one, so that there is "
    "no second mode"
)
SUITES = ("expressivity",)
WINNERS: dict[str, dict[str, Any]] = {"flow": {"flow__start": "zero"}, "mip": {"mip__form": "paper"}}
LOSERS = ("mse", "straight_flow", "residual")


def _line(setting: str, a: Group | None, b: Group | None, alike: bool) -> Line:
    if a is None or b is None:
        return Line(setting, "no records", UNTESTABLE)
    mean, lo, hi, n = paired(a, b)
    verdict = inside(lo, hi, -ALIKE, ALIKE) if alike else side(lo, hi)
    return Line(setting, f"{a.head} - {b.head}: {interval(mean, lo, hi, 2)}, {n} seeds", verdict)


def measure(records: Suites) -> list[Line]:
    """Each of the two against each of the three: above where it is hard, alike where it is easy."""
    out = []
    for task in ("peg", "peg_one", "peg_easy_one"):
        for head, own in WINNERS.items():
            a = records.one("expressivity", task, "bc", head=head, **own)
            for other in LOSERS:
                b = records.one("expressivity", task, "bc", head=other)
                out.append(
                    _line(f"{task}: {head} {'alike' if 'easy' in task else 'above'} {other}", a, b, "easy" in task)
                )
    return out
