"""Curves of many records in one file beside the index, by the digest of the arrays.zip that they were read from.

    magic, digest of the code, digest of arrays.zip | sizes and a header, JSON | sidecars, 32 bytes each | per block: rows, arrays | sha256

A block holds the arrays of one name, type and shape. They are looked at where they lie and copied nowhere: a hundred thousand records have
more of them than a machine should hold as objects. A file that is not this, whole, of this code and this arrays.zip, is none.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import mmap
import os
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

import numpy as np

from ilbench.records import files

MAGIC = b"ilbench-curves/1"  # 16 bytes
SIZE = 32  # bytes of a digest
ALIGNED = 64
CHUNK = 1 << 20
Curves = Mapping[str, np.ndarray]


class Row(Mapping[str, np.ndarray]):
    """The curves of one record, by name."""

    __slots__ = ("_at", "_store")

    def __init__(self, store: Stored, at: int) -> None:
        self._store, self._at = store, at

    def __getitem__(self, name: str) -> np.ndarray:
        block, place = self._store.where(name, self._at)
        return self._store.blocks[block][place]

    def __contains__(self, name: object) -> bool:
        return self._store.has(name, self._at)

    def __iter__(self) -> Iterator[str]:
        return (name for name in self._store.names if self._store.has(name, self._at))

    def __len__(self) -> int:
        return sum(1 for _ in self)


class Stored:
    """What lies in such a file: rows by sidecar."""

    def __init__(self, sidecars: list[str], named: list[tuple[str, np.ndarray, np.ndarray]]) -> None:
        self.rows = {sidecar: i for i, sidecar in enumerate(sidecars)}
        self.blocks = [block for *_, block in named]
        self.names: dict[str, np.ndarray] = {}  # `[N, 2]` int32 by name: block, -1 for none, and place in it
        for number, (name, rows, _) in enumerate(named):
            at = self.names.setdefault(name, np.full((len(sidecars), 2), -1, np.int32))
            at[rows, 0], at[rows, 1] = number, np.arange(len(rows))

    def row(self, sidecar: str) -> Row | None:
        """The curves of the record with that sidecar."""
        at = self.rows.get(sidecar)
        return None if at is None else Row(self, at)

    def has(self, name: object, at: int) -> bool:
        """Whether a row has a curve."""
        return name in self.names and bool(self.names[name][at, 0] >= 0)  # type: ignore[index]

    def where(self, name: str, at: int) -> tuple[int, int]:
        """Block and place of a row's curve; KeyError for none."""
        block, place = self.names[name][at].tolist()
        if block < 0:
            raise KeyError(name)
        return block, place


# ------------------------------------------------------------------------------------------------- files
def write(file: pathlib.Path, key: bytes, rows: Mapping[str, Curves]) -> None:
    """Puts rows by sidecar into a file; raises OSError where the disk refuses."""
    sidecars = sorted(rows)
    kinds: dict[tuple[str, str, tuple[int, ...]], list[int]] = {}
    for i, sidecar in enumerate(sidecars):
        for name, value in rows[sidecar].items():
            kinds.setdefault((name, value.dtype.str, value.shape), []).append(i)
    header = json.dumps({"rows": len(sidecars), "blocks": [[*kind, len(at)] for kind, at in kinds.items()]}).encode()
    with files.replacing(file) as stream:
        out = _Summed(stream)
        out.write(MAGIC + key + len(header).to_bytes(8, "little") + header)
        out.write(b"".join(map(bytes.fromhex, sidecars)))
        for (name, *_), at in kinds.items():
            out.aligned(np.asarray(at, "<i4").tobytes())
            out.aligned(b"")
            for i in at:
                out.write(np.ascontiguousarray(rows[sidecars[i]][name]).tobytes())
        stream.write(out.sum.digest())


class _Summed:
    """A stream that knows how far it is, and the digest of what went through."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream, self._size, self.sum = stream, 0, hashlib.sha256()

    def write(self, data: bytes) -> None:
        self._stream.write(data)
        self.sum.update(data)
        self._size += len(data)

    def aligned(self, data: bytes) -> None:
        """The same from the next multiple of ALIGNED on."""
        self.write(bytes(-self._size % ALIGNED) + data)


def read(file: pathlib.Path, key: bytes) -> Stored | None:
    """What lies in a file that was written for this key; None for any other, damaged or gone."""
    wrong = (OSError, ValueError, KeyError, TypeError)
    with contextlib.suppress(*wrong), files.open_regular(file, file.parent) as stream:
        if stream.read(len(MAGIC) + len(key)) == MAGIC + key and _whole(stream):
            return _laid(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ), len(MAGIC) + len(key))
    return None


def _whole(stream: BinaryIO) -> bool:
    left, found = os.fstat(stream.fileno()).st_size - SIZE, hashlib.sha256()
    stream.seek(0)
    while left > 0 and (chunk := stream.read(min(CHUNK, left))):
        found.update(chunk)
        left -= len(chunk)
    return stream.read() == found.digest()


def _laid(data: Any, at: int) -> Stored:
    """The arrays where they lie in a file's memory, from the header's size at `at` on."""
    size = int.from_bytes(data[at : at + 8], "little")
    header = json.loads(data[at + 8 : at + 8 + size])
    at += 8 + size
    n = header["rows"]
    sidecars = [data[i : i + SIZE].hex() for i in range(at, at + n * SIZE, SIZE)]
    at += n * SIZE
    named = []
    for name, kind, shape, count in header["blocks"]:
        at += -at % ALIGNED
        rows = np.frombuffer(data, "<i4", count, at)
        at += 4 * count
        at += -at % ALIGNED
        block = np.frombuffer(data, kind, count * int(np.prod(shape)), at).reshape(count, *shape)
        at += block.nbytes
        named.append((name, rows, block))
    return Stored(sidecars, named)
