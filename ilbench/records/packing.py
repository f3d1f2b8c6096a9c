"""Packing a finished suite into two files, and undoing it: nothing is removed before all of it was read back.

What is not sound, or not spelled as this ilbench spells it, stays a file of its own and is named. New records of a run
that goes on lie beside the pack, and packing again merges them. What ilbench/records/pack.py says of the format holds.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pathlib
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from ilbench.records import files, pack, store
from ilbench.records.schema import Record, canonical
from ilbench.records.store import Problem, StoreError


class Done(NamedTuple):
    """What packing or its undoing did."""

    suite: str
    records: int  # in the pack now, or that were in it
    moved: int  # records that came in, or went out
    size: int  # bytes of the two files
    left: list[Problem]  # files that stay as they are, and why


class _Entry(NamedTuple):
    """One record on its way into a pack."""

    record: Record
    line: bytes


def do(path: str | pathlib.Path, suite: str, *, keep: bool = False) -> Done:
    """Packs the sound records of a suite `name@version`; with `keep` the single files stay too.

    Raises StoreError, with every record where it was, for a suite without records, a pack that is damaged (restore it,
    or undo it first) and a disk that refuses.
    """
    folder = _folder(path, suite)
    with _held(folder):
        entries, problems = _collect(path, suite)
        if not entries:
            raise StoreError(f"{folder} has no sound record to pack{_named(problems)}")
        inside = pack.opened(folder)
        moved = sum(inside.lines.get(id) != entry.line for id, entry in entries.items())
        if moved:
            with files.replacing(folder / pack.RECORDS) as records, files.replacing(folder / pack.ARRAYS) as arrays:
                # The arrays get their names first: a crash in between leaves the old records, whose arrays are there too
                # or, where a file has won over the pack, that file.
                pack.write_lines(records, (entry.line for entry in entries.values()))
                pack.write_members(arrays, _sidecars(path, entries))
                _verify(folder, records, arrays, entries)
            files.sync_folder(folder)
        if not keep:
            _remove(folder, entries)
    return Done(suite, len(entries), moved, _size(folder), problems)


def undo(path: str | pathlib.Path, suite: str) -> Done:
    """Puts the records of a pack back into files of their own, byte for byte, and removes the pack.

    A file that is there stays: it had won over the pack. Raises StoreError where there is no pack, where the disk
    refuses, and for a damaged pack, which stays beside what could be read of it.
    """
    folder = _folder(path, suite)
    with _held(folder):
        inside = pack.opened(folder)
        if not inside.lines and not inside.problems:
            raise StoreError(f"{folder} holds no pack; there is nothing to undo")
        problems = [Problem(str(folder / name), reason) for name, reason in inside.problems]
        size, moved = _size(folder), 0
        for id in inside.lines:
            try:
                record = store.packed(folder, id)
                assert record is not None
                moved += _restore(path, record)
            except (ValueError, StoreError) as error:
                problems.append(Problem(f"{folder / pack.RECORDS}: {id}", str(error)))
        if problems:
            raise StoreError(
                f"{folder}: the pack stays beside the {moved} records that were restored{_named(problems)}"
            )
        # Records last: as long as they are there, the command can be repeated.
        (folder / pack.ARRAYS).unlink(missing_ok=True)
        (folder / pack.RECORDS).unlink()
    return Done(suite, len(inside.lines), moved, size, [])


# ------------------------------------------------------------------------------------------------ steps
def _folder(path: str | pathlib.Path, suite: str) -> pathlib.Path:
    if suite not in store.suites(path):
        have = ", ".join(store.suites(path)) or "none"
        raise StoreError(f"{os.fspath(path)!r} has no suite {suite!r}; there are: {have}")
    return store.suite_folder(path, suite)


@contextlib.contextmanager
def _held(folder: pathlib.Path) -> Iterator[None]:
    """The folder to ourselves, and what the disk refuses as a StoreError."""
    try:
        with files.locked(folder):
            yield
    except OSError as error:
        raise StoreError(
            f"cannot write {str(folder)!r}: {error.strerror or error}. No record was removed that is not in the pack; "
            "free space or fix its permissions, and repeat the command"
        ) from error


def _named(problems: list[Problem]) -> str:
    return "".join(f"; {p.path}: {p.reason}" for p in problems[:3]) + ("; ..." if len(problems) > 3 else "")


def _collect(path: str | pathlib.Path, suite: str) -> tuple[dict[str, _Entry], list[Problem]]:
    """What goes into the pack by id, sorted, and what stays outside; raises StoreError for a damaged pack."""
    folder = store.suite_folder(path, suite)
    records, problems = store.read_all(path, suite, sidecars=True)
    inside, damaged = pack.opened(folder), [p for p in problems if p.path.startswith(str(folder / pack.RECORDS))]
    damaged += [Problem(str(folder / name), reason) for name, reason in inside.problems]
    lost = {pathlib.Path(p.path).name.partition(".")[0] for p in problems}  # ids of damaged files
    entries = {}
    for record in records:
        line, single = canonical(record.model_dump()).encode(), store.record_path(path, suite, record.id)
        if record.id in lost and record.id in inside.lines and not single.exists():
            damaged.append(Problem(str(folder / pack.ARRAYS), f"the arrays of record {record.id} are lost"))
        elif record.id in lost:
            continue  # a damaged sidecar: its file and the record stay, and are named
        elif single.exists() and single.read_bytes() != store.encode(record):
            problems.append(Problem(str(single), "not spelled as this ilbench spells it: it stays a file of its own"))
        else:
            entries[record.id] = _Entry(record, line)
    if damaged:
        raise StoreError(
            f"{folder} has a damaged pack, which a new one would not repair{_named(damaged)}. Restore its files, or move "
            "them away and run what is missing"
        )
    return dict(sorted(entries.items())), problems


def _sidecars(path: str | pathlib.Path, entries: dict[str, _Entry]) -> Iterator[tuple[str, bytes]]:
    for entry in entries.values():
        if entry.record.sidecar is not None:
            yield store.sidecar_name(entry.record), store.sidecar_bytes(path, entry.record)


def _verify(folder: pathlib.Path, records: BinaryIO, arrays: BinaryIO, entries: dict[str, _Entry]) -> None:
    """Reads both files back from the disk, before they take their names; raises StoreError for any difference."""
    for stream in (records, arrays):
        stream.flush()
        os.fsync(stream.fileno())
        stream.seek(0)
    lines, wrong = pack.read_lines(records)
    members, more = pack.read_members(arrays)
    if wrong or more or lines != {id: entry.line for id, entry in entries.items()}:
        raise StoreError(
            f"{folder}: the pack reads back otherwise than it was written {(wrong + more)[:1]}; nothing was changed"
        )
    for entry in entries.values():
        if entry.record.sidecar is None:
            continue
        name = store.sidecar_name(entry.record)
        if hashlib.sha256(pack.inflate(arrays, name, members[name])).hexdigest() != entry.record.sidecar:
            raise StoreError(f"{folder}: {name} reads back otherwise than it was written; nothing was changed")


def _remove(folder: pathlib.Path, entries: dict[str, _Entry]) -> None:
    """Removes the single files that are in the pack, byte for byte, and folders that this leaves empty."""
    for entry in entries.values():
        file = folder / "records" / entry.record.id[:2] / f"{entry.record.id}.json"
        sidecar = file.with_name(store.sidecar_name(entry.record))
        with contextlib.suppress(FileNotFoundError):
            file.unlink()  # its bytes were compared when it was collected, and nobody else may write meanwhile
        if entry.record.sidecar is not None:
            with contextlib.suppress(FileNotFoundError):
                sidecar.unlink()
    shards = folder / "records"
    if shards.is_dir():
        for place in (*shards.iterdir(), shards):
            with contextlib.suppress(OSError):  # not empty, or no folder: it stays
                place.rmdir()


def _restore(path: str | pathlib.Path, record: Record) -> int:
    """Writes a packed record and its arrays as files, what is not there of them; 1 if the record was not."""
    final = store.record_path(path, record.suite, record.id)
    there = os.path.lexists(final)
    wanted = store.read_file(final) if there else record  # a file that won over the pack may have its arrays in it
    final.parent.mkdir(parents=True, exist_ok=True)
    sidecar = final.with_name(store.sidecar_name(wanted))
    if wanted.sidecar is not None and not os.path.lexists(sidecar):
        files.write_atomic(sidecar, store.sidecar_bytes(path, wanted))
    if wanted.sidecar is not None and hashlib.sha256(sidecar.read_bytes()).hexdigest() != wanted.sidecar:
        raise StoreError(f"{sidecar}: not the arrays of its record, which the pack may have; move it away and repeat")
    if not there:
        files.write_atomic(final, store.encode(record))
    if store.read_file(final) != wanted:
        raise StoreError(f"{final}: reads back otherwise than it was written")
    return int(not there)


def _size(folder: pathlib.Path) -> int:
    return sum((folder / name).stat().st_size for name in (pack.RECORDS, pack.ARRAYS) if (folder / name).exists())
