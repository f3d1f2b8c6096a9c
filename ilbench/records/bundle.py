"""A bundle from somebody else, a zip, a tar or a tar.gz, put into an empty folder: only files that a store has, under names of our own.

    [TOP/]SUITE@VERSION/records/ab/<id>.json, <id>.<sha>.safetensors, SUITE@VERSION/records.jsonl.gz, arrays.zip

A member's name is matched, never used: what is written is called by its suite and id. Everything else (other names, links, devices,
pickles, what is there twice) is left where it is and named. Sizes are bounded before anything is inflated, and again while it is, by
what comes out and not by what is stated. Nothing is executed; what the files hold is for ilbench/records/reading.py to judge.
"""

from __future__ import annotations

import gzip
import pathlib
import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

from ilbench.records import files, pack
from ilbench.records.codec import MAX_SIDECAR
from ilbench.records.schema import MAX_BYTES

MAX_FILES = 65_535  # members, ours or not; a suite of more is packed first
MAX_BUNDLE = 1 << 30  # bytes of the bundle, and of all that comes out of it
MAX_PACK = 1 << 29  # bytes of records.jsonl.gz, and of arrays.zip
MAX_DIRECTORY = 1 << 24  # bytes of a zip's list of members
MAX_HEADER = 1 << 16  # bytes of what a tar says of a member beside its header
RATIO = 200  # of what comes out to what went in; records and arrays have 3 ... 30
FREE = 1 << 24  # bytes that may come out before the ratio counts
MAX_NAME = 512
NAMED = 100  # members that are named one by one
_SUITE = r"(?:[\w.+ -]{1,100}/)?(?P<suite>[a-z0-9][a-z0-9._+-]{0,63}@[0-9]{1,9})/"
_RECORD = re.compile(
    _SUITE + r"records/(?P<shard>[0-9a-f]{2})/(?P<id>[0-9a-f]{32})(?P<rest>\.json|\.[0-9a-f]{12}\.safetensors)",
    re.ASCII,
)
_PACK = re.compile(_SUITE + r"(?P<file>records\.jsonl\.gz|arrays\.zip)", re.ASCII)
_PICKLES = (".pkl", ".pickle", ".pt", ".pth", ".joblib", ".dill", ".npy", ".npz", ".ckpt", ".msgpack")
_DRIVE = re.compile(r"[A-Za-z]:")


class Refused(ValueError):
    """The bundle as a whole: nothing of it is read any further."""


class Opened(NamedTuple):
    """What was taken out of a bundle, what is wrong with it, and how many harmless members were left in it."""

    files: int
    wrong: list[str]
    left: int


def kind(name: str) -> str:
    """Why a name in a bundle, or in a folder, is none of ours; empty for one that is."""
    parts = re.split(r"[/\\]", name)
    if len(name) > MAX_NAME or any(len(part) > 255 for part in parts):
        return "a name of more than 512 characters, or 255 in one part"
    if "\0" in name or not name.isprintable():
        return "a name with control characters or marks of direction"
    if name.startswith(("/", "\\")) or _DRIVE.match(name):
        return "an absolute name"
    if ".." in parts:
        return "a name that leads out of the bundle"
    if "\\" in name:
        return "a name with backslashes"
    if name.lower().endswith(_PICKLES):
        return "a pickle or what may hold one, which runs code where it is loaded"
    return "" if _RECORD.fullmatch(name) or _PACK.fullmatch(name) else "other"


def _target(name: str, folder: pathlib.Path) -> tuple[pathlib.Path, int] | None:
    """Where a member of ours goes, and how many bytes it may have; None for a record in another's folder."""
    record, packed = _RECORD.fullmatch(name), _PACK.fullmatch(name)
    if record is not None:
        if record["shard"] != record["id"][:2]:
            return None
        limit = MAX_BYTES if record["rest"] == ".json" else MAX_SIDECAR
        return folder / record["suite"] / "records" / record["shard"] / f"{record['id']}{record['rest']}", limit
    assert packed is not None
    return folder / packed["suite"] / packed["file"], MAX_PACK


class _Taking:
    """Members on their way out: each is judged by its name, and what is named or left is counted."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder, self.files, self.seen, self.left, self.bytes, self.more = folder, 0, 0, 0, 0, 0
        self.wrong: list[str] = []

    def name(self, name: str, why: str) -> None:
        if len(self.wrong) < NAMED:
            self.wrong.append(f"{name[:120]}: {why}")
        else:
            self.more += 1

    def place(self, name: str, odd: str) -> tuple[pathlib.Path, int] | None:
        """Where a member goes, and its limit; None for one that stays, which is named or counted here."""
        self.seen += 1
        if self.seen > MAX_FILES:
            raise Refused(f"more than {MAX_FILES:,} members")
        why = kind(name)
        if odd or why not in ("", "other"):
            self.name(name, odd or why)
        elif why == "other":
            self.left += 1
        elif (found := _target(name, self.folder)) is None:
            self.name(name, "a record in a folder that is not called by its first two digits")
        elif found[0].exists():
            self.name(name, "there twice; the first counts")
        else:
            return found
        return None

    def put(self, file: pathlib.Path, data: bytes) -> None:
        self.bytes += len(data)
        if self.bytes > MAX_BUNDLE:
            raise Refused(f"more than {MAX_BUNDLE:,} bytes come out of it")
        file.parent.mkdir(parents=True, exist_ok=True)
        files.write_new(file, data)
        self.files += 1

    def done(self) -> Opened:
        more = [f"... and {self.more} members more that are not read"] if self.more else []
        return Opened(self.files, self.wrong + more, self.left)


def extract(bundle: pathlib.Path, folder: pathlib.Path) -> Opened:
    """Puts what is ours of a bundle into an empty folder; raises Refused for one that is no archive, a bomb, or damaged."""
    taking = _Taking(folder)
    try:
        with files.open_regular(bundle, bundle.resolve().parent) as stream:
            head = stream.read(512)
            stream.seek(0, 2)
            if (size := stream.tell()) > MAX_BUNDLE:
                raise Refused(f"{size:,} bytes, allowed are {MAX_BUNDLE:,}")
            stream.seek(0)
            if head[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
                _zip(stream, size, taking)
            elif head[:2] == b"\x1f\x8b" or head[257:262] == b"ustar":
                _tar(stream, head[:2] == b"\x1f\x8b", taking)
            else:
                raise Refused("neither a zip nor a tar nor a tar.gz; other packings are not opened")
    except (
        zipfile.BadZipFile,
        tarfile.TarError,
        zlib.error,
        EOFError,
        OSError,
        NotImplementedError,
        OverflowError,
    ) as error:
        raise Refused(f"damaged ({str(error)[:200]}): pack it again") from error
    return taking.done()


# ---------------------------------------------------------------------------------------------------- zip
def _directory(stream: BinaryIO, size: int) -> None:
    """Raises Refused for a zip whose list of members is too long to be read at all."""
    stream.seek(max(0, size - (1 << 16) - 64))
    tail = stream.read()
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) - at < 22:
        raise Refused("a zip without an end")
    if (
        tail[max(0, at - 20) : at].startswith(b"PK\x06\x07")
        or int.from_bytes(tail[at + 12 : at + 16], "little") > MAX_DIRECTORY
    ):
        raise Refused(
            f"more than {MAX_FILES:,} members, or a list of them of more than {MAX_DIRECTORY:,} bytes: ilbench pack makes two"
        )


def _zip(stream: BinaryIO, size: int, taking: _Taking) -> None:
    _directory(stream, size)
    with zipfile.ZipFile(stream) as archive:
        listed = archive.infolist()
        if len(listed) > MAX_FILES:
            raise Refused(f"{len(listed):,} members, allowed are {MAX_FILES:,}")
        if sum(i.compress_size for i in listed) > size:
            raise Refused("its members overlap: more bytes are stated than there are")
        total = sum(i.file_size for i in listed)
        if total > MAX_BUNDLE or total > FREE + RATIO * size:
            raise Refused(f"{total:,} bytes would come out of {size:,}")
        for info in listed:
            if info.is_dir() and kind(info.orig_filename) == "other":
                continue
            found = taking.place(info.orig_filename, _odd(info))
            if found is None:
                continue
            if info.file_size > found[1]:
                taking.name(info.filename, f"{info.file_size:,} bytes, allowed are {found[1]:,}")
                continue
            member = pack.Member(info.header_offset, info.compress_size, info.file_size, info.compress_type)
            try:
                taking.put(found[0], pack.inflate(stream, info.filename, member))
            except ValueError as error:
                taking.name(info.filename, str(error))


def _odd(info: zipfile.ZipInfo) -> str:
    """What else than a plain file a member of a zip is."""
    mode = info.external_attr >> 16
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        return "a link" if stat.S_ISLNK(mode) else "no regular file"
    if info.flag_bits & 1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return "encrypted, or packed in another way than stored or deflated"
    return ""


# ---------------------------------------------------------------------------------------------------- tar
class _Bounded:
    """A stream that ends the reading of a bomb: by all that came out, and by its ratio to what went in."""

    def __init__(self, stream: BinaryIO, raw: BinaryIO) -> None:
        self.stream, self.raw, self.total = stream, raw, 0

    def read(self, n: int) -> bytes:
        data = self.stream.read(n)
        self.total += len(data)
        if self.total > MAX_BUNDLE or self.total > FREE + RATIO * self.raw.tell():
            raise Refused(f"more than {self.total:,} bytes come out of {self.raw.tell():,}")
        return data


class _Info(tarfile.TarInfo):
    """A member whose long names and further fields are bounded before they are read into memory."""

    def _proc_member(self, archive: tarfile.TarFile) -> Any:
        if not self.isreg() and not self.isdir() and self.size > MAX_HEADER:
            raise Refused(f"a header of {self.size:,} bytes, allowed are {MAX_HEADER:,}")
        return super()._proc_member(archive)  # type: ignore[misc]


def _tar(stream: BinaryIO, zipped: bool, taking: _Taking) -> None:
    bounded = _Bounded(gzip.GzipFile(fileobj=stream, mode="rb") if zipped else stream, stream)  # type: ignore[arg-type]
    with tarfile.open(fileobj=bounded, mode="r|", tarinfo=_Info) as archive:  # type: ignore[call-overload]
        for info in _members(archive):
            if info.isdir():
                if kind(info.name) not in ("", "other"):
                    taking.place(info.name, "")
                continue
            odd = (
                ""
                if info.isreg() and not info.issparse()
                else "a link"
                if info.issym() or info.islnk()
                else "no regular file"
            )
            found = taking.place(info.name, odd)
            if found is None:
                continue
            if info.size > found[1]:
                taking.name(info.name, f"{info.size:,} bytes, allowed are {found[1]:,}")
                continue
            content = archive.extractfile(info)
            assert content is not None
            data = content.read()
            if len(data) != info.size:
                raise Refused("cut short")
            taking.put(found[0], data)


def _members(archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """One after the other; tarfile keeps no list of them."""
    while (info := archive.next()) is not None:
        archive.members = []  # type: ignore[attr-defined]
        yield info
