"""Episodes: what every file of demonstrations holds, whatever its layout, and what is checked of it against a task.

Nothing is padded here: rows of all episodes stand one below the other, `length` says where they end.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any, NamedTuple

import numpy as np

FORMAT = "ilbench-demonstrations/1"
LARGEST = 2**32  # bytes of a file, and of all arrays in it
BOMB, RATIO = 2**26, 200  # bytes from which arrays so many times larger than what is stored of them are refused
BOUNDS = ("episode", "done", "length")
ABOUT = ("format", "task", "horizon", "seed", "demonstrations", "expert", "head", "ilbench", "source", "env")
WORD = 200  # characters of one thing that a file says of itself


class What(NamedTuple):
    """What a task's observations or actions are, without JAX."""

    shape: tuple[int, ...]
    n: int | None = None  # of discrete ones
    kind: str = "float32"
    low: float = -float("inf")
    high: float = float("inf")


class Episodes(NamedTuple):
    """E episodes of R steps in all."""

    obs: np.ndarray  # `[R, *obs]` before the step
    action: np.ndarray  # `[R, *action]`
    length: np.ndarray  # `[E]` int64, at least 1 each, R in all
    reward: np.ndarray | None = None  # `[R]`
    final_obs: np.ndarray | None = None  # `[E, *obs]` after the last step
    terminated: np.ndarray | None = None  # `[E]` bool: it ended there by itself, time had not run out
    extra: dict[str, np.ndarray] = {}  # `[R, ...]` by name: what else was recorded of every step  # noqa: RUF012
    about: dict[str, str] = {}  # what the file says of itself, of ABOUT alone  # noqa: RUF012

    @property
    def starts(self) -> np.ndarray:
        """Row of every episode's first step `[E]`."""
        return np.concatenate([[0], np.cumsum(self.length)[:-1]]).astype(np.int64)


# ------------------------------------------------------------------------------------------ what a file says of itself
def spoken(about: dict[str, str]) -> str:
    """`about` as the one text that stands in a file."""
    return json.dumps(about, sort_keys=True, separators=(",", ":"))


def heard(name: str, text: Any) -> dict[str, str]:
    """What such a text says; nothing for one of other programs, ValueError for one that claims to be ours and is not."""
    try:
        found = json.loads(text) if isinstance(text, (str, bytes)) and len(text) <= 8192 else None
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        return {}
    for key, value in found.items():
        if key not in ABOUT or not isinstance(value, str) or len(value) > WORD or not value.isprintable():
            raise ValueError(
                f"{name} says {key[:40]!r} of itself, which {FORMAT} does not: {', '.join(ABOUT)}, each a line of text"
            )
    if not re.fullmatch(r"[1-9][0-9]{0,8}", found.get("horizon", "1"), re.ASCII):
        raise ValueError(f"{name} says it is of a horizon of {found['horizon']!r:.40} steps")
    return found


def word(value: Any) -> str:
    """Text of another program's, fit to be kept: printable and short."""
    return "".join(c for c in str(value) if c.isprintable())[:WORD]


# -------------------------------------------------------------------------------------------------- checks
def lengths(name: str, arrays: dict[str, np.ndarray], rows: int) -> np.ndarray:
    """Rows of each episode `[E]`; ValueError where no boundaries are given or they do not fit the rows."""
    given = [b for b in BOUNDS if b in arrays]
    if not given:
        raise ValueError(f"{name} says nowhere where episodes end: give one of {', '.join(BOUNDS)}")
    mark = np.asarray(arrays[given[0]]).reshape(-1)
    if given[0] == "length":
        if mark.dtype.kind not in "iu" or (mark < 1).any() or (mark > rows).any() or mark.sum() != rows:
            raise ValueError(
                f"{name}: length says {int(mark.sum())} rows in {len(mark)} episodes, there are {rows}; each has at least 1"
            )
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
            raise ValueError(
                f"{name}: rows of an episode are not in a row; episode {mark[again - 1]!r} goes on after row {again}"
            )
    return np.diff(np.concatenate([[-1], ends]))


def checked(name: str, field: str, array: Any, what: What) -> np.ndarray:
    """One field `[R, *shape]` in the type that the task wants; ValueError names the field and the first bad row."""
    x: Any = np.asarray(array)
    if x.dtype.kind not in "biuf":
        raise ValueError(f"{name}: {field} is of type {x.dtype}; it must be numbers")
    if what.n is not None and x.shape[1:] == (1,):
        x = x[:, 0]  # layouts without scalars store an axis of one
    if x.ndim == 0 or x.shape[1:] != what.shape:
        raise ValueError(f"{name}: {field} has rows of shape {list(x.shape[1:])}; the task's have {list(what.shape)}")
    bad = ~np.isfinite(x.reshape(len(x), -1)).all(1) if x.dtype.kind == "f" else np.zeros(len(x), bool)
    if bad.any():
        raise ValueError(
            f"{name}: {field} is not finite in {int(bad.sum())} rows, the first is row {int(bad.argmax())}"
        )
    if what.n is not None:
        wrong = (x < 0) | (x >= what.n) | (x != np.floor(x))
        if wrong.any():
            at = int(wrong.argmax())
            raise ValueError(f"{name}: {field} of row {at} is {x[at]}; allowed are 0 ... {what.n - 1}")
        return np.asarray(x, np.int32)
    if what.kind == "uint8" and (x.dtype.kind == "f" or x.min(initial=0) < 0 or x.max(initial=0) > 255):
        raise ValueError(f"{name}: {field} is {x.dtype}; the task's are uint8")
    if x.dtype.kind == "f":
        large = (np.abs(x.reshape(len(x), -1)) > np.finfo(np.float32).max).any(1)
        if large.any():
            raise ValueError(
                f"{name}: {field} is beyond float32 in {int(large.sum())} rows, the first is row {int(large.argmax())}"
            )
    return np.asarray(x, what.kind)


def beyond(array: np.ndarray, what: What) -> np.ndarray:
    """Rows `[R]` with a number outside the bounds."""
    rows: Any = array.reshape(len(array), -1)
    found: np.ndarray = ((rows < what.low) | (rows > what.high)).any(1)
    return found


def fitted(name: str, episodes: Episodes, obs: What, action: What, horizon: int) -> Episodes:
    """The episodes in a task's types; ValueError names the file, the field and the row of what does not fit."""
    rows = len(episodes.obs)
    if rows == 0 or len(episodes.action) != rows:
        raise ValueError(
            f"{name}: obs has {rows} rows and action {len(episodes.action)}; both have the same, at least 1"
        )
    seen, acted = checked(name, "obs", episodes.obs, obs), checked(name, "action", episodes.action, action)
    if episodes.length.max() > horizon:
        at = int(episodes.length.argmax())
        most = int(episodes.length[at])
        raise ValueError(
            f"{name}: episode {at} has {most} steps and the task's horizon is {horizon}: give it {most} (run --horizons, else --horizon)"
        )
    count, reward, final, ended = len(episodes.length), episodes.reward, episodes.final_obs, episodes.terminated
    if reward is not None:
        if np.ndim(reward) == 2 and np.shape(reward)[1] == 1:
            reward = np.asarray(reward)[:, 0]
        reward = checked(name, "reward", reward, What(()))
        if len(reward) != rows:
            raise ValueError(f"{name}: reward has {len(reward)} rows, obs has {rows}")
    if final is not None:
        final = checked(name, "final_obs", final, obs)
        if len(final) != count:
            raise ValueError(f"{name}: final_obs has {len(final)} rows, and there are {count} episodes")
    if ended is not None:
        ended = checked(name, "terminated", ended, What((), 2)).astype(bool)
        if len(ended) != count:
            raise ValueError(f"{name}: terminated has {len(ended)} rows, and there are {count} episodes")
    for key, array in episodes.extra.items():
        if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8 or np.shape(array)[:1] != (rows,):
            raise ValueError(
                f"{name}: {key} is {array.dtype} {list(np.shape(array))}; it must be numbers, a row for each of {rows}"
            )
    return Episodes(seen, acted, episodes.length, reward, final, ended, episodes.extra, episodes.about)


def digest(episodes: Episodes) -> str:
    """sha256 (hex) of what is learnt from: types, shapes and bytes, nothing of the layout or of what a file says of itself."""
    total = hashlib.sha256()
    for x in (episodes.obs, episodes.action, episodes.length, episodes.reward):
        if x is not None:
            total.update(f"{x.dtype}{x.shape}".encode() + np.ascontiguousarray(x).tobytes())
    for name in ("final_obs", "terminated"):  # named: they came later, and what has none keeps its digest
        if (x := getattr(episodes, name)) is not None:
            total.update(f"{name}{x.dtype}{x.shape}".encode() + np.ascontiguousarray(x).tobytes())
    return total.hexdigest()
