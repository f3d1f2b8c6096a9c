"""Files that are whole or not there: written beside the target and renamed, read only where they are plain and small.

Pages, records, weights and packs all go through here, so that a full disk, a crash or Ctrl-C leaves the old file.
"""

from __future__ import annotations

import contextlib
import errno
import os
import pathlib
import re
import stat
import tempfile
import time
from collections.abc import Iterator
from typing import Any, BinaryIO

fcntl: Any
try:
    import fcntl
except ImportError:  # not on Windows
    fcntl = None

PREFIX, SUFFIX = ".ilbench-", ".tmp"  # of files being written; `is_temporary` knows them again
STALE_S = 3600.0  # a temporary that has not grown for this long belongs to a run that was killed
_TEMPORARY = re.compile(r"\.(?:probe-[0-9a-f]{32}|[0-9a-f]{32}\.[0-9a-f]{32}|ilbench-[^/\\]*\.tmp)")


# ---------------------------------------------------------------------------------------------- writing
@contextlib.contextmanager
def replacing(path: pathlib.Path) -> Iterator[BinaryIO]:
    """A stream whose content becomes `path` when the block ends well; otherwise `path` stays as it was.

    Raises OSError when the disk refuses.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=PREFIX, suffix=SUFFIX)
    try:
        with os.fdopen(handle, "w+b") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(temporary, 0o644)  # mkstemp makes files that nobody else can read
        os.replace(temporary, path)
    except BaseException:
        pathlib.Path(temporary).unlink(missing_ok=True)
        raise


def write_atomic(path: pathlib.Path, content: bytes) -> None:
    """Writes beside the target and renames, so that a reader never sees half a file."""
    with replacing(path) as stream:
        stream.write(content)


def write_new(file: pathlib.Path, data: bytes) -> None:
    """Creates `file` with `data` on the disk; raises OSError, FileExistsError included."""
    with file.open("xb") as stream:
        try:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        except BaseException:
            file.unlink(missing_ok=True)
            raise


def sync_folder(folder: pathlib.Path) -> None:
    """Puts the names in a folder on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    with contextlib.suppress(OSError):  # some network file systems refuse; the files themselves are synced
        os.fsync(descriptor)
    os.close(descriptor)


def remove_stale(folder: pathlib.Path, now: float | None = None) -> list[pathlib.Path]:
    """Removes what killed runs left half written in this one folder, an hour old or more; returns what was removed."""
    removed = []
    oldest = (time.time() if now is None else now) - STALE_S
    with contextlib.suppress(OSError):
        for entry in os.scandir(folder):
            # Another run may remove it first, or write it right now: then it is none of ours.
            with contextlib.suppress(OSError):
                stale = entry.is_file(follow_symlinks=False) and entry.stat(follow_symlinks=False).st_mtime < oldest
                if stale and _TEMPORARY.fullmatch(entry.name):
                    os.unlink(entry.path)
                    removed.append(pathlib.Path(entry.path))
    return removed


# ---------------------------------------------------------------------------------------------- reading
def inside(file: pathlib.Path, root: pathlib.Path) -> bool:
    """Whether `file` lies below `root` once every link is followed."""
    return os.path.realpath(file).startswith(os.path.join(os.path.realpath(root), ""))


def read_regular(file: pathlib.Path, root: pathlib.Path, limit: int) -> bytes:
    """The bytes of a regular file below `root`, at most `limit` of them.

    Raises ValueError for a link that leads out of `root`, for pipes, devices and sockets (never waited for) and for
    more than `limit` bytes (never read); OSError as the system does.
    """
    with open_regular(file, root) as stream:
        size = os.fstat(stream.fileno()).st_size
        data = stream.read(limit + 1) if size <= limit else b""
    if size > limit or len(data) > limit:
        raise ValueError(f"more than {limit} bytes ({max(size, len(data))}): not a file of this store")
    return data


def open_regular(file: pathlib.Path, root: pathlib.Path) -> BinaryIO:
    """A regular file below `root`, open for reading; raises ValueError and OSError as `read_regular` does."""
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    kind = os.stat(file).st_mode  # before it is opened: opening a device may do something
    if not inside(file, root):
        raise ValueError(f"a link that leads out of {root.name}/: only files inside are read")
    if not stat.S_ISREG(kind):
        raise ValueError(f"a {_kind(kind)}: only regular files are read")
    descriptor = os.open(file, flags)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):  # exchanged in between; O_NONBLOCK kept us from waiting
        os.close(descriptor)
        raise ValueError("no regular file: only such are read")
    return os.fdopen(descriptor, "rb")


def _kind(mode: int) -> str:
    named = {stat.S_IFDIR: "folder", stat.S_IFIFO: "pipe", stat.S_IFSOCK: "socket"}
    return named.get(stat.S_IFMT(mode), "device")


# ---------------------------------------------------------------------------------------------- locking
@contextlib.contextmanager
def locked(folder: pathlib.Path, *, shared: bool = False) -> Iterator[None]:
    """Holds a folder: many may share it, one may have it alone; waits for its turn.

    The lock is the kernel's and ends with the process, however that ends. Raises OSError where the file system or the
    platform has no locks; a shared hold goes on without one.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            if fcntl is None:
                raise OSError(errno.ENOTSUP, "this platform has no file locks", os.fspath(folder))
            fcntl.flock(descriptor, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        except OSError:
            if not shared:
                raise
        yield
    finally:
        os.close(descriptor)
