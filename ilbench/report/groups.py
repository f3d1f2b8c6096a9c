"""Records grouped into what is compared: rows are cells that differ only in their seed, places are what rows may share.

A place is a task with its options, expert, horizon, label budget, evaluation protocol and unit: rows of two places are
never under one title. Within places rows are named by their algorithm and by the fewest settings that tell it from its
namesakes anywhere on the board, so that a label means the same in every table.
"""

from __future__ import annotations

import dataclasses
import hashlib
import operator
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ilbench import registry
from ilbench.records.schema import Cell, Record, canonical

BASELINE = "bc"  # what the others are compared with
PLACE = ("task", "expert", "horizon", "budget", "evaluation", "unit")  # fields of a cell that rows of a place share
ROW = ("algorithm", "head", "config", "seed")  # what else there is in a cell sets rows apart like a setting
LONG = 24  # characters of a value in a label
_but_seed = operator.itemgetter(*(name for name in Cell.model_fields if name != "seed"))
ABSENT = "(none)"  # a setting that a row has not


class Group(NamedTuple):
    """All seeds of one row, in the order of their seeds; failed ones are left out and counted."""

    task: str
    horizon: int
    algorithm: str
    label: str  # algorithm, head and settings as far as they tell it from its namesakes
    head: str
    budget: int
    config: dict[str, Any]
    records: tuple[Record, ...]
    place: str = ""  # canonical: equal for rows that may be compared
    apart: str = ""  # what sets the place apart from others of the same task, horizon and budget: "episodes=4"
    telling: Mapping[str, Any] = {}  # the settings in the label
    settings: Mapping[str, Any] = {}  # everything that may set rows of a place apart, the head included
    failed: int = 0

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds in order."""
        return tuple(r.cell.seed for r in self.records)

    @property
    def diverged(self) -> np.ndarray:
        """Which seeds diverged, `[S]`."""
        return np.array([r.status == "diverged" for r in self.records])

    def values(self, name: str) -> np.ndarray:
        """A score per seed, `[S]` float64, NaN where there is none: of a seed that diverged no number means anything."""
        return np.array([None if r.status == "diverged" else r.scores.get(name) for r in self.records], np.float64)

    def scored(self, name: str = "score", variant: str | None = None) -> np.ndarray | None:
        """What every seed scores, `[S]`: min(0, the worst) where it diverged; None where the score is missing or undefined."""
        tables = [r.scores if variant is None else r.variants.get(variant, {}) for r in self.records]
        found = [None if lost else t.get(name) for t, lost in zip(tables, self.diverged, strict=True)]
        known = np.array([x for x, lost in zip(found, self.diverged, strict=True) if not lost and x is not None], float)
        if not self.records or len(known) < np.count_nonzero(~self.diverged) or not np.isfinite(known).all():
            return None
        worst = min([0.0, *known])
        return np.array([worst if lost else x for x, lost in zip(found, self.diverged, strict=True)], np.float64)

    @property
    def setting(self) -> str:
        """The place in words: "hopper@1 H=1000 n=6000"."""
        return f"{self.task} H={self.horizon} n={self.budget}" + (f" ({self.apart})" if self.apart else "")


def group(records: Iterable[Record]) -> list[Group]:
    """Groups in the order task, horizon, budget, place, algorithm, label.

    Records made with another expert are of another task: where a folder holds several, the task's name says which.
    """
    alike: dict[Any, list[Record]] = defaultdict(list)  # whose settings are one object, as those of an index are: alike without spelling
    spelled: dict[str, list[Record]] = defaultdict(list)  # pydantic's own spelling is quick, and canonical of one of each is enough
    by_row: dict[str, list[Record]] = defaultdict(list)
    experts: dict[tuple[str, int], set[str]] = defaultdict(set)
    for record in records:
        alike[_at_sight(record.cell)].append(record)
    for same in alike.values():
        cell = same[0].cell
        experts[cell.task, cell.horizon].add(cell.expert)
        spelled[cell.model_dump_json(exclude={"seed"})] += same
    for same in spelled.values():
        by_row[canonical(same[0].cell.model_dump(exclude={"seed"}))] += same
    rows = [sorted(rs, key=lambda r: r.cell.seed) for rs in by_row.values()]
    places = [_place(rs[0]) for rs in rows]
    apart = _apart(rows, places)
    settings = [_settings(rs[0]) for rs in rows]
    telling = _telling([rs[0].cell.algorithm for rs in rows], [canonical(p) for p in places], settings)
    out = []
    for rs, place, own in zip(rows, places, settings, strict=True):
        c = rs[0].cell
        named = {key: own.get(key, ABSENT) for key in telling[c.algorithm]}
        kept = tuple(r for r in rs if r.status != "failed")
        out.append(
            Group(
                f"{c.task} (expert {c.expert[:8]})" if len(experts[c.task, c.horizon]) > 1 else c.task,
                c.horizon, c.algorithm, label(c.algorithm, named), c.head, c.budget, c.config, kept,
                canonical(place), apart[canonical(place)], named, own, len(rs) - len(kept),
            )
        )  # fmt: skip
    kept_rows = [g for g in out if g.records]
    return sorted(kept_rows, key=lambda g: (g.task, g.horizon, g.budget, g.place, g.algorithm, g.label))


def _at_sight(cell: Cell) -> tuple[Any, ...]:
    """Equal for cells that are surely alike but for their seeds; those that are so otherwise are found by their spelling."""
    return tuple([id(v) if v.__class__ is dict else v for v in _but_seed(cell.__dict__)])


def shared(a: Group, b: Group) -> list[int]:
    """The seeds of a row that another has too, in its order."""
    theirs = set(b.seeds)
    return [seed for seed in a.seeds if seed in theirs]


def positions(seeds: Sequence[int], wanted: Iterable[int]) -> list[int]:
    """Where each wanted seed first stands among a row's."""
    at = {seed: len(seeds) - 1 - i for i, seed in enumerate(reversed(seeds))}
    return [at[seed] for seed in wanted]


def _place(record: Record) -> dict[str, Any]:
    """What rows must share to be compared."""
    cell = record.cell.model_dump()
    options = {key: value for key, value in cell["config"].items() if key.startswith("task.")}
    return {key: cell[key] for key in PLACE if key in cell} | options


def _settings(record: Record) -> dict[str, Any]:
    """What may set rows of a place apart: head, config, and whatever else a cell holds, flat."""
    cell = record.cell.model_dump()
    out = {"head": cell["head"]} | {k: v for k, v in cell["config"].items() if not k.startswith("task.")}
    for key, value in cell.items():
        if key not in PLACE and key not in ROW:
            out |= {f"{key}.{k}": v for k, v in value.items()} if isinstance(value, dict) else {key: value}
    return out


def _differ(a: Mapping[str, Any], b: Mapping[str, Any], key: str) -> bool:
    return bool(canonical(a.get(key)) != canonical(b.get(key)))


def _apart(rows: Sequence[Sequence[Record]], places: Sequence[dict[str, Any]]) -> dict[str, str]:
    """By place, what sets it apart from others of the same task, horizon and budget; empty where there is no other."""
    flat = {}
    for place in places:
        evaluation = {f"evaluation.{k}": v for k, v in place["evaluation"].items()}
        flat[canonical(place)] = {k: v for k, v in place.items() if k != "evaluation"} | evaluation
    rivals: dict[Any, set[str]] = defaultdict(set)
    for rs, place in zip(rows, places, strict=True):
        c = rs[0].cell
        rivals[c.task, c.expert, c.horizon, c.budget].add(canonical(place))
    out = {}
    for keys in rivals.values():
        names = sorted({name for key in keys for name in flat[key]})
        said = [n for n in names if any(_differ(flat[a], flat[b], n) for a in keys for b in keys)]
        for key in keys:
            out[key] = ", ".join(f"{n.split('.', 1)[-1]}={_value(flat[key].get(n, ABSENT))}" for n in said)
    return out


def _telling(
    algorithms: Sequence[str], places: Sequence[str], settings: Sequence[Mapping[str, Any]]
) -> dict[str, list[str]]:
    """By algorithm, the settings that together tell all of its rows of a place apart: those that divide, head first."""
    out: dict[str, list[str]] = {}
    for algorithm in sorted(set(algorithms)):
        mine: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
        for name, place, own in zip(algorithms, places, settings, strict=True):
            if name == algorithm:
                mine[place].append(own)
        keys = sorted({k for rs in mine.values() for own in rs for k in own}, key=lambda k: (_order(k, algorithm), k))
        chosen: list[str] = []

        def classes(names: Sequence[str], mine: dict[str, list[Mapping[str, Any]]] = mine) -> int:
            return sum(len({canonical([own.get(n, ABSENT) for n in names]) for own in rs}) for rs in mine.values())

        for key in keys:
            if any(len(rs) > 1 for rs in mine.values()) and classes([*chosen, key]) > classes(chosen):
                chosen.append(key)
        out[algorithm] = chosen
    return out


def _order(key: str, algorithm: str) -> int:
    """Settings that come first in a label: the head, the algorithm's own, then the rest."""
    return 0 if key == "head" else 1 if key.startswith(f"{algorithm}.") else 2


def _value(value: Any) -> str:
    """A setting's value in a label; what is too long for one is cut, and a digest tells it from others that begin alike."""
    said = _spelled(value)
    return said if len(said) <= LONG else f"{said[: LONG - 8]}...{hashlib.sha256(said.encode()).hexdigest()[:5]}"


def _spelled(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}" if float(f"{value:g}") == value else repr(value)
    return str(value)


def label(algorithm: str, telling: Mapping[str, Any]) -> str:
    """`ccil[dynamics=true]`, `bc+mdn`, `bc+mdn[components=4]`."""
    last = [key.rsplit(".", 1)[-1] for key in telling]
    parts = [
        f"{key.rsplit('.', 1)[-1] if last.count(key.rsplit('.', 1)[-1]) == 1 else key}={_value(value)}"
        for key, value in telling.items()
        if key != "head" and value != ABSENT  # a setting at a default that no cell states
    ]
    head = f"+{telling['head']}" if "head" in telling else ""
    return f"{algorithm}{head}" + (f"[{','.join(parts)}]" if parts else "")


def also(groups: Sequence[Group]) -> list[str]:
    """Of rows of a place with one algorithm: what differs besides what their labels say, a line each."""
    out = []
    by: dict[str, list[Group]] = defaultdict(list)
    for g in groups:
        by[g.algorithm].append(g)
    for mine in by.values():
        keys = sorted(
            k
            for k in set().union(*(g.settings for g in mine))
            if k not in mine[0].telling and any(_differ(g.settings, mine[0].settings, k) for g in mine)
        )
        said = [(g.label, ", ".join(f"{k}={_value(g.settings[k])}" for k in keys if k in g.settings)) for g in mine]
        out += [f"{name}: {what}" for name, what in said if what]
    return out


def baseline(g: Group, groups: Iterable[Group]) -> Group | None:
    """The row of the baseline that a row is compared with: it shares the place and every setting that both have.

    Of several that differ in the baseline's own settings, the one at its defaults; none where that leaves a choice.
    """
    if g.algorithm == BASELINE:
        return None
    mine = [b for b in groups if b.algorithm == BASELINE and b.place == g.place and not differing(g, b)]
    if len(mine) > 1:
        mine = [b for b in mine if at_defaults(b)]
    return mine[0] if len(mine) == 1 else None


def differing(g: Group, b: Group, heads: bool = False) -> list[str]:
    """The settings that differ but for the two algorithms' own, their versions included; with `heads`, but for the heads' too."""
    names = [g.algorithm, b.algorithm, *((g.head, b.head) if heads else ())]
    named = [f"{kind}{name}" for kind in ("", "versions.", "plugins.") for name in names] + (["head"] if heads else [])
    keys = {k for k in (*g.settings, *b.settings) if not any(k == n or k.startswith((f"{n}.", f"{n}/")) for n in named)}
    return sorted(k for k in keys if _differ(g.settings, b.settings, k))


def at_defaults(g: Group) -> bool:
    """Whether the algorithm's own settings are at their defaults."""
    if g.algorithm not in registry.entries("algorithms"):
        return False
    default = dataclasses.asdict(registry.load("algorithms", g.algorithm).Config())
    own = {k.split(".", 1)[1]: v for k, v in g.settings.items() if k.startswith(f"{g.algorithm}.")}
    return all(k in default and canonical(v) == canonical(_listed(default[k])) for k, v in own.items())


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def distinct(groups: Iterable[Group]) -> list[Group]:
    """The same groups, with the budget and the place in the label of those that differ from another in nothing else."""
    groups = list(groups)
    names = [(g.task, g.horizon, g.label) for g in groups]
    budgets = {name: {g.budget for g, n in zip(groups, names, strict=True) if n == name} for name in names}
    out = []
    for g, name in zip(groups, names, strict=True):
        more = [f"n = {g.budget}"] if len(budgets[name]) > 1 else []
        more += [g.apart] if names.count(name) > len(budgets[name]) and g.apart else []
        out.append(g._replace(label=", ".join([g.label, *more])))
    return out


def instrument(group: Group) -> bool:
    """Whether the task or the algorithm is built to show a theorem: such rows are on no board."""
    tasks, name = registry.entries("tasks"), group.task.rsplit("@", 1)[0]
    if name in tasks and "instrument" in tasks[name].tags:
        return True
    entry = registry.entries("algorithms").get(group.algorithm)
    return entry is not None and dict(entry.literals).get("INSTRUMENT") is True
