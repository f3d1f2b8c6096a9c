"""What is kept between processes: where it lies, and compiled programs that are what was put there.

    $ILBENCH_CACHE, else the user's cache folder, else one of our own in the system's temporary folder
      xla/jaxlib-VERSION-CPU/    programs: JAX's <key>-cache, and beside each <key>-sha256 of its key and content
      records/                   digests of records that were found sound, and their curves (ilbench/records/index.py)
      arithmetic/                one empty file per JAX, processor and flags that passed ilbench/compute/arithmetic.py

JAX writes an entry in place and loads whatever it finds: a run killed at the wrong moment leaves half a program, which costs a
warning and a compilation for ever, and a program under another's name ends the process. Here an entry that is not the one put there
is deleted and compiled again.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import os
import pathlib
import platform
import stat
import sys
import tempfile
import uuid
from typing import Any

VARIABLE = "ILBENCH_CACHE"
_OURS: set[str] = set()  # folders that this process made JAX's, to tell them from the user's


@functools.cache
def hush() -> None:
    """Keeps jaxlib 0.10 from writing two thousand characters to stderr for every program that it loads from its cache.

    It stores two tuning hints as features of the processor, misses them there when it loads, says that this may crash, and
    loads all the same (openxla/xla#44565); our folder is one per processor. Only heeded before JAX is imported.
    """
    from importlib import metadata

    with contextlib.suppress(metadata.PackageNotFoundError):
        if "jax" not in sys.modules and metadata.version("jaxlib").startswith("0.10."):
            os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def processor() -> str:
    """12 hex digits of the processor's features: a program compiled for other ones must never be loaded."""
    features = platform.processor() + platform.machine()
    info = pathlib.Path("/proc/cpuinfo")
    if info.is_file():
        features += "".join(
            sorted({line for line in info.read_text().splitlines() if line.startswith(("flags", "Features"))})
        )
    return hashlib.sha256(features.encode()).hexdigest()[:12]


def _own(folder: pathlib.Path) -> bool:
    """Creates a folder that only this user can write; False where somebody else has it: programs in it would be run."""
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError:
        return False
    mine = not hasattr(os, "getuid") or found.st_uid == os.getuid()
    return stat.S_ISDIR(found.st_mode) and mine and not found.st_mode & 0o022


def _top() -> tuple[pathlib.Path | None, bool]:
    """The folder of all caches, and whether it is the temporary one, for want of a home."""
    import platformdirs

    if given := os.environ.get(VARIABLE):
        return pathlib.Path(os.path.expanduser(given)), False
    try:
        return pathlib.Path(platformdirs.user_cache_dir("ilbench")), False
    except RuntimeError:  # no HOME, and a user that the system does not know, as in many containers
        user = os.getuid() if hasattr(os, "getuid") else "user"
        folder = pathlib.Path(tempfile.gettempdir(), f"ilbench-{user}")
        return (folder if _own(folder) else None), True


def root() -> pathlib.Path | None:
    """The folder of all caches; None where there is neither a home nor a temporary folder of our own."""
    return _top()[0]


def programs() -> pathlib.Path | None:
    """The folder of compiled programs for this jaxlib and processor."""
    import jaxlib

    top = root()
    return None if top is None else top / "xla" / f"jaxlib-{jaxlib.__version__}-{processor()}"


def passes() -> pathlib.Path | None:
    """The folder where a passed test of arithmetic is remembered."""
    top = root()
    return None if top is None else top / "arithmetic"


def _whole(value: bytes) -> bool:
    """Whether an entry without a sum can at least be unpacked, which half of one cannot."""
    from jax._src import compilation_cache

    try:
        compilation_cache.decompress_executable(value)
    except Exception:  # zlib's or zstandard's, whichever JAX uses
        return False
    return True


def readings() -> pathlib.Path | None:
    """The folder where records are remembered that were found sound; None where only this user cannot be made to write there."""
    top = root()
    try:
        if top is not None:
            top.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    folder = None if top is None else top / "records"
    return folder if folder is not None and _own(folder) else None


class Sound:
    """One of JAX's caches (`get(key)`, `put(key, bytes)`), which returns an entry only if it is the one that was put there."""

    def __init__(self, cache: Any, folder: pathlib.Path, shared: bool) -> None:
        """`shared`: other programs write to the folder too, whose entries have no sum and are taken if they are whole."""
        self._cache, self._path, self._shared = cache, folder, shared

    def _file(self, key: str, what: str) -> pathlib.Path:
        return self._path / f"{key}-{what}"

    @staticmethod
    def _sum(key: str, value: bytes) -> str:
        return hashlib.sha256(key.encode() + b"\0" + value).hexdigest()

    def get(self, key: str) -> bytes | None:
        """The entry, or None where there is none or it was damaged, which is then deleted."""
        value = self._cache.get(key)
        if value is None:
            return None
        try:
            said = self._file(key, "sha256").read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            said = None
        if said == self._sum(key, value) or (said is None and self._shared and _whole(value)):
            return value
        for what in ("cache", "sha256", "atime"):
            with contextlib.suppress(OSError):
                self._file(key, what).unlink()
        return None

    def put(self, key: str, value: bytes) -> None:
        """Keeps an entry and its sum; of two processes that compile the same, one's entry stays."""
        self._cache.put(key, value)
        if self._cache.get(key) == value:
            temporary = self._file(key, f"sha256-{uuid.uuid4().hex}")
            temporary.write_text(self._sum(key, value), encoding="utf-8")
            os.replace(temporary, self._file(key, "sha256"))

    def clear(self) -> None:
        """As JAX's own: forgets what is held in memory, which is nothing."""


def _checked() -> bool:
    """Makes JAX open its caches through `Sound`; False where this JAX has no such place."""
    try:
        from jax._src import compilation_cache

        plain = compilation_cache.get_file_cache
    except (ImportError, AttributeError):
        return False
    if getattr(plain, "of_ilbench", False):
        return True

    def get_file_cache(path: str) -> Any:
        found = plain(path)
        return found and (Sound(found[0], pathlib.Path(found[1]), str(path) not in _OURS), found[1])

    get_file_cache.of_ilbench = True  # type: ignore[attr-defined]
    compilation_cache.get_file_cache = get_file_cache
    return True


def used() -> str:
    """What `use` takes in another process to have it keep its programs where this one does."""
    import jax

    folder = jax.config.values.get("jax_compilation_cache_dir")
    return "off" if not folder else "auto" if folder in _OURS else str(folder)


def use(choice: str = "auto") -> None:
    """Tells JAX where to keep compiled programs: `auto`, `off` or a folder. `auto` leaves a folder that the user gave JAX.

    Where none can be written a line on stderr says so, and every process compiles anew.
    """
    import jax

    now = jax.config.values.get("jax_compilation_cache_dir")
    theirs = now if now not in _OURS else os.environ.get("JAX_COMPILATION_CACHE_DIR")
    if choice == "off":
        jax.config.update("jax_compilation_cache_dir", None)
        return
    given = theirs if choice == "auto" else choice
    folder = pathlib.Path(os.path.expanduser(given)) if given else programs()
    try:
        if folder is None:
            raise OSError("no home folder, and none of our own among the temporary ones")
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))
    except OSError as error:
        print(f"ilbench: no compile cache ({error}): every process compiles anew; set {VARIABLE}", file=sys.stderr)
        jax.config.update("jax_compilation_cache_dir", None)
        return
    if not given:
        _OURS.add(str(folder))
        if _top()[1]:
            print(f"ilbench: no home folder: compiled programs are kept in {folder}; set {VARIABLE}", file=sys.stderr)
    _checked()
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)
