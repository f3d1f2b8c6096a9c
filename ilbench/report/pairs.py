"""Every pair of rows held against each other: the difference of their scores, paired by seed, over all settings and on each.

The interval is that of the boards (`stats.seed_difference`); p-values are Holm's: over the pairs where settings are averaged, and over
the settings of a pair where they are not. Within a seed settings are averaged first, because seeds are what is independent.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ilbench import stats
from ilbench.display.tables import Table, fixed, number
from ilbench.report.groups import Group, positions
from ilbench.report.overall import FEW, is_undefined
from ilbench.report.rows import same


class Pair(NamedTuple):
    """Score of `a` minus score of `b`; limits and p are None for few seeds, p is adjusted."""

    a: str
    b: str
    where: str  # the setting; empty: the mean over all that both ran on
    settings: int
    seeds: int
    mean: float
    lo: float | None
    hi: float | None
    p: float | None
    same: bool  # the two are one to the last digit


def _by_row(groups: Sequence[Group]) -> dict[str, dict[str, Group]]:
    """Label -> place -> group, of groups with scores; settings on which some score is undefined are in none."""
    undefined = {g.place for g in groups if is_undefined(g)}
    out: dict[str, dict[str, Group]] = defaultdict(dict)
    for g in groups:
        if g.place not in undefined and g.scored() is not None:
            out[g.label][g.place] = g
    return out


def _scores(g: Group, seeds: Sequence[int]) -> np.ndarray:
    scores = g.scored()
    assert scores is not None  # those without are not paired
    return scores[positions(g.seeds, seeds)]


def _pair(a: str, b: str, both: Sequence[tuple[Group, Group]], where: str) -> Pair | None:
    seeds = sorted(set.intersection(*(set(g.seeds) for pair in both for g in pair)))
    if len(seeds) < 2:
        return None
    x, y = (np.stack([_scores(pair[i], seeds) for pair in both], axis=1) for i in (0, 1))
    mean, lo, hi, p = stats.seed_difference(x.mean(1), y.mean(1), *stats.score_range(x, y))
    alike = all(same(*pair) for pair in both)
    if len(seeds) < FEW or alike:
        return Pair(a, b, where, len(both), len(seeds), mean, None, None, None, alike)
    return Pair(a, b, where, len(both), len(seeds), mean, lo, hi, p, False)


def _adjusted(pairs: Sequence[Pair]) -> list[Pair]:
    """With Holm's p-values over these pairs."""
    tested = [i for i, pair in enumerate(pairs) if pair.p is not None]
    out = list(pairs)
    for i, p in zip(tested, stats.holm([pairs[i].p or 0.0 for i in tested]) if tested else (), strict=True):
        out[i] = pairs[i]._replace(p=float(p))
    return out


def overall(groups: Sequence[Group]) -> list[Pair]:
    """A row for each pair that shares a setting: the mean difference over the settings that both ran on."""
    ran, found = _by_row(groups), []
    for a, b in itertools.combinations(sorted(ran), 2):
        common = sorted(set(ran[a]) & set(ran[b]))
        pair = _pair(a, b, [(ran[a][k], ran[b][k]) for k in common], "") if common else None
        found += [pair] if pair is not None else []
    return _adjusted(found)


def each(groups: Sequence[Group]) -> list[Pair]:
    """The same on every setting alone, in the order of pair and setting."""
    ran, out = _by_row(groups), []
    for a, b in itertools.combinations(sorted(ran), 2):
        common = sorted(set(ran[a]) & set(ran[b]), key=lambda k: ran[a][k].setting)
        found = [_pair(a, b, [(ran[a][k], ran[b][k])], ran[a][k].setting) for k in common]
        out += _adjusted([pair for pair in found if pair is not None])
    return out


def verdict(pair: Pair) -> str:
    """Which of the two is better, after Holm at 5 %."""
    if pair.same:
        return "the same"
    if pair.p is None or pair.p >= 0.05:
        return "undecided"
    return "A better" if pair.mean > 0 else "B better"


def table(title: str, pairs: Sequence[Pair], notes: tuple[str, ...] = ()) -> Table:
    """For a page."""
    where = any(pair.where for pair in pairs)
    columns = (
        "A",
        "B",
        "setting" if where else "settings",
        "score of A - score of B [95 %]",
        "p (Holm)",
        "verdict",
        "seeds",
    )
    rows = [
        (
            p.a,
            p.b,
            p.where or str(p.settings),
            "0 (the same)" if p.same else fixed(p.mean, p.lo, p.hi),
            number(p.p, 2),
            verdict(p),
            str(p.seeds),
        )
        for p in pairs
    ]
    return Table(title, columns, rows, notes)
