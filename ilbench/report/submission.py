"""A folder of records from somebody else, or a bundle of them: is every file what it says, do the numbers follow, is anything missing?

Nothing in it is executed, no link out of it is followed, and what is too large is not read (ilbench/records/reading.py, and for a zip or
a tar ilbench/records/bundle.py). Ids, seals and scores are computed again from what the records hold; that episodes were run as they are
told nobody can see from files: `ilbench verify` runs them again.
"""

from __future__ import annotations

import os
import pathlib
import re
import tempfile
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

from ilbench.display.tables import shown
from ilbench.records import bundle, files, pack, store, verified
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
    """A folder of results, one suite's folder in it, or a bundle of either; ValueError for what is none, or holds no records."""
    if given.is_dir():
        return _folder(given)
    if not given.is_file():
        raise ValueError(f"{str(given)!r} is not a folder, nor a zip or tar; give the folder that holds the suites, e.g. results")
    with tempfile.TemporaryDirectory(prefix="ilbench-") as name:
        inside = pathlib.Path(name).resolve()
        try:
            opened = bundle.extract(given, inside)
        except bundle.Refused as error:
            return Checked({}, [f"the bundle is refused: {shown(error)}"], [])
        found = _folder(inside) if store.suites(inside) else Checked({}, [f"it holds no records among {opened.files} files"], [])
    left = [f"{opened.left} other files in it are not read"] if opened.left else []
    return Checked(found.suites, [*map(shown, opened.wrong), *found.wrong], [*found.open, *left])


def _folder(given: pathlib.Path) -> Checked:
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
        bomb = _bomb(folder / suite)
        wrong += [f"{suite}/{bomb}"] if bomb else []
        records, problems = store.read_all(folder, suite, sidecars=not bomb)
        wrong += [f"{shown(_within(p.path, folder))}: {shown(p.reason)}" for p in problems]
        lost = {pathlib.Path(p.path).name.partition(".")[0] for p in problems}
        wrong += [
            f"{suite}/{r.id}: {shown(why)}" for r in records if r.id not in lost and not bomb and (why := _unfit(folder, r))
        ]
        wrong += [f"{suite}/{line}" for line in (*_twice(folder / suite), *_pickles(folder / suite))]
        suites[suite] = len(records)
        left += [f"{suite}/{r.id}: {line}" for r in records for line in lively(r)]
        left += [f"{suite}: {line}" for line in _open(folder, suite, records)]
    return Checked(suites, wrong, left)


def _bomb(suite: pathlib.Path) -> str:
    """Why the packed arrays of a suite are not inflated one after the other; empty where they may be."""
    file, members = suite / pack.ARRAYS, pack.opened(suite).members
    total = sum(m.size for m in members.values())
    if not members or total <= pack.FREE + pack.RATIO * file.stat().st_size:
        return ""
    return f"{pack.ARRAYS}: {total:,} bytes would come out of {file.stat().st_size:,}: not read"


def _twice(suite: pathlib.Path) -> list[str]:
    """Records that lie there as a file and in the pack, and say different things."""
    out = []
    for id, line in pack.opened(suite).lines.items():
        single = suite / "records" / id[:2] / f"{id}.json"
        if single.is_file():
            try:
                same = store.read_file(single).self_hash == store.decode(line).self_hash
            except (OSError, ValueError):
                continue  # named already
            out += [] if same else [f"{id}: is there twice, and the two contradict each other"]
    return out


def _pickles(suite: pathlib.Path) -> list[str]:
    """Files that run code where somebody loads them: not read here, and nothing that a submission needs."""
    names = (os.path.join(top, name) for top, _, listed in os.walk(suite) for name in listed)
    return [f"{shown(name.removeprefix(f'{suite}/'))}: {why}" for name in names if "pickle" in (why := bundle.kind(name.removeprefix("/")))]


LIVELY = {
    "control characters": re.compile(r"[^\x20-\x7e\xa1-\u024f\u0370-\u1fff\u2070-\u2bff\u3000-\ud7ff]"),
    "markup": re.compile(r"<\s*[a-zA-Z/!?]|javascript:|\]\(|&#"),
    "a spreadsheet's formula": re.compile(r"^\s*[=+@-](?![\d.]|$)"),
    "TeX": re.compile(r"\\[a-zA-Z]{2,}|\$\$"),
}


def lively(record: Record) -> list[str]:
    """Texts of a record that would be more than text if a page, a table or a paper obeyed them, which none of ours does."""
    texts = list(_texts(record.model_dump(exclude={"id", "self_hash", "sidecar", "schema_"}), ""))
    found = [(where, what) for where, text in texts for what, pattern in LIVELY.items() if pattern.search(text)]
    return [f"{shown(where)[:80]} holds {what}: shown as text everywhere" for where, what in found[:3]]


def _texts(value: Any, where: str) -> Iterator[tuple[str, str]]:
    """Every text in a record, keys too, and where it is."""
    if isinstance(value, str):
        yield where, value
    elif isinstance(value, dict):
        for key, one in value.items():
            yield where or "record", str(key)
            yield from _texts(one, f"{where}.{key}" if where else str(key))
    elif isinstance(value, list):
        for one in value:
            yield from _texts(one, where)


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
    if (folder / suite / verified.FILE).exists():
        out.append(f"it brings its own {verified.FILE}, which counts only where whoever keeps the folder wrote it: leave it out")
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
