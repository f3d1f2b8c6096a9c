"""Flat files, .safetensors and .npz: arrays with one row per step. The first is the layout that demonstrations are trained from.

    obs [R, *obs]   action [R, *action]   and where episodes end, one of
    episode [R]     the number of the row's episode, rows of one in a row
    done [R]        true at an episode's last row
    length [E]      rows of each episode
    reward [R]      may be there: then the demonstrator's return is known
    final_obs [E, *obs], terminated [E]   may be there: what the last step led to, and whether it ended the episode
    about           of .npz a text, of .safetensors its metadata: what the file says of itself
    record/NAME [R, ...]   whatever else was recorded

D4RL's names (observations, actions, rewards, terminals, timeouts, next_observations) are taken too.
Source: the D4RL layout, https://github.com/Farama-Foundation/d4rl/wiki/Off-Policy-Evaluation and its `qlearning_dataset`
"""

from __future__ import annotations

import io
import math
import pathlib
import re
import zipfile
from typing import Any, BinaryIO

import numpy as np

from ilbench.records.interchange.episodes import BOMB, LARGEST, RATIO, Episodes, heard, lengths, spoken

MEMBER = re.compile(
    r"(?=.{5,200}\Z)[A-Za-z_][\w-]*(?:[./][\w-]+)*\.npy", re.ASCII
)  # record/dist.logits.npy, and no ../
HEADER = 2**20  # bytes of a header at most
PREFIX = "record/"
D4RL = {"observations": "obs", "actions": "action", "rewards": "reward"}


# ------------------------------------------------------------------------------------------------ reading
def _safetensors(path: pathlib.Path) -> tuple[dict[str, np.ndarray], Any]:
    from safetensors import SafetensorError, safe_open

    with path.open("rb") as stream:
        size = int.from_bytes(stream.read(8), "little")
    if not 2 <= size <= HEADER:
        raise ValueError(f"{path.name} is no safetensors file: its header would have {size} bytes, at most {HEADER}")
    try:
        with safe_open(path, framework="numpy") as opened:
            return {key: opened.get_tensor(key) for key in opened.keys()}, (opened.metadata() or {}).get("about")  # noqa: SIM118
    except (SafetensorError, ValueError, TypeError, KeyError, AttributeError, OSError) as error:
        raise ValueError(f"{path.name} is no safetensors file: {error}") from error


def _members(path: pathlib.Path, archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """The entries of a .npz file; ValueError for names that lead elsewhere, twice one name, and more than memory should hold."""
    infos = archive.infolist()
    for info in infos:
        if not MEMBER.fullmatch(info.filename):
            raise ValueError(
                f"{path.name} holds {info.filename[:80]!r}, which is no name of an array (letters, digits, _ and .npy)"
            )
        if info.flag_bits & 1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError(
                f"{path.name}: {info.filename!r} is encrypted or compressed in a way that NumPy does not write"
            )
    if len({info.filename for info in infos}) != len(infos):
        raise ValueError(f"{path.name} holds two arrays of one name")
    announced, stored = sum(i.file_size for i in infos), sum(i.compress_size for i in infos)
    if announced > LARGEST or (announced > BOMB and announced > RATIO * stored):
        raise ValueError(
            f"{path.name} would unpack from {stored} bytes to {announced}; at most {LARGEST}, and {RATIO} times as many above {BOMB}"
        )
    return infos


def _array(path: pathlib.Path, name: str, stream: Any, size: int) -> np.ndarray:
    """One .npy of `size` bytes, of which no more is read than its header announces and the archive holds."""
    version = np.lib.format.read_magic(stream)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"it is a .npy of version {version}")
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(stream)
    if dtype.hasobject:
        raise ValueError(f"{path.name}: {name!r} holds Python objects (a pickle), which are not read")
    need = math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or need > size:
        raise ValueError(f"{path.name}: {name!r} announces {need} bytes of shape {list(shape)}, and {size} are there")
    data = stream.read(need)
    if len(data) != need or stream.read(1):
        raise ValueError(f"{path.name}: {name!r} announces {need} bytes, and other than that many are there")
    return np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C")


def _npz(path: pathlib.Path) -> tuple[dict[str, np.ndarray], Any]:
    found: dict[str, np.ndarray] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for info in _members(path, archive):
                name = info.filename.removesuffix(".npy")
                with archive.open(info) as stream:
                    found[name] = _array(path, name, stream, info.file_size)
    except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError, RuntimeError) as error:
        raise ValueError(f"{path.name} holds a pickle or is no .npz file, and is not read: {error}") from error
    except Exception as error:
        if isinstance(error, ValueError) and path.name in str(error):
            raise
        # Of a header that was made to break a parser anything may come.
        raise ValueError(f"{path.name} is no .npz file: {error}") from error
    about = found.pop("about", None)
    return found, str(about) if about is not None and about.dtype.kind == "U" and about.shape == () else None


def arrays(path: pathlib.Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """All arrays of a file by name, and what it says of itself; ValueError for what is none, and for more bytes than LARGEST."""
    if not path.is_file():
        raise ValueError(f"no file {str(path)!r}; demonstrations are a .npz or .safetensors file")
    if path.stat().st_size > LARGEST:
        raise ValueError(f"{path.name}: {path.stat().st_size} bytes; at most {LARGEST}")
    if path.suffix not in (".npz", ".safetensors"):
        raise ValueError(
            f"{path.name}: demonstrations are a .npz or .safetensors file; of HDF5 and Minari `ilbench data import` makes one"
        )
    found, text = (_npz if path.suffix == ".npz" else _safetensors)(path)
    return found, heard(path.name, text)


def read(path: pathlib.Path) -> Episodes:
    """The episodes of a file; ValueError that names what is missing or does not go together."""
    found, about = arrays(path)
    return episodes_of(path.name, found, about)


def episodes_of(name: str, found: dict[str, np.ndarray], about: dict[str, str]) -> Episodes:
    """Episodes from arrays by name, ours or D4RL's."""
    given = {D4RL.get(key, key): value for key, value in found.items()}
    for field in ("obs", "action"):
        if field not in given:
            raise ValueError(f"{name} has no {field!r}; it holds {', '.join(sorted(found)) or 'nothing'}")
    rows = len(given["obs"]) if np.ndim(given["obs"]) else 0
    if rows == 0 or np.ndim(given["action"]) == 0 or len(given["action"]) != rows:
        acted = len(given["action"]) if np.ndim(given["action"]) else 0
        raise ValueError(f"{name}: obs has {rows} rows and action {acted}; both have the same, at least 1")
    falls = given.get("terminals")
    if falls is not None and not any(mark in given for mark in ("episode", "done", "length")):
        ends = [np.asarray(given[mark]).reshape(-1).astype(bool) for mark in ("terminals", "timeouts") if mark in given]
        if any(len(end) != rows for end in ends):
            raise ValueError(f"{name}: terminals and timeouts have {[len(end) for end in ends]} rows, obs has {rows}")
        given["done"] = np.logical_or.reduce(ends)
        if not about:
            about = {"source": "D4RL"}
    length = lengths(name, given, rows)
    last = np.cumsum(length) - 1
    final, ended = given.get("final_obs"), given.get("terminated")
    following = given.get("next_observations")
    if final is None and following is not None:
        if np.shape(following) != np.shape(given["obs"]):
            raise ValueError(
                f"{name}: next_observations has the shape {list(np.shape(following))}, observations another"
            )
        final = following[last]
    if ended is None and falls is not None and np.size(falls) == rows:
        ended = np.asarray(falls).reshape(-1).astype(bool)[last]
    extra = {key.removeprefix(PREFIX): value for key, value in found.items() if key.startswith(PREFIX)}
    return Episodes(given["obs"], given["action"], length, given.get("reward"), final, ended, extra, about)


# ------------------------------------------------------------------------------------------------ writing
def content(kind: str, episodes: Episodes) -> bytes:
    """The bytes of a file, "safetensors" or "npz": the same episodes give the same bytes."""
    named: dict[str, Any] = {
        "obs": episodes.obs, "action": episodes.action, "length": episodes.length, "reward": episodes.reward,
        "final_obs": episodes.final_obs, "terminated": episodes.terminated,
    }  # fmt: skip
    named |= {f"{PREFIX}{key}": value for key, value in sorted(episodes.extra.items())}
    found: dict[str, Any] = {key: np.ascontiguousarray(value) for key, value in named.items() if value is not None}
    if kind == "safetensors":
        from safetensors.numpy import save

        return save(found, metadata={"about": spoken(episodes.about)})  # one key: a file keeps several in no order
    stream: BinaryIO = io.BytesIO()
    np.savez(stream, about=np.array(spoken(episodes.about)), **found)
    stream.seek(0)
    return stream.read()
