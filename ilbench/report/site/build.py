"""Builds the site of a folder of records and puts it on disk, every file whole or as it was."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Sequence
from typing import Any, NamedTuple

from ilbench.display.tables import shown
from ilbench.records import store
from ilbench.records.files import write_atomic
from ilbench.report import source
from ilbench.report.site import about, algorithms, boards, compare, compounding, index, lecture, runs, tasks, theory
from ilbench.report.site.boards import by_task
from ilbench.report.site.book import TEMPLATES, Book, style, suite_path
from ilbench.report.site.material import Aside, Material, Say, collect

LISTED = "site.json"  # what this program wrote into the folder: only these files are ever removed


class Built(NamedTuple):
    """What was written."""

    folder: pathlib.Path
    files: int
    bytes: int
    suites: tuple[str, ...]
    aside: tuple[Aside, ...]


def run(
    suites: Sequence[str], out: str | pathlib.Path, results: str | pathlib.Path | None, say: Say = lambda text: None
) -> Built:
    """Reads, renders, writes; raises ValueError and StoreError for a folder that cannot take a site, before anything is read."""
    folder = pathlib.Path(out)
    old = _ready(folder)
    with source.without_collecting():
        material = collect(suites, results, say)
    with source.at_rest():
        book = make(material, say)
    say("writing")
    for name, content in book.files.items():
        if name not in old or not (folder / name).is_file() or (folder / name).read_bytes() != content:
            write_atomic(folder / name, content)
    for name in old - set(book.files):
        (folder / name).unlink(missing_ok=True)
    write_atomic(folder / LISTED, (json.dumps(sorted(book.files), indent=0) + "\n").encode())
    size = sum(map(len, book.files.values()))
    return Built(folder, len(book.files), size, tuple(s.name for s in material.suites), material.aside)


def _ready(folder: pathlib.Path) -> set[str]:
    """The files of the site that is there already; raises for a folder that is none of ours or cannot be written."""
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{str(folder)!r} is no folder; give a new or an empty one with --out")
    old: Any = []
    if folder.is_dir() and any(folder.iterdir()):
        try:
            old = json.loads((folder / LISTED).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            raise ValueError(
                f"{str(folder)!r} holds other files than a site; give a new or an empty folder with --out"
            ) from None
    store.preflight(folder, 2**20)
    names = [name for name in old if isinstance(name, str)] if isinstance(old, list) else []
    return {name for name in names if not pathlib.PurePosixPath(name).is_absolute() and ".." not in name.split("/")}


def make(material: Material, say: Say = lambda text: None) -> Book:
    """All files of the site."""
    book = Book({"menu": _menu(material), "source": _source(material)})
    book.tasks = {(s.name, task) for s in material.suites for task in by_task(s)}
    book.files |= {name: (TEMPLATES / name).read_bytes() for name in ("site.js", "choice.js")}
    book.files["site.css"] = style()
    for suite in material.suites:
        say(f"pages of {suite.name}")
        boards.write(book, suite, material)
        tasks.write(book, suite)
        compare.write(book, suite)
        compounding.write(book, suite)
        theory.write_suite(book, suite)
        runs.write(book, suite, material)
    say("front page, algorithms, theory")
    algorithms.write(book, material)
    theory.write(book, material)
    lecture.write(book, material)
    about.write(book, material)
    index.write(book, material)
    return book


def _menu(material: Material) -> list[tuple[str, str]]:
    snapped = None if material.snapped is None else suite_path(material.snapped.name, "compounding")
    found = [
        ("Home", "index.html"),
        ("Boards", "index.html#suites" if material.suites else None),
        ("Compounding", snapped),
        ("Theory", "theory.html" if material.checks else None),
        ("Lecture", "lecture.html" if material.checks else None),
    ]
    found += [("Algorithms", "algorithms/index.html"), ("About", "about.html")]
    return [(name, to) for name, to in found if to is not None]


def _source(material: Material) -> str:
    """What the site was made from."""
    parts = [f"{s.name}: {len(s.found.records):,} records, digest {s.digest}" for s in material.suites]
    if material.checks:
        parts.append(f"{len(material.checks)} checks")
    return shown("; ".join(parts) or "No records.")
