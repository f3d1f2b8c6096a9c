"""Demonstrated: the expert's demonstrations as an algorithm of one seed gets them, for a file; and a file's, as a task takes them.

The former are what a lab shows: the same keys, the same program (which holds a head, so that the head is named), the same cuts.
"""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

import ilbench
from ilbench import plugins, registry
from ilbench.experts import weights
from ilbench.names import hint
from ilbench.records.interchange.episodes import FORMAT, Episodes
from ilbench.running import plan
from ilbench.running.trained_now import plainest_head
from ilbench.training.fit import FitConfig
from ilbench.training.lab import Lab
from ilbench.types import Box, Demos, Task
from ilbench.wrappers.recorded import of_task, outside

ALWAYS = ("reward", "final_alive")
FURTHER = ("dist", "views")  # what else a demonstration may tell: everything else is known of an expert's own episodes


def about(task: Task, head: str, seed: int, count: int) -> dict[str, str]:
    """What a file of them says of itself."""
    expert = task.demonstrator or weights.digest(task.ask().params)
    return {
        "format": FORMAT, "task": task.name, "horizon": str(task.horizon), "seed": str(seed), "demonstrations": str(count),
        "expert": expert, "head": head, "ilbench": ilbench.__version__, "source": "ilbench",
    }  # fmt: skip


def planned(
    name: str, count: int, seed: int, horizon: int | None, head: str | None, record: tuple[str, ...]
) -> tuple[Task, str]:
    """The task and the head that its lab holds; raises ValueError (UnknownName), before any compute, for what is not there."""
    task: Task = registry.task(name, horizon)
    plan.check_seeds((seed,))
    if count < 1:
        raise ValueError(f"{count} demonstrations; at least 1 is needed")
    chosen = head or plainest_head(name)
    if reason := plugins.head(chosen).skip(task.spec):
        raise ValueError(f"--head {chosen} cannot run on {task.name}: {reason}")
    have = {"dist": task.ask().dist is not None, "views": task.env.views is not None}
    for field in record:
        if field not in FURTHER:
            raise ValueError(f"--record {field!r}: nothing of that name is told beside. {hint(field, FURTHER)}")
        if not have[field]:
            why = "its expert draws from no law" if field == "dist" else "it has no further sensors"
            raise ValueError(f"--record {field} on {task.name}: {why}")
    return task, chosen


def demonstrations(task: Task, head: str, count: int, seed: int, record: tuple[str, ...] = ()) -> Episodes:
    """`count` episodes of the expert, `lab.demonstrate(count)` of a lab with this head at this seed."""
    kind = plugins.head(head)
    lab = Lab(task, kind.make(task.spec, kind.Config()), (seed,), count * task.horizon, FitConfig())
    demos = lab.demonstrate(count, record=(*ALWAYS, *record))
    return episodes_of(demos, about(task, head, seed, count))


def episodes_of(demos: Demos, said: dict[str, str]) -> Episodes:
    """The live steps of Demos `[1, N, H, ...]`, episodes one below the other."""
    alive = np.asarray(demos.alive)[0]

    def live(leaf: Any) -> np.ndarray:
        return np.asarray(leaf)[0][alive]

    extra = {}
    for field in FURTHER:
        for path, leaf in jax.tree_util.tree_flatten_with_path(getattr(demos, field))[0]:
            extra[".".join(filter(None, (field, jax.tree_util.keystr(path, simple=True, separator="."))))] = live(leaf)
    # What ended stays as it was, so that the observation at H is what the last live step led to.
    final, ended = np.asarray(demos.final_obs)[0], ~np.asarray(demos.final_alive)[0]
    length = alive.sum(1).astype(np.int64)
    return Episodes(live(demos.obs), live(demos.action), length, live(demos.reward), final, ended, extra, said)


def taken(
    name: str, found: Episodes, task_name: str, horizon: int | None, clip: bool
) -> tuple[Episodes, Task, tuple[str, ...]]:
    """A file's episodes as a task takes them, the task, and what is to be told of them.

    Raises what `of_task` raises, and ValueError for actions of other programs that are out of bounds, unless they are to be clipped:
    an expert's own may be, for an env clips what it executes.
    """
    task: Task = registry.task(task_name, horizon)
    episodes, told, space = of_task(name, found, task), [], task.env.action
    count, first = outside(episodes, task)
    if count:
        assert isinstance(space, Box)
        said = f"{count} of {len(episodes.action)} actions are beyond {space.low:g} ... {space.high:g}, the first is row {first}"
        if clip:
            episodes = episodes._replace(action=np.clip(episodes.action, np.float32(space.low), np.float32(space.high)))
            told.append(f"{name}: {said}: clipped")
        elif not found.about.get("format"):
            raise ValueError(f"{name}: {said}: scale them to {task.name}'s, or give --clip")
        else:
            told.append(f"{name}: {said}, which its env clips when it executes them")
    if not found.about.get("format"):
        stated = {
            "format": FORMAT,
            "task": task.name,
            "horizon": str(task.horizon),
            "demonstrations": str(len(found.length)),
        }
        episodes = episodes._replace(about={**stated, "ilbench": ilbench.__version__, **found.about})
    return episodes, task, tuple(told)
