"""The leaderboard: a table per place, after those over many tasks (overall.py, settings.py).

Score 0 is a random policy, 1 the expert. Every number of a row is a mean over seeds, so that scores, their differences and
the ranking cannot disagree (an interquartile mean would also hide the one seed in ten that fails, which is what a board of
imitation has to show). Intervals are 95 %; differences are paired by seed, because all algorithms start evaluation from
the same states, with the baseline that shares head, settings and protocol. Missing, undefined and diverged are three
things: a score that was not measured or does not exist is "-" and in no ranking; a diverged seed scores min(0, the worst
seed), has fallen, errs at every step and loses what a random policy loses.
"""

from __future__ import annotations

import collections
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ilbench.display.tables import READABLE, Table, fixed, inert, interval, markdown, number, plain, shown, wrapped
from ilbench.display.tables import text as render
from ilbench.records.schema import Record
from ilbench.records.verified import said
from ilbench.report import overall, settings
from ilbench.report.groups import BASELINE, Group, also, baseline, group, instrument
from ilbench.report.overall import FEW
from ilbench.report.rows import FALLING, MEANS, SURVIVES, marks, row_of, settle, shows


@dataclass(frozen=True)
class Board:
    """Tables, and the rows behind them as plain values."""

    tables: list[Table]
    rows: list[dict[str, Any]]
    overall: list[dict[str, Any]] = field(default_factory=list)
    lines: tuple[str, ...] = ()  # what is to be known before the tables are read
    wide: int = 0  # how many of the tables, the first, are over many places; of the others each has its rows, in order

    def as_json(self) -> dict[str, Any]:
        """`rows`, one object per place and row; `overall`, the rankings; numbers that are not finite are null."""
        found: dict[str, Any] = plain({"overall": self.overall, "rows": self.rows, "notes": list(self.lines)})
        return found


# ------------------------------------------------------------------------------------------ tables
def marked(r: dict[str, Any]) -> str:
    """What is wrong with a row, behind its name."""
    said = marks(r["still_falling"], r["worse_than_constant"], r["gate_never"] + r["gate_always"])
    lost = [f"{r[name]} {name}" for name in ("diverged", "failed") if r[name]]
    return said + (f" ({', '.join(lost)})" if lost else "")


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
            "algorithm": r["algorithm"] + marked(r),
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
                **({"verified": said(r.get("verified", {}), r["seeds"])} if any("verified" in one for one in rows) else {}),
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
    falling = [r for r in rows if "*" in marked(r)]
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
    out += [
        f"#: the gate of {r['algorithm']} never opened in {r['gate_never']} and never closed in {r['gate_always']} of {r['seeds']} seeds; "
        f"{r['labels']:,.0f} of {r['budget']:,} labels were spent in the mean."
        for r in rows
        if r["gate_never"] + r["gate_always"]
    ]
    if any(r["undefined"] for r in rows):
        out.append("score -: the expert is no better than a random policy here, so there is none.")
    shaken = [r["noisy_expert_score"] for r in rows if r.get("noisy_expert_score") is not None]
    if shaken and min(shaken) < SURVIVES:
        out.append(f"under noise -: the expert itself cannot act under it (score {fixed(min(shaken), places=2)}).")
    alone = [g.label for g, r in zip(gs, rows, strict=True) if g.algorithm != BASELINE and baseline(g, gs) is None]
    if alone and any(g.algorithm == BASELINE for g in gs):
        out.append(f"No {BASELINE} shares head and settings of: {', '.join(alone)}.")
    if any("contradicted" in r.get("verified", {}) for r in rows):
        out.append("CONTRADICTED: run again, the numbers did not come (ilbench verify); they count here as they are stated.")
    out += also(gs)
    return tuple(out)


def by_place(groups: Sequence[Group]) -> list[list[Group]]:
    """Rows that may be compared, place by place; the rows of a board are in this order."""
    found: dict[Any, list[Group]] = defaultdict(list)
    for g in groups:
        found[(g.task, g.horizon, g.budget, g.place)].append(g)
    return [gs for _, gs in sorted(found.items())]


def build(records: Iterable[Record], tiers: Mapping[str, str] | None = None) -> Board:
    """The board of a suite's records; instruments are left out. `tiers` says of some ids that somebody went over them since."""
    return of(shown_groups(records), tiers)


def shown_groups(records: Iterable[Record]) -> list[Group]:
    """The rows that belong on a board."""
    return [g for g in group(records) if not instrument(g)]


def of(groups: Sequence[Group], tiers: Mapping[str, str] | None = None) -> Board:
    """The board of rows; one whose baseline is not among them has nothing that it is compared with."""
    places = by_place(groups)
    by_row = [[row_of(g, baseline(g, gs)) for g in gs] for gs in places]
    rows = [row for these in by_row for row in these]
    settle(rows)
    known = tiers or {}
    for g, row in zip((g for gs in places for g in gs), rows, strict=True):
        if found := collections.Counter(known[r.id] for r in g.records if r.id in known):
            row["verified"] = dict(found)
    tables = [_task_table(gs, these) for gs, these in zip(places, by_row, strict=True)]
    ranked = overall.rankings(groups)
    wide = [*map(overall.table, ranked), settings.against(rows), settings.relative(groups)]
    first = [t for t in wide if t]
    return Board(first + tables, rows, ranked, _lines(rows), len(first))


def unconverged(rows: Sequence[dict[str, Any]]) -> tuple[int, int]:
    """How many rows had not converged by the boards' rule, of how many of which that was recorded."""
    known = [r["still_falling"] for r in rows if r["still_falling"] is not None]
    return sum(fell > FALLING for fell in known), len(known)


def _lines(rows: list[dict[str, Any]]) -> tuple[str, ...]:
    """What holds of the whole board: how many rows had not converged, and which noise nobody can act under."""
    out = []
    falling, known = unconverged(rows)
    if known:
        out.append(
            f"{falling} of {known} rows with a trained head had not converged when they were scored (*): "
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
        out.append(f"{constant} row{'s hold' if constant > 1 else ' holds'} fits that are worse than the best constant action (!).")
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


VERIFIED = (
    "verified: what others found of a row's records (ilbench verify): checked = ids, seals and scores computed again; re-evaluated = "
    "its stored policy rolled out again; reproduced = trained again; -: self-reported."
)


def legend(board: Board) -> list[str]:
    """What the columns say that measures asked for, and what verified means where there is something."""
    there = {column for table in board.tables for column in table.columns}
    tiers = [VERIFIED] if "verified" in there else []
    return [f"{shown(name)}: {shown(what)}." for name, what in shows().items() if name in there] + tiers


def text(board: Board, first: str = "", width: int | None = None, full: bool = False) -> str:
    """For a terminal of `width` columns (None: any); `full`: every column and how the limits are made."""
    if not board.tables:
        return "\n".join(filter(None, (first, "no records that belong on a board (instruments never do)")))
    head = [line for text in (first, *board.lines) if text for line in wrapped(text, width)]
    said = [*LEGEND, *legend(board), *(MORE if full else ("--full: all columns, and how limits are made.",))]
    foot = [line for text in said for line in wrapped(text, width or READABLE)]
    return "\n".join([*head, *([""] if head else []), render(board.tables, width, full), "", *foot])


def page(board: Board, suite: str, first: str = "", tuned: Table | None = None) -> str:
    """LEADERBOARD.md, every column; `tuned`: what was tried for the suite, below all."""
    lines = "  \n".join(inert(line) for line in (first, *board.lines) if line)
    head = f"# Leaderboard of {suite}\n\nGenerated by `ilbench leaderboard --write`; do not edit.\n\n{lines}\n\n"
    tables = [*board.tables, *([] if tuned is None else [tuned])]
    return head + " ".join((*LEGEND, *map(inert, legend(board)), *MORE)) + "\n\n" + markdown(tables)
