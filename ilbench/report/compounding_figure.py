"""The picture of compounding: for each robot, mistakes per step on the learner's own states and on the expert's, against the step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ilbench.display.axes import log_ticks
from ilbench.display.style import figure, looks, svg
from ilbench.display.tables import number
from ilbench.report.compounding import Row
from ilbench.report.diagnosis import REPAIRS, primary
from ilbench.stats.intervals import seed_means

SHOWN = ("bc", *REPAIRS)
COLUMNS = 4
CAPTION = (
    "Mistakes: errors beyond a tolerance at which the learner errs on {eps} of the expert's steps. Where solid leaves dashed, mistakes "
    "bring mistakes, or a fall.\nA: mistakes on one's own states for one on the expert's, over the episode; 1 is the line eps H. "
    "Bands: 95 % over {seeds} training seeds."
)
PIECES = 18  # stretches of the horizon that a curve has at most


def _stretches(steps: np.ndarray) -> np.ndarray:
    """Positions in `steps` where stretches end: log-spaced, no more than PIECES."""
    ends = np.unique(np.round(np.geomspace(1, steps[-1], PIECES + 1)[1:]).astype(int))
    return np.unique(np.searchsorted(steps, ends).clip(max=len(steps) - 1))


def rates(steps: np.ndarray, cumulative: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Middle of each stretch `[P]`, the mean rate per step there, and its 95 % limits over seeds, from `[S, K]` cumulative means."""
    at = _stretches(steps)
    ends = steps[at].astype(float)
    starts = np.concatenate([[0.0], ends[:-1]])
    total = cumulative[:, at]
    before = np.concatenate([np.zeros((len(total), 1)), total[:, :-1]], axis=1)
    rate = (total - before) / (ends - starts)
    low, high = (np.asarray(x) for x in seed_means(rate.T, -np.inf, np.inf))
    return np.sqrt(np.maximum(starts, 1.0) * ends), rate.mean(0), low, high


def _line(axis: Any, x: Any, y: Any, lo: Any, hi: Any, colour: str, style: str, name: str | None) -> list[float]:
    """A curve where it is positive, with its band; a limit at or below zero ends at the panel's edge. The values drawn."""
    there = y > 0
    if there.sum() == 0:
        return []
    axis.plot(x[there], y[there], color=colour, ls=style, lw=1.5, marker="o" if style == "-" else None, ms=2.5, label=name)
    floor = 1e-9
    ends = np.nan_to_num(np.clip(lo[there], floor, None), nan=floor), np.where(np.isfinite(hi[there]), hi[there], y[there])
    axis.fill_between(x[there], *ends, color=colour, alpha=0.11 if style == "-" else 0.05, lw=0)
    return list(y[there])


def _panel(axis: Any, title: str, rows: Sequence[Row], colours: dict[str, str]) -> None:
    values: list[float] = []
    titles = []
    for r in sorted(rows, key=lambda r: r.algorithm):
        c = r.curves
        assert c is not None
        name = r.algorithm.replace("_", " ")
        for parts, style, where in ((c.excess, "-", "own states"), (c.parts[:, 0], "--", "expert's states")):
            values += _line(axis, *rates(c.steps, parts), colours[r.algorithm], style, f"{name}, {where}")
        titles.append(f"{name.split()[0]} {'-' if r.ratio is None else number(r.ratio.value, 2)}")
    axis.set_title(f"{title}\nA: {',  '.join(titles)}", fontsize=9)
    axis.set(yscale="log", xlim=(1, rows[0].horizon))
    log_ticks(axis, [10**k for k in range(1 + int(np.log10(rows[0].horizon)))])
    if values:
        axis.set_ylim(min(values) / 2.5, max(values) * 2.5)


def _panels(rows: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    """A task's panel, bc and what repairs it; where it has several rows of bc, heads side by side, one for each."""
    task = rows[0].task.split("@")[0].replace("inverted_", "inv. ").replace("_", " ")
    bcs = [r for r in rows if r.algorithm == "bc"]
    return [(f"{task}, {r.label}", [r]) for r in bcs] if len(bcs) > 1 else [(task, list(rows))]


def draw(rows: Sequence[Row], save: Callable[[Any], Any] = svg) -> Any:
    """One picture, saved as SVG or by `save`, a panel per task, of the rows at one target: bc and what repairs it; own states solid."""
    shown = [r for r in primary(list(rows)) if r.algorithm in SHOWN and r.target is not None]
    tasks = sorted(dict.fromkeys(r.task for r in shown), key=lambda task: task.startswith("pendulum"))
    panels = [panel for task in tasks for panel in _panels([r for r in shown if r.task == task])]
    lines = -(-len(panels) // COLUMNS)
    canvas = figure(3.1 * COLUMNS, 2.4 * lines + 0.9)
    axes = canvas.subplots(lines, COLUMNS, squeeze=False).ravel()
    colours = {name: look[0] for name, look in looks((name, name) for name in SHOWN).items()}
    for axis, (title, rows_of) in zip(axes, panels, strict=False):
        _panel(axis, title, rows_of, colours)
    for axis in axes[len(panels) :]:
        axis.axis("off")
    drawn = {k: h for axis in axes for h, k in zip(*axis.get_legend_handles_labels(), strict=True)}
    canvas.legend(list(drawn.values()), list(drawn), loc="outside lower center", ncols=len(drawn), frameon=False, fontsize=9)
    canvas.suptitle(CAPTION.format(eps=f"{shown[0].target:g}", seeds=max(r.seeds for r in shown)), fontsize=9)
    for axis in axes[-COLUMNS:]:
        axis.set_xlabel("step t of the episode")
    canvas.supylabel("mistakes per step", fontsize=10)
    return save(canvas)
