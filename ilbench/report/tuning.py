"""What tuning found: every trial's mean score, the one that is chosen, and what choosing cost; TUNING.json and a page beside it.

The score is the mean over blocks (task and labels) and tuning seeds; the difference to the declared settings is paired by seed. A
trial that failed anywhere, or whose records lack, has no score. With several trials the best one's score is too good a word for
itself: boards have other seeds.
"""

from __future__ import annotations

import json
import pathlib
from collections.abc import Iterable
from typing import Any

import numpy as np

from ilbench.display.tables import Table, markdown, text
from ilbench.records.files import write_atomic
from ilbench.records.schema import Record
from ilbench.stats.intervals import paired_difference

WORD = "+tuning"  # in the name of the suite whose records are the trials
FILE = "TUNING.json"
PAGE = FILE.replace("json", "md")
NOTES = (
    "score: mean over blocks and tuning seeds, which no board has. difference: to the declared settings, paired by seed [95 %].",
    "chosen: the highest score; it is used only where a suite declares it. Of several trials the best looks better than it is.",
)


def scores(ids: dict[str, list[str]], records: dict[str, Record]) -> np.ndarray | None:
    """Mean score of every tuning seed `[S]`, over a trial's blocks; None where one failed, diverged or lacks."""
    rows = [[records.get(id) for id in block] for block in ids.values()]
    if any(r is None or r.status != "ok" or r.scores.get("score") is None for row in rows for r in row):
        return None
    return np.asarray([[r.scores["score"] for r in row if r is not None] for row in rows], float).mean(0)


def judged(
    algorithm: str,
    space: dict[str, Any],
    trials: Iterable[tuple[dict[str, Any], dict[str, list[str]]]],
    found: Iterable[Record],
) -> dict[str, Any]:
    """Every trial `(changes, ids)` with its score, difference and costs, the declared settings first, and which is chosen."""
    records = {r.id: r for r in found}
    rows: list[dict[str, Any]] = []
    first: np.ndarray | None = None
    for i, (changes, ids) in enumerate(trials):
        mean = scores(ids, records)
        first = mean if i == 0 else first
        difference = None
        if mean is not None and first is not None and i and len(mean) > 1:
            delta, lo, hi, _ = paired_difference(mean, first)
            difference = [float(delta), float(lo), float(hi)]
        there = [records[id] for block in ids.values() for id in block if id in records]
        rows.append(
            {
                "changes": changes,
                "score": None if mean is None else float(mean.mean()),
                "difference": difference,
                "blocks": sorted(ids),
                "seeds": sorted({r.cell.seed for r in there}),
                "gradient_steps": sum(r.cost.gradient_steps + r.cost.model_steps for r in there),
                "env_steps": sum(r.cost.env_steps for r in there),
                "ids": ids,
            }
        )
    scored = [i for i, row in enumerate(rows) if row["score"] is not None]
    best = max(scored, key=lambda i: (rows[i]["score"], -i)) if scored else None
    return {"algorithm": algorithm, "space": space, "trials": rows, "chosen": best}


def _settings(changes: dict[str, Any]) -> str:
    return ", ".join(f"{key}={value}" for key, value in changes.items()) or "as declared"


def table(found: dict[str, Any]) -> Table:
    """The trials of one algorithm."""
    rows = []
    for i, trial in enumerate(found["trials"]):
        d = trial["difference"]
        rows.append(
            (
                _settings(trial["changes"]),
                "failed" if trial["score"] is None else f"{trial['score']:.3f}",
                "-" if d is None else f"{d[0]:+.3f} [{d[1]:+.3f}, {d[2]:+.3f}]",
                f"{trial['gradient_steps']:,}",
                f"{trial['env_steps']:,}",
                "chosen" if i == found["chosen"] else "",
            )
        )
    one = found["trials"][0]
    title = f"{found['algorithm']}: {len(rows)} trials on {len(one['seeds'])} seeds of {', '.join(one['blocks'])}"
    return Table(title, ("settings", "score", "difference", "gradient steps", "env steps", ""), rows, NOTES)


def overview(every: dict[str, dict[str, Any]], suite: str) -> Table | None:
    """What was tuned for a suite, a row for each algorithm; None where nothing was."""
    rows = []
    for found in every.values():
        i, first = found["chosen"], found["trials"][0]
        best = None if i is None else found["trials"][i]
        d = None if best is None else best["difference"]
        rows.append(
            (
                found["algorithm"],
                ", ".join(first["blocks"]),
                f"{len(found['trials'])} on {len(first['seeds'])} seeds",
                "-" if first["score"] is None else f"{first['score']:.3f}",
                "none scored" if best is None else _settings(best["changes"]),
                "-" if best is None else f"{best['score']:.3f}",
                "-" if d is None else f"{d[0]:+.3f} [{d[1]:+.3f}, {d[2]:+.3f}]",
            )
        )
    columns = ("algorithm", "tuned on", "trials", "as declared then", "chosen", "score", "difference")
    return Table(f"Tuning for {suite}", columns, rows, NOTES) if rows else None


def shown(found: dict[str, Any]) -> str:
    """For a terminal."""
    return text([table(found)])


def beside(suite: str, results: pathlib.Path) -> Table | None:
    """The overview of what was tuned for `name@version`, from the folder of its trials beside its own; None without one."""
    stem, _, version = suite.partition("@")
    return overview(load(results / f"{stem}{WORD}@{version}"), suite)


def load(folder: pathlib.Path) -> dict[str, dict[str, Any]]:
    """What was tuned, by algorithm, in a suite's folder; {} where nothing was. Raises ValueError for what is no such file."""
    path = folder / FILE
    if not path.is_file():
        return {}
    found: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    return found


def keep(found: dict[str, Any], folder: pathlib.Path) -> pathlib.Path:
    """Puts one algorithm's trials beside the others in `folder`/TUNING.json, and writes the page anew; its path. Raises OSError."""
    every = dict(sorted((load(folder) | {found["algorithm"]: found}).items()))
    write_atomic(folder / FILE, (json.dumps(every, indent=1, allow_nan=False) + "\n").encode())
    head = (
        f"# Tuning\n\nWhat `ilbench tune ALGORITHM` tried for {folder.name}; every algorithm has as many trials, "
        "or its whole space where that is smaller.\n\n"
    )
    write_atomic(folder / PAGE, (head + markdown([table(one) for one in every.values()]) + "\n").encode())
    return folder / PAGE
