"""The leaderboard: a table per place, after those over many tasks (overall.py, settings.py).

Score 0 is a random policy, 1 the expert. Every number of a row is a mean over seeds, so that scores, their differences and
the ranking cannot disagree (an interquartile mean would also hide the one seed in ten that fails, which is what a board of
imitation has to show). Intervals are 95 %; differences are paired by seed, because all algorithms start evaluation from
the same states, with the baseline that shares head, settings and protocol. Missing, undefined and diverged are three
things: a score that was not measured or does not exist is "-" and in no ranking; a diverged seed scores min(0, the worst
seed), has fallen, errs at every step and loses what a random policy loses.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from ilbench import registry, stats
from ilbench.display.tables import READABLE, Table, fixed, inert, interval, markdown, number, plain, shown, wrapped
from ilbench.display.tables import text as render
from ilbench.measures.convergence import TOLERANCE
from ilbench.records.schema import Record
from ilbench.report import overall, settings
from ilbench.report.groups import BASELINE, Group, also, baseline, group, instrument
from ilbench.report.overall import FEW
from ilbench.stats.intervals import seed_means

CONTROL = ("takeovers", "takeover_steps", "switches")  # what the ledger says of who acted
MEANS = ("score", "noisy_score", "gap", "cost", "survived")  # over seeds, that every board shows
FALLING = TOLERANCE  # a held-out loss that fell by more over the last half of the fit has not converged
SURVIVES = 0.8  # a noise under which the expert scores less says nothing about learners


@dataclass(frozen=True)
class Board:
    """Tables, and the rows behind them as plain values."""

    tables: list[Table]
    rows: list[dict[str, Any]]
    overall: list[dict[str, Any]] = field(default_factory=list)
    lines: tuple[str, ...] = ()  # what is to be known before the tables are read

    def as_json(self) -> dict[str, Any]:
        """`rows`, one object per place and row; `overall`, the rankings; numbers that are not finite are null."""
        found: dict[str, Any] = plain({"overall": self.overall, "rows": self.rows, "notes": list(self.lines)})
        return found


# -------------------------------------------------------------------------------------------- rows
def _at_worst(g: Group, name: str, worst: float) -> np.ndarray:
    """Values `[S]` of what is better when small; a diverged seed has the larger of `worst` and the worst other seed."""
    x = g.values(name)
    return np.where(g.diverged, max([worst, *x[np.isfinite(x)]]), x)


class _Wanted(NamedTuple):
    """A mean over seeds that a row wants: values `[S]` in [lo, hi], or None where there are none."""

    x: np.ndarray | None
    lo: float
    hi: float


def _within(x: np.ndarray, lo: float, hi: float) -> _Wanted:
    known = x[np.isfinite(x)]
    return _Wanted(known, min(lo, *known), max(hi, *known)) if len(known) else _Wanted(None, lo, hi)


def shows() -> dict[str, str]:
    """What measures ask to be shown, by key: their literals SHOWS, nothing being imported."""
    return {k: v for entry in registry.entries("measures").values() for k, v in dict(entry.literals).get("SHOWS", {}).items()}


def _shown(g: Group) -> dict[str, _Wanted]:
    """The mean of every key that is to be shown; what a seed that diverged would have had nobody knows."""
    return {name: _within(g.values(name), -np.inf, np.inf) for name in shows() if any(name in r.scores for r in g.records)}


def _scored(g: Group, name: str = "score") -> _Wanted:
    x = g.scored(name)
    return _Wanted(None, 0.0, 1.0) if x is None else _Wanted(x, *stats.score_range(x))


def _settle(rows: list[dict[str, Any]]) -> None:
    """Puts means, limits (`_ci`) and, where seeds are too few for limits, the values (`_points`) in place of what is wanted.

    All at once, on ranges scaled to [0, 1]: a board has a thousand of them.
    """
    many: dict[int, list[tuple[dict[str, Any], str, _Wanted]]] = defaultdict(list)
    for row in rows:
        for name, wanted in [(name, w) for name, w in row.items() if isinstance(w, _Wanted)]:
            x = wanted.x
            row |= {name: None if x is None else float(x.mean()), f"{name}_ci": [None, None], f"{name}_points": None}
            if x is None:
                continue
            if len(x) < FEW:
                row[f"{name}_points"] = [float(v) for v in x]
            elif np.isfinite(wanted.hi - wanted.lo):
                many[len(x)].append((row, name, wanted))
            else:
                found = stats.seed_mean(x, wanted.lo, wanted.hi)
                row[f"{name}_ci"] = [found.lo, found.hi]
    for asked in many.values():
        scaled = np.stack([np.clip((w.x - w.lo) / (w.hi - w.lo), 0, 1) for *_, w in asked if w.x is not None])
        for (row, name, w), low, high in zip(asked, *seed_means(scaled, 0.0, 1.0), strict=True):
            row[f"{name}_ci"] = [float(w.lo + (w.hi - w.lo) * limit) for limit in (low, high)]


def _difference(g: Group, base: Group | None, name: str = "score") -> dict[str, Any] | None:
    """Score minus the baseline's, paired by seed: mean, limits, two-sided p; limits are None for few seeds."""
    if base is None:
        return None
    common = [s for s in g.seeds if s in base.seeds]
    a, b = (x.scored(name) for x in (g, base))
    if len(common) < 2 or a is None or b is None:
        return None
    a, b = (x[[group.seeds.index(s) for s in common]] for x, group in ((a, g), (b, base)))
    mean, lo, hi, p = stats.seed_difference(a, b, *stats.score_range(a, b))
    few = len(common) < FEW
    return {
        "mean": mean,
        "lo": None if few else lo,
        "hi": None if few else hi,
        "p": None if few else p,
        "seeds": len(common),
        "baseline": base.label,
        "same": all(_equal(g, base, other) for other in ("return", "cost", "gap", name)),
    }


def _equal(a: Group, b: Group, name: str) -> bool:
    return bool(a.seeds == b.seeds and np.array_equal(a.values(name), b.values(name), equal_nan=True))


def _variants(g: Group) -> dict[str, float | None]:
    """Mean score over seeds of each policy that the algorithm also returned."""
    out: dict[str, float | None] = {}
    for name in sorted({name for r in g.records for name in r.variants}):
        x = g.scored(variant=name)
        out[name] = None if x is None else float(x.mean())
    return out


def _falling(g: Group) -> float | None:
    """By what share the held-out loss still fell over the last half of the fit, in the mean over seeds; None: not recorded."""
    end, half = g.values("held_out_loss"), g.values("held_out_loss_half")
    known = np.isfinite(end) & np.isfinite(half)
    if not known.any():
        return None
    drop = np.divide(half - end, np.abs(half), out=np.zeros_like(half), where=known & (half != 0))
    return float(drop[known].mean())


def _noisy(g: Group, base: Group | None) -> dict[str, Any]:
    """Columns under noise; no score where the expert itself cannot act under it."""
    if not any("noisy_score" in r.scores for r in g.records):
        return {}
    expert = g.values("noisy_expert_score")
    expert_score = float(np.nanmean(expert)) if np.isfinite(expert).any() else None
    hopeless = expert_score is not None and expert_score < SURVIVES
    return {
        "noise": g.records[0].cell.evaluation["noise"],
        "noisy_expert_score": expert_score,
        "noisy_score": _Wanted(None, 0.0, 1.0) if hopeless else _scored(g, "noisy_score"),
        "noisy_minus_baseline": None if hopeless else _difference(g, base, "noisy_score"),
    }


def _row(g: Group, base: Group | None) -> dict[str, Any]:
    first = g.records[0]
    means = {name: reference.mean for name, reference in first.references.items()}
    best, random = means.get("expert"), means.get("random")
    worst = max(0.0, best - random) if best is not None and random is not None else np.inf
    shared = [x for x in (getattr(r.cost, "shared_s", None) for r in g.records) if x is not None]
    constant = [r.scores.get("worse_than_constant") for r in g.records]
    own = _noisy(g, base) | {
        "task": g.task,
        "horizon": g.horizon,
        "budget": g.budget,
        "apart": g.apart,
        "algorithm": g.label,
        "name": g.algorithm,
        "head": g.head,
        "seeds": len(g.records),
        "episodes": first.episodes.n or first.cell.evaluation.get("episodes"),
        "diverged": int(g.diverged.sum()),
        "failed": g.failed,
        "undefined": overall.is_undefined(g),
        "still_falling": _falling(g),
        "worse_than_constant": sum(x == 1.0 for x in constant) if any(x is not None for x in constant) else None,
        "score": _scored(g),
        "gap": _within(_at_worst(g, "gap", worst if np.isfinite(worst) else 0.0), 0.0, worst),
        "cost": _within(_at_worst(g, "cost", g.horizon), 0.0, float(g.horizon)),
        "survived": _within(np.where(g.diverged, 0.0, g.values("survived")), 0.0, 1.0),
        "labels": float(np.mean([r.cost.labels for r in g.records])),
        "gradient_steps": float(np.mean([r.cost.gradient_steps for r in g.records])),
        "seconds": float(np.mean([r.cost.run_s or 0.0 for r in g.records])),
        "shared_seconds": float(np.mean(shared)) if shared else None,
        **{name: float(np.mean([getattr(r.cost, name, 0) for r in g.records])) for name in CONTROL},
        "minus_baseline": _difference(g, base),
        "variants": _variants(g),
    }
    return {name: wanted for name, wanted in _shown(g).items() if name not in own} | own


# ------------------------------------------------------------------------------------------ tables
def _marks(r: dict[str, Any]) -> str:
    """What is wrong with a row, behind its name."""
    falling, constant = r["still_falling"], r["worse_than_constant"]
    marks = ("*" if falling is not None and falling > FALLING else "") + ("!" if constant else "")
    lost = [f"{r[name]} {name}" for name in ("diverged", "failed") if r[name]]
    return marks + (f" ({', '.join(lost)})" if lost else "")


def _cell(r: dict[str, Any], name: str) -> str:
    """A score with its limits, or the seeds' values where they are few."""
    points = r[f"{name}_points"]
    if points:
        return fixed(r[name]) + (f" ({', '.join(fixed(x, places=2) for x in points)})" if len(points) > 1 else "")
    return fixed(r[name], *r[f"{name}_ci"])


def _limits(r: dict[str, Any], name: str) -> str:
    lo, hi = r[f"{name}_ci"]
    return fixed(r[name], lo, hi, places=2)


def _against(d: dict[str, Any] | None) -> str:
    if d is None:
        return "-"
    return "0 (the same)" if d["same"] else fixed(d["mean"], d["lo"], d["hi"])


def _task_table(gs: list[Group], rows: list[dict[str, Any]]) -> Table:
    first = rows[0]
    noise = next((r["noise"] for r in rows if "noise" in r), None)
    heads, seeds = ({r[name] for r in rows} for name in ("head", "seeds"))
    shaken, shaken_less = (f"under noise {noise:g}", f"noise - {BASELINE}") if noise is not None else ("", "")
    asked = [name for name in shows() if name not in MEANS and any(r.get(f"{name}_ci") for r in rows)]
    found: list[dict[str, str]] = []
    for r in sorted(rows, key=lambda r: (-(r["score"] if r["score"] is not None else -np.inf), r["algorithm"])):
        row = {
            "algorithm": r["algorithm"] + _marks(r),
            "head": r["head"],
            "seeds": str(r["seeds"]),
            "score": _cell(r, "score"),
            f"score - {BASELINE}": _against(r["minus_baseline"]),
        }
        if noise is not None:
            row |= {
                shaken: _cell(r, "noisy_score") if "noise" in r else "-",
                shaken_less: _against(r.get("noisy_minus_baseline")),
            }
        found.append(
            row
            | {
                "0-1 cost": interval(r["cost"], *r["cost_ci"]),
                **{name: interval(r.get(name), *r.get(f"{name}_ci", (None, None))) for name in asked},
                "survived": _limits(r, "survived"),
                "labels": f"{r['labels']:,.0f}",
                "return gap": interval(r["gap"], *r["gap_ci"]),
                "updates": f"{r['gradient_steps']:,.0f}",
                "takeovers": f"{r['takeovers']:,.0f} ({r['takeover_steps']:,.0f} steps)",
                "s/seed": number(r["seconds"])
                + (f" (+ {number(r['shared_seconds'])} shared)" if r["shared_seconds"] else ""),
                "score by policy": ", ".join(f"{name} {fixed(x)}" for name, x in r["variants"].items()) or "-",
            }
        )
    same = [c for c, values in (("head", heads), ("seeds", seeds)) if len(values) == 1]
    counted = f"{seeds.copy().pop()} seeds x " if len(seeds) == 1 else ""
    title = f"{first['task']}, H = {first['horizon']}, budget {first['budget']:,} labels, {counted}{first['episodes']} episodes"
    title += f", head {first['head']}" if len(heads) == 1 else ""
    if all(r["survived"] == 1.0 for r in rows):
        same.append("survived")
    if not any(r["takeovers"] for r in rows):
        same.append("takeovers")
    columns = tuple(c for c in found[0] if c not in same)
    return Table(
        title + (f" ({first['apart']})" if first["apart"] else ""),
        columns,
        [tuple(row[c] for c in columns) for row in found],
        _notes(gs, rows),
        ("survived", shaken_less, *asked, "labels", "0-1 cost", "seeds", "head"),
        ("return gap", "updates", "takeovers", "s/seed", "score by policy"),
    )


def _notes(gs: list[Group], rows: list[dict[str, Any]]) -> tuple[str, ...]:
    """What a reader of this table must know."""
    out = []
    falling = [r for r in rows if "*" in _marks(r)]
    if falling:
        most = max(r["still_falling"] for r in falling)
        out.append(
            f"*: not converged, the held-out loss still fell by up to {100 * most:.0f} % over the last half of the fit."
        )
    out += [
        f"!: {r['worse_than_constant']} of {r['seeds']} fits of {r['algorithm']} are worse than the best constant action."
        for r in rows
        if r["worse_than_constant"]
    ]
    if any(r["undefined"] for r in rows):
        out.append("score -: the expert is no better than a random policy here, so there is none.")
    shaken = [r["noisy_expert_score"] for r in rows if r.get("noisy_expert_score") is not None]
    if shaken and min(shaken) < SURVIVES:
        out.append(f"under noise -: the expert itself cannot act under it (score {fixed(min(shaken), places=2)}).")
    alone = [g.label for g, r in zip(gs, rows, strict=True) if g.algorithm != BASELINE and baseline(g, gs) is None]
    if alone and any(g.algorithm == BASELINE for g in gs):
        out.append(f"No {BASELINE} shares head and settings of: {', '.join(alone)}.")
    out += also(gs)
    return tuple(out)


def build(records: Iterable[Record]) -> Board:
    """The board of a suite's records; instruments are left out."""
    groups = [g for g in group(records) if not instrument(g)]
    by_place: dict[Any, list[Group]] = defaultdict(list)
    for g in groups:
        by_place[(g.task, g.horizon, g.budget, g.place)].append(g)
    places = [gs for _, gs in sorted(by_place.items())]
    by_row = [[_row(g, baseline(g, gs)) for g in gs] for gs in places]
    rows = [row for these in by_row for row in these]
    _settle(rows)
    tables = [_task_table(gs, these) for gs, these in zip(places, by_row, strict=True)]
    wide = [*overall.tables(groups), settings.against(rows), settings.relative(groups)]
    return Board([t for t in wide if t] + tables, rows, overall.rankings(groups), _lines(rows))


def _lines(rows: list[dict[str, Any]]) -> tuple[str, ...]:
    """What holds of the whole board: how many rows had not converged, and which noise nobody can act under."""
    out = []
    known = [r for r in rows if r["still_falling"] is not None]
    if known:
        falling = sum(r["still_falling"] > FALLING for r in known)
        out.append(
            f"{falling} of {len(known)} rows with a trained head had not converged when they were scored (*): "
            f"held-out loss falling by more than {100 * FALLING:.0f} % over the last half of the fit."
        )
    elif any(r["gradient_steps"] for r in rows):
        out.append("Whether fits had converged was not recorded.")
    few = sum(r["seeds"] < FEW for r in rows)
    if few:
        out.append(
            f"Fewer than {FEW} seeds in {few} of {len(rows)} rows: too few for limits, so their scores stand in brackets."
        )
    constant = sum(bool(r["worse_than_constant"]) for r in rows)
    if constant:
        out.append(f"{constant} rows hold fits that are worse than the best constant action (!).")
    if any("noise" in r and r["noisy_expert_score"] is None for r in rows):
        out.append(
            "Scores under noise: the expert without noise is 1; whether it can act under the noise was not recorded."
        )
    return tuple(out)


# --------------------------------------------------------------------------------------- rendering
LEGEND = (
    "Means over training seeds; 95 % limits for new seeds, not new episodes. score: 0 = random policy, 1 = expert.",
    f"score - {BASELINE}: difference paired by seed to the {BASELINE} that shares head, settings and protocol.",
    "0-1 cost: steps of H whose action is not the expert's, all after a fall included. labels: revealed, of the budget.",
)
MORE = (
    "Limits: studentised bootstrap over seeds; where more than a quarter of the seeds tie at the least or largest value, exact or "
    "betting limits over the range, a seed that fails being taken to score 0. Elsewhere a failure rarer than one in a third of the "
    "seeds is not allowed for. Fewer than 5 seeds: points. A diverged seed scores min(0, the worst), has fallen, errs at every step "
    "and has the gap of a random policy, or the worst. survived is shown where not everybody did. return gap: to the expert on the "
    "same episodes. labels: demonstrations and validation included. updates: gradient steps of the policy. s/seed: wall seconds "
    "without compiling; shared: references and expert rollouts of the task, stated by the row that ran first. Records that state no "
    "shared seconds have them in that row's own.",
)


def _legend(board: Board) -> list[str]:
    """What the columns say that measures asked for."""
    there = {column for table in board.tables for column in table.columns}
    return [f"{shown(name)}: {shown(what)}." for name, what in shows().items() if name in there]


def text(board: Board, first: str = "", width: int | None = None, full: bool = False) -> str:
    """For a terminal of `width` columns (None: any); `full`: every column and how the limits are made."""
    if not board.tables:
        return "\n".join(filter(None, (first, "no records that belong on a board (instruments never do)")))
    head = [line for text in (first, *board.lines) if text for line in wrapped(text, width)]
    legend = [*LEGEND, *_legend(board), *(MORE if full else ("--full: all columns, and how limits are made.",))]
    foot = [line for text in legend for line in wrapped(text, width or READABLE)]
    return "\n".join([*head, *([""] if head else []), render(board.tables, width, full), "", *foot])


def page(board: Board, suite: str, first: str = "") -> str:
    """LEADERBOARD.md, every column."""
    lines = "  \n".join(inert(line) for line in (first, *board.lines) if line)
    head = f"# Leaderboard of {suite}\n\nGenerated by `ilbench leaderboard --write`; do not edit.\n\n{lines}\n\n"
    return head + " ".join((*LEGEND, *map(inert, _legend(board)), *MORE)) + "\n\n" + markdown(board.tables)
