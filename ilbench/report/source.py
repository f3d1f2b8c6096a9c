"""Where reports read from: the records of one suite, in runs/ or in results/."""

from __future__ import annotations

import pathlib
import sys
from typing import Any, NamedTuple

import numpy as np

from ilbench import registry, store
from ilbench.records import Record

FOLDERS = ("runs", "results")


class Found(NamedTuple):
    """Valid records of one suite, and their arrays by record id."""

    suite: str  # name@version
    folder: pathlib.Path
    records: list[Record]
    arrays: dict[str, dict[str, np.ndarray]]


def suites(folder: pathlib.Path) -> list[str]:
    """The suites, `name@version`, that have records in a folder."""
    return sorted(p.parent.name for p in folder.glob("*@*/records") if p.parent.name.rsplit("@", 1)[1].isdigit())


def _absent(suite: str, folders: list[pathlib.Path]) -> Exception:
    """The error for a suite without records: one that cannot have any is a wrong name, any other is yet to be run."""
    have = sorted({s for f in folders for s in suites(f)})
    where = " or ".join(f"{f}/" for f in folders)
    stem, at, _ = suite.partition("@")
    declared = stem.removesuffix("+custom")
    others = [s for s in have if s.rsplit("@", 1)[0] == stem]
    if declared not in registry.entries("suites"):
        return registry.unknown("suites", suite, sorted({*registry.entries("suites"), *have}))
    if at and others:
        return registry.UnknownName(f"no records of {suite!r} in {where}; of this suite there are: {', '.join(others)}")
    changed = " with --set or --horizons" if declared != stem else ""
    there = f"; there are: {', '.join(have)}" if have else ""
    return store.StoreError(
        f"no records of suite {suite!r} in {where}{there}; run `ilbench run {declared}`{changed} first"
    )


def load(suite: str = "quick", results: str | pathlib.Path | None = None) -> Found:
    """The records of `quick` (its newest version) or `quick@1`; problems are named on stderr and left out.

    Raises StoreError when no folder has the suite yet, UnknownName when there is none of that name, and ValueError
    when `results` is no folder.
    """
    if results is not None and not pathlib.Path(results).is_dir():
        raise ValueError(
            f"--results {str(results)!r} is not a folder; give the folder of records, e.g. runs or results"
        )
    folders = [pathlib.Path(results)] if results is not None else [pathlib.Path(f) for f in FOLDERS]
    for folder in folders:
        there = [s for s in suites(folder) if s == suite or s.rsplit("@", 1)[0] == suite]
        if there:
            name = max(there, key=lambda s: int(s.rsplit("@", 1)[1]))
            break
    else:
        raise _absent(suite, folders)
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
