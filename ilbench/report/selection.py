"""Which rows are meant: by name, by task and by demonstrations; what is not there is refused with the closest that is.

Rows are chosen after they were grouped, so that a label means the same whatever is chosen.
"""

from __future__ import annotations

import fnmatch
import math
import re
from collections.abc import Sequence

from ilbench import registry
from ilbench.names import hint
from ilbench.report.groups import Group

_COMMA = re.compile(r",(?![^\[]*\])")  # between names; those inside a label's brackets are the label's own


def demonstrations(g: Group) -> float:
    """How many whole episodes of the expert the budget of labels would show."""
    return g.budget / g.horizon


def matches(g: Group, name: str) -> bool:
    """Whether a row is what `name` says: `bc`, `bc/mse`, or its label on the board, `ccil[dynamics=true]`."""
    algorithm, slash, head = name.partition("/")
    return g.label == name or (g.algorithm == algorithm and (not slash or g.head == head))


def named(groups: Sequence[Group], name: str) -> list[Group]:
    """The rows of that name; ValueError with the closest that there are."""
    found = [g for g in groups if matches(g, name)]
    if not found:
        there = sorted(
            {g.label for g in groups} | {g.algorithm for g in groups} | {f"{g.algorithm}/{g.head}" for g in groups}
        )
        known = name.partition("/")[0] in registry.entries("algorithms")
        why = "is an algorithm, but has no row here" if known and "/" not in name else "names no row here"
        raise registry.UnknownName(
            f"{name!r} {why}. {hint(name, there, n=3)} (an algorithm, algorithm/head, or a label of the board)"
        )
    return found


def of_tasks(groups: Sequence[Group], tasks: str | None) -> list[Group]:
    """The rows on tasks that match comma-separated globs; ValueError for a glob that matches none."""
    if tasks is None:
        return list(groups)
    names = {g.place: g.task.partition("@")[0] for g in groups}
    there, globs = sorted(set(names.values())), [t.strip() for t in tasks.split(",") if t.strip()]
    for one in globs or [tasks]:
        if not fnmatch.filter(there, one):
            raise registry.UnknownName(f"--tasks {one!r} matches no task here. {hint(one, there, n=3)}")
    return [g for g in groups if any(fnmatch.fnmatch(names[g.place], one) for one in globs)]


def of_demonstrations(groups: Sequence[Group], demos: str | None) -> list[Group]:
    """The rows whose budgets are these comma-separated numbers of demonstrations; ValueError for one that no row has."""
    if demos is None:
        return list(groups)
    there = sorted({demonstrations(g) for g in groups if g.budget})
    wanted = numbers(demos)
    for one in wanted:
        if not any(_same(one, n) for n in there):
            near = min(there, key=lambda n: (abs(math.log(n / one)), n), default=None)
            closest = "" if near is None else f" The closest is {near:g}."
            raise ValueError(f"--demos {one:g}: no row here has so many demonstrations.{closest} {_have(there)}")
    return [g for g in groups if any(_same(one, demonstrations(g)) for one in wanted)]


def of_algorithms(groups: Sequence[Group], algorithms: str | None) -> list[Group]:
    """The rows of comma-separated names, each as `named` takes it; ValueError for one that names none."""
    if algorithms is None:
        return list(groups)
    names = [name.strip() for name in _COMMA.split(algorithms) if name.strip()]
    chosen = {id(g) for name in names or [algorithms] for g in named(groups, name)}
    return [g for g in groups if id(g) in chosen]


def chosen(groups: Sequence[Group], tasks: str | None, demos: str | None, algorithms: str | None) -> list[Group]:
    """The rows that all three choose; None chooses all. ValueError, with what there is, for what names none."""
    return of_algorithms(of_demonstrations(of_tasks(groups, tasks), demos), algorithms)


def numbers(demos: str) -> list[float]:
    """Comma-separated numbers of demonstrations; ValueError for what is no number above 0."""
    out = []
    for text in demos.split(","):
        try:
            out.append(float(text))
        except ValueError:
            out.append(math.nan)
        if not (math.isfinite(out[-1]) and out[-1] > 0):
            raise ValueError(
                f"--demos takes numbers of demonstrations above 0, e.g. 5 or 2,25 (labels over the horizon); got {text!r}"
            )
    return out


def _have(there: Sequence[float]) -> str:
    return f"There are: {', '.join(f'{n:g}' for n in there) or 'none'}."


def _same(a: float, b: float) -> bool:
    """As `{:g}` shows them, so that what a message names can be asked for."""
    return f"{a:g}" == f"{b:g}"
