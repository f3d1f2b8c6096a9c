"""Adversarial imitation from one trajectory."""

from __future__ import annotations

from ilbench.display.tables import interval
from ilbench.report.replication.verdicts import ALIKE, UNTESTABLE, Line, Suites, inside, mean

CLAIM = "From one trajectory of Hopper GAIL returns 3,253 of the expert's 3,533 (and IQ-Learn 3,546)"
SOURCE = "Garg et al. 2021, https://arxiv.org/abs/2106.12142, table 3"
DIFFERS = (
    "another hopper and expert, so that shares of the expert's return above chance are compared; all 1,000 steps of the trajectory "
    "are labels; of IQ-Learn nothing is said: here it is of discrete actions, the soft value of continuous ones needs an actor"
)
SUITES = ("matching",)
PUBLISHED = 3253 / 3533  # a random hopper returns next to nothing


def measure(records: Suites) -> list[Line]:
    """GAIL's score is the published one, within the margin."""
    gail = records.one("matching", "hopper", "gail", budget=1000, head="gaussian")
    if gail is None:
        return [Line("hopper, GAIL", "no records", UNTESTABLE)]
    value, lo, hi = mean(gail)
    said = f"{interval(value, lo, hi, 2)} for {PUBLISHED:.2f}, {len(gail.seeds)} seeds"
    return [Line("hopper, GAIL", said, inside(lo, hi, PUBLISHED - ALIKE, PUBLISHED + ALIKE))]
