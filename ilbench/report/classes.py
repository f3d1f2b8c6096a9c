"""Classes of policies side by side: a line for each, a column for each task of suite expressivity, as docs/results.md shows them.

The numbers are those of the suite's board, whose tables stand task by task; here a class is read across tasks of one question.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ilbench.display.tables import Table, fixed
from ilbench.report import leaderboard

QUESTIONS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("Several ways, and one way (fork_one)", "bc", ("two_modes", "fork", "ways_3", "fork_one")),
    ("One answer, precisely (peg: several)", "bc", ("peg_easy_one", "peg_one", "peg", "hopper")),
    ("Other divergences than cloning's forward KL", "f_divergence", ("two_modes",)),
)
WIDTH = 140  # columns of docs/results.md
NOTES = (
    "Mean score over the seeds [95 %]: 0 random, 1 expert. *: not converged, as on the board. -: not run.",
    "Of two_modes the one with the modes far apart. In order of the tasks that were run, then of the mean score over them.",
)


def _column(rows: Sequence[dict[str, Any]], task: str) -> dict[str, dict[str, Any]]:
    """The rows of a task by label; of a task with several experts, of the one that most rows have."""
    places: dict[str, dict[str, dict[str, Any]]] = {}
    for r in rows:
        if r["task"].split("@")[0] == task:
            places.setdefault(r["task"], {})[r["algorithm"]] = r
    return max(places.values(), key=len, default={})


def _said(r: dict[str, Any] | None) -> str:
    return "-" if r is None else fixed(r["score"], *r["score_ci"]) + leaderboard.marked(r)


def tables(rows: Sequence[dict[str, Any]]) -> list[Table]:
    """A table for each question, from the rows of a board."""
    out = []
    for title, algorithm, tasks in QUESTIONS:
        found = [_column([r for r in rows if r["name"] == algorithm], task) for task in tasks]
        scores = {
            label: [by[label]["score"] for by in found if label in by]
            for label in dict.fromkeys(x for by in found for x in by)
        }
        order = sorted(scores, key=lambda label: (-len(scores[label]), -sum(scores[label]) / len(scores[label])))
        lines = [(label.removeprefix(f"{algorithm}+"), *(_said(by.get(label)) for by in found)) for label in order]
        out.append(Table(title, ("class", *tasks), lines))
    return [*out[:-1], out[-1]._replace(notes=NOTES)]
