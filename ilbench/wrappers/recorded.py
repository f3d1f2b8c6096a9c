"""A task whose demonstrations come from a file: nobody can be asked, and nobody's actions are known elsewhere."""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Any

import numpy as np

from ilbench.records.demonstrations import Recorded, read
from ilbench.types import Demos, Discrete, Space, Task


def _what(space: Space) -> tuple[tuple[int, ...], int | None, str]:
    return ((), space.n, "int32") if isinstance(space, Discrete) else (space.shape, None, space.dtype)


def demos_of(found: Recorded) -> Demos:
    """Recorded episodes as what a rollout returns, `[1, N, H, ...]`: every action is a label of the expert's."""
    alive = found.alive[None]
    following = np.take_along_axis(found.obs, (found.alive.sum(1) - 1).reshape(-1, 1, *[1] * (found.obs.ndim - 2)), axis=1)[:, 0]
    return Demos(
        obs=found.obs[None], action=found.action[None], label=found.action[None], actor=alive.astype(np.int32),
        revealed=alive, alive=alive, final_obs=following[None],
        reward=None if found.reward is None else found.reward[None],
    )  # fmt: skip


_KEPT: list[tuple[Task, str, Any, Task]] = []  # the last ones made: what is the same must be the same object


def recorded(task: Task, path: str | pathlib.Path) -> Task:
    """The task with the demonstrations of a file in the place of its expert; the same file gives the same object.

    Raises what `records.demonstrations.read` raises.
    """
    file = pathlib.Path(path)
    stamp = (file.stat().st_mtime_ns, file.stat().st_size) if file.is_file() else None
    for of, name, when, made in _KEPT:
        if of is task and (name, when) == (str(file), stamp):
            return made
    found = read(file, _what(task.env.obs), _what(task.env.action), task.horizon)
    demos = demos_of(found)
    made = dataclasses.replace(task, expert=None, recorded=lambda: demos, demonstrator=found.digest, mdp=None)
    _KEPT[:] = [*_KEPT[-7:], (task, str(file), stamp, made)]
    return made
