"""Records grouped into what is compared: cells that differ only in their seed, named by what sets them apart."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from ilbench import registry
from ilbench.records import Record, canonical

BASELINE = "bc"  # what the others are compared with


class Group(NamedTuple):
    """All seeds of one block, in the order of their seeds."""

    task: str
    horizon: int
    algorithm: str
    label: str  # algorithm, and the config fields that set it apart from its namesakes at this task, horizon and budget
    head: str
    budget: int
    config: dict[str, Any]
    records: tuple[Record, ...]

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds in order."""
        return tuple(r.cell.seed for r in self.records)

    def values(self, name: str) -> np.ndarray:
        """A score per seed, `[S]` float64, NaN where there is none."""
        return np.array([np.nan if r.scores.get(name) is None else r.scores[name] for r in self.records], np.float64)


def group(records: Iterable[Record]) -> list[Group]:
    """Groups in the order task, horizon, budget, algorithm, label.

    Records made with another expert are of another task: where a folder holds several, the task's name says which.
    """
    by_block: dict[str, list[Record]] = defaultdict(list)
    experts: dict[tuple[str, int], set[str]] = defaultdict(set)
    for record in records:
        by_block[canonical(record.cell.model_dump(exclude={"seed"}))].append(record)
        experts[record.cell.task, record.cell.horizon].add(record.cell.expert)
    blocks = [sorted(rs, key=lambda r: r.cell.seed) for rs in by_block.values()]
    rivals: dict[Any, list[dict[str, Any]]] = defaultdict(list)
    for rs in blocks:
        c = rs[0].cell
        rivals[(c.task, c.expert, c.algorithm, c.horizon, c.budget)].append(c.config)
    out = []
    for rs in blocks:
        c = rs[0].cell
        out.append(
            Group(
                f"{c.task} (expert {c.expert[:8]})" if len(experts[c.task, c.horizon]) > 1 else c.task,
                c.horizon,
                c.algorithm,
                _label(c.algorithm, c.config, rivals[(c.task, c.expert, c.algorithm, c.horizon, c.budget)]),
                c.head,
                c.budget,
                c.config,
                tuple(rs),
            )
        )
    return sorted(out, key=lambda g: (g.task, g.horizon, g.budget, g.algorithm, g.label))


def distinct(groups: Iterable[Group]) -> list[Group]:
    """The same groups, with the budget in the label of those that differ from another in nothing else."""
    groups = list(groups)
    names = [(g.task, g.horizon, g.label) for g in groups]
    return [
        g._replace(label=f"{g.label}, n = {g.budget}") if names.count(name) > 1 else g
        for g, name in zip(groups, names, strict=True)
    ]


def _label(algorithm: str, config: dict[str, Any], rivals: list[dict[str, Any]]) -> str:
    """`ccil[dynamics=true]` where another ccil on the task, at the same horizon and budget, has other dynamics."""
    parts = []
    for key in sorted(config):
        if any(canonical(other.get(key)) != canonical(config[key]) for other in rivals):
            name = key.split(".", 1)[1] if key.startswith(f"{algorithm}.") else key
            parts.append(f"{name}={config[key]}")
    return f"{algorithm}[{','.join(parts)}]" if parts else algorithm


def instrument(group: Group) -> bool:
    """Whether the task or the algorithm is built to show a theorem: such rows are on no board."""
    tasks, name = registry.entries("tasks"), group.task.rsplit("@", 1)[0]
    if name in tasks and "instrument" in tasks[name].tags:
        return True
    entry = registry.entries("algorithms").get(group.algorithm)
    return entry is not None and dict(entry.literals).get("INSTRUMENT") is True
