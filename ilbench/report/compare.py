"""Two algorithms against each other, setting by setting: paired differences, who is better, and how many seeds would decide.

Rows are paired where they share place and settings, the two algorithms' own aside, as boards pair with their baseline. A verdict
stands after Holm over all settings that are compared (5 %), as on the boards; scores are theirs too (0 random, 1 expert).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ilbench import stats
from ilbench.display.tables import READABLE, Table, fixed, plain, wrapped
from ilbench.display.tables import text as render
from ilbench.records.schema import Record
from ilbench.report.groups import Group, at_defaults, differing, group, instrument, positions, shared
from ilbench.report.overall import FEW, is_undefined
from ilbench.report.rows import difference
from ilbench.report.selection import named, of_tasks

ALPHA = 0.05  # of a verdict, after Holm


@dataclass(frozen=True)
class Comparison:
    """A row for every setting that has both, the same over all of them, and what could not be compared, a line each."""

    a: str
    b: str
    rows: list[dict[str, Any]]
    overall: dict[str, Any] | None
    notes: tuple[str, ...] = field(default=())

    def as_json(self) -> dict[str, Any]:
        """Plain values; what is not known is null."""
        shown = {"a": self.a, "b": self.b, "overall": self.overall, "rows": self.rows, "notes": list(self.notes)}
        found: dict[str, Any] = plain(shown)
        return found

    def worse_by(self, least: float) -> list[dict[str, Any]]:
        """Where A is worse, beyond doubt, and by more than `least` in score: settings, and all of them together."""
        every = [*self.rows, *([self.overall] if self.overall else [])]
        return [r for r in every if r["verdict"] == "worse" and r["difference"] < -least]


# ------------------------------------------------------------------------------------------- which rows
def _paired(mine: Sequence[Group], theirs: Sequence[Group], heads: bool) -> tuple[list[tuple[Group, Group]], list[str]]:
    """Rows of one place that share all settings but the two's own; and, a line each, those that have no such partner."""
    pairs, alone = [], []
    for g in mine:
        near = [b for b in theirs if b.place == g.place and b is not g]
        fits = [b for b in near if not differing(g, b, heads)]
        fits = [b for b in fits if at_defaults(b)] if len(fits) > 1 else fits
        if len(fits) == 1:
            pairs.append((g, fits[0]))
        elif near:
            said = ", ".join(differing(g, near[0], heads)) if not fits else f"{len(fits)} rows would fit"
            alone.append(f"{g.setting}: {g.label} and {near[0].label} are no pair: {said or 'several rows would fit'}.")
    return pairs, alone


# ---------------------------------------------------------------------------------------------- numbers
def _above(a: np.ndarray, b: np.ndarray) -> dict[str, Any]:
    """The chance that a seed scores higher with A than with B, ties half: mean over the pairs, limits for new seeds."""
    wins = np.where(a == b, 0.5, a > b)
    found = stats.seed_mean(wins, 0.0, 1.0) if len(wins) >= FEW else None
    return {"p_above": float(wins.mean()), "p_above_ci": None if found is None else [found.lo, found.hi]}


def _common(g: Group, b: Group) -> tuple[np.ndarray, np.ndarray] | None:
    """Scores `[S]`, `[S]` of the seeds that both have; None where there is no score or fewer than two."""
    seeds = shared(g, b)
    x, y = g.scored(), b.scored()
    if x is None or y is None or len(seeds) < 2:
        return None
    return x[positions(g.seeds, seeds)], y[positions(b.seeds, seeds)]


def _row(g: Group, b: Group) -> dict[str, Any]:
    """What is known of a pair before the verdicts, which are about all pairs at once."""
    where = {"task": g.task, "horizon": g.horizon, "budget": g.budget, "apart": g.apart, "a": g.label, "b": b.label}
    pair, found = _common(g, b), difference(g, b)
    if pair is None or found is None:
        return where | {
            "difference": None,
            "difference_ci": [None, None],
            "p": None,
            "seeds": 0,
            "same": False,
            "d": None,
        }
    a_score, b_score = (float(x.mean()) for x in pair)
    numbers = {
        "difference": found["mean"],
        "difference_ci": [found["lo"], found["hi"]],
        "p": found["p"],
        "same": found["same"],
    }
    scores = {"a_score": a_score, "b_score": b_score, "seeds": found["seeds"]}
    return where | scores | numbers | _above(*pair) | {"d": pair[0] - pair[1]}


def _judge(rows: Sequence[dict[str, Any]]) -> None:
    """Puts verdicts and the seeds that would decide into rows of one family, in place of their differences `d [S]`."""
    tested = [r for r in rows if r["p"] is not None and not r["same"]]
    for r, adjusted in zip(tested, stats.holm([r["p"] for r in tested]) if tested else (), strict=True):
        r["p_holm"] = float(adjusted)
    for r in rows:
        d, adjusted = r.pop("d"), r.setdefault("p_holm", None)
        clear = adjusted is not None and adjusted < ALPHA
        r["verdict"] = (
            "no score" if r["difference"] is None else "the same" if r["same"]
            else "undecided" if not clear else "better" if r["difference"] > 0 else "worse"
        )  # fmt: skip
        # Planned for the strictest level of Holm's, that of the first of all settings that are compared.
        open_ = r["verdict"] == "undecided" and len(d) >= FEW
        r["seeds_needed"] = stats.seeds_needed(d, ALPHA / max(1, len(tested))) if open_ else None
        r["needed_is_least"] = bool(
            open_ and stats.intervals.crowded(d)
        )  # ties: the test that is used then asks for more


def _overall(pairs: Sequence[tuple[Group, Group]]) -> dict[str, Any] | None:
    """The mean over settings, each seed's first, of the pairs that have a score; None for one setting or too few seeds."""
    known = [(g, b) for g, b in pairs if not is_undefined(g) and not is_undefined(b) and _common(g, b) is not None]
    seeds = sorted(set.intersection(*(set(g.seeds) & set(b.seeds) for g, b in known))) if known else []
    if len(known) < 2 or len(seeds) < 2:
        return None
    a, b = (
        np.stack([np.asarray(x[i].scored())[positions(x[i].seeds, seeds)] for x in known], axis=1)
        for i in (0, 1)
    )
    mean, lo, hi, p = stats.seed_difference(a.mean(1), b.mean(1), *stats.score_range(a, b))
    wins, few = np.where(a == b, 0.5, a > b).mean(1), len(seeds) < FEW
    above = None if few else stats.seed_mean(wins, 0.0, 1.0)
    row = {
        "settings": len(known), "seeds": len(seeds), "a_score": float(a.mean()), "b_score": float(b.mean()),
        "difference": mean, "difference_ci": [None, None] if few else [lo, hi], "p": None if few else p,
        "p_above": float(wins.mean()), "p_above_ci": None if above is None else [above.lo, above.hi],
        "same": bool(np.array_equal(a, b)), "d": a.mean(1) - b.mean(1),
    }  # fmt: skip
    _judge([row])
    return row


def build(records: Iterable[Record], a: str, b: str, tasks: str | None = None) -> Comparison:
    """A against B on every setting that has both; ValueError for names that are not there and where nothing can be compared."""
    groups = of_tasks([g for g in group(records) if not instrument(g)], tasks)
    mine, theirs = named(groups, a), named(groups, b)
    if {id(g) for g in mine} == {id(g) for g in theirs} and len({g.place for g in mine}) == len(mine):
        raise ValueError(
            f"{a} and {b} are the same rows; give two algorithms, two heads (bc/mse bc/mlp) or two labels of the board"
        )
    heads = a.partition("/")[2] != b.partition("/")[2] and "/" in a and "/" in b
    pairs, alone = _paired(mine, theirs, heads)
    if not pairs:
        where = sorted({g.setting for g in mine}), sorted({g.setting for g in theirs})
        why = alone or [f"{name} runs on {', '.join(at)}." for name, at in zip((a, b), where, strict=True)]
        raise ValueError(f"{a} and {b} share no setting. {' '.join(why[:4])}")
    rows = [_row(g, other) for g, other in pairs]
    _judge(rows)
    once = len({g.place for g, _ in pairs}) == len(pairs)  # else a setting would count twice
    several = (
        ()
        if once
        else (f"{a} or {b} has several rows on a setting: name one of each by its label for a line over all.",)
    )
    return Comparison(a, b, rows, _overall(pairs) if once else None, (*several, *alone))


# ------------------------------------------------------------------------------------------------- text
def _needed(r: dict[str, Any]) -> str:
    if r["verdict"] != "undecided":
        return ""
    if r["seeds_needed"] is None:
        return "?"
    return f"{'at least ' if r['needed_is_least'] else ''}{max(r['seeds_needed'], r['seeds'] + 1):,}"


def _cells(r: dict[str, Any]) -> tuple[str, ...]:
    if r["difference"] is None:
        return ("-", "-", "-", "-", r["verdict"], "")
    low, high = r["p_above_ci"] or (None, None)
    above = fixed(r["p_above"], low, high, places=2)
    shown = "0 (the same)" if r["same"] else fixed(r["difference"], *r["difference_ci"])
    return (fixed(r["a_score"]), fixed(r["b_score"]), shown, above, r["verdict"], _needed(r))


def table(c: Comparison) -> Table:
    """A line per setting, and one for all of them."""
    rows = []
    for r in c.rows:
        where = f"{r['task']} H={r['horizon']} n={r['budget']}" + (f" ({r['apart']})" if r["apart"] else "")
        named = "" if (r["a"], r["b"]) == (c.a, c.b) else f": {r['a']}, {r['b']}"
        rows.append((where + named, *_cells(r), str(r["seeds"])))
    if c.overall is not None:
        rows.append((f"all {c.overall['settings']} together", *_cells(c.overall), str(c.overall["seeds"])))
    columns = ("setting", "A", "B", "A - B [95 %]", "P(A > B)", "A is", "seeds to decide", "seeds")
    return Table(f"A = {c.a} against B = {c.b}", columns, rows, c.notes, ("seeds", "B", "A"))


LEGEND = (
    "Scores: 0 = random policy, 1 = expert; differences are paired by seed, limits are for new seeds. P(A > B): share of seeds that "
    f"score higher with A, ties half. A is better or worse where that stands after Holm over the settings ({100 * ALPHA:.0f} %). "
    f"Seeds to decide: with chance {100 * stats.power.POWER:.0f} %, should the difference be as large as it was seen to be, at the "
    "strictest of Holm's levels; that size is itself a guess.",
)


def text(c: Comparison, first: str = "", width: int | None = None, full: bool = False) -> str:
    """For a terminal of `width` columns (None: any)."""
    head, foot = ([line for t in ts if t for line in wrapped(t, width or READABLE)] for ts in ((first,), LEGEND))
    return "\n".join([*head, *([""] if head else []), render([table(c)], width, full), "", *foot])
