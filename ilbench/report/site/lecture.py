"""The lecture's page: every item with the command that runs it and what came out; theorems with their proof beside what was measured."""

from __future__ import annotations

import pathlib
from typing import Any

from ilbench.display.tables import Table, number
from ilbench.records.store import StoreError
from ilbench.report import checks
from ilbench.report.lecture import contents
from ilbench.report.lecture.known import Absent, Known
from ilbench.report.replication.verdicts import Suites
from ilbench.report.site.book import TEMPLATES, Book, suite_path
from ilbench.report.site.material import Material
from ilbench.report.site.mathml import prose

PAGE = "lecture.html"
COLUMNS = ("step", "predicted", "measured [interval]", "verdict")


def numbers(material: Material) -> Known:
    """What the page's sentences are made from: what the build has read already, the newest version of a suite first."""

    def records(suite: str) -> list[Any]:
        found = [s for s in material.suites if suite in (s.name, s.name.split("@")[0])]
        if not found:
            raise StoreError(f"no {suite} on this site")
        return list(max(found, key=lambda s: int(s.name.rpartition("@")[2])).found.records)

    snapped = material.snapped
    return Known(material.checks, Suites(records), lambda: None if snapped is None else snapped.compounding)


def write(book: Book, material: Material) -> None:
    """lecture.html; nothing without checks, which most of it is made from."""
    if not material.checks:
        return
    known = numbers(material)
    rows = contents.build(known)
    drawn: set[str] = set()
    parts = [
        {"name": part, "items": [_item(book, material, known, row, drawn) for row in rows if row.part == part]}
        for part in dict.fromkeys(row.part for row in rows)
    ]
    book.files["lecture.css"] = (TEMPLATES / "lecture.css").read_bytes()
    book.page(
        PAGE,
        "lecture.html",
        "Lecture",
        parts=parts,
        machine=contents.MACHINE,
        covered=sum(bool(r.item.command) for r in rows),
        of=len(rows),
    )


def _item(book: Book, material: Material, known: Known, row: contents.Row, drawn: set[str]) -> dict[str, Any]:
    """An item as the template shows it; a picture that several share stands with the first."""
    i = row.item
    picture, leads = _picture(material, i.picture), _leads(material, i.check, i.picture)
    fresh = picture if picture not in drawn else ""
    drawn.add(picture)
    return {
        "id": i.id, "name": i.title, "says": i.says, "said": row.said, "covered": bool(i.command),
        "command": f"ilbench {i.command}" if i.command else "", "seconds": number(i.seconds, 2), "picture": fresh, "leads": leads,
        "proof": _proof(book, known, i.id) if i.id in contents.proved() else None,
    }  # fmt: skip


def _picture(material: Material, path: str) -> str:
    """Where the picture of a check lies on the site, or nothing."""
    name = pathlib.PurePosixPath(path).name
    return f"theory/{name}" if path.startswith(f"{checks.FOLDER}/") and name in material.pictures else ""


def _leads(material: Material, check: str, picture: str) -> tuple[str, str]:
    """The page that says more, and its name."""
    if any(r.id == check for r in material.checks):
        return f"theory.html#{check}", f"all of {checks.checks.short(check)}"
    if picture.startswith("compounding") and material.snapped is not None:
        return suite_path(material.snapped.name, "compounding"), "task by task"
    return "", ""


def _proof(book: Book, known: Known, name: str) -> dict[str, Any]:
    """Statement, proof and the steps that were measured."""
    p = contents.proof(name)
    rows = []
    for what, check, within in p.STEPS:
        try:
            _, _, _, predicted, measured, _, verdict, _ = checks.row_of(known.claim(check, *within))
        except Absent as lacking:
            predicted, measured, verdict = "-", "-", str(lacking)
        rows.append((what, predicted, measured, verdict))
    table = Table(f"{p.TITLE}: measured", COLUMNS, rows)
    return {
        "title": p.TITLE, "statement": [prose(t) for t in p.STATEMENT], "paragraphs": [prose(t) for t in p.PROOF],
        "table": book.table(PAGE, table, id=f"steps-{name}"),
    }  # fmt: skip
