"""The page: one file that holds its data, styles and player, asks for nothing, and plays from file://."""

from __future__ import annotations

import html
import json
import pathlib
import re
from typing import Any

import numpy as np

from ilbench.render.episode import FAR, SEEN
from ilbench.render.film import FRAMES, Film

DIGITS = 3

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>@TITLE@</title>
<style>
  body { font: 15px/1.45 system-ui, sans-serif; color: #1d2530; background: #fff; margin: 1rem auto; max-width: 1100px;
         padding: 0 1rem; }
  h1 { font-size: 1.2rem; margin: 0 0 .7rem; }
  h2 { font-size: 1rem; margin: 0 0 .3rem; overflow-wrap: anywhere; }
  .pair { display: grid; grid-template-columns: 1fr 1fr; gap: 1rem; align-items: end; }
  .expert h2 { color: #1f5fa8; }
  .learner h2 { color: #b35900; }
  canvas { display: block; width: 100%; box-sizing: border-box; }
  .view { aspect-ratio: 4 / 3; border: 2px solid #cfd6de; border-radius: 4px; }
  .view.wrong { border-color: #c8102e; }
  .said { font-variant-numeric: tabular-nums; min-height: 2.9em; margin: .3rem 0 .5rem; }
  .said b { color: #c8102e; }
  #line { height: 112px; cursor: pointer; touch-action: none; }
  .keys { display: flex; flex-wrap: wrap; gap: .5rem; align-items: center; margin: .5rem 0; }
  button, select { font: inherit; padding: .2rem .7rem; }
  #play { min-width: 5.5rem; }
  #time { font-variant-numeric: tabular-nums; min-width: 11rem; }
  .note { color: #55606e; font-size: .9rem; }
  @media (max-width: 560px) { .pair { grid-template-columns: 1fr; } }
</style>
</head>
<body>
<h1>@TITLE@</h1>
<div class="pair">
  <section class="expert"><h2>expert</h2><canvas class="view" role="img" aria-label="the expert's episode"></canvas>
    <div class="said"></div></section>
  <section class="learner"><h2>learner: @POLICY@</h2><canvas class="view" role="img" aria-label="the learner's episode"></canvas>
    <div class="said"></div></section>
</div>
<canvas id="line" tabindex="0" role="slider" aria-label="time in seconds" aria-valuemin="0"></canvas>
<div class="keys">
  <button id="play">Play</button>
  <button id="back" title="one frame back">&#8249;</button>
  <button id="next" title="one frame on">&#8250;</button>
  <label>speed <select id="speed"><option value="0.1">0.1</option><option value="0.25">0.25</option>
    <option value="0.5">0.5</option><option value="1" selected>1</option><option value="2">2</option>
    <option value="4">4</option></select></label>
  <button id="first">To where it leaves the expert</button>
  <span id="time"></span>
</div>
@TOLD@<p class="note">Both start from the same state. @NOTE@ Space plays and pauses, the arrow keys step, the timeline can be dragged.</p>
<script type="application/json" id="data">@DATA@</script>
<script>
@PLAYER@
</script>
</body>
</html>
"""


def _rounded(x: Any) -> Any:
    """Nested lists of numbers with DIGITS decimals, whole numbers without any."""
    if isinstance(x, list):
        return [_rounded(v) for v in x]
    short = round(float(x), DIGITS)
    return int(short) if short == int(short) else short


def _side(film: Film, who: int, kept: np.ndarray) -> dict[str, Any]:
    fallen = film.fallen[who]
    # After a fall nothing moves: the player stays on the last pose there is.
    moving = kept if fallen is None else kept[: int((kept < fallen).sum()) + 1]
    poses = np.concatenate([film.pos[who, moving], film.quat[who, moving]], axis=-1)
    return {
        "poses": _rounded(poses.reshape(len(moving), -1).tolist()),
        "returns": _rounded(film.returns[who, kept].tolist()),
        "fell": film.seconds(fallen),
    }


def _errors(film: Film, kept: np.ndarray) -> list[float]:
    """The largest error of the steps from one kept frame to the next; an infinite one is cut at a million."""
    cut = np.minimum(np.nan_to_num(film.error, nan=1e6, posinf=1e6), 1e6)
    starts = kept[kept < film.horizon]
    out: list[float] = _rounded(np.maximum.reduceat(cut, starts).tolist())
    return out


def data(film: Film) -> dict[str, Any]:
    """All that the player needs, as plain values; at most FRAMES frames."""
    every = -(-(film.horizon + 1) // FRAMES)
    kept = np.arange(0, film.horizon + 1, every)
    camera = film.camera
    shapes = [
        {"link": s.link, "points": _rounded(s.points.tolist()), "radius": round(s.radius, 4), "role": s.role}
        for s in film.scene.shapes
    ]
    ghost = None
    if film.left is not None:
        ghost = np.concatenate([film.pos[1, film.left], film.quat[1, film.left]], axis=-1).ravel().tolist()
    return {
        "dt": round(film.dt * every, 6),
        "end": film.seconds(film.horizon),
        "delta": round(film.delta, 6),
        "left": film.seconds(film.left),
        "mistake": film.seconds(film.mistake),
        "ghost": None if ghost is None else _rounded(ghost),
        "errors": _errors(film, kept),
        "shapes": shapes,
        "sides": [_side(film, who, kept) for who in (0, 1)],
        "flat": film.scene.view == "side",
        "follow": film.scene.follow,
        "floor": film.scene.floor,
        "camera": {
            "axes": np.round(camera.axes, 5).tolist(),
            "distance": round(camera.distance, 4),
            "centre": [round(c, 4) for c in camera.centre],
            "half": [round(h, 4) for h in camera.half],
            "grid": camera.grid,
        },
    }


def note(film: Film) -> str:
    """What is marked, in words."""
    what = "any action but the expert's" if film.delta == 0 else f"an action more than {film.delta:g} from the expert's"
    when = "" if film.mistake is None else f" (the first: {film.seconds(film.mistake):.2f} s)"
    return (
        f"The learner leaves the expert's states where it is farther than {FAR:g} sd (root mean square over features) from every "
        f"state of {SEEN} expert episodes, or falls. A mistake is {what} at the learner's own state, and every step after a fall{when}."
    )


def page(film: Film) -> str:
    """The whole file."""
    player = pathlib.Path(__file__).with_name("player.js").read_text(encoding="utf-8")
    plain = json.dumps(data(film), separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    parts = {
        "TITLE": html.escape(f"{film.task}, {film.horizon} steps of {film.dt:g} s"),
        "POLICY": html.escape(film.policy),
        "NOTE": html.escape(note(film)),
        "TOLD": "".join(f'<p class="note">{html.escape(line)}</p>\n' for line in film.told),
        "PLAYER": player,
        "DATA": plain,
    }
    # In one pass: what is put in is not searched again.
    return re.sub(r"@([A-Z]+)@", lambda found: parts[found[1]], PAGE)
