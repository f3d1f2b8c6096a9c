"""The store: one JSON file and one safetensors sidecar per record, written so that a crash, a full disk or a second
writer leaves either the whole record or none of it.

    <results>/<suite>/records/<id[:2]>/<id>.json                the record; the first writer wins
    <results>/<suite>/records/<id[:2]>/<id>.<sha>.safetensors   its arrays, named by their content
    <results>/<suite>/records.jsonl.gz, arrays.zip              the same, packed: see ilbench/records/pack.py
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
import shutil
import uuid
from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

import numpy as np

from ilbench.records import files, pack
from ilbench.records.codec import decode as decode
from ilbench.records.codec import encode as encode
from ilbench.records.codec import encode_arrays
from ilbench.records.reading import Problem as Problem
from ilbench.records.reading import StoreError as StoreError
from ilbench.records.reading import attempts as attempts
from ilbench.records.reading import believed
from ilbench.records.reading import exists as exists
from ilbench.records.reading import find as find
from ilbench.records.reading import get as get
from ilbench.records.reading import packed as packed
from ilbench.records.reading import read as read
from ilbench.records.reading import read_all as read_all
from ilbench.records.reading import read_file as read_file
from ilbench.records.reading import read_sidecar as read_sidecar
from ilbench.records.reading import record_path as record_path
from ilbench.records.reading import sidecar_bytes as sidecar_bytes
from ilbench.records.reading import sidecar_name as sidecar_name
from ilbench.records.reading import sound as sound
from ilbench.records.reading import suite_folder as suite_folder
from ilbench.records.reading import suites as suites
from ilbench.records.schema import MAX_BYTES as MAX_BYTES
from ilbench.records.schema import Record, seal

PROBE_BYTES = 2**20  # actually written by preflight; the rest is asked of the file system
Outcome = Literal["written", "same", "conflict", "repaired", "replaced"]
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV}


class Written(NamedTuple):
    """What became of a record: `written`, `same` (an equal result was there), `conflict` (ours is under attempts/),
    `repaired` (a damaged file was moved to attempts/) or `replaced`."""

    outcome: Outcome
    path: pathlib.Path  # of the JSON file that holds this very record, or of the pack
    record: Record  # sealed, with its sidecar's hash


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
    return record.model_dump(exclude={"provenance": True, "self_hash": True, "cost": {"compile_s", "run_s", "shared_s"}})


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
    data, final = encode(believed(record)), record_path(path, record.suite, record.id)
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
