"""Demonstrations from a file: read, checked row by row, and cut into episodes. Nothing in the file is executed.

A `.npz` (without pickles) or `.safetensors` file of arrays with one row per step; which, ilbench/records/interchange/flat.py says.
"""

from __future__ import annotations

import pathlib
from typing import NamedTuple

import numpy as np

from ilbench.records.interchange import flat
from ilbench.records.interchange.episodes import Episodes, What, digest, fitted


class Recorded(NamedTuple):
    """Episodes of a file, padded to the horizon's H steps."""

    obs: np.ndarray  # `[N, H, *obs]`; after the last step what it led to, where that is known, else the last one again
    action: np.ndarray  # `[N, H, *action]`
    alive: np.ndarray  # `[N, H]` bool
    reward: np.ndarray | None  # `[N, H]`
    digest: str  # sha256 of the arrays
    final_obs: np.ndarray | None = None  # `[N, *obs]`
    terminated: np.ndarray | None = None  # `[N]` bool
    about: dict[str, str] = {}  # what the file says of itself  # noqa: RUF012


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
    return padded(fitted(file.name, flat.read(file), What(*obs), What(*action), horizon), horizon)


def padded(found: Episodes, horizon: int) -> Recorded:
    """Episodes in a task's types, padded to `horizon` steps."""
    starts, last = found.starts, np.cumsum(found.length) - 1
    alive = np.arange(horizon) < found.length[:, None]
    index = np.minimum(starts[:, None] + np.arange(horizon), last[:, None])
    seen = found.obs[index]
    if found.final_obs is not None:
        after = alive.reshape(*alive.shape, *[1] * (seen.ndim - 2))
        seen = np.where(after, seen, found.final_obs[:, None])
    reward = None if found.reward is None else np.where(alive, found.reward[index], np.float32(0))
    return Recorded(
        seen, found.action[index], alive, reward, digest(found), found.final_obs, found.terminated, found.about
    )
