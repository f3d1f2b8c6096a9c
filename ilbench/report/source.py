"""Where reports read from: the records of one suite, in runs/ or in results/."""

from __future__ import annotations

import pathlib
import sys
from typing import Any, NamedTuple

import numpy as np

from ilbench import store
from ilbench.records import Record

FOLDERS = ("runs", "results")


class Found(NamedTuple):
    """Valid records of one suite, and their arrays by record id."""

    suite: str  # name@version
    folder: pathlib.Path
    records: list[Record]
    arrays: dict[str, dict[str, np.ndarray]]


def _suites(folder: pathlib.Path) -> list[str]:
    return sorted(p.parent.name for p in folder.glob("*@*/records"))


def load(suite: str = "quick", results: str | pathlib.Path | None = None) -> Found:
    """The records of `quick` (its newest version) or `quick@1`; problems are named on stderr and left out.

    Raises StoreError when no folder has the suite.
    """
    folders = [pathlib.Path(results)] if results is not None else [pathlib.Path(f) for f in FOLDERS]
    for folder in folders:
        there = [s for s in _suites(folder) if s == suite or s.rsplit("@", 1)[0] == suite]
        if there:
            name = max(there, key=lambda s: int(s.rsplit("@", 1)[1]))
            break
    else:
        have = sorted({s for f in folders for s in _suites(f)})
        raise store.StoreError(
            f"no records of suite {suite!r} in {' or '.join(str(f) + '/' for f in folders)}"
            f"{'; there are: ' + ', '.join(have) if have else ''}; run `ilbench run {suite}` first"
        )
    records, problems = store.read_all(folder, name)
    arrays: dict[str, dict[str, Any]] = {}
    for record in records:
        if record.sidecar is not None:
            try:
                arrays[record.id] = store.read_sidecar(folder, record)
            except (OSError, ValueError, store.StoreError) as error:
                problems.append(store.Problem(f"{record.id}.safetensors", str(error)))
    for problem in problems:
        print(f"ilbench: left out {problem.path}: {problem.reason}", file=sys.stderr)
    return Found(name, folder / name, records, arrays)


def write_page(found: Found, name: str, content: str) -> pathlib.Path:
    """Writes a generated page beside the records and returns its path."""
    path = found.folder / name
    path.write_text(content, encoding="utf-8")
    return path
