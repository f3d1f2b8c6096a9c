"""Algorithms against the baseline over many settings (task, budget): how often clearly better or worse, and by how much."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np

from ilbench import stats
from ilbench.report.groups import BASELINE, Group
from ilbench.report.tables import Table

MANY = 6  # settings from which on an algorithm is counted


def _count(rows: list[dict[str, Any]], name: str) -> tuple[str, ...]:
    """How many paired differences there are, and clearly above the baseline, clearly below, neither; in brackets what Holm leaves."""
    found = [r[name] for r in rows if r.get(name) is not None]
    found = [d for d in found if (d["mean"], d["lo"], d["hi"]) != (0, 0, 0)]  # the same runs: nothing to compare
    if not found:
        return ("0", "-", "-", "-")
    kept = stats.holm([d["p"] for d in found]) < 0.05
    out = [str(len(found))]
    for sign in (1, -1):
        clear = [d["lo"] > 0 if sign > 0 else d["hi"] < 0 for d in found]
        strict = sum(k and sign * d["mean"] > 0 for k, d in zip(kept, found, strict=True))
        out.append(f"{sum(clear)} ({strict})")
    return (*out, str(sum(d["lo"] <= 0 <= d["hi"] for d in found)))


def against(rows: list[dict[str, Any]]) -> Table | None:
    """Each algorithm against the baseline over many settings, counted; None for suites with few."""
    mine: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for r in rows:
        if r["minus_baseline"] is not None:
            mine[r["algorithm"]].append(r)
    if max(map(len, mine.values()), default=0) < MANY:
        return None
    noise = any(r.get("noisy_minus_baseline") for rows in mine.values() for r in rows)
    columns = ["algorithm"]
    for where in ("clean", "noise") if noise else ("clean",):
        columns += [f"{where}: {what}" for what in ("settings", "above", "below", "unclear")]
    cells = [
        (
            name,
            *_count(rows, "minus_baseline"),
            *(_count(rows, "noisy_minus_baseline") if noise else ()),
        )
        for name, rows in sorted(mine.items())
    ]
    note = f"clear: the 95 % interval of the paired difference to {BASELINE} excludes 0; in brackets: after Holm over the settings."
    same = f"Settings on which an algorithm is {BASELINE} to the last digit are left out (dagger in one round)."
    return Table(f"Against {BASELINE}, setting by setting", tuple(columns), cells, (note, same))


def _percent(g: Group, base: Group, name: str) -> str:
    """Mean of a return over the seeds against the baseline's, in percent; `-` where that is not positive or missing."""
    seeds = [s for s in g.seeds if s in base.seeds]
    a, b = (float(np.mean([x.values(name)[x.seeds.index(s)] for s in seeds])) if seeds else np.nan for x in (g, base))
    return f"{100 * (a / b - 1):+.0f}" if b > 0 and np.isfinite(a) else "-"


def relative(groups: list[Group]) -> Table | None:
    """Returns against the baseline's as papers state them, in percent and in the order of the budgets; None for few settings."""
    places: dict[str, dict[int, dict[str, Group]]] = defaultdict(lambda: defaultdict(dict))
    for g in groups:
        places[g.task][g.budget][g.label] = g
    swept = {task: by for task, by in places.items() if len(by) >= 3 and all(BASELINE in at for at in by.values())}
    names = sorted({name for by in swept.values() for at in by.values() for name in at} - {BASELINE})
    if len(swept) < 2 or not names:
        return None
    noise = any(r.scores.get("noisy_return") is not None for g in groups for r in g.records)
    measured = {"clean": "return", "noise": "noisy_return"} if noise else {"clean": "return"}
    columns = ("task", "labels", *(f"{name}, {where}" for name in names for where in measured))
    rows = []
    for task, by in sorted(swept.items()):
        cells = [
            " ".join(_percent(at[name], at[BASELINE], key) if name in at else "-" for _, at in sorted(by.items()))
            for name in names
            for key in measured.values()
        ]
        rows.append((task, " ".join(map(str, sorted(by))), *cells))
    note = f"percent by which the mean return over seeds differs from {BASELINE}'s, budget by budget; -: that is not positive."
    return Table(f"Return against {BASELINE}, %", columns, rows, (note,))
