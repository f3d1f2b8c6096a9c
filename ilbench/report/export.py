"""A board for a paper or another program: flat rows, tables of what a paper shows, and a macro for every cell of them.

All come from the board's rows and are worded by the same functions, so that text, tables and data cannot disagree.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from ilbench.display import latex, sheets
from ilbench.display.tables import Table, fixed, inert, interval, markdown, plain
from ilbench.report.groups import BASELINE
from ilbench.report.leaderboard import LEGEND, MORE, Board
from ilbench.report.rows import shows

WITH_LIMITS = ("score", "noisy_score", "cost", "gap", "survived")
FIRST = (
    "task",
    "horizon",
    "budget",
    "apart",
    "algorithm",
    "name",
    "head",
    "seeds",
    "episodes",
    "diverged",
    "failed",
    "undefined",
)
LAST = ("labels", "gradient_steps", "seconds", "still_falling", "worse_than_constant")
TEXTS = ("csv", "json", "markdown", "latex", "macros")


# -------------------------------------------------------------------------------------------- for programs
def _limits(r: dict[str, Any], name: str) -> dict[str, Any]:
    lo, hi = r[f"{name}_ci"]
    return {name: r[name], f"{name}_lo": lo, f"{name}_hi": hi}


def _against(r: dict[str, Any], key: str, name: str) -> dict[str, Any]:
    d = r.get(key) or {}
    return {f"{name}{end}": d.get(part) for end, part in (("", "mean"), ("_lo", "lo"), ("_hi", "hi"), ("_p", "p"))}


def flat(board: Board, suite: str) -> list[dict[str, Any]]:
    """A row per place and algorithm: what it is, n (seeds, episodes), means with their 95 % limits, the paired difference to bc."""
    asked = [name for name in shows() if name not in WITH_LIMITS]
    out: list[dict[str, Any]] = []
    for r in board.rows:
        row: dict[str, Any] = {"suite": suite} | {name: r[name] for name in FIRST}
        for name in (*WITH_LIMITS, *asked):
            row |= _limits(r, name) if f"{name}_ci" in r else {}
        row |= _against(r, "minus_baseline", f"score_minus_{BASELINE}")
        row |= _against(r, "noisy_minus_baseline", f"noisy_score_minus_{BASELINE}") if "noise" in r else {}
        out.append(plain(row | {name: r[name] for name in LAST}))
    return out


# ---------------------------------------------------------------------------------------------- for papers
def _said(r: dict[str, Any]) -> dict[str, str]:
    """The cells of a row as a paper shows them, by column: mean, limits where seeds are enough for some, n."""
    d = r["minus_baseline"]
    against = "-" if d is None else "0" if d["same"] else fixed(d["mean"], d["lo"], d["hi"])
    shaken = {"noisy score": fixed(r["noisy_score"], *r["noisy_score_ci"])} if "noise" in r else {}
    return {
        "score": fixed(r["score"], *r["score_ci"]),
        f"score - {BASELINE}": against,
        **shaken,
        "0-1 cost": interval(r["cost"], *r["cost_ci"]),
        "labels": f"{r['labels']:,.0f}",
        "n": str(r["seeds"]),
    }


def _places(board: Board) -> list[list[dict[str, Any]]]:
    by: dict[Any, list[dict[str, Any]]] = defaultdict(list)
    for r in board.rows:
        by[r["task"], r["horizon"], r["budget"], r["apart"]].append(r)
    return list(by.values())


def tables(board: Board) -> list[Table]:
    """A table per place: score, difference to bc, 0-1 cost with 95 % limits over seeds; labels bought; n, the seeds."""
    out = []
    for rows in _places(board):
        first, said = rows[0], [_said(r) for r in rows]
        columns = list(dict.fromkeys(c for cells in said for c in cells))
        title = f"{first['task']}, H = {first['horizon']}, budget {first['budget']:,} labels, {first['episodes']} episodes a seed"
        title += f" ({first['apart']})" if first["apart"] else ""
        lines = [(r["algorithm"], *(cells.get(c, "-") for c in columns)) for r, cells in zip(rows, said, strict=True)]
        notes = ("Mean over n training seeds [95 % limits for new seeds]; score: 0 = random policy, 1 = expert.",)
        out.append(Table(title, ("algorithm", *columns), lines, notes))
    return out


def cells(board: Board) -> list[tuple[tuple[str, ...], str]]:
    """(parts of its name, text) of every cell of those tables, and of its mean and limits alone.

    A name says of horizon, budget and protocol what tells the task's places apart, and no more: should another place come, the
    shorter names vanish, and a paper that uses one does not compile; none ever comes to mean something else.
    """
    places, out = _places(board), []
    versions = defaultdict(set)
    for r in board.rows:
        versions[r["task"].partition("@")[0]].add(r["task"])
    for rows in places:
        where = _where(rows[0], [p[0] for p in places if p[0]["task"] == rows[0]["task"]], versions)
        for r in rows:
            who = (*where, r["algorithm"])
            for column, text in _said(r).items():
                out.append(((*who, _worded(column)), text))
            for name, digits in (("score", True), ("cost", False)):
                values = dict(zip(("mean", "low", "high"), (r[name], *r[f"{name}_ci"]), strict=True))
                form = fixed if digits else lambda x: interval(x, None, None)
                out += [((*who, name, what), form(x)) for what, x in values.items()]
    return out


def _worded(column: str) -> str:
    return {f"score - {BASELINE}": f"minus {BASELINE}", "0-1 cost": "cost", "n": "seeds"}.get(column, column)


def _where(r: dict[str, Any], same_task: Sequence[dict[str, Any]], versions: dict[str, set[str]]) -> tuple[str, ...]:
    stem = r["task"].partition("@")[0]
    out = [stem if len(versions[stem]) == 1 else r["task"]]
    for key, letter in (("horizon", "H"), ("budget", "N")):
        out += [f"{letter}{r[key]}"] if len({p[key] for p in same_task}) > 1 else []
    return (*out, r["apart"]) if r["apart"] else tuple(out)


# ----------------------------------------------------------------------------------------------- documents
def _comment(lines: Sequence[str]) -> str:
    return "".join(f"% {latex.escaped(line)}\n" for line in lines if line)


def document(kind: str, board: Board, suite: str, first: str) -> str:
    """The whole text of one of TEXTS; `first` says what the records are and where they are from."""
    if kind == "csv":
        return sheets.csv(flat(board, suite))
    if kind == "json":
        shown = {"suite": suite, "source": first, "rows": flat(board, suite)}
        return json.dumps(shown, indent=2, allow_nan=False) + "\n"
    if kind == "markdown":
        return f"{inert(first)}\n\n{markdown(tables(board))}\n{' '.join((*LEGEND, *MORE))}\n"
    head = _comment(
        [first, "made by ilbench export; means over training seeds, limits are 95 % for new seeds", LEGEND[1]]
    )
    if kind == "latex":
        return head + latex.booktabs(tables(board))
    return head + latex.definitions(latex.macros(cells(board)))
