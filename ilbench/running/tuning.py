"""The tuning protocol: every algorithm gets as many trials, drawn from the space that its file declares, on seeds that no board has.

    SPACE of the algorithm's file + SHARED --> trials: the suite's own settings, then draws without repetition
    trials x blocks x tuning seeds         --> plans, run as any suite's and filed under SUITE+tuning@VERSION

What is chosen is the trial of the highest mean score (ilbench/report/tuning.py); it is for a person to declare it in the suite, so
that a board never holds settings that were chosen on its own seeds.
"""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ilbench import registry
from ilbench.names import hint
from ilbench.running import select
from ilbench.running.plan import Block, Plan, cells, load_suite, resolve
from ilbench.running.runner import Prepared

TRIALS = 8  # of every algorithm, the declared settings among them
SEEDS = tuple(range(100_000, 100_005))  # of tuning alone: suites count from 0
SHARED: dict[str, tuple[Any, ...]] = {
    "fit.learning_rate": (1e-3, 3e-3, 1e-2),
    "fit.weight_decay": (0.0, 1e-3),
}  # what every fit by gradient steps has, beside the space of its algorithm


@dataclass(frozen=True)
class Trial:
    """Settings that are tried: what they change of the suite's, and the blocks with them."""

    changes: dict[str, Any]
    plans: tuple[Plan, ...]

    def ids(self) -> dict[str, list[str]]:
        """Ids of the trial's cells, in order of the seeds, by block: `task head labels`, and (2) for a second one of that name."""
        from ilbench.records.schema import cell_id

        out: dict[str, list[str]] = {}
        for plan in self.plans:
            name = f"{plan.task.name} {plan.block.head} {plan.block.budget}"
            twins = sum(known.partition(" (")[0] == name for known in out)
            out[f"{name} ({twins + 1})" if twins else name] = [cell_id(cell) for cell in cells(plan).values()]
        return out


def space(algorithm: str, gradients: bool) -> dict[str, tuple[Any, ...]]:
    """Values to try of what `--set` takes: the literal SPACE of the algorithm, and SHARED where gradient steps are taken."""
    own = dict(dict(registry.entry("algorithms", algorithm).literals).get("SPACE", {}))
    for key, values in own.items():
        if (
            not isinstance(values, tuple)
            or len(values) < 2
            or key.partition(".")[0] not in (algorithm, "fit", "policy")
        ):
            raise ValueError(
                f"{algorithm}: SPACE is a literal dict of settings of its own, `fit` or `policy` to tuples of two values or more; "
                f"got {key!r}: {values!r}"
            )
    return own | ({k: v for k, v in SHARED.items() if k not in own} if gradients else {})


def draws(declared: dict[str, tuple[Any, ...]], seed: int) -> Iterator[dict[str, Any]]:
    """Every combination of a space once, in a random order."""
    keys = sorted(declared)
    grid = list(itertools.product(*(declared[key] for key in keys)))
    for i in np.random.default_rng(seed).permutation(len(grid)):
        yield dict(zip(keys, grid[i], strict=True))


def _tried(blocks: tuple[Block, ...], changes: dict[str, Any]) -> Trial:
    return Trial(changes, tuple(resolve(block) for block in select.override(blocks, changes)))


def _narrowed(
    blocks: tuple[Block, ...], algorithm: str, head: str | None, labels: tuple[int, ...] | None
) -> tuple[Block, ...]:
    """Those with a head and numbers of labels; raises ValueError for what none has."""
    if head is not None:
        heads = sorted({block.head for block in blocks})
        if head not in heads:
            raise ValueError(f"no block of {algorithm} here has head {head!r}. {hint(head, heads)}")
        blocks = tuple(block for block in blocks if block.head == head)
    if labels is not None:
        there = sorted({block.budget for block in blocks})
        if unknown := sorted(set(labels) - set(there)):
            raise ValueError(
                f"no block of {algorithm} here has {unknown[0]} labels; there are {', '.join(map(str, there))}"
            )
        blocks = tuple(block for block in blocks if block.budget in labels)
    return blocks


def trials(
    suite: str,
    algorithm: str,
    *,
    tasks: str | None = None,
    head: str | None = None,
    labels: tuple[int, ...] | None = None,
    count: int = TRIALS,
    seeds: tuple[int, ...] = SEEDS,
) -> tuple[Prepared, list[Trial]]:
    """The suite's blocks of an algorithm under its own settings and `count` - 1 others, and what is to run.

    A combination that the algorithm refuses, or that is no other than one before, is passed over; a small space has fewer.
    Raises ValueError (UnknownName), before any compute, for names, numbers and seeds that do not fit.
    """
    found = load_suite(suite)
    names = sorted({block.algorithm for block in found.blocks})
    if algorithm not in names:
        raise registry.UnknownName(
            f"{algorithm!r} is not in suite {found.name}@{found.version}. {hint(algorithm, names)}"
        )
    if count < 2:
        raise ValueError(f"--trials must be at least 2, the suite's own settings and others, got {count}")
    blocks = select.select(found.blocks, tasks=tasks, algorithms=algorithm)
    blocks = _narrowed(blocks, algorithm, head, labels)
    if taken := sorted({seed for block in blocks for seed in block.seeds} & set(seeds)):
        raise ValueError(
            f"seeds {taken[0]} ... {taken[-1]} are the suite's own: what is chosen on them would be scored on them; tune on others, "
            f"e.g. --seeds {SEEDS[0]}-{SEEDS[-1]}"
        )
    blocks = select.select(blocks, seeds=seeds)
    out = [_tried(blocks, {})]
    declared = space(algorithm, any(plan.head.solve is None for plan in out[0].plans))
    if not declared:
        raise ValueError(
            f"{algorithm} declares no SPACE, and its fits take no gradient steps: there is nothing to tune"
        )
    known, refused = [out[0].ids()], None
    for changes in draws(declared, zlib.crc32(algorithm.encode())):
        if len(out) == count:
            break
        try:
            trial = _tried(blocks, changes)
        except ValueError as error:
            refused = error
            continue
        if trial.ids() not in known:
            known.append(trial.ids())
            out.append(trial)
    if len(out) < 2:
        raise ValueError(
            f"{algorithm}: nothing of its SPACE can be run on these blocks: {refused or 'all is as declared'}"
        )
    plans = [plan for trial in out for plan in trial.plans]
    plans.sort(key=lambda plan: (plan.task.id, plan.task.horizon))
    return Prepared(f"{found.name}+tuning@{found.version}", tuple(plans)), out
