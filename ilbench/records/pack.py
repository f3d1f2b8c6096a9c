"""A finished suite in two files, for repositories and for other programs: what they look like, and how they are read.

    <results>/<suite>/records.jsonl.gz   one record a line, canonical JSON with its seal, sorted by id
    <results>/<suite>/arrays.zip         each sidecar, byte for byte, as <id>.<sha>.safetensors

DuckDB's read_json and pandas.read_json(lines=True) read the first as it is. Times are fixed, so that the same records
give the same bytes. Here only bytes are told apart; ilbench/records/store.py decides what they are worth, ilbench/records/packing.py
makes and undoes packs. Any byte of either file may be wrong: sizes are bounded before anything is inflated, members
are known by their exact names, and what is damaged is named.
"""

from __future__ import annotations

import gzip
import json
import os
import pathlib
import re
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO, NamedTuple

from ilbench.records.codec import MAX_SIDECAR
from ilbench.records.files import open_regular
from ilbench.records.schema import MAX_BYTES

RECORDS, ARRAYS = "records.jsonl.gz", "arrays.zip"
MAX_TEXT = 1 << 30  # bytes of all records of one pack: 130,000 of the largest
MAX_MEMBERS = 1 << 20
RATIO, FREE = 200, 1 << 24  # of what comes out to what went in, once so many bytes are out; records have 3 ... 30
CHUNK = 1 << 16
OPENED = 8  # packs remembered
_ID = re.compile(rb'[{,]"id":"([0-9a-f]{32})"')  # as canonical JSON spells it; inside a text its quotes would be escaped
_KEY = b'"id":"'
SIDECAR = re.compile(r"[0-9a-f]{32}\.[0-9a-f]{12}\.safetensors")
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the first that a zip can state
_LOCAL = struct.Struct("<4s5H3L2H")  # header before a member's bytes
_BAD_ZIP = (
    zipfile.BadZipFile,
    OSError,
    ValueError,
    RuntimeError,
    NotImplementedError,
    EOFError,
    struct.error,
    OverflowError,
)


class Member(NamedTuple):
    """Where a sidecar lies in arrays.zip."""

    offset: int  # of its local header
    stored: int  # bytes there
    size: int  # bytes inflated
    method: int  # stored or deflated


class Pack(NamedTuple):
    """What lies in the two files of a suite: lines by id, members by name, and what is wrong with the files."""

    folder: pathlib.Path
    lines: dict[str, bytes]
    members: dict[str, Member]
    problems: tuple[tuple[str, str], ...]  # (file name, reason)
    stamp: tuple[int, ...] | None = None  # of arrays.zip, as it was read


# ---------------------------------------------------------------------------------------------- reading
_opened: dict[pathlib.Path, tuple[Any, Pack]] = {}
_listed: dict[pathlib.Path, tuple[Any, frozenset[str]]] = {}  # of those that were let go of


def opened(folder: pathlib.Path) -> Pack:
    """The pack of a suite's folder (an empty one where there is none), read once as long as its files stay as they are."""
    key = tuple(_stamp(folder / name) for name in (RECORDS, ARRAYS))
    found = _opened.get(folder)
    if found is None or found[0] != key:
        lines: dict[str, bytes] = {}
        members: dict[str, Member] = {}
        problems: list[tuple[str, str]] = []
        for name, stamp in zip((RECORDS, ARRAYS), key, strict=True):
            if stamp is None:
                continue
            try:
                with open_regular(folder / name, folder) as stream:
                    if name == RECORDS:
                        lines, wrong = read_lines(stream)
                    else:
                        members, wrong = read_members(stream)
            except (OSError, ValueError) as error:
                wrong = [f"cannot be read: {getattr(error, 'strerror', None) or error}"]
            problems += [(name, reason) for reason in wrong]
        while len(_opened) >= OPENED:
            del _opened[next(iter(_opened))]
        found = key, Pack(folder, lines, members, tuple(problems), key[1])
        _opened[folder] = found
    return found[1]


def forget(folder: pathlib.Path) -> None:
    """Lets go of a pack's lines, which take as much memory as they are long; which records it has is remembered."""
    if folder in _opened:
        key, there = _opened.pop(folder)
        _listed[folder] = key, frozenset(there.lines)


def ids(folder: pathlib.Path) -> frozenset[str]:
    """Which records lie in the pack of a suite's folder, as far as their lines say."""
    found = _listed.get(folder)
    if found is None or found[0] != tuple(_stamp(folder / name) for name in (RECORDS, ARRAYS)):
        return frozenset(opened(folder).lines)
    return found[1]


def _stamp(file: pathlib.Path) -> tuple[int, ...] | None:
    try:
        return marks(os.stat(file))
    except OSError:
        return None


def marks(found: os.stat_result) -> tuple[int, ...]:
    """What tells a file from one that takes its place."""
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size


def read_lines(stream: BinaryIO) -> tuple[dict[str, bytes], list[str]]:
    """Lines of a records.jsonl.gz by their id, and what is wrong; what comes before a damage is kept."""
    lines: dict[str, bytes] = {}
    problems: list[str] = []
    rest, size, number = b"", 0, 0
    try:
        with gzip.GzipFile(fileobj=stream, mode="rb") as unzipped:
            while chunk := unzipped.read(CHUNK):
                size += len(chunk)
                if size > MAX_TEXT or size > FREE + RATIO * stream.tell():
                    return {}, [*problems, f"more than {size - 1} bytes inside {stream.tell()}: not a pack of records"]
                *rows, rest = (rest + chunk).split(b"\n")
                for row in rows:
                    number += 1
                    _take(row, number, lines, problems)
                if len(rest) > MAX_BYTES:
                    rest = rest[: MAX_BYTES + 1]  # too long for a record, however it goes on
    except (OSError, EOFError, zlib.error, ValueError) as error:
        problems.append(f"damaged after {size} bytes of its content ({error}): restore the file")
    if rest:  # canonical text ends with a line's end
        problems.append(f"line {number + 1}: cut short")
    return lines, problems


def _take(line: bytes, number: int, lines: dict[str, bytes], problems: list[str]) -> None:
    """Puts a line where its id says, or says what is wrong with it; whether it is a record is for its reader to judge."""
    once = line.find(_KEY) if line.count(_KEY) == 1 else 1
    named = _ID.findall(line, max(once - 1, 0)) if len(line) <= MAX_BYTES else []
    name = named[0].decode() if len(named) == 1 else _id(line)  # parsing it all for its id takes thirty times as long
    if name is None:
        problems.append(f"line {number}: no record")
    elif name in lines:
        problems.append(f"line {number}: a second record {name}; the first counts")
    else:
        lines[name] = line


def _id(line: bytes) -> str | None:
    try:
        name = json.loads(line)["id"] if len(line) <= MAX_BYTES else None
    except (ValueError, RecursionError, TypeError, KeyError):
        return None
    return name if isinstance(name, str) and re.fullmatch("[0-9a-f]{32}", name) else None


def read_members(stream: BinaryIO) -> tuple[dict[str, Member], list[str]]:
    """Members of an arrays.zip by name, and what is wrong; nothing is inflated."""
    members: dict[str, Member] = {}
    problems = []
    try:
        with zipfile.ZipFile(stream) as archive:
            listed = archive.infolist()
            if len(listed) > MAX_MEMBERS:
                return {}, [f"{len(listed)} members, allowed are {MAX_MEMBERS}"]
            for info in listed:
                wrong = _wrong(info, members)
                if wrong:
                    problems.append(f"{info.orig_filename!r:.80}: {wrong}")
                else:
                    members[info.filename] = Member(
                        info.header_offset, info.compress_size, info.file_size, info.compress_type
                    )
    except _BAD_ZIP as error:
        problems.append(f"damaged ({error}): restore the file")
    return members, problems


def _wrong(info: zipfile.ZipInfo, members: dict[str, Member]) -> str | None:
    """Why a member is not one of ours."""
    if not SIDECAR.fullmatch(info.filename) or info.orig_filename != info.filename:
        return "not the name of a record's arrays, ignored"
    if info.filename in members:
        return "there twice; the first counts"
    if max(info.file_size, info.compress_size) > MAX_SIDECAR:
        return f"{info.file_size} bytes, allowed are {MAX_SIDECAR}"
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or info.flag_bits & 1:
        return "encrypted, or packed in another way than stored or deflated"
    return None


def inflate(stream: BinaryIO, name: str, member: Member) -> bytes:
    """The bytes of a member, at most as many as it states; raises ValueError for a damaged one. Their hash is not checked."""
    stream.seek(member.offset)
    head = stream.read(_LOCAL.size)
    if len(head) != _LOCAL.size:
        raise ValueError("its place lies beyond the end of the file")
    fields = _LOCAL.unpack(head)
    if fields[0] != b"PK\x03\x04" or stream.read(fields[-2]) != name.encode():
        raise ValueError("another member lies in its place")
    stream.seek(fields[-1], os.SEEK_CUR)
    data = stream.read(member.stored)
    if member.method == zipfile.ZIP_DEFLATED:
        try:
            data = zlib.decompressobj(-15).decompress(data, member.size + 1)
        except zlib.error as error:
            raise ValueError(f"damaged ({error})") from None
    if len(data) != member.size:
        raise ValueError(f"{len(data)} bytes, stated are {member.size}")
    return data


def arrays(pack: Pack, name: str) -> bytes | None:
    """The bytes of a sidecar in a pack, None when it has none of that name; raises ValueError and OSError if damaged."""
    member = pack.members.get(name)
    if member is None:
        return None
    with open(pack.folder / ARRAYS, "rb") as stream:  # which was a regular file inside when it was read
        if marks(os.fstat(stream.fileno())) != pack.stamp:
            raise ValueError("another file has taken its place since it was read")
        return inflate(stream, name, member)


# ---------------------------------------------------------------------------------------------- writing
def write_lines(stream: BinaryIO, lines: Iterable[bytes]) -> None:
    """Lines as a records.jsonl.gz."""
    with gzip.GzipFile(filename="", mode="wb", compresslevel=9, fileobj=stream, mtime=0) as zipped:
        for line in lines:
            zipped.write(line + b"\n")


def write_members(stream: BinaryIO, members: Iterator[tuple[str, bytes]]) -> None:
    """Sidecars as an arrays.zip, in the order given."""
    with zipfile.ZipFile(stream, "w") as archive:
        for name, data in members:
            info = zipfile.ZipInfo(name, _EPOCH)
            info.compress_type, info.create_system, info.external_attr = zipfile.ZIP_DEFLATED, 3, 0o644 << 16
            archive.writestr(info, data, compresslevel=9)
