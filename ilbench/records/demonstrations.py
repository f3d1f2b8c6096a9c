"""Demonstrations from a file: read, checked row by row, and cut into episodes. Nothing in the file is executed.

A `.npz` (without pickles) or `.safetensors` file of arrays with one row per step:
    obs [R, *obs]   action [R, *action]   and where episodes end, one of
    episode [R]     the number of the row's episode, rows of one in a row
    done [R]        true at an episode's last row (D4RL: terminals | timeouts)
    length [E]      rows of each episode
    reward [R]      may be there: then the demonstrator's return is known
"""

from __future__ import annotations

import hashlib
import pathlib
import zipfile
from typing import Any, NamedTuple

import numpy as np

LARGEST = 2**32  # bytes of a file
BOUNDS = ("episode", "done", "length")


class Recorded(NamedTuple):
    """Episodes of a file, padded to the longest one's H steps."""

    obs: np.ndarray  # `[N, H, *obs]`
    action: np.ndarray  # `[N, H, *action]`
    alive: np.ndarray  # `[N, H]` bool
    reward: np.ndarray | None  # `[N, H]`
    digest: str  # sha256 of the arrays


def _arrays(path: pathlib.Path) -> dict[str, np.ndarray]:
    if not path.is_file():
        raise ValueError(f"no file {str(path)!r}; demonstrations are a .npz or .safetensors file")
    if path.stat().st_size > LARGEST:
        raise ValueError(f"{path.name}: {path.stat().st_size} bytes; at most {LARGEST}")
    if path.suffix == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        try:
            return dict(load_file(path))
        except (SafetensorError, ValueError, OSError) as error:
            raise ValueError(f"{path.name} is no safetensors file: {error}") from error
    if path.suffix != ".npz":
        raise ValueError(f"{path.name}: demonstrations are a .npz or .safetensors file")
    found: dict[str, np.ndarray] = {}
    try:
        with np.load(path, allow_pickle=False) as stored:
            for name in stored.files:
                try:
                    found[name] = stored[name]
                except ValueError as error:
                    raise ValueError(f"{path.name}: {name!r} holds Python objects (a pickle), which are not read: {error}") from None
    except (zipfile.BadZipFile, OSError, EOFError) as error:
        raise ValueError(f"{path.name} is no .npz file: {error}") from error
    except ValueError as error:
        if path.name in str(error):
            raise
        raise ValueError(f"{path.name} holds a pickle or is no .npz file, and is not read: {error}") from None
    return found


def _lengths(name: str, arrays: dict[str, np.ndarray], rows: int) -> np.ndarray:
    """Rows of each episode `[E]`; ValueError where no boundaries are given or they do not fit the rows."""
    given = [b for b in BOUNDS if b in arrays]
    if not given:
        raise ValueError(f"{name} says nowhere where episodes end: give one of {', '.join(BOUNDS)}")
    mark = np.asarray(arrays[given[0]]).reshape(-1)
    if given[0] == "length":
        if mark.dtype.kind not in "iu" or (mark < 1).any() or mark.sum() != rows:
            raise ValueError(f"{name}: length says {int(mark.sum())} rows in {len(mark)} episodes, there are {rows}; each has at least 1")
        return mark.astype(np.int64)
    if len(mark) != rows:
        raise ValueError(f"{name}: {given[0]} has {len(mark)} rows, obs has {rows}")
    if given[0] == "done":
        ends = np.flatnonzero(mark.astype(bool))
        ends = ends if len(ends) and ends[-1] == rows - 1 else np.append(ends, rows - 1)
    else:
        ends = np.append(np.flatnonzero(mark[1:] != mark[:-1]), rows - 1)
        if len(np.unique(mark)) != len(ends):
            again = next(int(i) + 1 for i in ends if mark[i] in mark[i + 1 :])
            raise ValueError(f"{name}: rows of an episode are not in a row; episode {mark[again - 1]!r} goes on after row {again}")
    return np.diff(np.concatenate([[-1], ends]))


def _checked(name: str, field: str, array: Any, shape: tuple[int, ...], discrete: int | None, kind: str) -> np.ndarray:
    """One field `[R, *shape]` in the type that the task wants; ValueError names the field and the first bad row."""
    x = np.asarray(array)
    if x.dtype.kind not in "biuf":
        raise ValueError(f"{name}: {field} is of type {x.dtype}; it must be numbers")
    if x.shape[1:] != shape:
        raise ValueError(f"{name}: {field} has rows of shape {list(x.shape[1:])}; the task's have {list(shape)}")
    bad = ~np.isfinite(x.reshape(len(x), -1)).all(1) if x.dtype.kind == "f" else np.zeros(len(x), bool)
    if bad.any():
        raise ValueError(f"{name}: {field} is not finite in {int(bad.sum())} rows, the first is row {int(bad.argmax())}")
    if discrete is not None:
        wrong = (x < 0) | (x >= discrete) | (x != np.floor(x))
        if wrong.any():
            at = int(wrong.argmax())
            raise ValueError(f"{name}: {field} of row {at} is {x[at]}; allowed are 0 ... {discrete - 1}")
        return x.astype(np.int32)
    if kind == "uint8" and (x.dtype.kind == "f" or x.min(initial=0) < 0 or x.max(initial=0) > 255):
        raise ValueError(f"{name}: {field} is {x.dtype}; the task's are uint8")
    return x.astype(kind)


def read(
    path: str | pathlib.Path,
    obs: tuple[tuple[int, ...], int | None, str],
    action: tuple[tuple[int, ...], int | None, str],
    horizon: int,
) -> Recorded:
    """The demonstrations of a file; `obs` and `action` are (shape, n of discrete ones, dtype) as the task has them.

    Raises ValueError that names the file, the field and the row: for no file, a pickle, other shapes and types, numbers that
    are not finite, missing episode boundaries, and an episode longer than `horizon`.
    """
    file = pathlib.Path(path)
    arrays, name = _arrays(file), file.name
    for field in ("obs", "action"):
        if field not in arrays:
            raise ValueError(f"{name} has no {field!r}; it holds {', '.join(sorted(arrays)) or 'nothing'}")
    seen, done = (_checked(name, f, arrays[f], *what) for f, what in (("obs", obs), ("action", action)))
    rows = len(seen)
    if rows == 0 or len(done) != rows:
        raise ValueError(f"{name}: obs has {rows} rows and action {len(done)}; both have the same, at least 1")
    lengths = _lengths(name, arrays, rows)
    if lengths.max() > horizon:
        at = int(lengths.argmax())
        raise ValueError(
            f"{name}: episode {at} has {int(lengths[at])} steps and the task's horizon is {horizon}: give --horizons {int(lengths[at])}"
        )
    reward = None
    if "reward" in arrays:
        reward = _checked(name, "reward", arrays["reward"], (), None, "float32")
        if len(reward) != rows:
            raise ValueError(f"{name}: reward has {len(reward)} rows, obs has {rows}")
    digest = hashlib.sha256()
    for x in (seen, done, lengths, *(() if reward is None else (reward,))):
        digest.update(f"{x.dtype}{x.shape}".encode() + np.ascontiguousarray(x).tobytes())
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    alive = np.arange(horizon) < lengths[:, None]
    index = np.minimum(starts[:, None] + np.arange(horizon), (starts + lengths - 1)[:, None])
    masked = None if reward is None else np.where(alive, reward[index], np.float32(0))
    return Recorded(seen[index], done[index], alive, masked, digest.hexdigest())
