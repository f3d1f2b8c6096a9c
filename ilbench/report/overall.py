"""Algorithms ranked over many tasks, equally weighted: those that ran everywhere, and all over what they share.

Two tables where they differ: an algorithm that does not fit a task must not take that task from the others' ranking.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
from scipy.stats import trim_mean

from ilbench import registry, stats
from ilbench.records import canonical
from ilbench.report.groups import Group
from ilbench.report.tables import Table, interval

LEAST = 2  # settings to rank over, and algorithms to rank


def tables(groups: Sequence[Group]) -> list[Table]:
    """The ranking of the algorithms that ran on every setting, and that of all that share settings enough."""
    ran = _settings_of(groups)
    every = {setting for settings in ran.values() for setting in settings}
    complete = {label: settings for label, settings in ran.items() if set(settings) == every}
    shared = _sharing(ran)
    found = [_ranking(complete, len(every))]
    if set(shared) != set(complete):
        found.append(_ranking(shared, len(every)))
    return [table for table in found if table]


def _settings_of(groups: Sequence[Group]) -> dict[str, dict[str, Group]]:
    """By algorithm and setting ("hopper@1 H=1000 n=6000"), its group; of several configurations the default one counts."""
    ran: dict[str, dict[str, Group]] = defaultdict(dict)
    for g in groups:
        setting = f"{g.task} H={g.horizon} n={g.budget}"
        before = ran[g.algorithm].get(setting)
        if before is None or _changed(g) < _changed(before):
            ran[g.algorithm][setting] = g
    return dict(ran)


def _changed(g: Group) -> int:
    """How many fields of the algorithm's own configuration are not at their default."""
    if g.algorithm not in registry.entries("algorithms"):
        return 0
    default = registry.load("algorithms", g.algorithm).Config()
    own = {key.split(".", 1)[1]: value for key, value in g.config.items() if key.startswith(f"{g.algorithm}.")}
    return sum(canonical(value) != canonical(getattr(default, key, None)) for key, value in own.items())


def _sharing(ran: dict[str, dict[str, Group]]) -> dict[str, dict[str, Group]]:
    """The algorithms by settings run, the most first, each taken while at least two settings remain common to all."""
    taken: dict[str, dict[str, Group]] = {}
    common: set[str] | None = None
    for label, settings in sorted(ran.items(), key=lambda item: (-len(item[1]), item[0])):
        left = set(settings) if common is None else common & set(settings)
        if len(left) >= LEAST:
            taken[label], common = settings, left
    return taken


def _ranking(ran: dict[str, dict[str, Group]], of: int) -> Table | None:
    if len(ran) < LEAST:
        return None
    common = sorted(set.intersection(*(set(settings) for settings in ran.values())))
    seeds = sorted(set.intersection(*(set(settings[k].seeds) for settings in ran.values() for k in common)))
    if len(common) < LEAST or len(seeds) < 2:
        return None
    matrix = {label: np.stack([_scores(settings[k], seeds) for k in common], axis=1) for label, settings in ran.items()}
    ranks = stats.rank_intervals(matrix)
    rows = []
    for label, x in sorted(matrix.items(), key=lambda item: -stats.iqm(item[1])):
        ci = stats.bootstrap_ci(x, _pooled_iqm)
        rows.append((ranks[label].label, label, interval(ci.value, ci.lo, ci.hi), str(len(seeds))))
    noun = "tasks" if all(count == 1 for count in _places(common).values()) else "settings"
    title = f"All {of} {noun}" if len(common) == of else f"The {len(common)} of {of} {noun} that all of these ran on"
    note = f"{', '.join(_named(common))}. Algorithms whose paired difference is not clear share a place."
    return Table(title, ("rank", "algorithm", "score, IQM over seeds and tasks [95 %]", "seeds"), rows, (note,))


def _scores(g: Group, seeds: Sequence[int]) -> np.ndarray:
    return stats.score_diverged(g.values("score"))[[g.seeds.index(s) for s in seeds]]


def _pooled_iqm(x: np.ndarray) -> np.ndarray:
    # Given as a function, so that the interval is the expanded percentile: a task on which every seed has the same
    # score makes the studentised one explode.
    return np.asarray(trim_mean(x.reshape(len(x), -1), 0.25, axis=1))


def _places(common: Sequence[str]) -> dict[str, int]:
    """How many budgets there are of each task and horizon, from "hopper@1 H=1000 n=6000"."""
    return Counter(key.rsplit(" n=", 1)[0] for key in common)


def _named(common: Sequence[str]) -> list[str]:
    """ "hopper@1 H=1000 n=6000", or with several budgets "hopper@1 H=1000 n=1000 ... 25000"."""
    out = []
    for place, count in _places(common).items():
        budgets = sorted(int(key.rsplit(" n=", 1)[1]) for key in common if key.rsplit(" n=", 1)[0] == place)
        out.append(f"{place} n={budgets[0]}" + (f" ... {budgets[-1]}" if count > 1 else ""))
    return out
