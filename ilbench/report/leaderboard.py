"""The leaderboard: a table per task, and one over the tasks that every algorithm ran on.

Score 0 is a random policy, 1 the expert. Intervals are 95 %; differences are paired by seed, because all algorithms
start evaluation from the same states. Diverged seeds score min(0, the worst finite seed).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import trim_mean

from ilbench import stats
from ilbench.records import Record
from ilbench.report import settings
from ilbench.report.groups import BASELINE, Group, group, instrument
from ilbench.report.tables import Table, interval, markdown, number
from ilbench.report.tables import text as render


@dataclass(frozen=True)
class Board:
    """Tables, and the rows behind them as plain values."""

    tables: list[Table]
    rows: list[dict[str, Any]]

    def as_json(self) -> list[dict[str, Any]]:
        """One object per task and algorithm."""
        return self.rows


def _scores(g: Group, name: str = "score") -> np.ndarray:
    return stats.score_diverged(g.values(name))


def _ci(x: np.ndarray, statistic: str = "mean") -> tuple[float | None, float | None, float | None]:
    finite = x[np.isfinite(x)]
    if len(finite) == 0:
        return None, None, None
    if len(finite) < 2:
        return float(finite[0]), None, None
    found = stats.bootstrap_ci(finite, statistic)
    return found.value, found.lo, found.hi


def _difference(g: Group, base: Group | None, name: str = "score") -> tuple[float, float, float, float] | None:
    """Score minus the baseline's, paired by seed: mean, limits, two-sided p."""
    if base is None or g is base:
        return None
    common = [s for s in g.seeds if s in base.seeds]
    if len(common) < 2:
        return None
    a, b = (_scores(x, name)[[x.seeds.index(s) for s in common]] for x in (g, base))
    return stats.paired_difference(a, b)


def _row(g: Group, base: Group | None) -> dict[str, Any]:
    score, lo, hi = _ci(_scores(g), "iqm")
    gap = _ci(g.values("gap"))
    cost = _ci(g.values("cost"))
    difference = _difference(g, base)
    first = g.records[0]
    noisy: dict[str, Any] = {}
    if "noisy_score" in first.scores:
        value, *limits = _ci(_scores(g, "noisy_score"), "iqm")
        shaken = _difference(g, base, "noisy_score")
        noisy = {
            "noise": first.cell.evaluation["noise"],
            "noisy_score": value,
            "noisy_score_ci": limits,
            "noisy_minus_baseline": None
            if shaken is None
            else dict(zip(("mean", "lo", "hi", "p"), shaken, strict=True)),
        }
    return noisy | {
        "task": g.task,
        "horizon": g.horizon,
        "budget": g.budget,
        "algorithm": g.label,
        "head": g.head,
        "seeds": len(g.records),
        "episodes": first.episodes.n,
        "diverged": sum(r.status == "diverged" for r in g.records),
        "score": score,
        "score_ci": [lo, hi],
        "gap": gap[0],
        "gap_ci": list(gap[1:]),
        "cost": cost[0],
        "cost_ci": [None if x is None else float(np.clip(x, 0, g.horizon)) for x in cost[1:]],
        "survived": float(np.nanmean(g.values("survived"))),
        "labels": float(np.mean([r.cost.labels for r in g.records])),
        "gradient_steps": first.cost.gradient_steps,
        "seconds": float(np.mean([r.cost.run_s or 0.0 for r in g.records])),
        "minus_baseline": None if difference is None else dict(zip(("mean", "lo", "hi", "p"), difference, strict=True)),
        "variants": {
            name: float(
                np.nanmean(
                    [np.nan if r.variants[name].get("score") is None else r.variants[name]["score"] for r in g.records]
                )
            )
            for name in sorted(first.variants)
        },
    }


def _task_table(rows: list[dict[str, Any]]) -> Table:
    first = rows[0]
    cells = []
    for r in sorted(rows, key=lambda r: -(r["score"] if r["score"] is not None else -np.inf)):
        d, shaken = r["minus_baseline"], r.get("noisy_minus_baseline")
        noisy = (
            ()
            if "noise" not in r
            else (
                interval(r["noisy_score"], *r["noisy_score_ci"]),
                "-" if shaken is None else interval(shaken["mean"], shaken["lo"], shaken["hi"]),
            )
        )
        variants = ", ".join(f"{name} {number(value)}" for name, value in r["variants"].items())
        cells.append(
            (
                r["algorithm"] + (f" ({r['diverged']} diverged)" if r["diverged"] else ""),
                r["head"],
                str(r["seeds"]),
                interval(r["score"], *r["score_ci"]),
                "-" if d is None else f"{interval(d['mean'], d['lo'], d['hi'])}",
                *noisy,
                interval(r["gap"], *r["gap_ci"]),
                interval(r["cost"], *r["cost_ci"]),
                number(r["survived"]),
                number(r["labels"], 5),
                str(r["gradient_steps"]),
                number(r["seconds"]),
                variants or "-",
            )
        )
    columns = (
        "algorithm",
        "head",
        "seeds",
        "score, IQM [95 %]",
        f"score - {BASELINE} [95 %]",
        *((f"under noise {first['noise']:g} [95 %]", f"- {BASELINE}, noise [95 %]") if "noise" in first else ()),
        "return gap [95 %]",
        "0-1 cost [95 %]",
        "survived",
        "labels",
        "updates",
        "s/seed",
        "score by policy",
    )
    return Table(
        f"{first['task']}, H = {first['horizon']}, budget {first['budget']} labels, {first['episodes']} episodes a seed",
        columns,
        cells,
    )


def _pooled_iqm(x: np.ndarray) -> np.ndarray:
    # Given as a function, so that the interval is the expanded percentile: a task on which every seed has the same
    # score makes the studentised one explode.
    return np.asarray(trim_mean(x.reshape(len(x), -1), 0.25, axis=1))


def _overall(groups: list[Group]) -> Table | None:
    """Over the tasks that all of the most widely run algorithms share, equally weighted."""
    tasks_of: dict[str, dict[str, Group]] = defaultdict(dict)
    for g in groups:
        tasks_of[g.label][f"{g.task} H={g.horizon} n={g.budget}"] = g
    ranked = {label: tasks for label, tasks in tasks_of.items() if len(tasks) >= 2}
    if len(ranked) < 2:
        return None
    common = sorted(set.intersection(*(set(t) for t in ranked.values())))
    seeds = (
        sorted(set.intersection(*(set(g.seeds) for t in ranked.values() for k, g in t.items() if k in common)))
        if common
        else []
    )
    if not common or len(seeds) < 2:
        return None
    matrix = {
        label: np.stack([_scores(t[k])[[t[k].seeds.index(s) for s in seeds]] for k in common], axis=1)
        for label, t in ranked.items()
    }
    ranks = stats.rank_intervals(matrix)
    rows = []
    for label, x in sorted(matrix.items(), key=lambda item: -stats.iqm(item[1])):
        ci = stats.bootstrap_ci(x, _pooled_iqm)
        rank = ranks[label]
        rows.append((rank.label, label, interval(ci.value, ci.lo, ci.hi), str(len(seeds))))
    note = (
        f"over {len(common)} {'tasks' if all(count == 1 for count in _settings(common).values()) else 'settings'}: "
        f"{', '.join(_named(common))}. Algorithms whose paired difference is not clear share a place."
    )
    return Table("All tasks", ("rank", "algorithm", "score, IQM over seeds and tasks [95 %]", "seeds"), rows, (note,))


def _settings(common: list[str]) -> dict[str, int]:
    """How many budgets there are of each task and horizon, from "hopper@1 H=1000 n=6000"."""
    return Counter(key.rsplit(" n=", 1)[0] for key in common)


def _named(common: list[str]) -> list[str]:
    """ "hopper@1 H=1000 n=6000", or with several budgets "hopper@1 H=1000 n=1000 ... 25000"."""
    out = []
    for place, count in _settings(common).items():
        budgets = sorted(int(key.rsplit(" n=", 1)[1]) for key in common if key.rsplit(" n=", 1)[0] == place)
        out.append(f"{place} n={budgets[0]}" + (f" ... {budgets[-1]}" if count > 1 else ""))
    return out


def build(records: Iterable[Record]) -> Board:
    """The board of a suite's records; instruments are left out."""
    groups = [g for g in group(records) if not instrument(g)]
    by_task: dict[Any, list[Group]] = defaultdict(list)
    for g in groups:
        by_task[(g.task, g.horizon, g.budget)].append(g)
    rows, tables = [], []
    for _, gs in sorted(by_task.items()):
        base = next((g for g in gs if g.label == BASELINE), None)
        these = [_row(g, base) for g in gs]
        rows += these
        tables.append(_task_table(these))
    overall = _overall(groups)
    return Board([t for t in (overall, settings.against(rows), settings.relative(groups)) if t] + tables, rows)


LEGEND = (
    "score: 0 = random policy, 1 = expert. 0-1 cost: expected number of steps, of H, at which the action differs from the "
    "expert's by more than the task's tolerance (every step after a fall counts). labels: expert labels revealed, demonstrations "
    "and validation included. s/seed: wall seconds without compiling. IQM: interquartile mean."
)


def text(board: Board) -> str:
    """For a terminal."""
    return (
        render(board.tables) + f"\n\n{LEGEND}"
        if board.tables
        else "no records that belong on a board (instruments never do)"
    )


def page(board: Board, suite: str) -> str:
    """LEADERBOARD.md."""
    head = f"# Leaderboard of {suite}\n\nGenerated by `ilbench leaderboard --write`; do not edit.\n\n{LEGEND}\n\n"
    return head + markdown(board.tables)
