"""Pictures of a suite: cost against the horizon beside the closed forms, and what each algorithm reached.

Matplotlib, light, deterministic SVG: the same records give the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from ilbench.records import Record
from ilbench.report import leaderboard, theory
from ilbench.report.groups import Group, group, instrument
from ilbench.report.style import COLOURS, MARKS, figure, legend_below, svg


def _closed_forms(axis: Any, rows: list[theory.Row]) -> None:
    shown = [r for r in rows if r.kind == "closed form" and r.task.startswith("recoverable") and r.cost == "task"]
    shown += [r for r in rows if r.kind == "closed form" and r.task.startswith("reset_cliff")]
    for i, r in enumerate(shown):
        h = np.array([p["H"] for p in r.points])
        y, lo, hi = (np.array([p[k] for p in r.points]) for k in ("measured", "lo", "hi"))
        name = f"{r.task.split('@')[0]}: {r.algorithm.split(', eps')[0]}"
        axis.plot(h, [p["predicted"] for p in r.points], color=COLOURS[i], lw=1)
        axis.errorbar(
            h,
            y,
            [y - np.maximum(lo, 1e-9), hi - y],
            fmt=MARKS[i],
            ms=4,
            color=COLOURS[i],
            capsize=2,
            ls="none",
            label=name,
        )
    axis.set(xscale="log", yscale="log", xlabel="horizon H (steps)", ylabel="task cost per episode (steps)")
    axis.set_title("Measured (points, 95 % bands) on closed forms (lines)", fontsize=9)
    legend_below(axis, 1)


def _prefix_costs(axis: Any, groups: list[Group], arrays: Mapping[str, Mapping[str, np.ndarray]]) -> None:
    for i, g in enumerate(groups):
        kept = [r for r in g.records if r.id in arrays]
        listed: Any = kept[0].cell.evaluation["prefixes"] or []
        h = np.array([*sorted(x for x in listed if x < g.horizon), g.horizon])
        means = np.stack([np.asarray(arrays[r.id]["prefix_cost"], float).mean(0) for r in kept])
        half = 2.262 * means.std(0, ddof=1) / np.sqrt(len(means)) if len(means) > 1 else np.zeros(len(h))
        y = means.mean(0)
        axis.errorbar(
            h,
            y,
            [np.minimum(half, y * 0.99), half],
            fmt=f"{MARKS[i]}-",
            ms=4,
            color=COLOURS[i],
            capsize=2,
            label=g.label,
        )
    axis.set(xscale="log", yscale="log")
    h = np.array([10.0, groups[0].horizon])
    base = float(min(line.get_ydata()[0] for line in axis.get_lines() if len(line.get_ydata()))) / 2
    for power, style in ((1, ":"), (2, "--")):
        axis.plot(h, base * (h / h[0]) ** power, color="#999999", lw=1, ls=style, label=f"slope {power}")
    axis.set(xscale="log", yscale="log", xlabel="horizon H (steps)", ylabel="0-1 cost up to H (steps)")
    axis.set_title(f"{groups[0].task}, {groups[0].budget} labels:\nmistakes on own states", fontsize=9)
    legend_below(axis, 3)


def _bars(rows: list[dict[str, Any]], key: str) -> tuple[list[float], np.ndarray]:
    """Scores, and how far their intervals reach below and above, `[2, N]`; nothing where there is one seed only."""
    values = [r[key] for r in rows]
    limits = [[v if x is None else x for x in r[f"{key}_ci"]] for r, v in zip(rows, values, strict=True)]
    reach = [(v - lo, hi - v) for v, (lo, hi) in zip(values, limits, strict=True)]
    return values, np.maximum(np.array(reach).T, 0.0)


def _budgets(axis: Any, rows: list[dict[str, Any]], names: list[str] | None = None) -> None:
    """Score against labels on one task, clean and, dashed, under noise."""
    from matplotlib.ticker import NullFormatter

    for i, name in enumerate(names or sorted({r["algorithm"] for r in rows})):
        mine = sorted((r for r in rows if r["algorithm"] == name), key=lambda r: r["budget"])
        n = [r["budget"] for r in mine]
        for key, style in (("score", "-"), ("noisy_score", "--")):
            if mine and all(r.get(key) is not None for r in mine):
                y, bars = _bars(mine, key)
                axis.errorbar(
                    n, y, bars, fmt=f"{MARKS[i]}{style}", ms=4, color=COLOURS[i], capsize=2,
                    label=name if style == "-" else None,
                )  # fmt: skip
    axis.set(xscale="log", xlabel="budget of expert labels", ylabel="score (0 random, 1 expert)")
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.set_title(f"{rows[0]['task']}: clean (lines)\nand under noise (dashed), IQM, 95 %", fontsize=9)
    if names is None:
        legend_below(axis, 4)


def _telling(groups: list[Group]) -> list[Group]:
    """The groups of the task and budget on which the algorithms' costs lie furthest apart, at the longest horizon."""
    longest = max(g.horizon for g in groups)
    by_place: dict[Any, list[Group]] = {}
    for g in groups:
        if g.horizon == longest:
            by_place.setdefault((g.task, g.budget), []).append(g)

    def spread(place: list[Group]) -> float:
        costs = [float(np.nanmean(g.values("cost"))) for g in place]
        return max(costs) - min(costs)

    return max(by_place.values(), key=spread)


def _scores(axis: Any, board: leaderboard.Board) -> None:
    most: dict[str, int] = {}
    for r in board.rows:
        most[r["task"]] = max(r["budget"], most.get(r["task"], 0))
    rows = [r for r in board.rows if r["score"] is not None and r["budget"] == most[r["task"]]]
    labels = sorted({r["algorithm"] for r in rows})
    tasks = sorted({r["task"] for r in rows}, reverse=True)
    for i, label in enumerate(labels):
        mine = [r for r in rows if r["algorithm"] == label]
        x, bars = _bars(mine, "score")
        y = [tasks.index(r["task"]) - 0.16 * (i - (len(labels) - 1) / 2) for r in mine]
        axis.errorbar(x, y, xerr=bars, fmt=MARKS[i], ms=4, color=COLOURS[i], capsize=2, label=label)
    axis.axvline(1.0, color="#999999", lw=1, ls="--")
    axis.set_yticks(range(len(tasks)), [t.split("@")[0] for t in tasks])
    axis.set(xlabel="score (0 random, 1 expert)")
    axis.set_title("Score at the largest budget (IQM, 95 %)", fontsize=9)
    legend_below(axis, 3)


def budgets(records: Iterable[Record]) -> str | None:
    """One SVG with a panel per task: score against labels; None for a suite that does not sweep them."""
    by_task: dict[str, list[dict[str, Any]]] = {}
    for row in leaderboard.build(list(records)).rows:
        by_task.setdefault(row["task"], []).append(row)
    swept = {task: rows for task, rows in by_task.items() if len({r["budget"] for r in rows}) >= 3}
    if len(swept) < 2:
        return None
    columns = min(4, len(swept))
    lines = -(-len(swept) // columns)
    canvas = figure(3.4 * columns, 2.6 * lines + 0.4)
    axes = canvas.subplots(lines, columns, squeeze=False).ravel()
    names = sorted({r["algorithm"] for rows in swept.values() for r in rows})
    for axis, (task, rows) in zip(axes, sorted(swept.items()), strict=False):
        _budgets(axis, rows, names)
        noise = rows[0].get("noise")
        axis.set(xlabel="", ylabel="")
        axis.set_title(task.split("@")[0] + ("" if noise is None else f", noise {noise:g}"), fontsize=9)
    for axis in axes[len(swept) :]:
        axis.axis("off")
    canvas.supxlabel("budget of expert labels", fontsize=9)
    canvas.supylabel("score (0 random, 1 expert), IQM, 95 %", fontsize=9)
    drawn = {k: h for axis in axes for h, k in zip(*axis.get_legend_handles_labels(), strict=True)}
    title = "clean: lines; under noise: dashed"
    names, handles = list(drawn), list(drawn.values())
    canvas.legend(handles, names, loc="outside upper center", ncols=len(names), frameon=False, fontsize=8, title=title)
    return svg(canvas)


def overview(records: Iterable[Record], arrays: Mapping[str, Mapping[str, np.ndarray]]) -> str:
    """One SVG of three panels: closed forms or score against labels, mistakes over the horizon where methods differ most, scores."""
    records = list(records)
    rows, board = theory.build(records, arrays), leaderboard.build(records)
    swept = [g for g in group(records) if not instrument(g) and g.records[0].cell.evaluation["prefixes"]]
    shown = _telling(swept) if swept else []
    canvas = figure(13.8, 4.0)
    axes = canvas.subplots(1, 3)
    forms = [r for r in rows if isinstance(r, theory.Row) and r.kind == "closed form"]
    if forms:
        _closed_forms(axes[0], forms)
    elif shown:
        _budgets(axes[0], [r for r in board.rows if r["task"] == shown[0].task])
    if shown:
        _prefix_costs(axes[1], shown, arrays)
    _scores(axes[2], board)
    return svg(canvas)
