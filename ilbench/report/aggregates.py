"""Rows held against each other over all that they ran on: rank intervals, performance profiles, optimality gap, P(A > B).

What is compared is what the rankings compare (overall.py), or, where there is one setting alone, that one. Where seeds are too few for
limits, each seed's own value is shown instead.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from ilbench import stats
from ilbench.display.tables import READABLE, Table, fixed, plain, wrapped
from ilbench.display.tables import text as render
from ilbench.report.groups import Group
from ilbench.report.overall import FEW, Compared, compared, title

THRESHOLDS = tuple(round(0.05 * i, 2) for i in range(21))  # scores at which profiles are given as numbers
SHOWN = (0.5, 0.8, 0.9, 0.95)  # those that are columns


def build(groups: Sequence[Group]) -> list[dict[str, Any]]:
    """A plain object for every set of rows that can be compared: `rows`, best mean first, `pairs`, and the settings."""
    found: list[dict[str, Any]] = plain([_of(c) for c in chosen(groups)])
    return found


def chosen(groups: Sequence[Group]) -> list[Compared]:
    """What is compared: over two settings or more, or over the one that there is."""
    return compared(groups) or compared(groups, 1)


def _of(c: Compared) -> dict[str, Any]:
    names = sorted(c.scores, key=lambda name: (-c.scores[name].mean(), name))
    ranks = stats.rank_intervals(c.scores)
    few = len(c.seeds) < FEW
    rows = [
        {"rank": ranks[name].label, "algorithm": name, "seeds": len(c.seeds)} | _row(c.scores[name], few)
        for name in names
    ]
    pairs = [_pair(a, b, c, few) for a, b in itertools.combinations(names, 2)]
    return {"settings": c.plain_settings(), "of": c.of, "rows": rows, "pairs": pairs}


def _row(x: np.ndarray, few: bool) -> dict[str, Any]:
    """Of scores `[S, T]`."""
    profile, gap = stats.performance_profile(x, THRESHOLDS), stats.optimality_gap(x)
    shown = {"thresholds": list(THRESHOLDS), "share": profile.share.tolist()}
    return {
        "optimality_gap": gap.value,
        "optimality_gap_ci": None if few else [gap.lo, gap.hi],
        "optimality_gap_points": np.maximum(0.0, 1.0 - x).mean(1).tolist() if few else None,
        "profile": shown if few else shown | {"lo": profile.lo.tolist(), "hi": profile.hi.tolist()},
    }


def _pair(a: str, b: str, c: Compared, few: bool) -> dict[str, Any]:
    found = stats.improvement(c.scores[a], c.scores[b])
    return {"a": a, "b": b, "p_above": found.value, "p_above_ci": None if few else [found.lo, found.hi]}


# ------------------------------------------------------------------------------------------------ text
def tables(made: Sequence[dict[str, Any]]) -> list[Table]:
    """Two tables for each: the rows, and the pairs as a square."""
    return [t for m in made for t in (_rows_table(m), _pairs_table(m))]


def _rows_table(m: dict[str, Any]) -> Table:
    columns = ("rank", "algorithm", "optimality gap", *(f"runs above {at:g}" for at in SHOWN), "seeds")
    cells = [
        (r["rank"], r["algorithm"], _gap(r), *(_share(r["profile"], at) for at in SHOWN), str(r["seeds"]))
        for r in m["rows"]
    ]
    return Table(f"{title(m['settings'], m['of'])}: ranks, optimality gap, performance profile", columns, cells)


def _gap(r: dict[str, Any]) -> str:
    points = r["optimality_gap_points"]
    if points is not None:
        return f"{fixed(r['optimality_gap'])} ({', '.join(fixed(x, places=2) for x in points)})"
    return fixed(r["optimality_gap"], *r["optimality_gap_ci"])


def _share(profile: dict[str, Any], at: float) -> str:
    i = profile["thresholds"].index(at)
    lo, hi = (profile["lo"][i], profile["hi"][i]) if "lo" in profile else (None, None)
    return fixed(profile["share"][i], lo, hi, places=2)


def _pairs_table(m: dict[str, Any]) -> Table:
    """P(row > column); the other way round it is one minus that."""
    names = [r["algorithm"] for r in m["rows"]]
    cells = {}
    for p in m["pairs"]:
        lo, hi = p["p_above_ci"] or (None, None)
        cells[p["a"], p["b"]] = fixed(p["p_above"], lo, hi, places=2)
        low, high = (None, None) if lo is None or hi is None else (1 - hi, 1 - lo)
        cells[p["b"], p["a"]] = fixed(1 - p["p_above"], low, high, places=2)
    rows = [(a, *(cells.get((a, b), "") for b in names)) for a in names]
    return Table(f"{title(m['settings'], m['of'])}: P(row > column)", ("A", *names), rows)


LEGEND = (
    "Ranks: A stands above B where the interval of their paired difference excludes 0 (Bonferroni over the rivals); others share places. "
    "optimality gap: by how much runs fall short of score 1 in the mean, those beyond it by nothing. runs above: the performance profile, "
    "the share of runs that score above, tasks weighing alike. P(A > B): that a run of A scores above an independent run of B, ties half "
    "(Mann-Whitney), mean over settings; `ilbench compare` gives it for runs of the same seed. 95 % limits for new seeds, one at a time.",
)


def text(made: Sequence[dict[str, Any]], width: int | None = None) -> str:
    """For a terminal of `width` columns (None: any); every column."""
    foot = [line for said in LEGEND for line in wrapped(said, width or READABLE)]
    return "\n".join([render(tables(made), width, full=True), "", *foot]) if made else ""
