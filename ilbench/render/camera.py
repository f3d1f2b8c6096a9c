"""Where the picture is taken from, and projection onto it in NumPy (player.js does the same in the page).

The camera looks along `forward` at a target that moves with the followed link over the floor. Seen from there a point is
(p . right, p . up, p . forward); in perspective the first two shrink by D / (D + depth). The frame is fitted to all that
is drawn in both episodes, so that both pictures have one scale and nothing leaves them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ilbench.render.geometry import WORLD, Scene, turn

DISTANCE = 5.0  # of the eye in perspective, in radii of the scene
MARGIN = 1.12
FIT = 99.5  # per cent of the points that the frame is fitted to: physics that blew up must not shrink the rest
SAMPLES = 200  # frames that the fit looks at


@dataclass(frozen=True)
class Camera:
    """Axes `[3, 3]` (rows right, up, forward), distance (0: orthographic), and the frame's centre and half-size in metres."""

    axes: np.ndarray
    distance: float
    centre: tuple[float, float]
    half: tuple[float, float]
    grid: float  # m between marks on the floor


def axes(azimuth: float, elevation: float) -> np.ndarray:
    """Rows right, up, forward of a camera that stands at this azimuth (degrees from -y towards +x) and elevation."""
    a, e = np.deg2rad(azimuth), np.deg2rad(elevation)
    forward = np.array([-np.sin(a) * np.cos(e), np.cos(a) * np.cos(e), -np.sin(e)])
    right = np.array([np.cos(a), np.sin(a), 0.0])
    return np.stack([right, np.cross(right, forward), forward])


def place(scene: Scene, pos: np.ndarray, quat: np.ndarray) -> list[np.ndarray]:
    """Points `[..., n, 3]` of every shape in the world, for link poses `[..., L, 3]`, `[..., L, 4]`."""
    out = []
    for shape in scene.shapes:
        if shape.link == WORLD:
            out.append(np.broadcast_to(shape.points, (*pos.shape[:-2], *shape.points.shape)))
        else:
            out.append(pos[..., shape.link, None, :] + turn(quat[..., shape.link, None, :], shape.points))
    return out


def target(scene: Scene, pos: np.ndarray) -> np.ndarray:
    """What the camera looks at, `[..., 3]`: the point of the floor below the followed link."""
    if scene.follow is None:
        return np.zeros((*pos.shape[:-2], 3))
    keep = (1.0, 0.0, 0.0) if scene.view == "side" else (1.0, 1.0, 0.0)
    return pos[..., scene.follow, :] * keep


def project(camera: Camera, points: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`(xy [..., 2], depth [...], scale [...])` in metres of points `[..., 3]` relative to the target."""
    seen = np.asarray(points, float) @ camera.axes.T
    depth = seen[..., 2]
    scale = np.ones_like(depth)
    if camera.distance:
        scale = camera.distance / np.maximum(camera.distance + depth, 0.05 * camera.distance)
    return seen[..., :2] * scale[..., None], depth, scale


def _nice(x: float) -> float:
    """The smallest of 1, 2, 5 times a power of ten that is no smaller than x."""
    power = 10.0 ** np.floor(np.log10(x))
    return float(power * min(m for m in (1, 2, 5, 10) if m * power >= x * (1 - 1e-9)))


def fit(scene: Scene, pos: np.ndarray, quat: np.ndarray) -> Camera:
    """The Camera that shows all that moves in both episodes, link poses `[2, F, L, 3]`, `[2, F, L, 4]`."""
    every = max(1, pos.shape[1] // SAMPLES)
    pos, quat = pos[:, ::every], quat[:, ::every]
    look = target(scene, pos)[..., None, :]
    placed = [
        (p - look, s.radius)
        for p, s in zip(place(scene, pos, quat), scene.shapes, strict=True)
        if scene.whole or s.link != WORLD
    ]
    far = float(np.percentile(np.concatenate([np.linalg.norm(p, axis=-1).ravel() + r for p, r in placed]), FIT))
    looks_down = 50.0 if scene.follow is None else 22.0
    side = scene.view == "side"
    rough = Camera(axes(0, 0) if side else axes(20, looks_down), 0.0 if side else DISTANCE * far, (0, 0), (1, 1), 1)
    low, high = np.full(2, np.inf), np.full(2, -np.inf)
    for points, radius in placed:
        xy, _, scale = project(rough, points)
        thick = radius * scale[..., None]
        low = np.minimum(low, np.percentile((xy - thick).reshape(-1, 2), 100 - FIT, axis=0))
        high = np.maximum(high, np.percentile((xy + thick).reshape(-1, 2), FIT, axis=0))
    if scene.floor and side:
        low[1] = min(low[1], -0.08 * (high[1] - low[1]))
    half = np.maximum((high - low) / 2, 0.05 * far) * MARGIN
    middle = (low + high) / 2
    return Camera(
        rough.axes,
        rough.distance,
        (float(middle[0]), float(middle[1])),
        (float(half[0]), float(half[1])),
        _nice(max(half) / 3),
    )
