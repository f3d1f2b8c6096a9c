"""Noise of the learner's own size while demonstrating, against asking in rounds."""

from __future__ import annotations

from ilbench.report.replication.verdicts import Line, Suites, at_least

CLAIM = "DART's learners are at least as good as DAgger's on Hopper and HalfCheetah, at the same labels"
SOURCE = "Laskey et al. 2017, https://arxiv.org/abs/1703.09327"
DIFFERS = (
    "Brax and our experts, two rounds of noise, 20,000 updates shared by the fits; that the supervisor's return falls by 5 % and the "
    "simulated error matches the learner's is not in the records"
)
SUITES = ("repairs",)


def measure(records: Suites) -> list[Line]:
    """dart against dagger."""
    out = []
    for robot, budget in (("hopper", 5000), ("hopper", 10_000), ("halfcheetah", 6000)):
        dart, dagger = (records.one("repairs", robot, name, budget=budget) for name in ("dart", "dagger"))
        out.append(at_least(f"{robot}, {budget} labels", dart, dagger))
    return out
