"""Hysteresis: how often control changes hands."""

from __future__ import annotations

import numpy as np

from ilbench import stats
from ilbench.display.tables import interval, number
from ilbench.report.groups import Group
from ilbench.report.replication.verdicts import UNTESTABLE, Line, Suites, side

CLAIM = "LazyDAgger has about 60 % fewer context switches than SafeDAgger"
SOURCE = "Hoque et al. 2021, https://arxiv.org/abs/2104.00053"
DIFFERS = "simulated supervisors, our tasks, both methods at the same tau and the same labels"
SUITES = ("repairs",)


def _switches(g: Group) -> np.ndarray:
    """Changes of who drives for every label, `[S]`: where a gate hardly opens fewer labels are spent."""
    return np.array([r.cost.switches / max(r.cost.labels, 1) for r in g.records], float)


def measure(records: Suites) -> list[Line]:
    """Switches for every label that was spent."""
    out = []
    for task in ("lane", "scalar_limited", "pendulum", "hopper", "halfcheetah"):
        pairs = {
            n: [records.one("repairs", task, name, budget=n) for name in ("lazy_dagger", "safe_dagger")]
            for n in sorted({g.budget for g in records.find("repairs", task, "lazy_dagger")})
        }
        for budget, (lazy, safe) in pairs.items():
            setting = f"{task}, {budget} labels"
            if lazy is None or safe is None or lazy.seeds != safe.seeds:
                out.append(Line(setting, "no records", UNTESTABLE))
                continue
            a, b = _switches(lazy), _switches(safe)
            mean, lo, hi, _ = stats.paired_difference(b, a)
            fewer = f"{number(100 * (1 - a.mean() / b.mean()), 2)} % fewer" if b.mean() > 0 else "neither switches"
            said = f"{fewer}; a label: safe - lazy = {interval(mean, lo, hi, 2)}, {len(a)} seeds"
            out.append(Line(setting, said, side(lo, hi)))
    return out or [Line("lane, pendulum, robots", "no records", UNTESTABLE)]
