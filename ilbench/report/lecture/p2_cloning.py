"""Behaviour cloning: its loss, the slide's gridworld, and where it comes from."""

from __future__ import annotations

import numpy as np

from ilbench import registry
from ilbench.display.tables import Table, number
from ilbench.exact import dp
from ilbench.report.lecture.item import Item
from ilbench.report.lecture.known import Known

PART = "Behaviour cloning"
GAMMA = 0.99
HALF = 0.005 + 1e-9  # of the last digit that is printed
SLIDE = (  # the values on the lecture's slide as they are printed, row by row; None: a wall
    (8.67, 8.93, 9.11, 9.30, 9.42),
    (8.49, None, 9.09, 9.42, 9.68),
    (8.33, None, 1.00, None, 10.00),
    (7.13, 5.04, 3.15, 5.68, 8.45),
    (-10.0, -10.0, -10.0, -10.0, -10.0),
)


def values() -> np.ndarray:
    """The discounted values of the gridworld's states by value iteration, `[5, 5]`."""
    _, Q = dp.value_iteration(registry.task("gridworld").mdp(), GAMMA)  # type: ignore[misc]
    return np.asarray(Q.max(-1)[:25].reshape(5, 5))


def _furthest() -> tuple[float, int]:
    """The largest distance of a value from the slide's, and how many the slide has."""
    pairs = [
        (v, p)
        for row, slide in zip(values(), SLIDE, strict=True)
        for v, p in zip(row, slide, strict=True)
        if p is not None
    ]
    return max(abs(v - p) for v, p in pairs), len(pairs)


def _gridworld(e: Known) -> str:
    far, n = _furthest()
    agrees = "all as printed" if far <= HALF else "which is not as printed"
    return f"Value iteration gives the slide's {n} values to within {number(far, 2)}: {agrees}."


def table() -> Table:
    """The computed values where the slide has one."""
    far, n = _furthest()
    rows = [
        tuple("wall" if p is None else f"{v:.2f}" for v, p in zip(row, slide, strict=True))
        for row, slide in zip(values(), SLIDE, strict=True)
    ]
    said = (
        f"Value iteration, discount {GAMMA:g}; largest distance from the {n} values that the slide prints: {far:.1e}."
    )
    return Table("The gridworld's values", tuple(f"column {i}" for i in range(1, 6)), rows, (said,))


def _likelihood(e: Known) -> str:
    def said(task: str, how: str) -> str:
        return f"{task} ({how}) {e.score('quick', task, 'bc', budget=_least(e, task))}"

    first = [said("gridworld", "counts"), said("cartpole", "cross-entropy"), said("pendulum", "squared error")]
    return f"bc scores, random 0 and expert 1: {', '.join(first)}."


def _camera(e: Known) -> str:
    labels = min(g.budget for g in e.rows("repairs") if g.task.startswith("lane@"))
    score = e.score("repairs", "lane", "bc", budget=labels, head="mse")
    return (
        f"From three rows of a camera's pixels bc keeps the lane with a score of {score} "
        f"({labels:,} labels); the whole image is the command's. No foundation model is here."
    )


def _least(e: Known, task: str) -> int:
    return min(g.budget for g in e.rows("quick") if g.algorithm == "bc" and g.task.split("@")[0] == task)


ITEMS = (
    Item(
        "likelihood",
        "Maximise the log-likelihood of the expert's actions: cross-entropy for discrete ones, squared error for continuous "
        "ones; policies that are tables, linear, or networks.",
        "run quick --tasks gridworld --algorithms bc --seeds 0-1 --out lecture-runs",
        4.6,
        _likelihood,
        words=("bc", "behaviour cloning", "cross-entropy", "squared error"),
        name="Maximum likelihood",
    ),
    Item(
        "gridworld",
        "The slide's table of values on a grid of five by five.",
        "lecture gridworld",
        1.5,
        _gridworld,
        words=("values", "table", "discount grid"),
        shows=table,
        name="The gridworld",
    ),
    Item(
        "alvinn",
        "A network drove from camera images in 1989; today's robot foundation models are cloned as well.",
        "evaluate lane_pixels --policy bc:2 --seeds 0 --episodes 8",
        14.0,
        _camera,
        words=("images", "camera", "foundation models", "history of driving"),
        name="ALVINN",
    ),
)
