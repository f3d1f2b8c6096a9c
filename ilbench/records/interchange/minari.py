"""Minari's datasets: a folder DATASET/data with metadata.json and main_data.hdf5, observations `[T + 1, ...]` of T actions.

Written as Minari 0.5 lays it out, uncompressed, so that every bit stays; and read without Minari, which makes the environment that a
dataset names, whatever package that is from. Frames that it stores as JPEG are not what was seen, and are refused.
Paper: Younis et al. 2024, Minari, https://github.com/Farama-Foundation/Minari
"""

from __future__ import annotations

import contextlib
import json
import pathlib
import re
import shutil
import tempfile
from collections.abc import Iterator
from typing import Any

import numpy as np

from ilbench.records import files
from ilbench.records.interchange.episodes import Episodes, What, heard, spoken, word
from ilbench.records.interchange.hdf5 import Reader, library, stacked

METADATA, MAIN = "metadata.json", "main_data.hdf5"
VERSION = "0.5.0"  # of the layout
MOST = 2**22  # bytes of metadata.json


# ------------------------------------------------------------------------------------------------ reading
def folder(path: pathlib.Path) -> pathlib.Path | None:
    """The folder that holds a dataset's files, given that or the one above; None for anything else."""
    return next((f for f in (path, path / "data") if (f / METADATA).is_file()), None)


def _metadata(root: pathlib.Path) -> dict[str, Any]:
    try:
        found = json.loads(files.read_regular(root / METADATA, root, MOST))
    except (ValueError, RecursionError, OSError) as error:
        raise ValueError(f"{METADATA} is not read: {error}") from error
    if not isinstance(found, dict):
        raise ValueError(f"{METADATA} holds no object")
    if found.get("data_format", "hdf5") != "hdf5":
        raise ValueError(f"{METADATA}: a dataset stored as {word(found['data_format'])!r}; read is Minari's hdf5")
    return found


def _is_image(text: Any) -> bool:
    """Whether Minari would have stored a space's elements as JPEG."""
    try:
        space = json.loads(text) if isinstance(text, str) else {}
    except (ValueError, RecursionError):
        return False
    return isinstance(space, dict) and space.get("dtype") == "uint8" and len(space.get("shape") or ()) == 3


def read(path: pathlib.Path, keys: tuple[str, ...] = ()) -> Episodes:
    """The episodes of a dataset; ValueError for links out of its folder, frames as JPEG, and what does not go together."""
    root = folder(path)
    if root is None:
        raise ValueError(f"{str(path)!r} is no Minari dataset: it holds no {METADATA}, nor does its data/")
    said = _metadata(root)
    if said.get("jpeg_encoding", True) and _is_image(said.get("observation_space")):
        raise ValueError(
            f"{path.name}: its frames are JPEG, which are not what was seen; store them with jpeg_encoding=False"
        )
    try:
        files.open_regular(root / MAIN, root).close()
    except (ValueError, OSError) as error:
        raise ValueError(f"{path.name}: {MAIN} is not read: {error}") from error
    with Reader(root / MAIN, path.name) as reader:
        names = reader.numbered(reader.file, "episode_")
        if not names:
            raise ValueError(f"{path.name}: {MAIN} holds no episode_0, episode_1, ...")
        parts, ended = [], []
        for name in names:
            part, end = _episode(reader, name, keys)
            parts.append(part)
            ended.append(end)
    joined = stacked(path.name, parts)
    for key, count in (("total_episodes", len(names)), ("total_steps", len(joined["action"]))):
        if key in said and said[key] != count:
            raise ValueError(f"{path.name}: {METADATA} says {key} {word(said[key])}, and there are {count}")
    length = np.array([len(part["action"]) for part in parts])
    about = heard(path.name, said.get("ilbench")) or {"source": "Minari", "env": word(said.get("dataset_id", ""))}
    return Episodes(
        joined["obs"], joined["action"], length, joined["reward"], joined["final_obs"], np.array(ended), {}, about
    )


def _episode(reader: Reader, name: str, keys: tuple[str, ...]) -> tuple[dict[str, np.ndarray], bool]:
    """One episode's arrays, and whether it terminated."""
    group = reader.group(reader.file, name)
    if group is None:
        raise ValueError(f"{reader.name}: {name} is no group")
    seen, found = reader.seen(group, "observations", keys), {}
    for field in ("actions", "rewards", "terminations", "truncations"):
        array = reader.array(group, field)
        if array is None or array.ndim == 0 or len(array) == 0:
            raise ValueError(f"{reader.name}: {name} has no {field}")
        found[field] = array
    steps = len(found["actions"])
    if seen is None or seen.ndim == 0 or len(seen) != steps + 1:
        count = len(seen) if seen is not None and seen.ndim else 0
        raise ValueError(
            f"{reader.name}: {name} has {steps} actions and {count} observations; of those there is one more"
        )
    for field, array in found.items():
        if len(array) != steps:
            raise ValueError(f"{reader.name}: {name} has {steps} actions and {len(array)} {field}")
    falls, cuts = (found[field].astype(bool).reshape(steps, -1)[:, 0] for field in ("terminations", "truncations"))
    ends = falls | cuts
    if ends[:-1].any():
        raise ValueError(f"{reader.name}: {name} ends at step {int(ends.argmax())}, and goes on to step {steps - 1}")
    part = {"obs": seen[:-1], "action": found["actions"], "reward": found["rewards"], "final_obs": seen[-1:]}
    return part, bool(falls[-1])


# ------------------------------------------------------------------------------------------------ writing
def dataset_id(about: dict[str, str]) -> str:
    """The name by which Minari finds a dataset of ours: ilbench/TASK/expert-vVERSION."""
    task, _, version = about.get("task", "task@1").partition("@")
    return f"ilbench/{re.sub(r'[^A-Za-z0-9_]+', '-', task).strip('-')}/expert-v{version}"


def place(datasets: pathlib.Path, about: dict[str, str]) -> pathlib.Path:
    """Where in a folder of datasets one of ours goes; ValueError where one is there already."""
    made = datasets / dataset_id(about)
    if made.exists() or made.is_symlink():
        raise ValueError(
            f"{str(made)!r} is there already; nothing was changed: remove it, or give another folder with -o"
        )
    return made


def _space(what: What) -> str:
    if what.n is not None:
        return json.dumps({"type": "Discrete", "dtype": "int64", "start": 0, "n": what.n})
    low, high = (np.full(what.shape, np.dtype(what.kind).type(bound)).tolist() for bound in (what.low, what.high))
    return json.dumps({"type": "Box", "dtype": what.kind, "shape": list(what.shape), "low": low, "high": high})


def write(datasets: pathlib.Path, episodes: Episodes, obs: What, action: What) -> pathlib.Path:
    """Writes a dataset below a folder of them, whole or not at all; returns its folder, or raises ValueError as `place`."""
    if episodes.extra or episodes.final_obs is None or episodes.reward is None or episodes.terminated is None:
        raise ValueError(
            "a Minari dataset takes rewards, ends and what they led to, and no --record; take --format hdf5"
        )
    made = place(datasets, episodes.about)
    with _new(made) as building:
        inside = building / "data"
        inside.mkdir()
        with library().File(inside / MAIN, "w", track_order=True) as file:
            for i, (start, steps) in enumerate(zip(episodes.starts, episodes.length, strict=True)):
                _write(file.create_group(f"episode_{i}"), episodes, i, slice(int(start), int(start + steps)))
        stated = {
            "total_episodes": len(episodes.length), "total_steps": len(episodes.obs), "data_format": "hdf5", "jpeg_encoding": False,
            "observation_space": _space(obs), "action_space": _space(action), "dataset_id": dataset_id(episodes.about),
            "minari_version": VERSION, "algorithm_name": "expert", "author": [], "author_email": [],
            "description": f"demonstrations of ilbench's expert of {episodes.about.get('task')}",
            "dataset_size": round((inside / MAIN).stat().st_size / 1e6, 1), "ilbench": spoken(episodes.about),
        }  # fmt: skip
        files.write_new(inside / METADATA, json.dumps(stated).encode())
    return made


def _write(group: Any, episodes: Episodes, i: int, rows: slice) -> None:
    assert episodes.final_obs is not None
    assert episodes.reward is not None
    assert episodes.terminated is not None
    steps = rows.stop - rows.start
    last = np.arange(steps) == steps - 1
    ended = bool(episodes.terminated[i])
    group.attrs["id"], group.attrs["total_steps"] = i, steps
    named = {
        "observations": np.concatenate([episodes.obs[rows], episodes.final_obs[i : i + 1]]),
        "actions": episodes.action[rows],
        "rewards": episodes.reward[rows],
        "terminations": last & ended,
        "truncations": last & (not ended),
    }
    for name, array in named.items():  # in chunks, because Minari appends to datasets
        group.create_dataset(name, data=array, chunks=True, maxshape=(None, *array.shape[1:]))


@contextlib.contextmanager
def _new(made: pathlib.Path) -> Iterator[pathlib.Path]:
    """A folder beside `made` that becomes it when the block ends well, and else is gone."""
    made.parent.mkdir(parents=True, exist_ok=True)
    building = pathlib.Path(tempfile.mkdtemp(dir=made.parent, prefix=files.PREFIX, suffix=files.SUFFIX))
    try:
        yield building
        building.chmod(0o755)
        building.rename(made)
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise
