"""Corrective labels from a learned model, deployed under sensor and actuator noise."""

from __future__ import annotations

from ilbench.report.replication.verdicts import Line, Suites, above

CLAIM = "CCIL scores above BC on every task under noise (Walker +84 %, Hopper +33 %, Ant +13 %, HalfCheetah +5 %)"
SOURCE = "Ke et al. 2024, https://arxiv.org/abs/2310.12972, table on the project's page"
DIFFERS = (
    "Brax's spring backend and our experts, equal gradient steps (there CCIL takes twice BC's), labels kept by distance; 25 "
    "demonstrations with a model of 128-128, and 5 with the paper's of 512-512"
)
SUITES = ("brax@2",)


def measure(records: Suites) -> list[Line]:
    """ccil against bc under noise."""
    out = []
    for said, width, robots, budget in (
        ("25 demonstrations, a model of 128-128", 128, ("walker2d", "hopper", "ant", "halfcheetah"), 25_000),
        ("5 demonstrations, the paper's model", 512, ("walker2d", "hopper", "halfcheetah"), 5000),
    ):
        for robot in robots:
            ccil = records.one("brax@2", robot, "ccil", budget=budget, ccil__width=width)
            out.append(
                above(
                    f"{robot} under noise, {said}",
                    ccil,
                    records.one("brax@2", robot, "bc", budget=budget),
                    "noisy_score",
                )
            )
    return out
