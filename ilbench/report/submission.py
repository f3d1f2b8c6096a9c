"""A folder of records from somebody else: is every file what it says, do the numbers follow, is anything missing?

Nothing in it is executed, no link out of it is followed, and what is too large is not read (ilbench/records/reading.py). Ids, seals and
scores are computed again from what the records hold; that episodes were run as they are told nobody can see from files.
"""

from __future__ import annotations

import pathlib
from collections import Counter
from typing import Any, NamedTuple

from ilbench.display.tables import shown
from ilbench.records import files, store
from ilbench.records.consistency import fits_arrays
from ilbench.records.schema import Record
from ilbench.report import source
from ilbench.report.groups import group

SOUND, NOT_WHOLE, UNSOUND = 0, 1, 2  # exit codes


class Checked(NamedTuple):
    """What was found: records by suite, what is wrong, and what is sound but not as it should be."""

    suites: dict[str, int]
    wrong: list[str]
    open: list[str]

    @property
    def code(self) -> int:
        """0 sound and whole, 1 sound but not whole, 2 not sound."""
        return UNSOUND if self.wrong else NOT_WHOLE if self.open else SOUND

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        verdict = ("sound and whole", "sound, not whole", "not sound")[self.code]
        return {"verdict": verdict, "suites": self.suites, "wrong": self.wrong, "open": self.open}


def check(given: pathlib.Path) -> Checked:
    """A folder of results, or one suite's folder in it; ValueError for what is no folder of records."""
    if not given.is_dir():
        raise ValueError(f"{str(given)!r} is not a folder; give the one that holds the suites, e.g. results")
    alone = given.resolve() if "@" in given.resolve().name else None
    folder = given if alone is None else alone.parent
    there = [s for s in store.suites(folder) if alone is None or s == alone.name]
    if not there:
        raise ValueError(
            f"{str(given)!r} holds no records; they lie in SUITE@VERSION/records/, or are packed in records.jsonl.gz"
        )
    suites, wrong, left = {}, [], []
    for suite in there:
        if not files.inside(folder / suite, folder):
            wrong.append(f"{suite}: a link that leads out of the folder: not read")
            continue
        records, problems = store.read_all(folder, suite, sidecars=True)
        wrong += [f"{shown(_within(p.path, folder))}: {shown(p.reason)}" for p in problems]
        lost = {pathlib.Path(p.path).name.partition(".")[0] for p in problems}
        wrong += [f"{suite}/{r.id}: {shown(why)}" for r in records if r.id not in lost and (why := _unfit(folder, r))]
        suites[suite] = len(records)
        left += [f"{suite}: {line}" for line in _open(folder, suite, records)]
    return Checked(suites, wrong, left)


def _within(path: str, folder: pathlib.Path) -> str:
    """A path as it is below the folder: what is reported names no machine."""
    return path.removeprefix(f"{folder}/")


def _unfit(folder: pathlib.Path, record: Record) -> str:
    """Why the arrays of a sound record do not fit it; empty where they do."""
    try:
        arrays = store.read_sidecar(folder, record)
    except store.StoreError as error:
        return str(error)
    return source.unusable(record, arrays) or (fits_arrays(record, arrays) or "" if arrays else "")


def _open(folder: pathlib.Path, suite: str, records: list[Record]) -> list[str]:
    """What a board would miss: cells, seeds, runs that failed, code that was not committed, results that differ."""
    out = []
    declared = source.declared_cells(suite)
    if declared is None:
        out.append(
            "this ilbench declares no such suite or another version of it: whether cells are missing is not known"
        )
    else:
        have = [source.cell_key(r.cell.task.rsplit("@", 1)[0], r.cell, r.cell.budget, r.cell.seed) for r in records]
        missing, strange = sorted(set(declared) - set(have)), sum(key not in set(declared) for key in have)
        if missing:
            out.append(f"{len(missing)} of {len(declared)} declared cells are missing, {_named(missing[0])} first")
        if strange:
            out.append(f"{strange} cells are not declared (other seeds or settings)")
    out += [f"{n} {status}" for status, n in sorted(Counter(r.status for r in records).items()) if status == "failed"]
    out += _seeds(records)
    dirty = sum(r.provenance.git_dirty is True for r in records)
    unknown = sum(r.provenance.git_sha is None for r in records)
    out += [f"{dirty} from a checkout with uncommitted changes"] if dirty else []
    out += [f"{unknown} state no commit"] if unknown else []
    conflicts = len(store.attempts(folder, suite))
    return [*out, f"{conflicts} results in attempts/ differ from those that count"] if conflicts else out


def _named(key: tuple[Any, ...]) -> str:
    task, algorithm, head, labels, seed = key
    return f"{task} {algorithm}/{head} n={labels} seed {seed}"


def _seeds(records: list[Record]) -> list[str]:
    """Rows that lack seeds which another row of their place has: they are compared over fewer."""
    groups = group(records)
    every = {g.place: set().union(*(o.seeds for o in groups if o.place == g.place)) for g in groups}
    short = [(g, every[g.place] - set(g.seeds)) for g in groups if every[g.place] - set(g.seeds)]
    return [
        f"{shown(g.setting)}: {shown(g.label)} lacks seeds {', '.join(map(str, sorted(lack)[:6]))}" for g, lack in short
    ]
