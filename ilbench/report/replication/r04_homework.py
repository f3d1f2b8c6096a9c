"""The table of a course's homework: what DAgger adds to behaviour cloning, in per cent of the expert."""

from __future__ import annotations

from ilbench.display.tables import number
from ilbench.report.replication.verdicts import Line, Suites, above, mean

CLAIM = (
    "DAgger scores above BC: per cent of the expert, Ant 97 to 101, HalfCheetah 91 to 93, Hopper 28 to 100, Humanoid 39 to 83, "
    "Walker 12 to 89"
)
SOURCE = (
    "table of https://github.com/xlnwel/imitation-learning, unreviewed; the exercise is that of UC Berkeley's CS 294"
)
DIFFERS = "Brax and our experts; equal labels for both (there DAgger has more): 5 demonstrations' worth"
SUITES = ("brax@2",)


def measure(records: Suites) -> list[Line]:
    """dagger against bc at 5,000 labels."""
    out = []
    for robot in ("ant", "halfcheetah", "hopper", "humanoid", "walker2d"):
        bc, dagger = (records.one("brax@2", robot, name, budget=5000) for name in ("bc", "dagger"))
        line = above(robot, dagger, bc)
        if bc is not None and dagger is not None:
            line = line._replace(
                ours=f"{number(100 * mean(bc)[0], 2)} to {number(100 * mean(dagger)[0], 2)} %; {line.ours}"
            )
        out.append(line)
    return out
