"""Rows against the baseline over many settings (task, budget): how often clearly better or worse, and by how much."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from ilbench import stats
from ilbench.display.tables import Table
from ilbench.report.groups import BASELINE, Group, baseline, positions, shared

MANY = 6  # settings from which on an algorithm is counted


def _count(rows: list[dict[str, Any]], name: str) -> tuple[str, ...]:
    """How many paired differences there are; above and below the baseline after Holm, and before in brackets; the rest."""
    found = [r[name] for r in rows if r.get(name) is not None]
    found = [d for d in found if not d["same"] and d["p"] is not None]  # the same runs: nothing to compare
    if not found:
        return ("0", "-", "-", "-")
    kept = stats.holm([d["p"] for d in found]) < 0.05
    out, clear = [str(len(found))], 0
    for sign in (1, -1):
        alone = sum(d["lo"] is not None and (d["lo"] > 0 if sign > 0 else d["hi"] < 0) for d in found)
        strict = sum(bool(k) and sign * d["mean"] > 0 for k, d in zip(kept, found, strict=True))
        clear += strict
        out.append(f"{strict} ({alone})")
    return (*out, str(len(found) - clear))


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
    notes = (
        f"above, below: settings with a clear paired difference to {BASELINE} after Holm over the row's settings (5 %); in brackets "
        "how many 95 % intervals exclude 0 one by one, as one in twenty does by chance. unclear: the rest.",
        f"Settings on which an algorithm is {BASELINE} to the last digit are left out (dagger in one round).",
    )
    return Table(f"Against {BASELINE}, setting by setting", tuple(columns), cells, notes)


def _percent(g: Group, base: Group, name: str) -> str:
    """Mean of a return over the seeds against the baseline's, in percent; `-` where that is not positive or missing."""
    seeds = shared(g, base)
    a, b = (float(np.mean(x.values(name)[positions(x.seeds, seeds)])) if seeds else np.nan for x in (g, base))
    return f"{100 * (a / b - 1):+.0f}" if b > 0 and np.isfinite(a) else "-"


def relative(groups: Sequence[Group]) -> Table | None:
    """Returns against the baseline's as papers state them, in percent and in the order of the budgets; None for few settings."""
    pairs: dict[tuple[str, str], dict[int, dict[str, tuple[Group, Group]]]] = defaultdict(lambda: defaultdict(dict))
    for g in groups:
        base = baseline(g, groups)
        if base is not None:
            pairs[g.task, g.apart][g.budget][g.label] = (g, base)
    swept = {where: by for where, by in pairs.items() if len(by) >= 3}
    names = sorted({name for by in swept.values() for at in by.values() for name in at})
    if len(swept) < 2 or not names:
        return None
    noise = any(r.scores.get("noisy_return") is not None for g in groups for r in g.records)
    measured = {"clean": "return", "noise": "noisy_return"} if noise else {"clean": "return"}
    columns = ("task", "labels", *(f"{name}, {where}" for name in names for where in measured))
    rows = []
    for (task, apart), by in sorted(swept.items()):
        cells = [
            " ".join(_percent(*at[name], key) if name in at else "-" for _, at in sorted(by.items()))
            for name in names
            for key in measured.values()
        ]
        rows.append((task + (f" ({apart})" if apart else ""), " ".join(map(str, sorted(by))), *cells))
    note = f"percent by which the mean return over seeds differs from {BASELINE}'s, budget by budget; -: that is not positive."
    drop = (*tuple(c for c in reversed(columns) if c.endswith("noise")), "labels")
    return Table(f"Return against {BASELINE}, %", columns, rows, (note,), drop)
