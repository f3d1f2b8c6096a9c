"""Side views: cameras beside the car see what it would see if it had drifted, and their labels are corrected to steer back.

Unlike behaviour cloning it also trains on states beside the expert's, with the label that leads back to its way: no one is asked, and no
label is charged but the expert's own. What the task must tell is geometry: how far off each camera stands, and how one steers back.
Paper: Pomerleau 1991, https://doi.org/10.1162/neco.1991.3.1.88 (views shifted in the computer); with cameras at the sides
Bojarski et al. 2016, https://arxiv.org/abs/1604.07316, whose labels steer back within two seconds
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from ilbench.compute.parallel import per_seed
from ilbench.training.lab import Lab
from ilbench.training.rows import concatenate
from ilbench.types import Array, Data, Demos, Head, PyTree, Task, Trained

RATE = "<= 2"  # upper rate of the cost in H at fixed eps: O(eps H^2); the learner is never asked about its own states
NEEDS = ("demonstrations", "views", "one step")
TRY = ("lane", "linear", 300)  # what the contract test runs: task, head, labels


@dataclass(frozen=True)
class Config:
    """How soon a corrected label steers back."""

    recovery: float = (
        10.0  # m ahead at which it is on the expert's way again (two seconds at 5 m/s: Bojarski et al. 2016)
    )

    def __post_init__(self) -> None:
        if not (math.isfinite(self.recovery) and self.recovery > 0):
            raise ValueError(
                f"side_view.recovery is a distance ahead and must be positive and finite, got {self.recovery}"
            )


def rows_per_label(config: Config) -> int:
    """The expert's row and those of two side cameras: what a run's memory is foreseen by."""
    return 3


def skip(task: Task, head: Head) -> str | None:
    """Needs further cameras whose labels can be corrected."""
    told = task.env.recover is not None
    return (
        None
        if told
        else "side_view needs Env(recover=...): this task does not tell how to steer back from where its views are seen"
    )


def _recovered(shared: Any, label: Array, *, recover: Callable[[PyTree, Array, Array], PyTree]) -> PyTree:
    params, distance = shared
    return jax.vmap(lambda one: recover(params, one, distance))(label)


def side_rows(lab: Lab, demos: Demos, recovery: float) -> list[Data]:
    """The rows `[S, budget, ...]` of each further camera: what it saw, and the expert's label as it is from there."""
    env, data = lab.task.env, lab.rows(demos, lab.budget)
    assert env.recover is not None
    labels = per_seed(_recovered, recover=env.recover)((env.params, np.float32(recovery)), data.action)
    there = np.asarray(data.weight)[(..., *[None] * (np.ndim(data.action) - 2))] > 0

    def rows(seen: Any, label: Any) -> Data:
        return lab.rows(demos._replace(obs=seen), lab.budget)._replace(action=np.where(there, label, 0))

    return jax.tree.leaves(jax.tree.map(rows, demos.views, labels), is_leaf=lambda node: isinstance(node, Data))


def train(lab: Lab, config: Config) -> Trained:
    """Demonstrations seen by all cameras, one fit on what each of them saw; every row is drawn equally often."""
    demos = lab.demonstrate(record=("views",))
    data = concatenate([lab.rows(demos, lab.budget), *side_rows(lab, demos, config.recovery)])
    params, losses = lab.fit(data)
    return Trained({"last": lab.policy(params)}, "last", {"loss": losses})
