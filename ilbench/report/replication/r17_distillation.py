"""The variance that an exact divergence saves."""

from __future__ import annotations

import numpy as np

from ilbench import stats
from ilbench.display.tables import interval
from ilbench.report.groups import Group
from ilbench.report.replication.verdicts import ALIKE, UNTESTABLE, Line, Suites, paired, side

CLAIM = "On-policy distillation with the analytic reverse KL beats the one-sample estimate (63.9 against 58.8)"
SOURCE = "https://github.com/thinking-machines-lab/tinker-cookbook, pull request 677"
DIFFERS = (
    "only the sign is compared: there language models and an exam, over the likeliest tokens; here tables and control, the whole law in "
    "closed form, four rounds, the same demonstrations, nets and gradient steps for both; scores are normalised"
)
SUITES = ("replication",)
TASKS = ("gridworld", "gridworld_soft", "double_integrator_soft", "pendulum")
NOISE = "own/gradient_variance"  # of a row's gradient in the first round, whose student and states both share


def _variance(setting: str, sampled: Group, exact: Group) -> Line:
    """How many times as much a row's gradient varies by one draw: the geometric mean over seeds."""
    logs = [np.log(g.values(NOISE)) for g in (sampled, exact)]
    mean, lo, hi, _ = stats.paired_difference(*logs)
    times = interval(float(np.exp(mean)), float(np.exp(lo)), float(np.exp(hi)), 2)
    return Line(setting, f"{times} times, {len(exact.records)} seeds", side(lo, hi))


def measure(records: Suites) -> list[Line]:
    """Scores of students by the two estimators, and what one draw does to the gradient."""
    out = []
    for task in TASKS:
        exact, sampled = (
            records.one("replication", task, "on_policy_distillation", on_policy_distillation__estimator=how)
            for how in ("exact", "sampled")
        )
        if exact is None or sampled is None:
            out.append(Line(task, "no records", UNTESTABLE))
            continue
        mean, lo, hi, n = paired(exact, sampled)
        ours = f"exact - sampled: {interval(mean, lo, hi, 2)}, {n} seeds"
        out.append(Line(f"{task}: exact at least as good", ours, side(lo, hi, -ALIKE)))
        out.append(Line(f"{task}: exact clearly better", ours, side(lo, hi)))
        out.append(_variance(f"{task}: a row's gradient varies more by one draw", sampled, exact))
    return out
