"""The leaderboard: a table per task, after those over many tasks (overall.py, settings.py).

Score 0 is a random policy, 1 the expert. Intervals are 95 %; differences are paired by seed, because all algorithms
start evaluation from the same states. Diverged seeds score min(0, the worst finite seed).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ilbench import stats
from ilbench.records import Record
from ilbench.report import overall, settings
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


def _at_worst(g: Group, name: str, worst: float) -> np.ndarray:
    """Values `[S]` of what is better when small; a diverged seed has the larger of `worst` and the worst finite one."""
    x = g.values(name)
    diverged = np.array([r.status == "diverged" for r in g.records]) & ~np.isfinite(x)
    return np.where(diverged, max([worst, *x[np.isfinite(x)]]), x)


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
    first = g.records[0]
    means = {name: reference.mean or 0.0 for name, reference in first.references.items()}
    gap = _ci(_at_worst(g, "gap", means.get("expert", 0.0) - means.get("random", 0.0)))
    cost = _ci(_at_worst(g, "cost", g.horizon))
    difference = _difference(g, base)
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
        "survived": float(np.mean(np.nan_to_num(g.values("survived")))),  # 0 where a seed diverged
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
    wide = [*overall.tables(groups), settings.against(rows), settings.relative(groups)]
    return Board([t for t in wide if t] + tables, rows)


LEGEND = (
    "score: 0 = random policy, 1 = expert; IQM: interquartile mean over seeds. score - bc: the mean, not the IQM, of the differences "
    "paired by seed. gap and costs are means. 0-1 cost: expected number of steps, of H, at which the action differs from the "
    "expert's by more than the task's tolerance (every step after a fall counts). A seed that diverged has the score min(0, the worst), "
    "the gap of a random policy or the worst, and errs at every step. labels: expert labels revealed, demonstrations and validation "
    "included; the budget is what could be spent. updates: gradient steps of the policy. s/seed: wall seconds without compiling; the first "
    "algorithm that a run takes up on a task also pays for the expert's rollouts that all of them share."
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
