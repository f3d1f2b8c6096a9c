"""The film as an animated GIF, drawn with Pillow at twice the size and halved, so that edges are smooth.

GIF counts hundredths of a second and viewers slow down what is shorter than two, so a frame lasts about 1/25 s and the
film runs in real time: the frames' durations are differences of rounded times, and do not drift.
"""

from __future__ import annotations

import pathlib
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ilbench.records.files import replacing
from ilbench.render import camera as cam
from ilbench.render.film import Film
from ilbench.render.geometry import WORLD

FRAME = 0.04  # s, at least
FRAMES = 400  # at most: longer episodes skip states, and still run in real time
END = 1.0  # s that the last frame stays
TWICE = 2
WIDTH, HEIGHT = 720, 392  # of the whole picture
PAD, TOP, VIEW = 12, 44, (342, 256)  # margin, top of the two views, their size
BASE = 364  # the timeline's lower edge; the upper is 24 higher

INK, GREY, PALE, WRONG = "#1d2530", "#55606e", "#e3e7ec", "#c8102e"
BODY = ({"body": "#5b93d1", "tip": "#2f6db0"}, {"body": "#e5984a", "tip": "#b86a14"})
COMMON = {"target": "#3a9d5d", "world": "#aeb6bf"}
SHADOW = "#f0c3ca"
NAMES = (("expert", "#1f5fa8"), ("learner", "#b35900"))


def steps(film: Film) -> np.ndarray:
    """The states shown, `[F]`: the first and the last, and every one that is 1/25 s after the one before."""
    every = max(round(FRAME / film.dt), 1, -(-film.horizon // (FRAMES - 1)))
    return np.unique(np.append(np.arange(0, film.horizon + 1, every), film.horizon))


def durations(film: Film, shown: np.ndarray) -> list[int]:
    """Milliseconds of every frame, in whole hundredths of a second."""
    at = np.round(shown * film.dt * 100).astype(int)
    return [max(2, int(d)) * 10 for d in np.diff(at)] + [int(END * 1000)]


def _hull(xy: np.ndarray) -> list[tuple[float, float]]:
    """Corners of the convex hull of `[n, 2]` (Andrew's monotone chain)."""

    def half(points: Any) -> list[tuple[float, float]]:
        out: list[tuple[float, float]] = []
        for c in points:
            while len(out) > 1:
                (ax, ay), (bx, by) = out[-2:]
                if (bx - ax) * (c[1] - ay) - (by - ay) * (c[0] - ax) > 0:
                    break
                out.pop()
            out.append(c)
        return out[:-1]

    ordered = sorted((float(x), float(y)) for x, y in xy)
    return half(ordered) + half(ordered[::-1])


class _View:
    """One of the two pictures while it is drawn: projection to pixels and Pillow's pen."""

    def __init__(self, film: Film, pen: ImageDraw.ImageDraw, font: Any, look: np.ndarray) -> None:
        self.film, self.pen, self.font, self.look = film, pen, font, look
        self.size = VIEW[0] * TWICE, VIEW[1] * TWICE
        self.zoom = min(self.size[0] / film.camera.half[0], self.size[1] / film.camera.half[1]) / 2

    def see(self, points: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Pixels `[n, 2]`, depth `[n]` and pixels a metre `[n]`."""
        xy, depth, scale = cam.project(self.film.camera, np.asarray(points, float) - self.look)
        x = self.size[0] / 2 + self.zoom * (xy[..., 0] - self.film.camera.centre[0])
        y = self.size[1] / 2 - self.zoom * (xy[..., 1] - self.film.camera.centre[1])
        return np.stack([x, y], -1), depth, self.zoom * scale

    def solid(self, xy: np.ndarray, thick: float, fill: str | None, edge: str | None) -> None:
        """A round line through one or two points, or the hull of more; a ring or an outline where nothing fills it."""
        if fill is None:
            (x, y), r = xy[0], max(thick / 2, 4 * TWICE)
            if thick > 0:
                self.pen.ellipse((x - r, y - r, x + r, y + r), outline=edge, width=3 * TWICE)
            else:
                self.pen.polygon(_hull(xy), outline=edge, width=3 * TWICE)
            return
        if thick <= 0:
            self.pen.polygon(_hull(xy), fill=fill, outline=edge, width=TWICE)
            return
        for colour, r in ((edge, thick / 2 + TWICE), (fill, thick / 2)):
            if colour is None:
                continue
            if len(xy) > 1:
                along = xy[1] - xy[0]
                aside = r * np.array([-along[1], along[0]]) / max(float(np.hypot(*along)), 1e-9)
                corners = (xy[0] + aside, xy[1] + aside, xy[1] - aside, xy[0] - aside)
                self.pen.polygon([tuple(p) for p in corners], fill=colour)
            for x, y in xy:
                self.pen.ellipse((x - r, y - r, x + r, y + r), fill=colour)

    def robot(self, pos: np.ndarray, quat: np.ndarray, colours: dict[str, str], shadow: bool) -> None:
        """All shapes from the farthest to the nearest; a shadow has no edges, no targets and nothing that stands still."""
        shapes = self.film.scene.shapes
        seen = [(*self.see(p), s) for p, s in zip(cam.place(self.film.scene, pos, quat), shapes, strict=True)]
        # Targets last, as rings: a robot that reaches one would hide it.
        for xy, _, zoom, shape in sorted(seen, key=lambda item: (item[3].role == "target", -item[1].mean())):
            if shadow and (shape.link == WORLD or shape.role == "target"):
                continue
            edge = None if shadow or shape.role == "world" else "#2b3440"
            thick = max(2 * shape.radius * zoom.mean(), TWICE) if shape.radius else 0.0
            ring = shape.role == "target"
            self.solid(xy, thick, None if ring else colours[shape.role], COMMON["target"] if ring else edge)

    def floor(self) -> None:
        """A line with metres below the robot, or a grid."""
        step = self.film.camera.grid
        x0, y0 = (int(np.floor(c / step)) for c in self.look[:2])
        if self.film.scene.view == "side":
            y = self.see([[0, 0, 0]])[0][0, 1]
            self.pen.rectangle((0, y, *self.size), fill="#eef1f4")
            self.pen.line((0, y, self.size[0], y), fill=COMMON["world"], width=TWICE)
            for i in range(x0 - 20, x0 + 21):
                x = self.see([[i * step, 0, 0]])[0][0, 0]
                self.pen.line((x, y, x, y + 10), fill=COMMON["world"], width=TWICE)
                if 20 * TWICE < x < self.size[0] - 20 * TWICE:
                    self.pen.text((x, y + 12), f"{i * step:g} m", fill=GREY, font=self.font, anchor="mt")
            return
        for i in range(-12, 13):
            for a, b in (((x0 + i, y0 - 12), (x0 + i, y0 + 12)), ((x0 - 12, y0 + i), (x0 + 12, y0 + i))):
                xy = self.see([[a[0] * step, a[1] * step, 0], [b[0] * step, b[1] * step, 0]])[0]
                self.pen.line([tuple(p) for p in xy], fill=PALE, width=TWICE)


def _view(film: Film, who: int, step: int, font: Any) -> Image.Image:
    image = Image.new("RGB", (VIEW[0] * TWICE, VIEW[1] * TWICE), "white")
    pos, quat = film.pos[who, step], film.quat[who, step]
    view = _View(film, ImageDraw.Draw(image), font, cam.target(film.scene, pos))
    if film.scene.floor:
        view.floor()
    wrong = who == 1 and film.left is not None and step >= film.left
    if wrong:
        at = film.left
        view.robot(film.pos[1, at], film.quat[1, at], dict.fromkeys(("body", "tip"), SHADOW), shadow=True)
    view.robot(pos, quat, {**COMMON, **BODY[who]}, shadow=False)
    edge = WRONG if wrong else "#cfd6de"
    view.pen.rectangle((0, 0, view.size[0] - 1, view.size[1] - 1), outline=edge, width=2 * TWICE)
    return image


def _timeline(film: Film, pen: ImageDraw.ImageDraw, step: int, font: Any) -> None:
    left, right, high, low = PAD * TWICE, (WIDTH - PAD) * TWICE, (BASE - 24) * TWICE, BASE * TWICE

    def at(state: float) -> float:
        return left + (right - left) * state / film.horizon

    fallen = film.fallen[1]
    end = film.horizon if fallen is None else fallen
    pen.rectangle((left, high, right, low), fill="#f3f5f7")
    top = 4 * film.delta if film.delta else 1.0
    for t in range(end):
        error = float(np.nan_to_num(film.error[t], nan=np.inf))
        if error > 0:
            colour = "#e58a97" if error > film.delta else "#9fb0c2"
            pen.rectangle((at(t), low - (low - high) * min(error / top, 1.0), at(t + 1), low), fill=colour)
    if fallen is not None:
        pen.rectangle((at(fallen), high, right, low), fill="#f6d5d9")
    taken = -1000.0
    for state, what in ((film.left, "leaves the expert's states"), (fallen, "fell")):
        if state is None:
            continue
        x = at(state)
        pen.line((x, high - 30, x, low), fill=WRONG, width=2 * TWICE)
        if x - taken > 150 * TWICE:  # else the words below the view must do
            anchor, shift = ("rb", -4 * TWICE) if x > (left + right) / 2 else ("lb", 4 * TWICE)
            pen.text((x + shift, high - 9), what, fill=WRONG, font=font, anchor=anchor)
            taken = x
    pen.line((at(step), high, at(step), low + 6), fill=INK, width=2 * TWICE)
    pen.text((left, low + 10), "0 s", fill=GREY, font=font, anchor="lt")
    pen.text((right, low + 10), f"{film.seconds(film.horizon):.2f} s", fill=GREY, font=font, anchor="rt")
    pen.text(
        ((left + right) / 2, low + 10), f"t = {film.seconds(step):.2f} s", fill=INK, font=font, anchor="mt"
    )  # between the ends, wherever the playhead is


def _said(film: Film, who: int, step: int) -> tuple[str, str]:
    """What stands below a view: return and place, and what has gone wrong."""
    plain = f"return {film.returns[who, step]:.1f}"
    if film.scene.follow is not None:
        plain += f", x = {film.pos[who, step, film.scene.follow, 0]:.2f} m"
    marks, fallen = [], film.fallen[who]
    if who == 1 and film.left is not None and step >= film.left:
        marks.append(f"left the expert {film.seconds(film.left):.2f} s")
    if fallen is not None and step >= fallen:
        marks.append(f"fell {film.seconds(fallen):.2f} s")
    return plain, ", ".join(marks)


def _cut(text: str, font: Any, width: float) -> str:
    while font.getlength(text) > width:
        text = text[:-2].rstrip(" .,…") + "…"
    return text


def frame(film: Film, step: int) -> Image.Image:
    """The picture at a state, `WIDTH` by `HEIGHT` pixels."""
    image = Image.new("RGB", (WIDTH * TWICE, HEIGHT * TWICE), "white")
    pen = ImageDraw.Draw(image)
    small, large = (ImageFont.load_default(size * TWICE) for size in (11, 13))
    wide = VIEW[0] * TWICE
    pen.text((PAD * TWICE, 7 * TWICE), film.task, fill=INK, font=large, anchor="lt")
    for who, (name, colour) in enumerate(NAMES):
        x = (PAD + who * (WIDTH - 2 * PAD - VIEW[0])) * TWICE
        title = _cut(name if who == 0 else f"{name}: {film.policy}", small, wide)
        pen.text((x, (TOP - 17) * TWICE), title, fill=colour, font=small, anchor="lt")
        image.paste(_view(film, who, step, small), (x, TOP * TWICE))
        plain, wrong = _said(film, who, step)
        y = (TOP + VIEW[1] + 6) * TWICE
        pen.text((x, y), plain, fill=INK, font=small, anchor="lt")
        pen.text((x + wide, y), wrong, fill=WRONG, font=small, anchor="rt")
    _timeline(film, pen, step, small)
    return image.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)


def save(film: Film, path: pathlib.Path) -> int:
    """Writes the GIF; returns its number of frames."""
    shown = steps(film)
    # One palette for all frames, of a frame that has every colour: no flicker, and a smaller file.
    palette = frame(film, int(shown[-1])).quantize(128, dither=Image.Dither.NONE)
    images = [frame(film, int(k)).quantize(palette=palette, dither=Image.Dither.NONE) for k in shown]
    shown_for = durations(film, shown)
    with replacing(path) as stream:
        images[0].save(
            stream, "GIF", save_all=True, append_images=images[1:], duration=shown_for, loop=0, optimize=False
        )
    return len(images)
