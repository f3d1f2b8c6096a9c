"""The store: one JSON file and one safetensors sidecar per record, written so that a crash, a full disk or a second
writer leaves either the whole record or none of it.

    <results>/<suite>/records/<id[:2]>/<id>.json                the record; the first writer wins
    <results>/<suite>/records/<id[:2]>/<id>.<sha>.safetensors   its arrays, named by their content
    <results>/<suite>/records.jsonl.gz, arrays.zip              the same, packed: see ilbench/pack.py
    <results>/<suite>/attempts/                                 what lost against a different first writer

The sidecar's name holds its hash: two writers of one cell can never mix one's arrays with the other's JSON.
One id is one record: a single file wins over the pack, and what has another name or place is named and ignored. A
suite's folder may be a link; what lies in it counts only if it is a regular file inside, after following every link.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import pathlib
import re
import shutil
import uuid
from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

import numpy as np

from ilbench import files, pack
from ilbench.codec import MAX_SIDECAR, POLICY, decode_arrays, encode_arrays
from ilbench.codec import decode as decode
from ilbench.codec import encode as encode
from ilbench.consistency import consistent
from ilbench.records import MAX_BYTES as MAX_BYTES
from ilbench.records import Record, seal

PROBE_BYTES = 2**20  # actually written by preflight; the rest is asked of the file system
Outcome = Literal["written", "same", "conflict", "repaired", "replaced"]
_SUITE = re.compile(r"[a-z0-9][a-z0-9._+-]{0,63}@[0-9]{1,9}")
_ID = re.compile(r"[0-9a-f]{32}")
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV}


class StoreError(Exception):
    """The store cannot be read or written; the message names the path and what to do."""


class Problem(NamedTuple):
    """A file that is not a valid record of this store, and why; reading leaves it where it is."""

    path: str
    reason: str


class Written(NamedTuple):
    """What became of a record: `written`, `same` (an equal result was there), `conflict` (ours is under attempts/),
    `repaired` (a damaged file was moved to attempts/) or `replaced`."""

    outcome: Outcome
    path: pathlib.Path  # of the JSON file that holds this very record, or of the pack
    record: Record  # sealed, with its sidecar's hash


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
    found, problems = [], []
    shards = folder / "records"
    if not shards.is_dir() or not files.inside(shards, folder):
        return [], [Problem(str(shards), "no folder inside the suite: ignored")] if os.path.lexists(shards) else []
    for shard in sorted(shards.iterdir()):
        if shard.name.startswith("."):
            continue  # files being written
        if not re.fullmatch("[0-9a-f]{2}", shard.name) or not shard.is_dir():
            problems.append(Problem(str(shard), "no folder of records, which has two hex digits for a name: ignored"))
        elif not files.inside(shard, folder):
            problems.append(Problem(str(shard), f"a link that leads out of {folder.name}/: ignored"))
        else:
            for file in sorted(shard.iterdir()):
                stem, _, suffix = file.name.partition(".")
                if _ID.fullmatch(stem) and stem[:2] == shard.name and suffix == "json":
                    found.append(file)
                elif not file.name.startswith(".") and not (
                    pack.SIDECAR.fullmatch(file.name) and stem[:2] == shard.name
                ):
                    reason = (
                        "is not called <id>.json or <id>.<sha>.safetensors with the id's first two digits as folder"
                    )
                    problems.append(Problem(str(file), f"{reason}: ignored"))
    return found, problems


# ------------------------------------------------------------------------------------- reading
def _believed(record: Record) -> Record:
    """The record, if its numbers fit each other; raises ValueError otherwise."""
    if (doubt := consistent(record)) is not None:
        raise ValueError(f"its numbers do not fit each other: it {doubt}")
    return record


def read_file(file: pathlib.Path) -> Record:
    """The record in a file of its own; raises ValueError unless it is sound and the one that the file's place says."""
    folder = file.parents[2]
    record = decode(files.read_regular(file, folder, MAX_BYTES))
    if file.name != f"{record.id}.json" or file.parent.name != record.id[:2]:
        raise ValueError(f"holds the record {record.id}, which belongs under {record.id[:2]}/{record.id}.json")
    if folder.name != record.suite:
        raise ValueError(f"holds a record of suite {record.suite!r}, but lies in {folder.name!r}")
    return _believed(record)


def packed(folder: pathlib.Path, id: str) -> Record | None:
    """The record in the pack of a suite's folder, None when that holds none; raises ValueError for a damaged one."""
    line = pack.opened(folder).lines.get(id)
    if line is None:
        return None
    record = decode(line)
    if record.id != id or record.suite != folder.name:
        raise ValueError(f"holds {record.id} of suite {record.suite!r} as {id} of {folder.name!r}")
    return _believed(record)


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
    path: str | pathlib.Path = "results", suite: str | None = None, *, sidecars: bool = False
) -> tuple[list[Record], list[Problem]]:
    """Every valid record under `path` (sorted by suite and id) and every file that is none. Nothing is moved.

    With `sidecars` lost and damaged arrays are problems too. Raises StoreError when there is no such folder or suite.
    """
    records, problems = [], []
    for name in _suites(path, suite):
        folder = pathlib.Path(path) / name
        listed, wrong = _listed(folder)
        problems += wrong
        found: dict[str, Record] = {}
        for file in listed:
            try:
                found[file.stem] = read_file(file)
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
                    record = packed(folder, id)
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


# ------------------------------------------------------------------------------------- writing
def preflight(path: str | pathlib.Path, need_bytes: int = 0) -> None:
    """Creates the folder and proves that it can be written and has room; raises StoreError before any compute."""
    root = pathlib.Path(path)
    probe = root / f".probe-{uuid.uuid4().hex}"
    with _told(root):
        root.mkdir(parents=True, exist_ok=True)
        try:
            files.write_new(probe, b"\0" * min(max(need_bytes, 1), PROBE_BYTES))
        finally:
            probe.unlink(missing_ok=True)
        free = shutil.disk_usage(root).free
    clean(root)
    if free < 2 * need_bytes:
        raise StoreError(
            f"{os.fspath(path)!r} has {free / 1e6:.0f} MB free, this run wants twice its estimate of "
            f"{need_bytes / 1e6:.0f} MB: free some or choose another folder"
        )


def clean(path: str | pathlib.Path) -> list[pathlib.Path]:
    """Removes what killed runs left half written an hour ago or earlier, and returns it; records are never touched."""
    root = pathlib.Path(path)
    folders = [root]
    for name in suites(root):
        inner = root / name
        folders += [inner, inner / "attempts", *(f for f in inner.glob("records/??") if files.inside(f, inner))]
    return [file for folder in folders for file in files.remove_stale(folder)]


@contextlib.contextmanager
def _told(path: pathlib.Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"cannot write {str(path)!r}: {error.strerror or error}. Nothing is half written; "
            "free space or fix its permissions, or choose another folder, and run again"
        ) from error


def _claim(temporary: pathlib.Path, final: pathlib.Path, data: bytes) -> bool:
    """Puts the file in place unless one is there; False if one is."""
    try:
        os.link(temporary, final)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        try:
            files.write_new(final, data)
        except FileExistsError:
            return False
    return True


def _result(record: Record) -> Any:
    """What a repeated run must reproduce: all but times, versions and the hash over them."""
    return record.model_dump(exclude={"provenance": True, "self_hash": True, "cost": {"compile_s", "run_s"}})


def _first(path: str | pathlib.Path, record: Record) -> Record | None:
    """The sound record of the same cell that is there already, if any: one without its arrays is no first writer."""
    there = read(path, record.suite, record.id)
    return there if there is not None and sound(path, record.suite, record.id) else None


def write(
    path: str | pathlib.Path, record: Record, arrays: Mapping[str, np.ndarray] | None = None, *, replace: bool = False
) -> Written:
    """Stores a record and its arrays whole; the first writer wins, with `replace` the last: attempts/ has the other.

    A record that is damaged, or whose arrays are, is no first writer. Raises StoreError when the disk refuses,
    ValueError for a record over 8 kB, with a path in it, or whose numbers do not fit each other.
    """
    sidecar = encode_arrays(arrays)
    record = seal(record.model_copy(update={"sidecar": sidecar and hashlib.sha256(sidecar).hexdigest()}))
    data, final = encode(_believed(record)), record_path(path, record.suite, record.id)
    folder, stamp = final.parents[2], uuid.uuid4().hex
    temporary = final.with_name(f".{record.id}.{stamp}")  # readers pass over dot files
    with _told(final):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            with files.locked(folder, shared=True):  # against packing, which removes files and empty folders
                final.parent.mkdir(parents=True, exist_ok=True)
                if not files.inside(final.parent, folder):
                    raise StoreError(f"{final.parent} is a link that leads out of {folder}; put a folder in its place")
                there = None if replace or os.path.lexists(final) else _first(path, record)
                if there is not None and _result(there) == _result(record):
                    return Written("same", folder / pack.RECORDS, there)
                if sidecar is not None:  # same name, same content: replacing one is harmless
                    files.write_new(temporary, sidecar)
                    _set_sidecar(temporary, final.with_name(sidecar_name(record)), folder / "attempts")
                files.write_new(temporary, data)
                done = _put(path, record, temporary, data, replace)
                files.sync_folder(final.parent)
            return done
        finally:
            temporary.unlink(missing_ok=True)


def _set_sidecar(temporary: pathlib.Path, final: pathlib.Path, attempts: pathlib.Path) -> None:
    """Moves arrays to their place; a folder, which cannot be replaced, is moved out of it first."""
    if final.is_dir() and not final.is_symlink():
        attempts.mkdir(exist_ok=True)
        os.replace(final, attempts / f"{temporary.name[1:]}.folder")
    os.replace(temporary, final)


def _put(path: str | pathlib.Path, record: Record, temporary: pathlib.Path, data: bytes, replace: bool) -> Written:
    """Moves the written file to its place, or to attempts/ where a sound first writer differs."""
    final = record_path(path, record.suite, record.id)
    folder = final.parents[2]
    ours = folder / "attempts" / f"{temporary.name[1:]}.json"
    there = _first(path, record)
    if (there is None or replace) and not os.path.lexists(final):
        if there is not None:  # in the pack, which stays as it is: the file wins over it
            ours.parent.mkdir(exist_ok=True)
            files.write_new(ours, encode(there))
        if _claim(temporary, final, data):
            return Written("written" if there is None else "replaced", final, record)
    there = _first(path, record)  # another writer's may have come in between
    if there is not None and not replace:
        if _result(there) == _result(record):
            return Written("same", final, there)
        ours.parent.mkdir(exist_ok=True)
        os.replace(temporary, ours)
        return Written("conflict", ours, record)
    ours.parent.mkdir(exist_ok=True)
    if there is None:  # whatever it is, a link or a pipe: moved, never read
        os.replace(final, ours)
    else:
        files.write_new(ours, encode(there))
    os.replace(temporary, final)
    return Written("repaired" if there is None else "replaced", final, record)
