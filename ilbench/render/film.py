"""A film: the frames of both episodes and all that is said beside them; html.py and gif.py show it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ilbench.render.camera import Camera, fit
from ilbench.render.episode import Played, fallen_at, first_mistake, left_at
from ilbench.render.geometry import Scene
from ilbench.types import Task

FRAMES = 1000  # at most, in the page


@dataclass(frozen=True)
class Film:
    """States 0 ... H of the expert (0) and the learner (1); times in seconds."""

    task: str
    policy: str
    horizon: int
    delta: float
    scene: Scene
    camera: Camera
    pos: np.ndarray  # `[2, H + 1, L, 3]` m
    quat: np.ndarray  # `[2, H + 1, L, 4]` wxyz
    returns: np.ndarray  # `[2, H + 1]` the sum of rewards before each state
    error: np.ndarray  # `[H]` the learner's imitation error
    fallen: tuple[int | None, int | None]  # the first state that is terminal
    left: int | None  # the learner's first state that is none of the expert's, or the first after its fall
    mistake: int | None  # the learner's first step with error > delta, or the first after its fall
    told: tuple[str, ...] = ()  # how the learner was trained, and what the board says of such policies

    @property
    def dt(self) -> float:
        """Seconds from one state to the next."""
        return self.scene.dt

    def seconds(self, step: int | None) -> float | None:
        """The time of a state."""
        return None if step is None else round(step * self.dt, 6)


def _finite(x: np.ndarray) -> np.ndarray:
    """`[2, F, ...]` with frames of physics that blew up replaced by the last one before them."""
    good = np.isfinite(x).reshape(*x.shape[:2], -1).all(-1)
    last = np.maximum.accumulate(np.where(good, np.arange(x.shape[1]), 0), axis=1)
    return np.nan_to_num(np.stack([side[index] for side, index in zip(x, last, strict=True)]))


def film(task: Task, scene: Scene, played: Played, policy: str, told: tuple[str, ...] = ()) -> Film:
    """The Film of two episodes."""
    pos, quat = (_finite(np.asarray(x, np.float64)) for x in played.pose)
    returns = np.concatenate([np.zeros((2, 1)), np.cumsum(played.reward.astype(np.float64), axis=1)], axis=1)
    return Film(
        task=task.name,
        policy=policy,
        horizon=task.horizon,
        delta=float(task.deltas[0]),
        scene=scene,
        camera=fit(scene, pos, quat),
        pos=pos,
        quat=quat,
        returns=returns,
        error=played.error[1],
        fallen=(fallen_at(played.alive[0]), fallen_at(played.alive[1])),
        left=left_at(played),
        mistake=first_mistake(task, played),
        told=told,
    )
