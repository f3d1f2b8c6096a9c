"""What was found sound before, so that a hundred thousand records are not all judged again whenever they are read.

An entry is the digest of exact bytes: of a record's own, or of these and of the arrays.zip that its arrays lie in. Bytes that differ in
anything have no entry and are judged as ever, and so is everything where the code that judges has changed, or the file is damaged or gone.
No entry says what a record holds: its numbers are read from its own bytes each time; only curves, which lie packed in arrays.zip, have a
file of their own by that zip's digest (ilbench/records/curves.py). Derived from records, and disposable: it lies in a folder of caches
that only its user can write, and whoever judges for others (ilbench submit-check, verify, run, pack) reads without it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pathlib
import sys
from collections.abc import Container, Sequence
from typing import Any

import pydantic

from ilbench.records import curves, files, pack
from ilbench.records.known import Shelf
from ilbench.records.schema import KNOWN, Record, canonical

MAGIC = b"ilbench-index/1\n"
SIZE = 32  # bytes of a digest
MAX_BYTES = 1 << 28  # of an index: two million records
# The code that finds a record sound, and puts together what was found so.
JUDGES = ("schema.py", "codec.py", "consistency.py", "reading.py", "pack.py", "index.py", "known.py", "curves.py")
CHUNK = 1 << 20


class Index:
    """Entries about one suite's folder; without a folder to keep them in it is empty, and stays in memory.

    Without `lists` the records that are known have none of their episodes' returns and costs: half of the time and most of the memory.
    """

    def __init__(
        self, suite: pathlib.Path, folder: pathlib.Path | None, judges: Sequence[pathlib.Path] = (), *, lists: bool = True
    ) -> None:
        code = _code(judges)
        name = hashlib.sha256(os.path.realpath(suite).encode()).hexdigest()[:16]
        self._suite, self._file = suite, None if folder is None else folder / f"{name}-{code.hex()[:16]}.idx"
        self._head = MAGIC + code
        self._known: set[bytes] = self._read()
        self._used: set[bytes] = set()  # what was asked for, or found: only this is kept
        self._of: dict[str, bytes] = {}  # digest of the bytes that each record was read from
        self._arrays: bytes | None = None  # digest of arrays.zip, once it is asked for
        self._members: Container[str] = ()  # what lies in it
        self._singles = os.path.lexists(suite / "records")
        self._alike: dict[str, Any] = {}
        self._code = code
        self._stored: curves.Stored | None = None  # curves of the last time
        self._rows: dict[str, curves.Curves] = {}  # curves that were asked for, or found, by sidecar
        self._more = False  # whether some were not there the last time
        self._shelf, self._lists = Shelf(lists), lists

    def record(self, data: bytes) -> Record | None:
        """The record in these very bytes, where they were found sound before; None for others, which are to be judged."""
        digest = hashlib.sha256(data).digest()
        if not self._seen(digest):
            return None
        if self._seen(_spelled(digest)):
            with contextlib.suppress(ValueError):
                record = self._shelf.record(data)
                self._of[record.id] = digest
                return record
        record = Record.model_validate_json(data, context=KNOWN)
        self._shared(record)
        self._of[record.id] = digest
        return record

    def found(self, record: Record, data: bytes) -> Record:
        """These bytes are a sound record, which is returned as it will be the next time."""
        digest = self._of[record.id] = hashlib.sha256(data).digest()
        self._used.add(digest)
        if canonical(record.model_dump()).encode() == data:
            self._used.add(_spelled(digest))
            with contextlib.suppress(ValueError):
                return self._shelf.record(data)
        self._shared(record)
        return record

    def _shared(self, record: Record) -> None:
        """What a record has alike with others, to the last digit, it shares with them: half of its memory."""
        if not self._lists:
            record.__dict__["episodes"] = record.episodes.model_copy(update={"returns": None, "costs": None})
        for model, name in ((record, "provenance"), (record, "references"), (record.cell, "config"), (record.cell, "evaluation")):
            value = getattr(model, name)
            spelled = repr(value.__dict__ if name == "provenance" else value)  # 1, 1.0 and true are equal, and are not spelled alike
            model.__dict__[name] = self._alike.setdefault(f"{name}{spelled}", value)

    def usable(self, record: Record) -> bool:
        """Whether the record's arrays were read before, whole and fitting it, out of the very arrays.zip that lies there now."""
        digest = self._both(record)
        return digest is not None and self._seen(digest)

    def curves_of(self, record: Record) -> curves.Curves | None:
        """What was kept of the record's arrays; None where nothing was, or they are not those that were read before."""
        if record.sidecar is None or not self.usable(record) or self._arrays is None:
            return None
        if self._stored is None and self._file is not None:
            self._stored = curves.read(self._beside(), self._code + self._arrays) or curves.Stored([], [])
        row = None if self._stored is None else self._stored.row(record.sidecar)
        if row is not None:
            self._rows[record.sidecar] = row
        return row

    def fits(self, record: Record, kept: curves.Curves | None = None) -> None:
        """The record's arrays are whole and fit it; `kept` of them is asked for the next time."""
        digest = self._both(record)
        if digest is None:
            return
        self._used.add(digest)
        if kept is not None and record.sidecar is not None:
            self._rows[record.sidecar], self._more = kept, True

    def save(self) -> None:
        """Puts the entries on disk, if there are others than there were; a disk that refuses costs nothing but the time."""
        if self._more and self._file is not None and self._arrays is not None:
            with contextlib.suppress(OSError):
                curves.write(self._beside(), self._code + self._arrays, self._rows)
                self._remove_others(self._beside())
        if self._file is None or self._used == self._known:
            return
        body = self._head + b"".join(sorted(self._used))
        with contextlib.suppress(OSError):
            files.write_atomic(self._file, body + hashlib.sha256(body).digest())
            self._remove_others(self._file)

    def _beside(self) -> pathlib.Path:
        assert self._file is not None
        return self._file.with_suffix(".curves")

    def _remove_others(self, file: pathlib.Path) -> None:
        """Files of this suite that other code wrote."""
        for old in file.parent.glob(f"{file.name.partition('-')[0]}-*{file.suffix}"):
            if old != file:
                old.unlink(missing_ok=True)

    def _seen(self, digest: bytes) -> bool:
        if digest not in self._known:
            return False
        self._used.add(digest)
        return True

    def _both(self, record: Record) -> bytes | None:
        """Digest of a record's bytes and of arrays.zip; None where its arrays are in no pack, and are read and judged each time."""
        own = self._of.get(record.id)
        if own is None or record.sidecar is None:
            return own
        name = f"{record.id}.{record.sidecar[:12]}.safetensors"
        if self._arrays is None:
            self._arrays, self._members = _of_file(self._suite), pack.opened(self._suite).members
        if name not in self._members or (self._singles and os.path.lexists(self._suite / "records" / record.id[:2] / name)):
            return None
        return hashlib.sha256(own + self._arrays).digest()

    def _read(self) -> set[bytes]:
        if self._file is None:
            return set()
        try:
            data = files.read_regular(self._file, self._file.parent, MAX_BYTES)
        except (OSError, ValueError):
            return set()
        body, seal = data[:-SIZE], data[-SIZE:]
        if not body.startswith(self._head) or hashlib.sha256(body).digest() != seal:
            return set()
        start = len(self._head)
        return {body[i : i + SIZE] for i in range(start, len(body), SIZE)}


def _spelled(digest: bytes) -> bytes:
    """The entry of bytes that are spelled as ilbench spells their record: a float as a float, no field at a default that is not spelled."""
    return hashlib.sha256(b"spelled" + digest).digest()


def _of_file(suite: pathlib.Path) -> bytes:
    """Digest of a suite's arrays.zip; of one that cannot be read there is none that any entry has."""
    found = hashlib.sha256()
    try:
        with files.open_regular(suite / pack.ARRAYS, suite) as stream:
            if pack.marks(os.fstat(stream.fileno())) != pack.opened(suite).stamp:
                return os.urandom(SIZE)  # another file has taken its place since its members were listed
            while chunk := stream.read(CHUNK):
                found.update(chunk)
    except (OSError, ValueError):
        return os.urandom(SIZE)
    return found.digest()


def _code(judges: Sequence[pathlib.Path]) -> bytes:
    """Digest of the code that judges: entries of other code are none."""
    here = pathlib.Path(__file__).parent
    found = hashlib.sha256(f"{sys.version} {pydantic.VERSION}".encode())
    for file in (*(here / name for name in JUDGES), *judges):
        found.update(hashlib.sha256(file.read_bytes()).digest())
    return found.digest()
