"""How the error grew with the horizon, next to O(eps H^2) and O(eps H): predicted, measured, bound, verdict, and why.

Two kinds of rows. Where a closed form speaks, the mean cost at every horizon is held against it in a simultaneous
95 % band and its exponent by equivalence (90 % interval inside +-0.1 of the form's slope on the same horizons). For
trained learners an exponent is a measurement and O(.) an upper rate that nothing needs to attain; there the verdict
is about the bound: cost <= H^2 eps_bar, both estimated on held-out and on-policy rollouts and paired by seed. Why an
exponent is what it is says the third table (ilbench/report/exponents.py).
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ilbench import registry, stats
from ilbench.display.tables import Table, fixed, inert, interval, markdown, number, wrapped
from ilbench.display.tables import text as render
from ilbench.exact import closed_forms
from ilbench.records.schema import Record
from ilbench.report import exponents
from ilbench.report.groups import Group, distinct, group, label
from ilbench.report.predictions import TASK, ZERO_ONE, predict

MANY = 24  # rows of trained learners that a page lists as they are; more stand by task, with budgets as columns, the rest folded
DIVERGED = "A seed that diverged is in no number of its row, and such a row has no verdict."


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    kind: str  # "closed form" or "bound"
    task: str
    algorithm: str
    cost: str  # which cost the exponent is of: task or 0-1
    horizons: tuple[int, ...]
    n: str
    predicted: float | None  # exponent of the closed form on these horizons
    rate: str  # the upper rate of the theory, for rows without a closed form
    slope: stats.Slope
    in_band: bool | None
    ratio: tuple[float | None, float | None, float | None]  # cost / bound at the largest horizon
    bound: str
    verdict: str
    note: str = ""
    points: list[dict[str, Any]] = field(default_factory=list)
    diverged: int = 0  # seeds that are in no number of this row, which then has no verdict
    labels: float = 0.0  # budget, in episodes of H labels
    learner: str = ""  # its label without the budget

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return dataclasses.asdict(self) | {"slope": self.slope._asdict()}


# ------------------------------------------------------------------------------- against closed forms
def _pooled(g: Group, cost: str) -> tuple[float, float, int]:
    """Mean, standard error and n of a cost: over episodes for the dialled learner, whose seeds are one policy, else over seeds."""
    names = ("return_mean", "return_sd") if cost == TASK else ("cost_mean", "cost_sd")
    sign = -1.0 if cost == TASK else 1.0
    episodes = [r.episodes for r in g.records]
    if g.algorithm == "dialled":
        n = np.array([e.n for e in episodes], float)
        means = np.array([sign * float(getattr(e, names[0]) or 0.0) for e in episodes])
        sds = np.array([float(getattr(e, names[1]) or 0.0) for e in episodes])
        total, mean = n.sum(), float((n * means).sum() / n.sum())
        within = ((n - 1) * sds**2 + n * (means - mean) ** 2).sum() / (total - 1)
        return mean, float(np.sqrt(within)), int(total)
    values = g.values("gap") if cost == TASK else g.values("cost")
    return float(values.mean()), float(values.std(ddof=1)), len(values)


def _forms(g: Group) -> dict[str, Any]:
    return predict(g.task.rsplit("@", 1)[0], g.algorithm, g.horizon, g.budget, g.config)


def _closed_form_rows(sweep: list[Group], family: int) -> list[Row]:
    """Rows of one algorithm on one task over independent horizons, one per cost that has a form; `family` rows in all."""
    rows = []
    diverged, lost = exponents.diverged([r for g in sweep for r in g.records])
    sweep = [g._replace(records=tuple(r for r in g.records if r.status == "ok")) for g in sweep]
    needed = 1 if sweep[0].algorithm == "dialled" else 2  # its seeds are one policy: episodes give the interval
    if any(len(g.records) < needed for g in sweep):
        return [_blank("closed form", sweep[0], _name(sweep[0]), cost, diverged, lost) for cost in _forms(sweep[0])]
    first = sweep[0]
    for cost in _forms(first):
        form = [_forms(g)[cost](g.horizon) for g in sweep]
        horizons = [g.horizon for g in sweep]
        means, sds, ns = (np.array(x) for x in zip(*(_pooled(g, cost) for g in sweep), strict=True))
        ses = sds / np.sqrt(ns)
        failing = (
            [sum(r.episodes.n_failing for r in g.records) for g in sweep] if first.algorithm == "dialled" else None
        )
        extra: dict[str, Any] = {"failing": failing, "upper": horizons} if failing else {}
        low, high = stats.simultaneous_band(means, sds, ns, **extra)
        wide = stats.simultaneous_band(
            means, sds, ns, level=1 - 0.05 / family, **extra
        )  # simultaneous over all rows too
        in_band = bool(np.all((low <= form) & (form <= high)))
        slope = stats.slope_ci_independent(means, ses, horizons)
        predicted = float(closed_forms.slope(horizons, form))
        equivalent = slope.lo90 is not None and slope.hi90 is not None and stats.tost(slope.lo90, slope.hi90, predicted)
        violated = not np.all((wide[0] <= form) & (form <= wide[1]))
        verdict = "VIOLATED" if violated else "HOLDS" if in_band and equivalent else "INCONCLUSIVE"
        verdict = "" if diverged else verdict
        eps = first.config.get("dialled.eps")
        bound = None if eps is None else eps * horizons[-1] * (horizons[-1] + 1) / 2
        ratio = (None, None, None) if bound is None else (means[-1] / bound, low[-1] / bound, high[-1] / bound)
        n = f"{ns[-1]} episodes" if first.algorithm == "dialled" else f"{len(first.records)} seeds"
        points = [
            {"H": float(h), "predicted": p, "measured": float(m), "lo": float(lo), "hi": float(hi)}
            for h, p, m, lo, hi in zip(horizons, form, means, low, high, strict=True)
        ]
        rows.append(
            Row("closed form", first.task, _name(first), cost, tuple(horizons), n, predicted, "", slope,
                None if diverged else in_band, ratio, "eps H(H+1)/2" if bound else "", verdict, lost, points, diverged)
        )  # fmt: skip
    return rows


def _blank(kind: str, g: Group, name: str, cost: str, diverged: int, lost: str) -> Row:
    """A row without numbers, where too few seeds are left for an interval."""
    slope, rate = stats.Slope(None, reason="too few seeds"), _rate(g.algorithm) if kind == "bound" else ""
    nothing = (None, None, None)
    return Row(kind, g.task, name, cost, (), "-", None, rate, slope, None, nothing, "", "", lost, [], diverged, *_apart(g))


def _name(first: Group) -> str:
    """The algorithm, what was dialled or how the table was filled, and whatever else tells it from its namesakes."""
    name, said = _own_name(first)
    more = {k: v for k, v in first.telling.items() if k not in said and k != "head"}
    return name + (label("", more) if said else "")


def _own_name(first: Group) -> tuple[str, tuple[str, ...]]:
    """A name, and the settings that it states."""
    if first.algorithm == "dialled":
        c = first.config
        schedule = "" if c["dialled.schedule"] == "iid" else f", {c['dialled.schedule']}"
        dialled = f"dialled, {'BC' if c['dialled.coverage'] == 'expert' else 'DAgger'} coverage{schedule}, eps {c['dialled.eps']:g}"
        return dialled, ("dialled.schedule", "dialled.coverage", "dialled.eps")
    if first.head == "table":
        c = first.config
        table = f"{first.algorithm}, {'per-step' if c['table.per_step'] else 'shared'} table, {c['table.unseen']} where unseen"
        return table, ("table.per_step", "table.unseen")
    return first.label, ()


# ------------------------------------------------------------------------------ trained learners
def _rate(algorithm: str) -> str:
    """The upper rate that an algorithm's module declares as `RATE`, read without importing it; empty where none."""
    found = registry.entries("algorithms").get(algorithm)
    return "" if found is None else str(dict(found.literals).get("RATE", ""))


def _bound_row(g: Group, arrays: Mapping[str, Mapping[str, np.ndarray]]) -> Row | None:
    """Exponent over prefix horizons of one rollout, and cost against the bound at H."""
    ok = [r for r in g.records if r.status == "ok" and "prefix_cost" in arrays.get(r.id, {})]
    diverged, lost = exponents.diverged(g.records)
    if len(ok) < 2:
        return _blank("bound", g, g.label, ZERO_ONE, diverged, lost) if diverged else None
    curves = [np.asarray(arrays[r.id]["prefix_cost"], float) for r in ok]
    horizons = exponents.prefixes(g)
    stacked = (
        np.stack([c.mean(0) for c in curves])[:, None, :] if len({c.shape for c in curves}) > 1 else np.stack(curves)
    )
    slope = stats.Slope(None, reason="one horizon only")
    kept = stacked.mean((0, 1)) > 0
    if kept.sum() >= 2:
        slope = stats.slope_ci(stacked[:, :, kept], np.asarray(horizons)[kept])
    discrete = ok[0].cell.evaluation.get("deltas") == [0.0]
    cost, bound = (np.array([r.scores.get(k) or 0.0 for r in ok]) for k in ("cost", "bound_b0"))
    claim = stats.gap_bound(cost, bound, float(g.horizon)) if bound.max() > 0 else None
    ratio: tuple[float | None, float | None, float | None] = (None, None, None)
    if claim is not None:
        fieller, _ = stats.ratio_equivalent(cost, bound)
        ratio = (fieller.value, fieller.lo, fieller.hi)
    used = [h for h, k in zip(horizons, kept, strict=True) if k]
    note = "" if discrete else "tolerance: not a theorem"
    said = "; ".join(filter(None, (note, lost)))
    points: list[dict[str, Any]] = [{"claim": 0.0}] if claim is None else [dict(claim._asdict())]
    return Row("bound", g.task, g.label, ZERO_ONE, tuple(used), f"{len(ok)} seeds x {ok[0].episodes.n}", None,
               _rate(g.algorithm) if discrete else "", slope, None, ratio, "min(H, H^2 eps)", "", said, points, diverged,
               *_apart(g))  # fmt: skip


def _apart(g: Group) -> tuple[float, str]:
    """The budget of a row in episodes' worth, and its label without it."""
    return g.budget / g.horizon, label(g.algorithm, g.telling) + (f", {g.apart}" if g.apart else "")


def _judge(rows: list[Row]) -> list[Row]:
    """Verdicts of the bound rows, Holm over the claims that are theorems (discrete actions)."""
    theorems = [r for r in rows if r.kind == "bound" and not r.note and "gap" in (r.points[0] if r.points else {})]
    verdicts = dict(
        zip(map(id, theorems), stats.verdicts([stats.GapBound(**r.points[0]) for r in theorems]), strict=True)
    )  # type: ignore[arg-type]
    out = []
    for r in rows:
        if r.kind != "bound" or r.diverged:
            out.append(dataclasses.replace(r, points=[]) if r.kind == "bound" else r)
            continue
        claim = r.points[0] if r.points and "gap" in r.points[0] else None
        empirical = "EXCEEDED" if claim and claim["p"] < 0.05 else "VACUOUS" if claim and claim["vacuous"] else "WITHIN"
        verdict = verdicts.get(id(r), "NOT RUN" if claim is None else empirical)
        note = r.note if claim is not None else "no mistakes on held-out states"
        out.append(dataclasses.replace(r, verdict=verdict, note=note, points=[]))
    return out


def build(records: Iterable[Record], arrays: Mapping[str, Mapping[str, np.ndarray]]) -> list[Row | exponents.Row]:
    """Rows for every sweep over horizons in a suite's records: independent runs, prefixes, exponent budgets.

    Learners in 0-1 deployment are not among them: what a tolerance lets drift says less of them than `ilbench compounding`.
    """
    records = [r for r in records if not r.cell.evaluation.get("snap")]
    sweeps: dict[Any, list[Group]] = defaultdict(list)
    rows: list[Row] = []
    for g in distinct(group(records)):
        if _forms(g):
            sweeps[(g.task, _name(g), g.head, g.apart)].append(g)
        elif g.records[0].cell.evaluation.get("prefixes"):
            row = _bound_row(g, arrays)
            if row is not None:
                rows.append(row)
    swept = [sorted(sweep, key=lambda g: g.horizon) for sweep in sweeps.values() if len({g.horizon for g in sweep}) == len(sweep) >= 2]
    family = sum(len(_forms(sweep[0])) for sweep in swept)
    closed = [row for sweep in swept for row in _closed_form_rows(sweep, family)]
    return [*closed, *_judge(rows), *exponents.build(records, arrays, _forms, _name)]


# ---------------------------------------------------------------------------------------- rendering
def _grid(horizons: tuple[int, ...]) -> str:
    return f"{horizons[0]} ... {horizons[-1]}" if horizons else "-"


def _closed_table(rows: list[Row]) -> Table:
    columns = (
        "task", "learner", "cost", "H", "n at largest H", "exponent predicted", "measured [95 %]", "in band",
        "cost / eps H(H+1)/2", "verdict", "note",
    )  # fmt: skip
    cells = [
        (
            r.task, r.algorithm, r.cost, _grid(r.horizons), r.n, fixed(r.predicted, places=3), fixed(*r.slope[:3], places=2),
            "-" if r.in_band is None else "yes" if r.in_band else "NO", interval(*r.ratio), r.verdict or "-", r.note,
        )
        for r in rows
    ]  # fmt: skip
    notes = (
        "exponents: least-squares slope of log cost on log H over these horizons; independent runs, equal steps.",
        "in band: the closed form lies in the simultaneous 95 % band at every H. HOLDS: and the exponents agree within 0.1 (TOST).",
        "VIOLATED: the closed form lies outside a band that is simultaneous over all rows of this table.",
        *((DIVERGED,) if any(r.diverged for r in rows) else ()),
    )
    drop = ("n at largest H", "cost / eps H(H+1)/2", "H", "in band")
    return Table("Against closed forms", columns, cells, notes, drop)


def _bound_table(rows: list[Row]) -> Table:
    columns = (
        "task", "algorithm", "H", "n", "rate", "exponent of 0-1 cost [95 %]", "cost / min(H, H^2 eps) [90 %]", "bound", "note",
    )  # fmt: skip
    cells = [
        (
            r.task, r.algorithm, _grid(r.horizons), r.n, r.rate or "-",
            fixed(*r.slope[:3], places=2) if r.slope.slope is not None else f"- ({r.slope.reason})",
            interval(*r.ratio), r.verdict or "-", r.note,
        )
        for r in rows
    ]  # fmt: skip
    notes = (
        "rate: the theory's upper rate at fixed eps, where a theorem speaks; a learner may beat it. H: prefixes of one rollout.",
        "bound: cost <= min(H, H^2 eps_bar), eps_bar held out (Ross & Bagnell 2010). VACUOUS: it is no smaller than H.",
        "For continuous actions a mistake is a deviation beyond a tolerance; no theorem covers that: no rate, and the bound says "
        "WITHIN or EXCEEDED, or VACUOUS like the others.",
        *((DIVERGED,) if any(r.diverged for r in rows) else ()),
    )
    return Table("Trained learners", columns, cells, notes, ("n", "note", "H", "cost / min(H, H^2 eps) [90 %]"))


def tables(rows: list[Row | exponents.Row]) -> list[Table]:
    """All tables that there are rows for: closed forms, trained learners, why it compounds."""
    own = [r for r in rows if isinstance(r, Row)]
    closed, bounds = ([r for r in own if r.kind == kind] for kind in ("closed form", "bound"))
    why = [r for r in rows if isinstance(r, exponents.Row)]
    made = ((_closed_table, closed), (_bound_table, bounds))
    return [draw(found) for draw, found in made if found] + ([exponents.table(why)] if why else [])


def text(rows: list[Row | exponents.Row], first: str = "", width: int | None = None, full: bool = False) -> str:
    """For a terminal of `width` columns (None: any; `full`: every column); `first` says what the tables were made from."""
    found = render(tables(rows), width, full) if rows else "no sweep over horizons among these records"
    return "\n".join([*(wrapped(first, width) if first else ()), *([""] if first else ()), found])


def by_budget(rows: list[Row]) -> Table:
    """Trained learners by task, labels in episodes' worth as columns: exponent of the 0-1 cost, and the verdict where a theorem speaks."""
    budgets = sorted({r.labels for r in rows})
    lines: dict[tuple[str, str], dict[float, str]] = defaultdict(dict)
    for r in rows:
        said = "-" if r.slope.slope is None else fixed(*r.slope[:3], places=2)
        lines[r.task, r.learner][r.labels] = said + (f" {r.verdict}" if r.rate and r.verdict else "")
    cells = [(task, learner, *(by.get(b, "") for b in budgets)) for (task, learner), by in lines.items()]
    notes = (
        "Exponent of the 0-1 cost in H [95 %] by labels, in episodes of H labels; with the verdict of cost <= min(H, H^2 eps) where "
        "that is a theorem.",
    )
    return Table("Trained learners, by labels", ("task", "algorithm", *(f"{number(b)} episodes" for b in budgets)), cells, notes)


def page(rows: list[Row | exponents.Row], suite: str, first: str = "") -> str:
    """THEORY.md; where there are many rows of trained learners they stand by task, and every table of all of them is folded."""
    head = f"# Theory against measurement, {suite}\n\nGenerated by `ilbench theory --write` from the records beside it; do not edit.\n\n"
    head += f"{inert(first)}\n\n" if first else ""
    bounds = [r for r in rows if isinstance(r, Row) and r.kind == "bound"]
    if len(bounds) <= MANY:
        return head + markdown(tables(rows))
    closed = [r for r in rows if isinstance(r, Row) and r.kind == "closed form"]
    open_ones = [*([_closed_table(closed)] if closed else []), by_budget(bounds)]
    folded = [t for t in tables(rows) if t.title not in {o.title for o in open_ones}]
    return head + markdown(open_ones) + "".join(
        f"\n<details><summary>{inert(t.title)}: {len(t.rows)} rows</summary>\n\n{markdown([t])}\n</details>\n" for t in folded
    )
