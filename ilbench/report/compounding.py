"""Does it compound on robots: mistakes on one's own states for one on the expert's, in 0-1 deployment, and why.

    records, arrays --> a Row per (task, row of the board, target): A(H) with its parts, exponents, bounds and verdicts
                    --> a Cost per (task, row, kind of deviation): what one mistake costs, by thirds of the horizon

Which of it is said in a sentence: ilbench/report/diagnosis.py.
Where actions are discrete a mistake is one as it stands, and the ordinary evaluation is the deployment (an anchor).
Source: the bounds are Ross & Bagnell 2010, https://proceedings.mlr.press/v9/ross10a.html; A(H) is our own.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ilbench import stats
from ilbench.evaluation.evidence import log_spaced
from ilbench.records.schema import Record
from ilbench.report.groups import Group, distinct, group
from ilbench.report.rows import falling, marks, worse_than_constant
from ilbench.stats.ratios import ratio_of_means

Arrays = Mapping[str, Mapping[str, np.ndarray]]
FIRST = 10  # steps: exponents are of the horizons from here to where the cost leaves a tenth of H
SMALL = 0.1
PARTS = ("expert", "live", "fallen", "floor")  # rows of the curve `snap`


class Curves(NamedTuple):
    """Of S seeds at one target: cumulative means `[S, 4, K]` up to steps `[K]`, as `PARTS`, and bounds `[S]`."""

    steps: np.ndarray
    parts: np.ndarray
    b2: np.ndarray
    b0: np.ndarray

    @property
    def eps(self) -> np.ndarray:
        """Mistakes at the expert's states up to H, `[S]`."""
        return np.asarray(self.parts[:, 0, -1])

    @property
    def excess(self) -> np.ndarray:
        """The cost beyond the expert's own falls, up to every step `[S, K]`."""
        return np.asarray(self.parts[:, 1] + self.parts[:, 2] - self.parts[:, 3])

    @property
    def cost(self) -> np.ndarray:
        """Up to H, `[S]`."""
        return np.asarray(self.excess[:, -1])

    @property
    def told(self) -> int:
        """Position of the longest horizon at which B0 = h sum eps is at most h / 2: beyond it the bound says little."""
        return max(0, int(np.count_nonzero(self.parts[:, 0].mean(0) <= 0.5)) - 1)


@dataclass(frozen=True)
class Row:
    """One learner at one error rate."""

    task: str
    algorithm: str
    label: str
    budget: int
    horizon: int
    updates: int | None  # gradient steps of a fit
    target: float | None  # None: an anchor, whose mistakes are what they are
    seeds: int
    episodes: int
    score: float | None
    delta: float | None  # median over seeds
    eps: float  # sum_t eps_t, mistakes of an episode at the expert's states
    cost: float
    ratio: stats.Interval | None  # A(H)
    live: stats.Interval | None  # of it: mistakes on live steps
    fallen: stats.Interval | None  # of it: steps after a fall
    slope: stats.Slope  # of the cost in H
    slope_eps: stats.Slope  # of sum eps_t on the same horizons
    tightness: float | None  # cost / B2
    b2: str  # verdict at H
    b0: str  # verdict at the longest horizon at which the bound is at most half of what can be, and that horizon
    note: str = ""
    curves: Curves | None = None
    marks: str = ""  # as on the boards: * had not converged, ! fits that are worse than a constant action

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        kept = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "curves"}
        return kept | {k: v._asdict() for k, v in kept.items() if hasattr(v, "_asdict")}


@dataclass(frozen=True)
class Cost:
    """What one deviation costs on one task: of a learner's own mistakes, or of a push."""

    task: str
    who: str  # a row's label, or "a push"
    count: int
    u: stats.Interval  # in what a step is worth
    fall: stats.Interval  # added falls for one deviation
    thirds: tuple[float | None, ...]  # u of deviations in the first, middle and last third of the horizon
    falls: tuple[float | None, ...]
    sums: np.ndarray  # `[S, 3]`: deviations, what they lost, falls that they added, of each seed with any

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        kept = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "sums"}
        return kept | {"u": self.u._asdict(), "fall": self.fall._asdict()}


# -------------------------------------------------------------------------------------------- rows
def targets(g: Group) -> tuple[float, ...]:
    """The error rates that a group was deployed at, as its protocol lists them."""
    listed: Any = g.records[0].cell.evaluation.get("snap") or ()
    return tuple(listed)


def anchor(g: Group) -> bool:
    """Whether a mistake is one as it stands: discrete actions, an expert whose mistakes were counted."""
    return not targets(g) and g.records[0].cell.evaluation.get("deltas") == [0.0] and g.algorithm != "dialled"


def _curves(g: Group, target: float, arrays: Arrays) -> Curves | None:
    kept = [r for r in g.records if r.status == "ok" and f"snap@{target:g}" in arrays.get(r.id, {})]
    if len(kept) < 2:
        return None
    scores = [[r.scores[f"snap_{name}@{target:g}"] or 0.0 for r in kept] for name in ("b2", "b0")]
    parts = np.stack([np.asarray(arrays[r.id][f"snap@{target:g}"], float) for r in kept])
    return Curves(log_spaced(g.horizon), parts, *map(np.asarray, scores))


def _slopes(c: Curves, horizon: int) -> tuple[stats.Slope, stats.Slope]:
    """Of the cost and of sum eps_t, where the cost is well below what it can be and both are positive whatever seed is left out."""

    def there(x: np.ndarray) -> np.ndarray:
        return np.asarray((x.sum(0) - x).min(0) > 1e-12 * np.abs(x).sum(0))

    used = (c.steps >= FIRST) & (c.excess.mean(0) < SMALL * c.steps) & there(c.excess) & there(c.parts[:, 0])
    if used.sum() < 4:
        nothing = stats.Slope(None, reason="too few horizons at which the cost is small and positive")
        return nothing, nothing
    both = (x[:, None, used] for x in (c.excess, c.parts[:, 0]))
    first, second = (stats.slope_ci(x, c.steps[used]) for x in both)
    return first, second


def _said(g: Group) -> str:
    lost = int(g.diverged.sum())
    return f"{lost} of {len(g.records)} diverged" if lost else ""


def _row(g: Group, target: float, arrays: Arrays) -> Row | None:
    c = _curves(g, target, arrays)
    if c is None:
        return None
    note, none = _said(g), c.eps.mean() <= 0
    if none:
        n = len(c.eps) * g.records[0].episodes.n * g.horizon
        note = "; ".join(filter(None, (f"no mistake at the expert's states: eps < {3 / n:.1g} (95 %, independent steps)", note)))
    parts = (c.cost, c.parts[:, 1, -1], c.cost - c.parts[:, 1, -1])
    whole, live, fallen = (None if none else ratio_of_means(x, c.eps) for x in parts)
    slope, slope_eps = _slopes(c, g.horizon)
    score, delta = g.values("score"), g.values(f"snap_delta@{target:g}")
    return Row(
        g.task, g.algorithm, g.label, g.budget, g.horizon, _updates(g), target, len(c.eps), g.records[0].episodes.n,
        _mean(score), float(np.nanmedian(delta)), float(c.eps.mean()), float(c.cost.mean()), whole, live, fallen,
        slope, slope_eps, float(c.cost.mean() / c.b2.mean()) if c.b2.mean() > 0 else None, "", "", note, c, _marks(g),
    )  # fmt: skip


def _marks(g: Group) -> str:
    return marks(falling(g), worse_than_constant(g))


def _updates(g: Group) -> int | None:
    given = g.config.get("fit.updates")
    return int(given) if isinstance(given, int) else None


def _mean(values: np.ndarray) -> float | None:
    seen = values[np.isfinite(values)]
    return float(seen.mean()) if len(seen) else None


def _anchor(g: Group) -> Row | None:
    ok = ~g.diverged
    names = ("cost", "eps_bar", "bound_b2", "bound_b0")
    cost, eps, b2, b0 = (g.values(name)[ok] for name in names)
    if len(cost) < 2 or not np.isfinite([cost, eps, b2, b0]).all():
        return None
    total = eps * g.horizon
    parts = np.zeros((len(cost), 4, 1))
    parts[:, 0, 0], parts[:, 1, 0] = total, cost
    nothing = stats.Slope(None, reason="one horizon")
    return Row(
        g.task, g.algorithm, g.label, g.budget, g.horizon, _updates(g), None, len(cost), g.records[0].episodes.n,
        _mean(g.values("score")), None, float(total.mean()), float(cost.mean()),
        ratio_of_means(cost, total) if total.mean() > 0 else None, None, None, nothing, nothing,
        float(cost.mean() / b2.mean()) if b2.mean() > 0 else None, "", "", _said(g),
        Curves(np.array([g.horizon]), parts, b2, b0), _marks(g),
    )  # fmt: skip


def _judged(rows: list[Row]) -> list[Row]:
    """With the verdicts of B2 and B0, Holm over all of them: each is a theorem about every row, at every horizon."""
    claims, where = [], []
    for r in rows:
        c = r.curves
        assert c is not None
        at, h = c.told, int(c.steps[c.told])
        b0 = c.b0 if h == r.horizon else h * c.parts[:, 0, at]
        claims += [stats.gap_bound(c.cost, c.b2, float(r.horizon)), stats.gap_bound(c.excess[:, at], b0, float(h))]
        where.append(f" at {h}" if h < r.horizon else "")
    verdicts = stats.verdicts(claims)
    return [dataclasses.replace(r, b2=verdicts[2 * i], b0=verdicts[2 * i + 1] + where[i]) for i, r in enumerate(rows)]


def build(records: Iterable[Record], arrays: Arrays) -> list[Row]:
    """A row for every learner and error rate, in the order of task, budget and target; anchors last."""
    groups = distinct(group(records))
    snapped = [_row(g, target, arrays) for g in groups for target in targets(g)]
    anchors = [_anchor(g) for g in groups if anchor(g)] if any(snapped) else []
    return _judged([r for r in (*snapped, *anchors) if r is not None])


# ------------------------------------------------------------------------------------ what one costs
def _cost(task: str, who: str, sums: np.ndarray) -> Cost | None:
    """From sums `[S, 3, 10]` of deviations, losses and falls by tenths of the horizon; seeds without a deviation are left out."""
    sums = sums[sums[:, 0].sum(1) > 0]
    if len(sums) < 2:
        return None
    count, lost, fell = sums.sum(2).T
    pooled = [sums[:, :, part].sum((0, 2)) for part in (slice(0, 3), slice(3, 7), slice(7, 10))]
    thirds, falls = (tuple(float(p[i] / p[0]) if p[0] > 0 else None for p in pooled) for i in (1, 2))
    return Cost(task, who, int(count.sum()), ratio_of_means(lost, count), ratio_of_means(fell, count), thirds, falls, sums.sum(2))


def costs(records: Iterable[Record], arrays: Arrays) -> list[Cost]:
    """What a mistake costs, for every learner that was branched, and for a push, which is the same for all of a task's."""
    out: dict[tuple[str, str], Cost] = {}
    for g in distinct(group(records)):
        for kind, who in (("own", g.label), ("push", "a push")):
            found = [arrays[r.id][f"u_{kind}_t"] for r in g.records if r.status == "ok" and f"u_{kind}_t" in arrays.get(r.id, {})]
            made = _cost(g.task, who, np.stack(found).astype(float)) if len(found) > 1 else None
            if made is not None:
                out.setdefault((g.task, who), made)
    return sorted(out.values(), key=lambda c: (c.task, c.who == "a push"))

