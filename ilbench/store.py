"""The store: one JSON file and one safetensors sidecar per record, written so that a crash, a full disk or a second
writer leaves either the whole record or none of it.

    <results>/<suite>/records/<id[:2]>/<id>.json                the record; the first writer wins
    <results>/<suite>/records/<id[:2]>/<id>.<sha>.safetensors   its arrays, named by their content
    <results>/<suite>/attempts/                                 what lost against a different first writer

The sidecar's name holds its hash: two writers of one cell can never mix one's arrays with the other's JSON.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import pathlib
import re
import shutil
import uuid
from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors import numpy as safetensors

from ilbench.records import PATH, SCHEMA, Record, canonical, content_hash, seal

MAX_BYTES = 8192  # of one JSON file
PROBE_BYTES = 2**20  # actually written by preflight; the rest is asked of the file system
Outcome = Literal["written", "same", "conflict", "repaired", "replaced"]
_SUITE = re.compile(r"[a-z0-9][a-z0-9._+-]{0,63}@[0-9]{1,9}")
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
    path: pathlib.Path  # of the JSON file that holds this very record
    record: Record  # sealed, with its sidecar's hash


# --------------------------------------------------------------------------------------- bytes
def encode(record: Record) -> bytes:
    """The JSON file, one line per field; raises ValueError above 8 kB (naming the largest field) and for paths."""
    lines = {key: f"{json.dumps(key)}: {canonical(value)}" for key, value in record.model_dump().items()}
    for key, line in lines.items():
        found = PATH.search(line)
        if found:
            raise ValueError(f"{key} holds the path {found[0]!r}; records name no machine: use records.scrub")
    data = ("{\n" + ",\n".join(lines.values()) + "\n}\n").encode()
    if len(data) > MAX_BYTES:
        largest = max(lines, key=lambda key: len(lines[key]))
        raise ValueError(
            f"record {record.id} has {len(data)} bytes, allowed are {MAX_BYTES}; the largest field is {largest!r} with "
            f"{len(lines[largest])}: move arrays to the sidecar and summarise what is left"
        )
    return data


def decode(data: bytes) -> Record:
    """The record in a JSON file; raises ValueError with the reason why it is none."""
    if len(data) > MAX_BYTES:
        raise ValueError(f"more than {MAX_BYTES} bytes: not a record")
    try:
        loose = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"truncated or not JSON ({error})") from None
    name = loose.get("schema") if isinstance(loose, dict) else None
    if not isinstance(name, str) or not name.startswith("ilbench.record/"):
        raise ValueError(f"not an ilbench record: its schema is {name!r:.60}, not {SCHEMA!r}")
    if name != SCHEMA:
        raise ValueError(f"its schema is {name!r:.60}, this ilbench reads {SCHEMA!r}: upgrade ilbench")
    try:
        record = Record.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "record"
        raise ValueError(f"does not fit the schema: {place}: {first['msg']} ({error.error_count()} errors)") from None
    if record.self_hash != content_hash(record):
        raise ValueError("its content does not match its own hash: edited or damaged")
    return record


# ------------------------------------------------------------------------------------- reading
def record_path(path: str | pathlib.Path, suite: str, id: str) -> pathlib.Path:
    """Where the record with that id lies, whether or not it exists."""
    if not re.fullmatch("[0-9a-f]{32}", id):
        raise StoreError(f"{id!r:.80} is no record id; one is 32 hex digits")
    if not _SUITE.fullmatch(suite):
        raise StoreError(f"suite {suite!r:.80} is not of the form name@version, e.g. quick@1")
    return pathlib.Path(path) / suite / "records" / id[:2] / f"{id}.json"


def _suites(path: str | pathlib.Path, suite: str | None) -> list[str]:
    if not os.path.isdir(path):
        raise StoreError(f"no folder {os.fspath(path)!r}: give the folder of results, or run `ilbench run` first")
    there = sorted(p.parent.name for p in pathlib.Path(path).glob("*@*/records") if _SUITE.fullmatch(p.parent.name))
    if suite is not None and suite not in there:
        raise StoreError(f"{os.fspath(path)!r} has no suite {suite!r}; there are: {', '.join(there) or 'none'}")
    return [suite] if suite else there


def _read(file: pathlib.Path) -> Record:
    with file.open("rb") as stream:
        record = decode(stream.read(MAX_BYTES + 1))
    if file.stem != record.id or file.parent.name != record.id[:2]:
        raise ValueError(f"holds the record {record.id}, which belongs under {record.id[:2]}/{record.id}.json")
    if file.parents[2].name != record.suite:
        raise ValueError(f"holds a record of suite {record.suite!r}, but lies in {file.parents[2].name!r}")
    return record


def read(path: str | pathlib.Path, suite: str, id: str) -> Record | None:
    """The valid record with that id, or None when there is none or it is damaged."""
    try:
        return _read(record_path(path, suite, id))
    except (OSError, ValueError):
        return None


def exists(path: str | pathlib.Path, id: str, suite: str | None = None) -> bool:
    """Whether a valid record with that id is stored, in `suite` or in any; a damaged file does not count."""
    suites = [suite] if suite is not None else _suites(path, None) if os.path.isdir(path) else []
    return any(read(path, name, id) is not None for name in suites)


def read_all(path: str | pathlib.Path = "results", suite: str | None = None) -> tuple[list[Record], list[Problem]]:
    """Every valid record under `path` (sorted by suite and id) and every file that is none. Nothing is moved.

    Raises StoreError when there is no such folder or suite.
    """
    records, problems = [], []
    for name in _suites(path, suite):
        folder = pathlib.Path(path) / name / "records"
        for file in sorted(folder.rglob("*")):
            if file.suffix == ".safetensors" or file.name.startswith(".") or not file.is_file():
                continue  # arrays, files being written, folders
            try:
                records.append(_read(file))
            except ValueError as error:
                problems.append(Problem(str(file), str(error)))
            except OSError as error:
                problems.append(Problem(str(file), f"cannot be read: {error.strerror}"))
    return records, problems


def _sidecar_path(path: str | pathlib.Path, record: Record) -> pathlib.Path:
    return record_path(path, record.suite, record.id).with_suffix(f".{str(record.sidecar)[:12]}.safetensors")


def read_sidecar(path: str | pathlib.Path, record: Record) -> dict[str, np.ndarray]:
    """The record's arrays, its hash checked before they are parsed ({} when it has none); raises StoreError."""
    if record.sidecar is None:
        return {}
    file = _sidecar_path(path, record)
    try:
        data = file.read_bytes()
        if hashlib.sha256(data).hexdigest() != record.sidecar:
            raise StoreError(f"{file}: not the arrays of this record; delete the record and run its cell again")
        return safetensors.load(data)
    except FileNotFoundError:
        raise StoreError(f"{file}: missing; delete the record {record.id} and run its cell again") from None
    except (OSError, SafetensorError) as error:
        raise StoreError(f"{file}: cannot be read as safetensors: {error}") from error


# ------------------------------------------------------------------------------------- writing
def preflight(path: str | pathlib.Path, need_bytes: int = 0) -> None:
    """Creates the folder and proves that it can be written and has room; raises StoreError before any compute."""
    root = pathlib.Path(path)
    probe = root / f".probe-{uuid.uuid4().hex}"
    with _told(root):
        root.mkdir(parents=True, exist_ok=True)
        try:
            _write_new(probe, b"\0" * min(max(need_bytes, 1), PROBE_BYTES))
        finally:
            probe.unlink(missing_ok=True)
        free = shutil.disk_usage(root).free
    if free < 2 * need_bytes:
        raise StoreError(
            f"{os.fspath(path)!r} has {free / 1e6:.0f} MB free, this run wants twice its estimate of "
            f"{need_bytes / 1e6:.0f} MB: free some or choose another folder"
        )


@contextlib.contextmanager
def _told(path: pathlib.Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"cannot write {str(path)!r}: {error.strerror or error}. Nothing is half written; "
            "free space or fix its permissions, or choose another folder, and run again"
        ) from error


def _write_new(file: pathlib.Path, data: bytes) -> None:
    """Creates `file` with `data` on the disk; raises OSError, FileExistsError included."""
    with file.open("xb") as stream:
        try:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        except OSError:
            file.unlink(missing_ok=True)
            raise


def _sync_folder(folder: pathlib.Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    with contextlib.suppress(OSError):  # some network file systems refuse; the files themselves are synced
        os.fsync(descriptor)
    os.close(descriptor)


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
            _write_new(final, data)
        except FileExistsError:
            return False
    return True


def _result(record: Record) -> Any:
    """What a repeated run must reproduce: all but times, versions and the hash over them."""
    return record.model_dump(exclude={"provenance": True, "self_hash": True, "cost": {"compile_s", "run_s"}})


def _pack(arrays: Mapping[str, np.ndarray] | None) -> bytes | None:
    if not arrays:
        return None
    plain = {name: np.asarray(value, order="C") for name, value in arrays.items()}
    for name, value in plain.items():
        if value.dtype.kind not in "biuf":
            raise ValueError(f"array {name!r} has dtype {value.dtype}; allowed are bool, integers and floats")
    return safetensors.save(plain)


def write(
    path: str | pathlib.Path, record: Record, arrays: Mapping[str, np.ndarray] | None = None, *, replace: bool = False
) -> Written:
    """Stores a record and its arrays whole; the first writer wins, with `replace` the last: attempts/ has the other.

    Raises StoreError when the disk refuses, ValueError for a record over 8 kB or with a path in it.
    """
    packed = _pack(arrays)
    record = seal(record.model_copy(update={"sidecar": packed and hashlib.sha256(packed).hexdigest()}))
    data, final = encode(record), record_path(path, record.suite, record.id)
    attempts, stamp = final.parents[2] / "attempts", uuid.uuid4().hex
    temporary = final.with_name(f".{record.id}.{stamp}")  # readers pass over dot files
    with _told(final):
        final.parent.mkdir(parents=True, exist_ok=True)
        try:
            if packed is not None:  # same name, same content: replacing one is harmless
                _write_new(temporary, packed)
                os.replace(temporary, _sidecar_path(path, record))
            _write_new(temporary, data)
            outcome: Outcome = "written"
            if not _claim(temporary, final, data):
                there = read(path, record.suite, record.id)
                if there is not None and not replace and _result(there) == _result(record):
                    return Written("same", final, there)
                attempts.mkdir(exist_ok=True)
                ours = attempts / f"{record.id}.{stamp}.json"
                if there is not None and not replace:
                    os.replace(temporary, ours)
                    return Written("conflict", ours, record)
                shutil.copyfile(final, ours)
                os.replace(temporary, final)
                outcome = "repaired" if there is None else "replaced"
            _sync_folder(final.parent)
            return Written(outcome, final, record)
        finally:
            temporary.unlink(missing_ok=True)
