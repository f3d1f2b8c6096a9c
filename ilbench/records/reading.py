"""Reading the store: where records lie, which of them are believed, and what is wrong with everything else.

Single files and packs are read alike, and the same rules hold for one record and for all of them, so that a run and a
board never disagree about what is there. ilbench/records/store.py says how a store looks, and writes it.
"""

from __future__ import annotations

import hashlib
import os
import pathlib
import re
from typing import NamedTuple

import numpy as np

from ilbench.records import files, pack
from ilbench.records.codec import MAX_SIDECAR, POLICY, decode, decode_arrays
from ilbench.records.consistency import consistent
from ilbench.records.index import Index
from ilbench.records.schema import MAX_BYTES, Record

_SUITE = re.compile(r"[a-z0-9][a-z0-9._+-]{0,63}@[0-9]{1,9}")
_ID = re.compile(r"[0-9a-f]{32}")


class StoreError(Exception):
    """The store cannot be read or written; the message names the path and what to do."""


class Problem(NamedTuple):
    """A file that is not a valid record of this store, and why; reading leaves it where it is."""

    path: str
    reason: str


# --------------------------------------------------------------------------------------- places
def suite_folder(path: str | pathlib.Path, suite: str) -> pathlib.Path:
    """Where a suite `name@version` lies; raises StoreError for another form of name."""
    if not _SUITE.fullmatch(suite):
        raise StoreError(f"suite {suite!r:.80} is not of the form name@version, e.g. quick@1")
    return pathlib.Path(path) / suite


def record_path(path: str | pathlib.Path, suite: str, id: str) -> pathlib.Path:
    """Where the record with that id lies, or would lie, as a file of its own; raises StoreError for what is no id."""
    if not _ID.fullmatch(id):
        raise StoreError(f"{id!r:.80} is no record id; one is 32 hex digits")
    return suite_folder(path, suite) / "records" / id[:2] / f"{id}.json"


def sidecar_name(record: Record) -> str:
    """File name of the record's arrays."""
    return f"{record.id}.{str(record.sidecar)[:12]}.safetensors"


def suites(path: str | pathlib.Path) -> list[str]:
    """The suites, `name@version`, that have records in a folder, as files or packed; sorted."""
    found = {p.parent.name for name in ("records", pack.RECORDS) for p in pathlib.Path(path).glob(f"*@*/{name}")}
    return sorted(name for name in found if _SUITE.fullmatch(name))


def _suites(path: str | pathlib.Path, suite: str | None) -> list[str]:
    if not os.path.isdir(path):
        raise StoreError(f"no folder {os.fspath(path)!r}: give the folder of results, or run `ilbench run` first")
    there = suites(path)
    if suite is not None and suite not in there:
        raise StoreError(f"{os.fspath(path)!r} has no suite {suite!r}; there are: {', '.join(there) or 'none'}")
    return [suite] if suite else there


def _listed(folder: pathlib.Path) -> tuple[list[pathlib.Path], list[Problem]]:
    """Files of a suite that have a record's name and place, sorted, and everything that has not."""
    found: list[pathlib.Path] = []
    problems: list[Problem] = []
    shards = folder / "records"
    if not os.path.lexists(shards):
        return found, problems
    for shard in _entries(shards, folder, problems):
        if not re.fullmatch("[0-9a-f]{2}", shard.name) or not os.path.isdir(shard):
            reason = "no folder of records, which has the first two digits of their ids for a name: ignored"
            problems.append(Problem(str(shard), reason))
            continue
        for file in _entries(shard, folder, problems):
            stem, _, suffix = file.name.partition(".")
            if _ID.fullmatch(stem) and stem[:2] == shard.name and suffix == "json":
                found.append(file)
            elif not (pack.SIDECAR.fullmatch(file.name) and stem[:2] == shard.name):
                reason = "is not called <id>.json or <id>.<sha>.safetensors with the id's first two digits as folder"
                problems.append(Problem(str(file), f"{reason}: ignored"))
    return found, problems


def _entries(place: pathlib.Path, folder: pathlib.Path, problems: list[Problem]) -> list[pathlib.Path]:
    """What lies in a folder of a suite, sorted, but for files being written; a folder outside or unreadable is named."""
    try:
        if files.inside(place, folder):
            return sorted(entry for entry in place.iterdir() if not entry.name.startswith("."))
        problems.append(Problem(str(place), f"a link that leads out of {folder.name}/: ignored"))
    except OSError as error:
        problems.append(Problem(str(place), f"cannot be read: {error.strerror}"))
    return []


# ------------------------------------------------------------------------------------- reading
def believed(record: Record) -> Record:
    """The record, if its numbers fit each other; raises ValueError otherwise."""
    if (doubt := consistent(record)) is not None:
        raise ValueError(f"its numbers do not fit each other: it {doubt}")
    return record


def _judged(data: bytes, index: Index | None) -> Record:
    """The record in some bytes; raises ValueError for what is not sound. Bytes that were found sound before are only parsed."""
    if index is None:
        return believed(decode(data))
    record = index.record(data)
    return index.found(believed(decode(data)), data) if record is None else record


def read_file(file: pathlib.Path, index: Index | None = None) -> Record:
    """The record in a file of its own; raises ValueError unless it is sound and the one that the file's place says."""
    folder = file.parents[2]
    record = _judged(files.read_regular(file, folder, MAX_BYTES), index)
    if file.name != f"{record.id}.json" or file.parent.name != record.id[:2]:
        raise ValueError(f"holds the record {record.id}, which belongs under {record.id[:2]}/{record.id}.json")
    if folder.name != record.suite:
        raise ValueError(f"holds a record of suite {record.suite!r}, but lies in {folder.name!r}")
    return record


def packed(folder: pathlib.Path, id: str, index: Index | None = None) -> Record | None:
    """The record in the pack of a suite's folder, None when that holds none; raises ValueError for a damaged one."""
    return _of_line(pack.opened(folder), id, index)


def _of_line(there: pack.Pack, id: str, index: Index | None) -> Record | None:
    line = there.lines.get(id)
    if line is None:
        return None
    record = _judged(line, index)
    if record.id != id or record.suite != there.folder.name:
        raise ValueError(f"holds {record.id} of suite {record.suite!r} as {id} of {there.folder.name!r}")
    return record


def get(path: str | pathlib.Path, suite: str, id: str) -> Record:
    """The record with that id, and no other; raises StoreError that says why there is none, or why it is not believed."""
    file = record_path(path, suite, id)
    why = None
    for place in (lambda: read_file(file), lambda: packed(file.parents[2], id)):
        try:
            record: Record | None = place()
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:
            why = why or f"{file}: {getattr(error, 'strerror', None) or error}"
            continue
        if record is not None:
            return record
    raise StoreError(why or f"{os.fspath(path)!r} has no record {id} of {suite}")


def read(path: str | pathlib.Path, suite: str, id: str) -> Record | None:
    """The valid record with that id, or None when there is none or it is damaged; raises StoreError for what is no id."""
    record_path(path, suite, id)
    try:
        return get(path, suite, id)
    except StoreError:
        return None


def exists(path: str | pathlib.Path, id: str, suite: str | None = None) -> bool:
    """Whether a valid record with that id is stored, in `suite` or in any; a damaged file does not count."""
    names = [suite] if suite is not None else _suites(path, None) if os.path.isdir(path) else []
    return any(read(path, name, id) is not None for name in names)


def sound(path: str | pathlib.Path, suite: str, id: str, policy: bool = False) -> bool:
    """Whether the record and its arrays are there, whole; with `policy`, whether these hold the scored policy too."""
    record = read(path, suite, id)
    try:
        arrays = {} if record is None else read_sidecar(path, record)
    except StoreError:
        return False
    return record is not None and (not policy or any(name.startswith(POLICY) for name in arrays))


def find(path: str | pathlib.Path, prefix: str) -> list[tuple[str, str]]:
    """(suite, id) of everything that is called like a record whose id starts with `prefix` (2 digits or more); sorted."""
    found = set()
    for suite in suites(path):
        folder = pathlib.Path(path) / suite
        found |= {(suite, f.stem) for f in folder.glob(f"records/{prefix[:2]}/{prefix}*.json") if _ID.fullmatch(f.stem)}
        found |= {(suite, id) for id in pack.opened(folder).lines if id.startswith(prefix)}
    return sorted(found)


def read_all(
    path: str | pathlib.Path = "results", suite: str | None = None, *, sidecars: bool = False, index: Index | None = None
) -> tuple[list[Record], list[Problem]]:
    """Every valid record under `path` (sorted by suite and id) and every file that is none. Nothing is moved.

    With `sidecars` lost and damaged arrays are problems too; an `index`, of one suite, says what need not be judged again.
    Raises StoreError when there is no such folder or suite.
    """
    records, problems = [], []
    for name in _suites(path, suite):
        folder = pathlib.Path(path) / name
        listed, wrong = _listed(folder)
        problems += wrong
        found: dict[str, Record] = {}
        for file in listed:
            try:
                found[file.stem] = read_file(file, index)
            except FileNotFoundError:
                if os.path.lexists(file):  # else it was packed or deleted since
                    problems.append(Problem(str(file), "a link to nothing"))
            except ValueError as error:
                problems.append(Problem(str(file), str(error)))
            except OSError as error:
                problems.append(Problem(str(file), f"cannot be read: {error.strerror}"))
        there = pack.opened(folder)  # after the files, which are removed only once they are in it
        problems += [Problem(str(folder / file), reason) for file, reason in there.problems]
        for id in there.lines:
            if id not in found:
                try:
                    record = _of_line(there, id, index)
                except ValueError as error:
                    problems.append(Problem(f"{folder / pack.RECORDS}: {id}", str(error)))
                else:
                    if record is not None:
                        found[id] = record
        records += [found[id] for id in sorted(found)]
    if sidecars:
        for record in records:
            try:
                read_sidecar(path, record)
            except StoreError as error:
                place, _, reason = str(error).partition(": ")
                problems.append(Problem(place, reason))
    return records, problems


def sidecar_bytes(path: str | pathlib.Path, record: Record) -> bytes:
    """The bytes of the record's sidecar, from its own file or the pack, their hash checked; raises StoreError."""
    file = record_path(path, record.suite, record.id).with_name(sidecar_name(record))
    places = (
        lambda: files.read_regular(file, file.parents[2], MAX_SIDECAR),
        lambda: pack.arrays(pack.opened(file.parents[2]), file.name),
    )
    why = None
    for place in places:
        try:
            data = place()
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:
            why = why or f"cannot be read: {getattr(error, 'strerror', None) or error}"
            continue
        if data is not None and hashlib.sha256(data).hexdigest() == record.sidecar:
            return data
        why = why or (None if data is None else "not the arrays of this record")
    raise StoreError(f"{file}: {why or 'missing'}; run the cell of record {record.id} again")


def read_sidecar(path: str | pathlib.Path, record: Record) -> dict[str, np.ndarray]:
    """The record's arrays, their hash checked before they are parsed ({} when it has none); raises StoreError."""
    if record.sidecar is None:
        return {}
    try:
        return decode_arrays(sidecar_bytes(path, record))
    except ValueError as error:
        file = record_path(path, record.suite, record.id).with_name(sidecar_name(record))
        raise StoreError(f"{file}: cannot be read as arrays: {error}") from error


def attempts(path: str | pathlib.Path, suite: str | None = None) -> list[pathlib.Path]:
    """What lies in attempts/: results that differ from the first one, and damaged files that were replaced; sorted."""
    folders = [pathlib.Path(path) / name / "attempts" for name in _suites(path, suite)]
    return sorted(f for folder in folders if folder.is_dir() for f in folder.iterdir() if not f.name.startswith("."))
