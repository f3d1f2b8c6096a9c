"""HDF5, robomimic's layout and D4RL's: an episode to a group, or flat arrays at the root.

    data            attrs total (steps), env_args (JSON), ilbench (what the file says of itself)
    data/demo_0     attrs num_samples, terminated; obs/KEY [T, ...]   next_obs/KEY   actions [T, A]   rewards [T]   dones [T]
    mask/train, mask/valid   names of demonstrations

Only plain datasets within the file are read: a link, an external or virtual dataset, a filter that would load a library, and more
bytes than are announced elsewhere or than memory should hold are refused by name.
Source: robomimic, its dataset page https://robomimic.github.io/docs/datasets/overview.html, its convert_d4rl and split_train_val scripts
"""

from __future__ import annotations

import importlib
import io
import json
import math
import pathlib
import re
from typing import Any

import numpy as np

from ilbench.records.interchange import flat
from ilbench.records.interchange.episodes import BOMB, LARGEST, RATIO, Episodes, heard, spoken, word

# gzip, shuffle, checksum, lzf: h5py's own; any other is looked for in libraries on the disk.
FILTERS = {1, 2, 3, 32000}
KEY = "flat"  # of observations that are one array, as robomimic's own conversion calls it
GYM = 2  # robomimic's EnvType
VALID = 0.1  # share of demonstrations that are held out, robomimic's default
EPISODES = 2**20  # of a file at most
WIDE = 300  # characters of a list of names in a message
EXTRA = "record/"  # before the name of what else was recorded
FLAT = (
    *("obs", "action", "reward", "observations", "actions", "rewards", "next_observations", "terminals", "timeouts"),
    *("episode", "done", "length", "final_obs", "terminated"),
)


def library() -> Any:
    """h5py; ValueError that says what to install where it is not there."""
    try:
        return importlib.import_module("h5py")
    except ImportError as error:
        raise ValueError(
            "HDF5 and Minari files take h5py, which is not installed: pip install 'ilbench[data]', or give --format safetensors or npz"
        ) from error


class Reader:
    """An HDF5 file that nobody vouches for: datasets and attributes by name, within what memory should hold."""

    def __init__(self, path: pathlib.Path, name: str | None = None) -> None:
        if not path.is_file():
            raise ValueError(f"no file {str(path)!r}")
        if path.stat().st_size > LARGEST:
            raise ValueError(f"{path.name}: {path.stat().st_size} bytes; at most {LARGEST}")
        self.h5py, self.name, self.left = library(), name or path.name, LARGEST
        try:
            self.file = self.h5py.File(path, "r")
        except OSError as error:
            raise ValueError(f"{self.name} is no HDF5 file: {error}") from error

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def child(self, group: Any, name: str) -> Any:
        """A group or dataset by one name, None where it is not there; ValueError for a link to elsewhere."""
        try:
            link = group.get(name, getlink=True)
        except (KeyError, RuntimeError, ValueError):
            link = None
        if link is None:
            return None
        if not isinstance(link, self.h5py.HardLink):
            kind = type(link).__name__.removesuffix("Link").lower()
            raise ValueError(
                f"{self.name}: {group.name}/{name} is a link ({kind}) to elsewhere; only what lies in place is read"
            )
        try:
            return group[name]
        except (KeyError, OSError, RuntimeError) as error:
            raise ValueError(f"{self.name}: {group.name}/{name} is damaged: {error}") from error

    def group(self, group: Any, name: str) -> Any:
        """A group by name, None where there is none."""
        found = self.child(group, name)
        return found if isinstance(found, self.h5py.Group) else None

    def array(self, group: Any, name: str) -> np.ndarray | None:
        """A dataset of numbers, None where it is not there; what it announces is looked at before memory is taken."""
        found = self.child(group, name)
        if found is None:
            return None
        where = f"{self.name}: {group.name}/{name}".replace("//", "/")
        if not isinstance(found, self.h5py.Dataset):
            raise ValueError(f"{where} is no dataset")
        if found.is_virtual or found.external:
            raise ValueError(f"{where} keeps its numbers in another file, which is not read")
        plist = found.id.get_create_plist()
        if foreign := {plist.get_filter(i)[0] for i in range(plist.get_nfilters())} - FILTERS:
            raise ValueError(
                f"{where} is packed by filter {min(foreign)}; read are gzip, lzf, shuffle and checksums: repack it"
            )
        if found.shape is None or found.dtype.kind not in "biuf":
            raise ValueError(f"{where} is of type {found.dtype}; it must be numbers")
        need, stored = math.prod(found.shape) * found.dtype.itemsize, found.id.get_storage_size()
        if need > self.left or (need > BOMB and need > RATIO * stored):
            raise ValueError(
                f"{where} announces {need} bytes, of which {stored} are stored; at most {LARGEST} in all, and above {BOMB} "
                f"{RATIO} times as many as are stored"
            )
        self.left -= need
        try:
            return np.asarray(found[()])
        except (OSError, RuntimeError) as error:
            raise ValueError(f"{where} is damaged: {error}") from error

    def text(self, group: Any, name: str) -> str:
        """An attribute as text; empty where it is not there."""
        try:
            value = group.attrs.get(name, "")
        except (OSError, RuntimeError, TypeError, ValueError, KeyError):
            return ""
        return value.decode("utf-8", "replace") if isinstance(value, bytes) else value if isinstance(value, str) else ""

    def number(self, group: Any, name: str) -> int | None:
        """An attribute as an integer; None where it is none."""
        try:
            value = np.asarray(group.attrs.get(name))
        except (OSError, RuntimeError, TypeError, ValueError, KeyError):
            return None
        return int(value) if value.shape == () and value.dtype.kind in "biu" else None

    def numbered(self, group: Any, stem: str) -> list[str]:
        """Names `STEM0, STEM1, ...` of a group's children, by number."""
        names = [name for name in group if re.fullmatch(rf"{stem}[0-9]{{1,9}}", name, re.ASCII)]
        if len(names) > EPISODES:
            raise ValueError(f"{self.name} holds {len(names)} episodes; at most {EPISODES}")
        return sorted(names, key=lambda name: int(name.removeprefix(stem)))

    def seen(self, group: Any, name: str, keys: tuple[str, ...]) -> np.ndarray | None:
        """Observations `[T, ...]`: a dataset, a group's only one, or those of `keys` `[T, *]` side by side."""
        found = self.group(group, name)
        if found is None:
            return self.array(group, name)
        there = sorted(found)
        chosen = list(keys) or (there if len(there) == 1 else [])
        if not chosen or (lost := [key for key in chosen if key not in there]):
            which = f"no {lost[0]!r}" if chosen else f"{len(there)} observations"
            raise ValueError(
                f"{self.name}: {found.name} holds {which}; choose with --keys, in the order of the task's: {', '.join(there)[:WIDE]}"
            )
        parts = [np.asarray(self.array(found, key)) for key in chosen]
        if len(parts) == 1:
            return parts[0]
        if any(part.ndim < 1 or len(part) != len(parts[0]) for part in parts):
            raise ValueError(f"{self.name}: {found.name}: {', '.join(chosen)} have other numbers of rows")
        return np.concatenate([part.reshape(len(part), -1) for part in parts], axis=1)


# ------------------------------------------------------------------------------------------------ reading
def read(path: pathlib.Path, keys: tuple[str, ...] = ()) -> Episodes:
    """The episodes of a file in robomimic's layout, or flat as D4RL's; ValueError for any other and for what is unsound in it."""
    with Reader(path) as reader:
        if (data := reader.group(reader.file, "data")) is not None:
            return _robomimic(reader, data, keys)
        names = [name for name in reader.file if re.fullmatch(r"[a-z_]{1,40}", name)]
        if "observations" in names or "obs" in names:
            fields = {name: reader.array(reader.file, name) for name in FLAT if name in names}
            return flat.episodes_of(reader.name, {k: v for k, v in fields.items() if v is not None}, {})
        if "episode_0" in names or reader.numbered(reader.file, "episode_"):
            raise ValueError(f"{reader.name} is the inside of a Minari dataset; give the folder that it lies in")
        raise ValueError(
            f"{reader.name} is laid out neither as robomimic's (data/demo_0/...) nor as D4RL's (observations, actions, ...); "
            f"it holds {', '.join(sorted(map(word, reader.file)))[:WIDE] or 'nothing'}"
        )


def _robomimic(reader: Reader, data: Any, keys: tuple[str, ...]) -> Episodes:
    names = reader.numbered(data, "demo_")
    if not names:
        held = ", ".join(sorted(map(word, data)))[:WIDE]
        raise ValueError(f"{reader.name}: data/ holds no demo_0, demo_1, ...; it holds {held or 'nothing'}")
    about = heard(reader.name, reader.text(data, "ilbench"))
    parts: list[dict[str, np.ndarray]] = []
    for name in names:
        demo = reader.group(data, name)
        if demo is None:
            raise ValueError(f"{reader.name}: data/{name} is no group")
        parts.append(_demo(reader, demo, name, keys))
    joined = stacked(reader.name, parts)
    rows, total = len(joined["action"]), reader.number(data, "total")
    if total is not None and total != rows:
        raise ValueError(f"{reader.name}: data says {total} steps in all, its demonstrations have {rows}")
    ended = [reader.number(data[name], "terminated") for name in names]
    return Episodes(
        joined["obs"],
        joined["action"],
        np.array([len(part["action"]) for part in parts]),
        joined.get("reward"),
        joined.get("final_obs"),
        None if None in ended else np.array(ended, bool),
        {key.removeprefix(EXTRA): array for key, array in joined.items() if key.startswith(EXTRA)},
        about or {"source": "robomimic", **_env(reader.text(data, "env_args"))},
    )


def _demo(reader: Reader, demo: Any, name: str, keys: tuple[str, ...]) -> dict[str, np.ndarray]:
    """One demonstration's arrays, of as many rows each."""
    seen, acted = reader.seen(demo, "obs", keys), reader.array(demo, "actions")
    for what, array in (("obs", seen), ("actions", acted)):
        if array is None or array.ndim == 0 or len(array) == 0:
            raise ValueError(f"{reader.name}: data/{name} has no {what}")
    assert seen is not None
    assert acted is not None
    found = {"obs": seen, "action": acted}
    if (reward := reader.array(demo, "rewards")) is not None:
        found["reward"] = reward
    after = reader.seen(demo, "next_obs", keys) if "next_obs" in demo else None
    extra = reader.group(demo, "record")
    if extra is not None:
        found |= {f"{EXTRA}{key}": np.asarray(reader.array(extra, key)) for key in sorted(extra)}
    said = {"num_samples": reader.number(demo, "num_samples")} | {k: len(v) for k, v in found.items()}
    if after is not None:
        said["next_obs"] = len(after)
        if after.shape[1:] != seen.shape[1:]:
            raise ValueError(
                f"{reader.name}: data/{name}: next_obs has rows of shape {list(after.shape[1:])}, obs {list(seen.shape[1:])}"
            )
    if wrong := {k: n for k, n in said.items() if n not in (None, len(seen))}:
        key, count = next(iter(wrong.items()))
        raise ValueError(
            f"{reader.name}: data/{name} has {len(seen)} rows of obs and {count} of {key.removeprefix('extra ')}"
        )
    if after is not None:
        found["final_obs"] = after[-1:]
    return found


def stacked(name: str, parts: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Arrays of episodes one below the other; ValueError where one has what another has not, or other shapes."""
    for i, part in enumerate(parts):
        if set(part) != set(parts[0]):
            other = sorted(set(part) ^ set(parts[0]))[0].removeprefix(EXTRA)
            raise ValueError(f"{name}: episode {i} and the first are not alike: one of them has {other}")
        for key, array in part.items():
            rows, first = list(array.shape[1:]), list(parts[0][key].shape[1:])
            if rows != first:
                raise ValueError(f"{name}: {key} of episode {i} has rows of shape {rows}, of the first {first}")
    return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}


def _env(text: str) -> dict[str, str]:
    try:
        found = json.loads(text) if len(text) < 2**20 else None
    except (ValueError, RecursionError):
        found = None
    named = found.get("env_name") if isinstance(found, dict) else None
    return {"env": word(named)} if isinstance(named, str) else {}


# ------------------------------------------------------------------------------------------------ writing
def content(episodes: Episodes) -> bytes:
    """The bytes of a file in robomimic's layout; scalars get an axis of one, which robomimic expects of actions and observations."""
    stream = io.BytesIO()
    count, starts = len(episodes.length), episodes.starts
    with library().File(stream, "w") as file:
        data = file.create_group("data")
        data.attrs["total"] = len(episodes.obs)
        named = f"ilbench/{episodes.about.get('task', '')}"
        data.attrs["env_args"] = json.dumps({"env_name": named, "type": GYM, "env_kwargs": {}}, indent=4)
        data.attrs["ilbench"] = spoken(episodes.about)
        for i, (start, steps) in enumerate(zip(starts, episodes.length, strict=True)):
            _write(data.create_group(f"demo_{i}"), episodes, i, slice(int(start), int(start + steps)))
        held = max(1, int(VALID * count)) if count > 1 else 0
        for key, members in (("train", range(count - held)), ("valid", range(count - held, count))):
            if members:
                file.create_dataset(f"mask/{key}", data=np.array([f"demo_{i}" for i in members], dtype="S"))
    return stream.getvalue()


def _write(demo: Any, episodes: Episodes, i: int, rows: slice) -> None:
    seen, acted = _wide(episodes.obs[rows]), _wide(episodes.action[rows])
    demo.attrs["num_samples"] = len(seen)
    demo.create_dataset(f"obs/{KEY}", data=seen)
    demo.create_dataset("actions", data=acted)
    demo.create_dataset("dones", data=np.arange(len(seen)) == len(seen) - 1, dtype=np.int32)
    if episodes.reward is not None:
        demo.create_dataset("rewards", data=episodes.reward[rows])
    if episodes.final_obs is not None:
        demo.create_dataset(f"next_obs/{KEY}", data=np.concatenate([seen[1:], _wide(episodes.final_obs[i : i + 1])]))
    if episodes.terminated is not None:
        demo.attrs["terminated"] = int(episodes.terminated[i])
    for name, array in sorted(episodes.extra.items()):
        demo.create_dataset(f"record/{name}", data=array[rows])


def _wide(array: np.ndarray) -> np.ndarray:
    return array[:, None] if array.ndim == 1 else array
