"""What rows are measured by beside their score: labels and steps to .9 of the expert, takeovers, time, A(H), score under noise.

    groups and rows of a board --> a Cell per row and setting, by yardstick

What is reached at a number of labels is read off budgets that were run, with limits by two fixed sequences of tests. How rows are
ranked by a yardstick: ilbench/report/beside.py.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ilbench.report.groups import Group
from ilbench.report.overall import is_undefined
from ilbench.stats.ratios import linearised

GOAL = 0.9  # of the expert's score, that a sweep of budgets is asked for
SEEDS = "seeds"  # a kind: a value for each seed
REACH = "reach"  # the first budget that does
ONCE = "once"  # one timing for a block of seeds


class Place(NamedTuple):
    """A setting; `budget` is None for all budgets of one task, horizon and protocol."""

    task: str
    horizon: int
    apart: str
    budget: int | None

    @property
    def name(self) -> str:
        """hopper@1 H=1000 n=6000."""
        of = "" if self.budget is None else f" n={self.budget}"
        return f"{self.task} H={self.horizon}{of}" + (f" ({self.apart})" if self.apart else "")


def sweep(place: Place) -> Place:
    """All budgets of a setting's task, horizon and protocol."""
    return place._replace(budget=None)


class Cell(NamedTuple):
    """A row at a setting: values `[S]` of its seeds, or one value with limits, infinite where it was not reached."""

    label: str
    place: Place
    seeds: tuple[int, ...] = ()
    values: np.ndarray = np.zeros(0)
    value: float = np.inf
    lo: float | None = None
    hi: float | None = None


class Yardstick(NamedTuple):
    """One of them."""

    id: str
    name: str
    kind: str
    less: bool  # is better
    said: str


Pairs = Sequence[tuple[Group, dict[str, Any]]]
YARDSTICKS = (
    Yardstick("score", "score", SEEDS, False, "0 is a random policy, 1 the expert."),
    Yardstick(
        "noise", "score under noise", SEEDS, False,
        "With the suite's noise on sensors and actuators, on tasks where the expert can act under it.",
    ),
    Yardstick("survived", "survival", SEEDS, False, "Share of episodes without a fall, on settings on which some row falls."),
    Yardstick(
        "labels", f"labels to {GOAL:g} of the expert", REACH, True,
        f"The least budget that was run from which on the mean score is {GOAL:g} or more; less was not tried. Limits: the least budget at "
        "which it is not excluded, and the one from which on it is shown, each by a sequence of tests at 2.5 %.",
    ),
    Yardstick(
        "steps", f"env steps to {GOAL:g} of the expert", REACH, True,
        "Env steps that were collected at that budget, all of training.",
    ),
    Yardstick(
        "steps_per_label", "env steps per label", SEEDS, True,
        "Env steps that were collected for each label bought; 1: every step was labelled.",
    ),
    Yardstick(
        "takeovers", "takeovers per 1,000 labels", SEEDS, True,
        "How often control went from the learner to the expert; rows in which it ever did.",
    ),
    Yardstick(
        "seconds", "seconds per seed", ONCE, True,
        "Wall time without compiling, measured once for a block of seeds: no interval.",
    ),
    Yardstick(
        "amplification", "amplification A(H)", SEEDS, True,
        "Mistakes on its own states for one at the expert's, 0-1 deployment; 1 is the line eps H.",
    ),
)  # fmt: skip


# ------------------------------------------------------------------------------------------- cells
def pairs(groups: Sequence[Group], rows: Sequence[dict[str, Any]]) -> Pairs:
    """Groups with their rows of the board, but for settings on which some score is undefined."""
    undefined = {g.place for g in groups if is_undefined(g)}
    of = {(r["task"], r["horizon"], r["budget"], r["apart"], r["algorithm"]): r for r in rows}
    return [(g, of[g.task, g.horizon, g.budget, g.apart, g.label]) for g in groups if g.place not in undefined]


def cells(found: Pairs) -> dict[str, list[Cell]]:
    """By yardstick, as far as records have it and rows differ in it."""
    gated = {g.label for g, r in found if r["takeovers"]}
    made = {
        "score": _seeded(found, lambda g, r: g.scored()),
        "noise": _seeded(found, lambda g, r: g.scored("noisy_score") if r.get("noisy_score") is not None else None),
        "survived": _survived(found),
        **_reached(found),
        "steps_per_label": _seeded(found, lambda g, r: _per_label(g, "env_steps", 1.0)),
        "takeovers": _seeded(
            [(g, r) for g, r in found if g.label in gated], lambda g, r: _per_label(g, "takeovers", 1000.0)
        ),
        "seconds": [c for c in (_timed(g) for g, _ in found) if c is not None],
        **_amplified(found),
    }
    if all(np.ptp(c.values) == 0 and c.values[0] == 1.0 for c in made["steps_per_label"]):
        made["steps_per_label"], made["steps"] = [], []  # every step was labelled: the board by labels says it
    return {y.id: made.get(y.id, []) for y in YARDSTICKS if len({c.label for c in made.get(y.id, [])}) > 1}


def _place(g: Group) -> Place:
    return Place(g.task, g.horizon, g.apart, g.budget)


def _seeded(found: Pairs, values: Callable[[Group, dict[str, Any]], np.ndarray | None]) -> list[Cell]:
    """Cells of what every seed has a number of."""
    out = []
    for g, r in found:
        x = values(g, r)
        if x is not None and len(x) and np.isfinite(x).all():
            out.append(Cell(g.label, _place(g), g.seeds, x))
    return out


def _per_label(g: Group, name: str, scale: float) -> np.ndarray | None:
    """A count of the ledger for each label bought, `[S]`."""
    labels = np.array([r.cost.labels for r in g.records], float)
    return scale * np.array([getattr(r.cost, name) for r in g.records], float) / labels if (labels > 0).all() else None


def _survived(found: Pairs) -> list[Cell]:
    """Share of episodes without a fall; a seed that diverged has fallen."""
    there = _seeded(found, lambda g, r: np.where(g.diverged, 0.0, g.values("survived")))
    falls = {c.place for c in there if c.values.min() < 1.0}
    return [c for c in there if c.place in falls]


def _timed(g: Group) -> Cell | None:
    """Mean wall seconds of a seed."""
    found = [r.cost.run_s for r in g.records if r.cost.run_s]
    return Cell(g.label, _place(g), g.seeds, value=float(np.mean(found))) if found else None


def _amplified(found: Pairs) -> dict[str, list[Cell]]:
    """A(H) at the largest error rate of the records, each seed's part of a ratio of means; empty without 0-1 deployment."""
    rates = {float(k.split("@")[1]) for g, _ in found for k in g.records[0].scores if k.startswith("snap_eps@")}
    if not rates:
        return {}
    out = []
    for g, _ in found:
        cost, eps = (g.values(f"snap_{name}@{max(rates):g}") for name in ("cost", "eps"))
        ok = np.isfinite(cost) & np.isfinite(eps)
        if ok.sum() > 1 and eps[ok].mean() > 0:
            seeds = tuple(s for s, kept in zip(g.seeds, ok, strict=True) if kept)
            out.append(Cell(g.label, _place(g), seeds, linearised(cost[ok], eps[ok])))
    return {"amplification": out}


def _reached(found: Pairs) -> dict[str, list[Cell]]:
    """Labels and env steps at which every row of a sweep of budgets comes to GOAL."""
    sweeps: dict[tuple[str, Place], list[tuple[Group, dict[str, Any]]]] = defaultdict(list)
    for g, r in found:
        if r["score"] is not None and g.budget:
            sweeps[g.label, Place(g.task, g.horizon, g.apart, None)].append((g, r))
    out: dict[str, list[Cell]] = {"labels": [], "steps": []}
    for (label, place), mine in sorted(sweeps.items()):
        mine.sort(key=lambda pair: pair[0].budget)
        if len({g.budget for g, _ in mine}) < 2:
            continue
        limits = [r["score_ci"] for _, r in mine]
        at = reach([r["score"] for _, r in mine], [x[0] for x in limits], [x[1] for x in limits])
        seeds = tuple(sorted(set.intersection(*(set(g.seeds) for g, _ in mine))))
        for name, bought in (
            ("labels", [r["labels"] for _, r in mine]),
            ("steps", [float(np.mean([x.cost.env_steps for x in g.records])) for g, _ in mine]),
        ):
            value, lo, hi = (None if i is None else bought[i] if i < len(bought) else np.inf for i in at)
            out[name].append(Cell(label, place, seeds, value=np.inf if value is None else value, lo=lo, hi=hi))
    return out


def reach(
    mean: Sequence[float], lo: Sequence[float | None], hi: Sequence[float | None]
) -> tuple[int, int | None, int | None]:
    """Positions in K budgets from which on GOAL is reached, K for none: by the means, and the limits of a 95 % interval.

    From the least budget up, "GOAL is reached here" is rejected while the upper limit is below it; from the largest down, "it is not" is
    rejected while the lower one is at it: fixed sequences, so that each errs in 2.5 % whatever K is. None without limits.
    """
    k = len(mean)

    def from_the_end(reaches: Sequence[bool]) -> int:
        return next((i + 1 for i in reversed(range(k)) if not reaches[i]), 0)

    at = from_the_end([x >= GOAL for x in mean])
    if any(x is None for x in (*lo, *hi)):
        return at, None, None
    first = next((i for i in range(k) if (hi[i] or 0.0) >= GOAL), k)
    return at, first, from_the_end([(x or 0.0) >= GOAL for x in lo])
