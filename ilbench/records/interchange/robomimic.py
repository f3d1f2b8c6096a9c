"""robomimic's layout of HDF5, an episode to a group, and D4RL's, flat arrays at the root.

    data            attrs total (steps), env_args (JSON), ilbench (what the file says of itself)
    data/demo_0     attrs num_samples, terminated; obs/KEY [T, ...]   next_obs/KEY   actions [T, A]   rewards [T]   dones [T]
    mask/train, mask/valid   names of demonstrations

Source: robomimic, its dataset page https://robomimic.github.io/docs/datasets/overview.html, its convert_d4rl and split_train_val scripts
"""

from __future__ import annotations

import io
import json
import pathlib
import re
from typing import Any

import numpy as np

from ilbench.records.interchange import flat
from ilbench.records.interchange.episodes import Episodes, heard, spoken, word
from ilbench.records.interchange.hdf5 import WIDE, Reader, library, stacked

KEY = "flat"  # of observations that are one array, as robomimic's own conversion calls it
GYM = 2  # robomimic's EnvType
VALID = 0.1  # share of demonstrations that are held out, robomimic's default
EXTRA = "record/"  # before the name of what else was recorded
FLAT = (
    *("obs", "action", "reward", "observations", "actions", "rewards", "next_observations", "terminals", "timeouts"),
    *("episode", "done", "length", "final_obs", "terminated"),
)


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
        raise ValueError(f"{reader.name}: data/{name} has {len(seen)} rows of obs and {count} of {key}")
    if after is not None:
        found["final_obs"] = after[-1:]
    return found


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
