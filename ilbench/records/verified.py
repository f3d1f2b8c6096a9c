"""VERIFIED.jsonl beside a suite's records: which of them somebody else has checked, evaluated again or trained again, when, by what.

A line is about one record as it was, by its seal: a record that changes afterwards is self-reported again. Lines are added, never
changed; a contradiction takes a record's tier away until it is evaluated or trained again with success. The file says what whoever
keeps the folder has found, so that one that comes with a submission counts for nothing there (`ilbench submit-check` names it).
"""

from __future__ import annotations

import os
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ilbench.records import files
from ilbench.records.reading import Problem, StoreError
from ilbench.records.schema import Record, Sha256, canonical

FILE = "VERIFIED.jsonl"
TIERS = ("self-reported", "checked", "re-evaluated", "reproduced")  # each says more than the one before
CONTRADICTED = "contradicted"
MAX_BYTES = 1 << 26  # of the file
MAX_LINE = 4096


class Line(BaseModel):
    """What was found of one record."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    id: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    digest: Sha256  # the record's own hash, as it was
    tier: Literal["checked", "re-evaluated", "reproduced", "contradicted"]
    date: Annotated[str, Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")]  # UTC
    how: Annotated[str, Field(max_length=300)]  # the test and its numbers
    versions: Annotated[
        dict[Annotated[str, Field(max_length=60)], Annotated[str, Field(max_length=60)]], Field(max_length=30)
    ]


def read(folder: pathlib.Path) -> tuple[list[Line], list[Problem]]:
    """The lines of a suite's folder, oldest first, and what is none; both empty without the file."""
    file = folder / FILE
    if not os.path.lexists(file):
        return [], []
    try:
        rows = files.read_regular(file, folder, MAX_BYTES).split(b"\n")
    except (OSError, ValueError) as error:
        return [], [Problem(str(file), f"cannot be read: {getattr(error, 'strerror', None) or error}")]
    found, problems = [], []
    for number, row in enumerate(rows, 1):
        if not row.strip():
            continue
        try:
            if len(row) > MAX_LINE:
                raise ValueError(f"more than {MAX_LINE} bytes")
            found.append(Line.model_validate_json(row))
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            problems.append(
                Problem(str(file), f"line {number}: {'.'.join(map(str, first['loc'])) or 'line'}: {first['msg']}")
            )
        except ValueError as error:
            problems.append(Problem(str(file), f"line {number}: {error}"))
    return found, problems


def standing(lines: Iterable[Line], records: Iterable[Record]) -> dict[str, Line]:
    """By id the line that gives a record its tier; no entry for what is self-reported, or was changed since."""
    seals = {r.id: r.self_hash for r in records}
    out: dict[str, Line] = {}
    for line in lines:
        if seals.get(line.id) == line.digest and _counts(out.get(line.id), line):
            out[line.id] = line
    return out


def _counts(before: Line | None, line: Line) -> bool:
    """Whether a later line takes the place of an earlier one: reading a contradicted record again mends nothing."""
    if before is None or line.tier == CONTRADICTED:
        return True
    if before.tier == CONTRADICTED:
        return line.tier != "checked"
    return TIERS.index(line.tier) >= TIERS.index(before.tier)


def add(folder: pathlib.Path, lines: Sequence[Line]) -> None:
    """Adds lines, all or none; raises StoreError where the disk refuses."""
    file = folder / FILE
    try:
        with files.locked(folder):
            old = files.read_regular(file, folder, MAX_BYTES) if os.path.lexists(file) else b""
            old += b"\n" if old and not old.endswith(b"\n") else b""
            files.write_atomic(file, old + b"".join(canonical(line.model_dump()).encode() + b"\n" for line in lines))
    except (OSError, ValueError) as error:
        raise StoreError(
            f"cannot write {str(file)!r}: {getattr(error, 'strerror', None) or error}; nothing was changed"
        ) from error


def said(tiers: Mapping[str, int], of: int) -> str:
    """`reproduced`, or `of 10: 3 reproduced, 1 CONTRADICTED`: what a board says of a row of so many records; `-` for self-reported."""
    order = [name for name in (*reversed(TIERS), CONTRADICTED) if tiers.get(name)]
    if order and tiers[order[0]] == of and order[0] != CONTRADICTED:
        return order[0]
    parts = [f"{tiers[name]} {name.upper() if name == CONTRADICTED else name}" for name in order]
    return f"of {of}: {', '.join(parts)}" if parts else "-"
