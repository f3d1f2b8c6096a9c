"""Pictures of a suite: cost against the horizon beside the closed forms, and what each algorithm reached.

Matplotlib, light, deterministic SVG: the same records give the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from ilbench.display.style import GREY, figure, legend_below, looks, svg
from ilbench.records.schema import Record
from ilbench.report import leaderboard, theory
from ilbench.report.exponents import prefixes
from ilbench.report.groups import Group, group, instrument
from ilbench.report.overall import FEW
from ilbench.stats.intervals import seed_means

Looks = Mapping[str, tuple[str, str]]  # colour and mark by label


def _points(axis: Any, x: Any, y: Any, lo: Any, hi: Any, look: tuple[str, str], line: str, name: str | None) -> None:
    """Points with their limits; limits that are no number are not drawn."""
    y, lo, hi = (np.asarray(v, float) for v in (y, lo, hi))
    reach = np.nan_to_num(np.maximum([y - lo, hi - y], 0.0))
    axis.errorbar(x, y, reach, fmt=f"{look[1]}{line}", ms=4, color=look[0], capsize=2, lw=1.2, label=name)


def _from_below(axis: Any, values: Iterable[float]) -> None:
    """Sets a log axis to start half a decade below the smallest value; bars that reach 0 run off its lower end, uncut."""
    positive = [v for v in values if v > 0]
    if positive:
        axis.set_ylim(bottom=min(positive) / 3)


def _closed_forms(axis: Any, rows: list[theory.Row]) -> None:
    shown = [r for r in rows if r.kind == "closed form" and r.task.startswith("recoverable") and r.cost == "task"]
    shown += [r for r in rows if r.kind == "closed form" and r.task.startswith("reset_cliff")]
    names = {id(r): f"{r.task.split('@')[0]}: {r.algorithm.split(', eps')[0]}" for r in shown}
    # The dialled learner stands for the method whose coverage it has, and takes its colour.
    kinds = {id(r): "dagger" if "DAgger" in r.algorithm else "bc" for r in shown}
    look = looks((kinds[id(r)], names[id(r)]) for r in shown)
    for r in shown:
        h = np.array([p["H"] for p in r.points])
        y, lo, hi = (np.array([p[k] for p in r.points]) for k in ("measured", "lo", "hi"))
        axis.plot(h, [p["predicted"] for p in r.points], color=look[names[id(r)]][0], lw=1)
        _points(axis, h, y, lo, hi, look[names[id(r)]], "", names[id(r)])
    axis.set(xscale="log", yscale="log", xlabel="horizon H (steps)", ylabel="task cost per episode (steps)")
    _from_below(axis, [p["measured"] for r in shown for p in r.points])
    axis.set_title("Closed forms (lines)\nand measured (points, 95 %)", fontsize=10)
    legend_below(axis, 1, 9)


WIDE = 24  # characters of a name, of which two stand side by side under a panel
FITTING = 6  # rows whose legend leaves a panel its height; each more makes the picture higher


def _columns(names: Iterable[str]) -> int:
    """Columns of a legend that a panel has room for."""
    return 2 if max(map(len, names), default=0) <= WIDE else 1


class Curve(NamedTuple):
    """The 0-1 cost up to every horizon `[K]`: mean over seeds and its 95 % limits (NaN for few seeds), and the labels bought."""

    horizons: np.ndarray
    mean: np.ndarray
    lo: np.ndarray
    hi: np.ndarray
    labels: float


def prefix_cost(g: Group, arrays: Mapping[str, Mapping[str, np.ndarray]]) -> Curve | None:
    """How the cost of one row grew along its rollouts; None where no seed recorded it."""
    kept = [r for r in g.records if r.status == "ok" and "prefix_cost" in arrays.get(r.id, {})]
    if not kept:
        return None
    h = np.array(prefixes(g))
    means = np.stack([np.asarray(arrays[r.id]["prefix_cost"], float).mean(0) for r in kept])
    lo = hi = np.full(len(h), np.nan)
    if len(means) >= FEW:
        lo, hi = (h * limit for limit in seed_means(np.clip(means / h, 0.0, 1.0).T, 0.0, 1.0))  # all horizons at once, as shares of each
    return Curve(h, means.mean(0), lo, hi, float(np.mean([r.cost.labels for r in kept])))


def _prefix_costs(axis: Any, groups: list[Group], arrays: Mapping[str, Mapping[str, np.ndarray]], look: Looks) -> None:
    lowest = []
    for g in groups:
        c = prefix_cost(g, arrays)
        if c is None:
            continue
        name = f"{g.label} ({c.labels:,.0f} labels bought)"
        _points(axis, c.horizons, c.mean, c.lo, c.hi, look[g.label], "-", name)
        lowest += list(c.mean)
    axis.set(xscale="log", yscale="log", xlabel="horizon H (steps)", ylabel="0-1 cost up to H (steps)")
    h = np.array([10.0, groups[0].horizon])
    base = min((v for v in lowest if v > 0), default=1.0) / 2
    for power, style in ((1, ":"), (2, "--")):
        axis.plot(h, base * (h / h[0]) ** power, color=GREY, lw=1, ls=style, label=f"slope {power}")
    _from_below(axis, [*lowest, base])
    axis.set_title(f"{groups[0].task}, budget {groups[0].budget:,}:\nwhere mistakes differ most", fontsize=10)
    legend_below(axis, 1, 9)


def _budgets(axis: Any, rows: list[dict[str, Any]], look: Looks, legend: bool) -> None:
    """Score against the budget on one task, clean and, dashed, under noise."""
    from matplotlib.ticker import NullFormatter

    names = sorted({r["algorithm"] for r in rows})
    for i, name in enumerate(names):
        aside = 1.05 ** (i - (len(names) - 1) / 2)  # so that bars do not cover each other
        mine = sorted((r for r in rows if r["algorithm"] == name), key=lambda r: r["budget"])
        for key, style in (("score", "-"), ("noisy_score", "--")):
            seen = [r for r in mine if r.get(key) is not None]
            if not seen:
                continue
            lo, hi = zip(*((np.nan if x is None else x for x in r[f"{key}_ci"]) for r in seen), strict=True)
            label = name if style == "-" else None
            _points(axis, [aside * r["budget"] for r in seen], [r[key] for r in seen], lo, hi, look[name], style, label)
    axis.set(xscale="log", xlabel="budget of expert labels", ylabel="score (0 random, 1 expert)")
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.set_title(f"{rows[0]['task']}\nclean: lines, under noise: dashed", fontsize=10)
    if legend:
        legend_below(axis, _columns(names), 9)


def _telling(groups: list[Group]) -> list[Group]:
    """The groups of the place on which the algorithms' costs lie furthest apart, at the longest horizon."""
    longest = max(g.horizon for g in groups)
    by_place: dict[Any, list[Group]] = {}
    for g in groups:
        if g.horizon == longest:
            by_place.setdefault(g.place, []).append(g)

    def spread(place: list[Group]) -> float:
        values = [g.values("cost") for g in place]
        costs = [float(x[np.isfinite(x)].mean()) for x in values if np.isfinite(x).any()]
        return max(costs, default=0.0) - min(costs, default=0.0)

    return max(by_place.values(), key=spread)


def _scores(axis: Any, board: leaderboard.Board, look: Looks) -> None:
    most: dict[str, int] = {}
    for r in board.rows:
        most[r["task"]] = max(r["budget"], most.get(r["task"], 0))
    rows = [r for r in board.rows if r["score"] is not None and r["budget"] == most[r["task"]] and not r["apart"]]
    labels = sorted({r["algorithm"] for r in rows})
    tasks = sorted({r["task"] for r in rows}, reverse=True)
    for i, label in enumerate(labels):
        mine = [r for r in rows if r["algorithm"] == label]
        x, lo, hi = (np.array(v, float) for v in zip(*((r["score"], *r["score_ci"]) for r in mine), strict=True))
        y = [tasks.index(r["task"]) - 0.7 / len(labels) * (i - (len(labels) - 1) / 2) for r in mine]
        reach = np.nan_to_num(np.maximum([x - lo, hi - x], 0.0))
        axis.errorbar(x, y, xerr=reach, fmt=look[label][1], ms=4, color=look[label][0], capsize=2, label=label)
    axis.axvline(1.0, color=GREY, lw=1, ls="--")
    axis.set_yticks(range(len(tasks)), [t.split("@")[0].replace("inverted_", "inv. ").replace("_", " ") for t in tasks])
    axis.set(xlabel="score (0 random, 1 expert)")
    axis.set_title("Score at the largest budget\n(mean over seeds, 95 %)", fontsize=10)
    legend_below(axis, _columns(labels), 9, apart=0.5 if len(labels) > 2 * FITTING and _columns(labels) == 1 else None)


def budgets(records: Iterable[Record], save: Callable[[Any], Any] = svg) -> Any:
    """One picture, saved as SVG or by `save`, a panel per task: score against the budget; None for a suite that sweeps none."""
    by_task: dict[str, list[dict[str, Any]]] = {}
    for row in leaderboard.build(list(records)).rows:
        if not row["apart"]:
            by_task.setdefault(row["task"], []).append(row)
    swept = {task: rows for task, rows in by_task.items() if len({r["budget"] for r in rows}) >= 3}
    if len(swept) < 2:
        return None
    columns = min(3, len(swept))
    lines = -(-len(swept) // columns)
    canvas = figure(3.4 * columns, 2.5 * lines + 0.6)
    axes = canvas.subplots(lines, columns, squeeze=False).ravel()
    look = looks((r["name"], r["algorithm"]) for rows in swept.values() for r in rows)
    for axis, (task, rows) in zip(axes, sorted(swept.items()), strict=False):
        _budgets(axis, rows, look, legend=False)
        noise = rows[0].get("noise")
        axis.set(xlabel="", ylabel="")
        axis.set_title(task.split("@")[0] + ("" if noise is None else f", noise {noise:g}"), fontsize=10)
    for axis in axes[len(swept) :]:
        axis.axis("off")
    canvas.supxlabel("budget of expert labels (an algorithm may buy fewer)", fontsize=10)
    canvas.supylabel("score (0 random, 1 expert), mean over seeds, 95 %", fontsize=10)
    drawn = {k: h for axis in axes for h, k in zip(*axis.get_legend_handles_labels(), strict=True)}
    title = "clean: lines; under noise: dashed"
    names, handles = list(drawn), list(drawn.values())
    canvas.legend(handles, names, loc="outside upper center", ncols=len(names), frameon=False, fontsize=10, title=title)
    return save(canvas)


def overview(
    records: Iterable[Record], arrays: Mapping[str, Mapping[str, np.ndarray]], save: Callable[[Any], Any] = svg
) -> Any:
    """One picture, saved as SVG or by `save`, of the panels that there is something for: closed forms or score against the budget,
    mistakes over the horizon where methods differ most, scores. One colour per algorithm in all of them."""
    records = list(records)
    rows, board = theory.build(records, arrays), leaderboard.build(records)
    swept = [g for g in group(records) if not instrument(g) and g.records[0].cell.evaluation.get("prefixes")]
    shown = _telling(swept) if swept else []
    look = looks([*((r["name"], r["algorithm"]) for r in board.rows), *((g.algorithm, g.label) for g in shown)])
    forms = [r for r in rows if isinstance(r, theory.Row) and r.kind == "closed form"]
    panels: list[Callable[[Any], None]] = []
    if forms:
        panels.append(partial(_closed_forms, rows=forms))
    elif shown:
        here = (shown[0].task, shown[0].horizon, shown[0].apart)
        swept_here = [r for r in board.rows if (r["task"], r["horizon"], r["apart"]) == here]
        panels.append(partial(_budgets, rows=swept_here, look=look, legend=True))
    if shown:
        panels.append(partial(_prefix_costs, groups=shown, arrays=arrays, look=look))
    panels.append(partial(_scores, board=board, look=look))
    labels = {r["algorithm"] for r in board.rows}
    lines = max(len(shown), len(labels) if _columns(labels) == 1 else 0)
    canvas = figure(4.0 * max(2, len(panels)), 4.6 + 0.2 * max(0, lines - FITTING))
    for axis, draw in zip(canvas.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        draw(axis)
    return save(canvas)
