"""What a task looks like: shapes fixed to links, and the poses of the links.

    shape = points on a link + a radius:  1 point: sphere   2 points: capsule   more, radius 0: convex solid

One primitive draws everything: project the points; one or two are a round line as thick as the shape, more are the
convex hull of their projections. Brax robots bring their own geometry (the MuJoCo model in the env's `sys`) and their link
transforms (`x` of the pipeline state); cart-pole and pendulum are a few shapes of their own, in metres.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import Any

import jax.numpy as jnp
import numpy as np

from ilbench import registry
from ilbench.types import Task

WORLD = -1  # the link of shapes that do not move
ROUND = 12  # corners of a circle


@dataclass(frozen=True)
class Shape:
    """Points `[n, 3]` in the frame of a link, in metres, thickened by `radius`."""

    link: int
    points: np.ndarray
    radius: float = 0.0
    role: str = "body"  # body, tip (a second tone), target or world


@dataclass(frozen=True)
class Scene:
    """A task's picture: `pose(state) -> (positions [L, 3], quaternions wxyz [L, 4])`, shapes, and how to look at it."""

    shapes: tuple[Shape, ...]
    pose: Callable[[Any], tuple[Any, Any]]
    dt: float  # s from one decision to the next
    view: str = "side"  # side: orthographic, x to the right, z up; perspective: from above and aside
    follow: int | None = None  # the link that the camera goes along with; None: it stands still
    floor: bool = True  # a floor at z = 0
    whole: bool = False  # whether what does not move must be in the picture too


# --------------------------------------------------------------------------------------- what can be drawn
def check(task: str) -> None:
    """Raises ValueError (UnknownName with the closest match) for a task that is unknown or cannot be drawn."""
    if task.startswith(("brax:", "brax-")):
        return
    if task in DRAWN or "brax" in registry.entry("tasks", task).tags:
        return
    robots = [name for name, e in registry.entries("tasks").items() if "brax" in e.tags]
    raise ValueError(
        f"{task} has no picture: nothing says what its states look like. These can be rendered: "
        f"{', '.join((*robots, *DRAWN))}, and brax:NAME/BACKEND"
    )


def scene(task: Task) -> Scene:
    """The Scene of a task that `check` lets through."""
    if task.id in DRAWN:
        return DRAWN[task.id](task)
    return _robot(task.id)


# ------------------------------------------------------------------------------------------- solids
def turn(quat: Any, v: Any) -> np.ndarray:
    """Vectors `[..., 3]` turned by quaternions wxyz `[..., 4]`; both broadcast."""
    q, v = np.asarray(quat, float), np.asarray(v, float)
    w, axis = q[..., :1], q[..., 1:]
    return v + 2 * np.cross(axis, np.cross(axis, v) + w * v)


def box(x: float, y: float, z: float) -> np.ndarray:
    """Corners `[8, 3]` of a box with these half-sizes."""
    return np.array(list(product((-x, x), (-y, y), (-z, z))))


def _tube(radius: float, half: float) -> np.ndarray:
    angle = np.linspace(0, 2 * np.pi, ROUND, endpoint=False)
    rim = np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1)
    return np.concatenate([np.insert(rim, 2, z, axis=1) for z in (-half, half)])


def _ellipsoid(size: Any) -> np.ndarray:
    rings = [
        np.insert(_tube(np.cos(a), 0)[:ROUND, :2], 2, np.sin(a), axis=1) for a in np.linspace(-np.pi / 2, np.pi / 2, 7)
    ]
    return np.concatenate(rings) * size


def _solid(kind: str, size: Any) -> tuple[np.ndarray, float] | None:
    """Points and radius of a MuJoCo geometry; None for a plane and for what is not drawn (height fields)."""
    if kind == "sphere":
        return np.zeros((1, 3)), float(size[0])
    if kind == "capsule":
        return np.array([[0, 0, -size[1]], [0, 0, size[1]]], float), float(size[0])
    if kind == "cylinder":
        return _tube(size[0], size[1]), 0.0
    if kind == "box":
        return box(*size), 0.0
    return (_ellipsoid(size), 0.0) if kind == "ellipsoid" else None


# ---------------------------------------------------------------------------------------------- brax
# How to look at a robot that is not listed: in perspective, going along with its first link.
FLAT = ("hopper", "walker2d", "halfcheetah")
STILL = {
    "inverted_pendulum": "side",
    "inverted_double_pendulum": "side",
    "reacher": "perspective",
    "pusher": "perspective",
}


def _pose_brax(state: Any) -> tuple[Any, Any]:
    return state.x.pos, state.x.rot


def _robot(task_id: str) -> Scene:
    from ilbench.envs import _brax, brax

    _, name, spec = brax.parse(task_id)
    env = _brax.robot(name, spec["backend"])
    model = env.sys.mj_model
    shapes, floor = [], False
    for i in range(model.ngeom):
        geom = model.geom(i)
        kind = type_name(int(model.geom_type[i]))
        floor = floor or kind == "plane"
        solid = _solid(kind, model.geom_size[i])
        if solid is None or model.geom_rgba[i][3] == 0:
            continue
        link = int(model.geom_bodyid[i]) - 1  # MuJoCo's body 0 is the world, Brax's link 0 the first that moves
        points = turn(model.geom_quat[i], solid[0]) + model.geom_pos[i]
        names = f"{geom.name} {model.body(int(model.geom_bodyid[i])).name}"
        role = "target" if "target" in names or "goal" in names else "world" if link == WORLD else "body"
        if "object" in names:  # what pusher pushes
            role = "tip"
        shapes.append(Shape(link, points, solid[1], role))
    view = "side" if name in FLAT else STILL.get(name, "perspective")
    return Scene(tuple(shapes), _pose_brax, round(float(env.dt), 6), view, None if name in STILL else 0, floor)


def type_name(kind: int) -> str:
    """MuJoCo's word for a geometry type, e.g. "capsule"."""
    import mujoco

    return mujoco.mjtGeom(kind).name.removeprefix("mjGEOM_").lower()


# ----------------------------------------------------------------------------------- cart-pole, pendulum
def _about_y(angle: Any) -> Any:
    """The quaternion that leans z towards x by `angle` (radians)."""
    zero = jnp.zeros_like(angle)
    return jnp.stack([jnp.cos(angle / 2), zero, jnp.sin(angle / 2), zero])


def _pose_cartpole(state: Any) -> tuple[Any, Any]:
    zero = jnp.zeros_like(state[0])
    place = jnp.stack([state[0], zero, zero])
    return jnp.stack([place, place]), jnp.stack([_about_y(zero), _about_y(state[2])])


def _cartpole(task: Task) -> Scene:
    p = task.env.params
    track, length = float(p.max_x), 2 * float(p.half)
    shapes = (
        Shape(WORLD, np.array([[-track, 0, 0], [track, 0, 0]], float), 0.015, "world"),
        Shape(0, box(0.2, 0.1, 0.1)),
        Shape(1, np.array([[0, 0, 0], [0, 0, length]], float), 0.04, "tip"),
    )
    return Scene(shapes, _pose_cartpole, round(float(p.dt), 6), floor=False, whole=True)


def _pose_pendulum(state: Any) -> tuple[Any, Any]:
    return jnp.zeros((1, 3), jnp.float32), _about_y(state[0])[None]


def _pendulum(task: Task) -> Scene:
    p = task.env.params
    frame = [[x, 0.0, z] for x, z in ((-1.1, 0), (1.1, 0), (0, -1.1), (0, 1.1))]  # room for a whole turn
    shapes = [Shape(WORLD, np.array([f]), 0.012, "world") for f in frame]
    if float(p.solid):
        way = np.array([np.sin(float(p.wall)), 0, np.cos(float(p.wall))])
        shapes.append(Shape(WORLD, np.stack([0.55 * way, 1.15 * way]), 0.025, "world"))
    shapes += [
        Shape(0, np.array([[0, 0, 0], [0, 0, 1.0]], float), 0.03),
        Shape(0, np.array([[0, 0, 1.0]]), 0.1, "tip"),
        Shape(WORLD, np.zeros((1, 3)), 0.05, "world"),
    ]
    return Scene(tuple(shapes), _pose_pendulum, round(float(p.dt), 6), floor=False, whole=True)


DRAWN: dict[str, Callable[[Task], Scene]] = {"cartpole": _cartpole, "pendulum": _pendulum, "pendulum_wall": _pendulum}
