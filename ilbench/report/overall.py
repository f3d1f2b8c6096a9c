"""Rows ranked over many tasks, equally weighted: those that ran everywhere, and all over what they share.

What is ranked is an algorithm with its head and with every setting that tells it from a namesake somewhere on the board.
Two tables where they differ: a row that does not fit a task must not take that task from the others' ranking. A setting
whose score is undefined (the expert is no better than a random policy) leaves the ranking of all.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np

from ilbench import stats
from ilbench.display.tables import Table, fixed
from ilbench.report.groups import Group, positions

K = TypeVar("K")
V = TypeVar("V")
LEAST = 2  # settings to rank over, and rows to rank
FEW = 5  # seeds below which there are points and no intervals


def tables(groups: Sequence[Group]) -> list[Table]:
    """The ranking of the rows that ran on every setting, and that of all that share settings enough."""
    return [table(ranking) for ranking in rankings(groups)]


class Compared(NamedTuple):
    """Rows on the settings that all of them ran on: scores `[S, T]` by label, one group per setting, the seeds of all."""

    scores: dict[str, np.ndarray]
    settings: tuple[Group, ...]  # some row's; they say which settings
    seeds: tuple[int, ...]
    of: int  # settings that any row ran on
    undefined: list[str]  # settings left out, in words

    def plain_settings(self) -> list[dict[str, Any]]:
        """The settings as plain values."""
        return [{"task": g.task, "horizon": g.horizon, "budget": g.budget, "apart": g.apart} for g in self.settings]


def rankings(groups: Sequence[Group]) -> list[dict[str, Any]]:
    """The rankings of the rows that ran on every setting, and of all that share settings enough, as plain values."""
    return [_ranking(c) for c in compared(groups)]


def compared(groups: Sequence[Group], least: int = LEAST) -> list[Compared]:
    """The rows that ran on every setting, and those that share settings enough: `least` at least."""
    undefined = {g.place for g in groups if is_undefined(g)}
    left_out = sorted({g.setting for g in groups if g.place in undefined})
    ran: dict[str, dict[str, Group]] = defaultdict(dict)
    for g in groups:
        if g.place not in undefined and g.scored() is not None:
            ran[g.label][g.place] = g
    every = {place for places in ran.values() for place in places}
    complete = {label: places for label, places in ran.items() if set(places) == every}
    shared = sharing(ran, least)
    found = [_common(complete, len(every), left_out, least)]
    if set(shared) != set(complete):
        found.append(_common(shared, len(every), left_out, least))
    return [c for c in found if c is not None]


def is_undefined(g: Group) -> bool:
    """Whether a run that came to its end has no score, although it was measured: there is none."""
    return any(r.status == "ok" and "score" in r.scores and r.scores["score"] is None for r in g.records)


def sharing(ran: dict[str, dict[K, V]], least: int = LEAST) -> dict[str, dict[K, V]]:
    """The rows by settings run, the most first, each taken while at least `least` settings remain common to all."""
    taken: dict[str, dict[K, V]] = {}
    common: set[K] | None = None
    for label, places in sorted(ran.items(), key=lambda item: (-len(item[1]), item[0])):
        left = set(places) if common is None else common & set(places)
        if len(left) >= least:
            taken[label], common = places, left
    return taken


def _common(ran: dict[str, dict[str, Group]], of: int, undefined: list[str], least: int) -> Compared | None:
    if len(ran) < LEAST:
        return None
    some = next(iter(ran.values()))
    shared = set.intersection(*(set(places) for places in ran.values()))
    common = sorted(shared, key=lambda k: (some[k].task, some[k].horizon, some[k].budget, k))
    seeds = sorted(set.intersection(*(set(places[k].seeds) for places in ran.values() for k in common))) if common else []
    if len(common) < least or len(seeds) < 2:
        return None
    matrix = {label: np.stack([_scores(places[k], seeds) for k in common], axis=1) for label, places in ran.items()}
    return Compared(matrix, tuple(some[k] for k in common), tuple(seeds), of, undefined)


def _ranking(c: Compared) -> dict[str, Any]:
    matrix, seeds = c.scores, c.seeds
    ranks = stats.rank_intervals(matrix)
    lo, hi = stats.score_range(*matrix.values())
    rows = []
    for label, x in sorted(matrix.items(), key=lambda item: (-item[1].mean(), item[0])):
        found = stats.seed_mean(x.mean(1), lo, hi) if len(seeds) >= FEW else None
        rows.append(
            {
                "rank": ranks[label].label,
                "algorithm": label,
                "score": float(x.mean()),
                "score_ci": None if found is None else [found.lo, found.hi],
                "seeds": len(seeds),
            }
        )
    return {"rows": rows, "settings": c.plain_settings(), "of": c.of, "undefined": c.undefined}


def table(ranking: dict[str, Any]) -> Table:
    """For a page."""
    rows = [
        (r["rank"], r["algorithm"], fixed(r["score"], *(r["score_ci"] or (None, None))), str(r["seeds"]))
        for r in ranking["rows"]
    ]
    settings = ranking["settings"]
    notes = [f"{', '.join(_named(settings))}. Rows whose paired difference is not clear share a place."]
    if ranking["undefined"]:
        notes.append(f"no score, the expert is no better than a random policy: {', '.join(ranking['undefined'])}.")
    if ranking["rows"][0]["seeds"] < FEW:
        notes.append(f"{ranking['rows'][0]['seeds']} seeds are too few for an interval.")
    columns = ("rank", "algorithm", "score, mean over seeds and tasks [95 %]", "seeds")
    return Table(title(settings, ranking["of"]), columns, rows, tuple(notes))


def title(settings: Sequence[dict[str, Any]], of: int) -> str:
    """ "All 4 tasks", "The 3 of 4 settings that all of these ran on", or the one that there is."""
    if of == 1:
        return _named(settings)[0]
    noun = "tasks" if all(count == 1 for count in _places(settings).values()) else "settings"
    return f"All {of} {noun}" if len(settings) == of else f"The {len(settings)} of {of} {noun} that all of these ran on"


def _scores(g: Group, seeds: Sequence[int]) -> np.ndarray:
    scores = g.scored()
    assert scores is not None  # rows without one are not ranked
    return scores[positions(g.seeds, seeds)]


def _where(setting: dict[str, Any]) -> str:
    return f"{setting['task']} H={setting['horizon']}" + (f" ({setting['apart']})" if setting["apart"] else "")


def _places(settings: Sequence[dict[str, Any]]) -> dict[str, int]:
    """How many budgets there are of each task and horizon."""
    return Counter(map(_where, settings))


def _named(settings: Sequence[dict[str, Any]]) -> list[str]:
    """ "hopper@1 H=1000 n=6000", or with several budgets "hopper@1 H=1000 n=1000 ... 25000"."""
    out = []
    for place, count in _places(settings).items():
        budgets = sorted(s["budget"] for s in settings if _where(s) == place)
        out.append(f"{place} n={budgets[0]}" + (f" ... {budgets[-1]}" if count > 1 else ""))
    return out
