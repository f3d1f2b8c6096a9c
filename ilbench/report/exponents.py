"""Why it compounds: the exponent of each learner's cost as a sum, 1 + p_eps + p_kappa + p_ubar, and what stands out.

eps: the error on the expert's states (does it move with H?). kappa: mistakes on the learner's own states for one on the
expert's (covariate shift). ubar: what a mistake costs (no recovery). Two costs: the 0-1 cost, where a mistake costs 1
and p_ubar = 0 by construction, and the return gap to the expert on the same episodes, where it is positive (at a prefix
the expert is that of the full horizon, which matters to experts that know how many steps are left).

Source: ilbench/stats/exponents.py.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from ilbench import stats
from ilbench.display.tables import Table, fixed
from ilbench.evaluation.evidence import log_spaced
from ilbench.records.schema import Record
from ilbench.report.groups import Group, distinct, group, positions
from ilbench.report.predictions import TASK, ZERO_ONE
from ilbench.stats import exponents

Arrays = Mapping[str, Mapping[str, np.ndarray]]
CAUSES = {"p_kappa": "covariate shift", "p_ubar": "no recovery", "p_eps": "eps moves with H"}
MATERIAL = 0.1  # exponents smaller than this are not named


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of the table."""

    task: str
    algorithm: str
    cost: str
    horizons: tuple[int, ...]
    n: int
    budget: exponents.Budget
    why: str
    note: str = ""
    kind: str = "budget"
    verdict: str = ""  # a measurement has none

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return dataclasses.asdict(self) | {"budget": {k: v._asdict() for k, v in self.budget._asdict().items()}}


def diagnosis(budget: exponents.Budget) -> str:
    """The largest term above 0.1 whose 95 % interval is above 0; else whether eps falls with H; else none."""
    terms = {name: getattr(budget, name) for name in CAUSES}
    if any(s.slope is None for s in terms.values()):
        return "unknown"
    grows = {name: s.slope for name, s in terms.items() if s.slope > MATERIAL and s.lo > 0}
    if grows:
        return CAUSES[max(grows, key=lambda name: grows[name])]
    return CAUSES["p_eps"] if terms["p_eps"].slope < -MATERIAL and terms["p_eps"].hi < 0 else "none"


def diverged(records: Iterable[Record]) -> tuple[int, str]:
    """How many runs have no numbers, and what to say about it: `2 of 10 diverged`, or nothing."""
    ok = [r.status == "ok" for r in records]
    lost = len(ok) - sum(ok)
    return lost, f"{lost} of {len(ok)} diverged" if lost else ""


def prefixes(g: Group) -> list[int]:
    """The horizons at which a rollout's costs were kept, its own included."""
    listed: Any = g.records[0].cell.evaluation.get("prefixes") or []
    return [*sorted({h for h in listed if h < g.horizon}), g.horizon]


def _complete(curves: Mapping[str, np.ndarray]) -> bool:
    return {"prefix_cost", "prefix_gap"} <= set(curves) and not {"prefix_eps", "eps_t"}.isdisjoint(curves)


def prefix_eps(curves: Mapping[str, np.ndarray], horizons: list[int]) -> np.ndarray:
    """Mean of eps_t over t <= H at every H `[K]`; interpolated between log-spaced steps in records without `prefix_eps`."""
    if "prefix_eps" in curves:
        return np.asarray(curves["prefix_eps"], float)
    steps = log_spaced(horizons[-1])
    eps = np.interp(np.arange(1, horizons[-1] + 1), steps, np.asarray(curves["eps_t"], float))
    return (np.cumsum(eps) / np.arange(1, horizons[-1] + 1))[np.asarray(horizons) - 1]


def _rows(
    g: Group, label: str, horizons: list[int], eps: Any, own: Any, gap: Any, note: str = "", lost: str = ""
) -> list[Row]:
    """Rows from curves `[S, K]`, over the horizons at which every mean is positive and rests on more than one seed.

    Seeds that diverged may be those that compound, so with `lost` ones a row has numbers and no diagnosis.
    """
    rows = []
    h = np.asarray(horizons)
    for cost, value in ((ZERO_ONE, own * h), (TASK, gap)):
        used = np.ones(len(h), bool)
        for curve in (eps, own, value):
            total = curve.sum(0)
            used &= np.isfinite(total) & ((total - curve).min(0) > 1e-12 * np.abs(total)) & (total > 0)
        if used.sum() < 2 or (cost == TASK and not used[-1]):
            continue
        found = exponents.budget(h[used], value[:, used], eps[:, used], own[:, used])
        said = "u = 1 by construction" if cost == ZERO_ONE else ""
        rows.append(
            Row(g.task, label, cost, tuple(int(x) for x in h[used]), len(eps), found,
                "unknown" if lost else diagnosis(found), "; ".join(filter(None, (said, note, lost))))
        )  # fmt: skip
    return rows


def _blank(g: Group, label: str, horizons: list[int], seeds: int, lost: str) -> list[Row]:
    """A row without numbers, where so many seeds diverged that fewer than two are left; none where none diverged."""
    nothing = stats.Slope(None, reason="too few seeds")
    budget = exponents.Budget(*[nothing] * len(exponents.Budget._fields))
    return [Row(g.task, label, ZERO_ONE, tuple(horizons), seeds, budget, "unknown", lost)] if lost else []


def _prefixes(g: Group, arrays: Arrays) -> list[Row]:
    kept = [arrays[r.id] for r in g.records if r.status == "ok" and _complete(arrays.get(r.id, {}))]
    _, lost = diverged(g.records)
    horizons = prefixes(g)
    if len(kept) < 2:
        return _blank(g, g.label, horizons, len(kept), lost)
    eps = np.stack([prefix_eps(c, horizons) for c in kept])
    own = np.stack([np.asarray(c["prefix_cost"], float).mean(0) for c in kept]) / np.asarray(horizons)
    gap = np.stack([np.asarray(c["prefix_gap"], float) for c in kept])
    return _rows(g, g.label, horizons, eps, own, gap, "" if "prefix_eps" in kept[0] else "eps interpolated", lost)


def _independent(sweep: list[Group], label: str) -> list[Row]:
    """Runs of their own per horizon; seeds that ran at all of them."""
    seeds = sorted(set.intersection(*({r.cell.seed for r in g.records if r.status == "ok"} for g in sweep)))
    _, lost = diverged(r for g in sweep for r in g.records)
    if len(seeds) < 2:
        return _blank(sweep[0], label, [g.horizon for g in sweep], len(seeds), lost)

    def curve(name: str) -> np.ndarray:
        return np.stack([g.values(name)[positions(g.seeds, seeds)] for g in sweep], axis=1)

    eps, note, c = curve("eps_bar"), "", sweep[0].config
    if c.get("dialled.schedule") == "iid":  # known, where a few held-out episodes would show no error at all
        eps, note = np.full_like(eps, c["dialled.eps"]), "eps as dialled"
    return _rows(sweep[0], label, [g.horizon for g in sweep], eps, curve("eps_on"), curve("gap"), note, lost)


def build(records: Iterable[Record], arrays: Arrays, forms: Any, name: Any) -> list[Row]:
    """Rows of all sweeps: `forms(g)` tells independent runs per horizon, `name(g)` names them, as in the first table."""
    sweeps: dict[Any, list[Group]] = defaultdict(list)
    rows: list[Row] = []
    for g in distinct(group(records)):
        if forms(g):
            sweeps[(g.task, name(g), g.head, g.apart)].append(g)
        elif g.records[0].cell.evaluation.get("prefixes"):
            rows += _prefixes(g, arrays)
    swept = {k: sorted(s, key=lambda g: g.horizon) for k, s in sweeps.items() if len({g.horizon for g in s}) >= 2}
    return [row for (_, label, *_), sweep in swept.items() for row in _independent(sweep, label)] + rows


def _term(slope: stats.Slope) -> str:
    return fixed(*slope[:3], places=2)


def table(rows: list[Row]) -> Table:
    """The table "Why it compounds"."""
    columns = ("task", "algorithm", "cost", "H", "seeds", "p_gap [95 %]", "p_eps", "p_kappa", "p_ubar", "why", "note")
    cells = [
        (
            r.task, r.algorithm, r.cost, f"{r.horizons[0]} ... {r.horizons[-1]}", str(r.n), _term(r.budget.p_gap),
            _term(r.budget.p_eps), _term(r.budget.p_kappa), "0" if r.cost == ZERO_ONE else _term(r.budget.p_ubar),
            r.why, r.note,
        )
        for r in rows
    ]  # fmt: skip
    notes = (
        "gap = H x eps x kappa x ubar, so p_gap = 1 + p_eps + p_kappa + p_ubar. eps: error on the expert's states; kappa: errors on "
        "own states / on the expert's; ubar: cost per mistake. why: the largest of the three above 0.1 with its interval above 0.",
        "cost task: return gap to the expert on the same episodes, only where it is positive. Intervals: jackknife over seeds.",
    )
    return Table("Why it compounds", columns, cells, notes, ("note", "seeds", "H", "p_eps", "p_ubar", "p_kappa"))
