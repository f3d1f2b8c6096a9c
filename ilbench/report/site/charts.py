"""Pictures drawn as inline SVG: curves with their limits, and a mean with its limits in a cell of a table.

Colours and marks are those of every other picture (ilbench/display/style.py), named as classes, so that the style sheet can lighten
them on a dark page. A name from a record is escaped like any text.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup, escape

from ilbench.display.style import COLOURS, MARKS
from ilbench.display.tables import number, shown

LEFT, RIGHT, TOP, BOTTOM = 60.0, 12.0, 12.0, 40.0
SHAPES = {  # paths around (0, 0)
    "o": "M-3.4 0a3.4 3.4 0 1 0 6.8 0a3.4 3.4 0 1 0 -6.8 0z",
    "s": "M-3 -3h6v6h-6z",
    "^": "M0 -4L3.8 3H-3.8z",
    "D": "M0 -4.2L4.2 0L0 4.2L-4.2 0z",
    "v": "M0 4L3.8 -3H-3.8z",
    "P": "M-1.3 -4h2.6v2.7h2.7v2.6h-2.7v2.7h-2.6v-2.7h-2.7v-2.6h2.7z",
}


class Size(NamedTuple):
    """Of a panel, in the units of its text."""

    width: float = 440.0
    height: float = 250.0

    def at(self, x: Axis, y: Axis, a: float, b: float) -> tuple[float, float]:
        """Where a point stands."""
        return LEFT + x.share(a) * (self.width - LEFT - RIGHT), self.height - BOTTOM - y.share(b) * (
            self.height - TOP - BOTTOM
        )


WHOLE, SMALL = Size(), Size(300.0, 200.0)


class Series(NamedTuple):
    """One line: values `[K]`, limits that may be missing, and how it looks."""

    name: str
    look: tuple[str, str]  # colour and mark, as display/style.py gives them
    x: Sequence[float]
    y: Sequence[float]
    lo: Sequence[float | None]
    hi: Sequence[float | None]
    dashed: bool = False
    band: bool = False  # limits as a band; else as bars
    marked: bool = True  # marks at the values, and bars


class Axis(NamedTuple):
    """Which values, from where to where, and whether by logarithm."""

    label: str
    lo: float
    hi: float
    log: bool

    def share(self, value: float) -> float:
        """0 at the lower end, 1 at the upper one; what lies outside stays at the end."""
        if self.log:
            value, lo, hi = (math.log10(max(v, self.lo)) for v in (value, self.lo, self.hi))
        else:
            lo, hi = self.lo, self.hi
        return min(1.0, max(0.0, (value - lo) / (hi - lo))) if hi > lo else 0.5

    def ticks(self) -> list[float]:
        """Round values to write at the axis."""
        if self.log:
            powers = range(math.floor(math.log10(self.lo)), math.ceil(math.log10(self.hi)) + 1)
            digits = (1,) if math.log10(self.hi / self.lo) > 2 else (1, 2, 5)
            return [d * 10.0**k for k in powers for d in digits if self.lo * 0.999 <= d * 10.0**k <= self.hi * 1.001]
        step = 10.0 ** math.floor(math.log10((self.hi - self.lo) / 2))
        step *= next((m for m in (1, 2, 5) if (self.hi - self.lo) / (m * step) <= 6), 5)
        return [k * step for k in range(math.ceil(self.lo / step - 1e-9), math.floor(self.hi / step + 1e-9) + 1)]


def colour(look: tuple[str, str]) -> int:
    """The class of a colour: its place in COLOURS."""
    return COLOURS.index(look[0])


def _known(values: Sequence[float | None]) -> list[float]:
    return [v for v in values if v is not None and math.isfinite(v)]


def axis(label: str, values: Sequence[float | None], log: bool, at_least: Sequence[float] = ()) -> Axis | None:
    """An axis around the values, and around `at_least`; None where nothing can be drawn."""
    known = [v for v in (*_known(values), *at_least) if v > 0 or not log]
    if not known:
        return None
    lo, hi = min(known), max(known)
    if log:
        return Axis(label, lo / 1.3, hi * 1.3, True)
    pad = 0.04 * (hi - lo) or 0.5
    return Axis(label, lo - pad, hi + pad, False)


def mark(look: tuple[str, str], x: float, y: float) -> Markup:
    """One mark."""
    shape = SHAPES[look[1] if look[1] in MARKS else "o"]
    return Markup('<path class="c{}" transform="translate({:.1f} {:.1f})" d="{}"/>').format(colour(look), x, y, shape)


def key(look: tuple[str, str]) -> Markup:
    """A mark for a legend."""
    return Markup('<svg class="key" viewBox="-6 -6 12 12" width="12" height="12" aria-hidden="true">{}</svg>').format(
        mark(look, 0, 0)
    )


def _frame(x: Axis, y: Axis, size: Size) -> list[Markup]:
    """Grid, numbers and labels."""
    out, (width, height) = [], size
    for v in x.ticks():
        at, _ = size.at(x, y, v, y.lo)
        out.append(Markup('<path class="grid" d="M{:.1f} {}V{}"/>').format(at, TOP, height - BOTTOM))
        out.append(
            Markup('<text class="tick" x="{:.1f}" y="{}" text-anchor="middle">{}</text>').format(
                at, height - BOTTOM + 14, _tick(v)
            )
        )
    for v in y.ticks():
        _, at = size.at(x, y, x.lo, v)
        out.append(Markup('<path class="grid" d="M{} {:.1f}H{}"/>').format(LEFT, at, width - RIGHT))
        out.append(
            Markup('<text class="tick" x="{}" y="{:.1f}" text-anchor="end">{}</text>').format(
                LEFT - 6, at + 3.5, _tick(v)
            )
        )
    middle = (TOP + height - BOTTOM) / 2
    out.append(
        Markup('<text x="{}" y="{}" text-anchor="middle">{}</text>').format(
            (LEFT + width - RIGHT) / 2, height - 8, shown(x.label)
        )
    )
    turned = Markup('<text transform="translate(12 {}) rotate(-90)" text-anchor="middle">{}</text>')
    return [*out, turned.format(middle, shown(y.label))]


def _tick(value: float) -> str:
    if value and abs(value) >= 1000 and abs(value) < 1e6:
        return f"{value:,.0f}"
    return "0" if abs(value) < 1e-12 else f"{value:.3g}"


def _drawn(s: Series, x: Axis, y: Axis, size: Size) -> Markup:
    """A line, its limits and its marks; what an axis by logarithm cannot show is left out."""

    def place(a: float, b: float) -> tuple[float, float]:
        return size.at(x, y, a, b)

    there = [
        (a, b, lo, hi)
        for a, b, lo, hi in zip(s.x, s.y, s.lo, s.hi, strict=True)
        if math.isfinite(b) and (b > 0 or not y.log)
    ]
    path = " ".join(
        f"{'L' if i else 'M'}{px:.1f} {py:.1f}" for i, (px, py) in enumerate(place(a, b) for a, b, *_ in there)
    )
    out = []
    limited = [
        (a, lo, hi)
        for a, _, lo, hi in there
        if lo is not None and hi is not None and math.isfinite(lo) and math.isfinite(hi)
    ]
    if s.band and limited:
        ends = [place(a, hi) for a, _, hi in limited] + [place(a, lo) for a, lo, _ in reversed(limited)]
        out.append(
            Markup('<path class="band c{}" d="M{}z"/>').format(
                colour(s.look), "L".join(f"{a:.1f} {b:.1f}" for a, b in ends)
            )
        )
    elif limited and s.marked:
        bars = "".join(f"M{place(a, lo)[0]:.1f} {place(a, lo)[1]:.1f}V{place(a, hi)[1]:.1f}" for a, lo, hi in limited)
        out.append(Markup('<path class="line c{}" d="{}"/>').format(colour(s.look), bars))
    out.append(Markup('<path class="line c{}{}" d="{}"/>').format(colour(s.look), " dash" if s.dashed else "", path))
    marks = () if not s.marked else (mark(s.look, *place(a, b)) for a, b, *_ in there)
    return Markup("<g><title>{}</title>{}</g>").format(shown(s.name), Markup("").join([*out, *marks]))


def chart(said: str, x: Axis | None, y: Axis | None, series: Sequence[Series], size: Size = WHOLE) -> Markup | None:
    """One panel; `said` is what a screen reader reads. None where there is nothing to draw."""
    if x is None or y is None or not series:
        return None
    head = Markup('<svg class="chart" viewBox="0 0 {:g} {:g}" role="img" aria-label="{}">').format(*size, shown(said))
    return head + Markup("").join([*_frame(x, y, size), *(_drawn(s, x, y, size) for s in series)]) + Markup("</svg>")


def strip(value: float | None, limits: Sequence[float | None], ends: tuple[float, float]) -> Markup:
    """A mean with its limits on a line between two ends: what the numbers beside it say."""
    if value is None or not math.isfinite(value):
        return Markup("")
    a, (lo, hi) = Axis("", *ends, False), limits
    at = 4 + 112 * a.share(value)
    bar = ""
    if lo is not None and hi is not None and math.isfinite(lo) and math.isfinite(hi):
        bar = f"M{4 + 112 * a.share(lo):.1f} 7H{4 + 112 * a.share(hi):.1f}"
    zero = f"M{4 + 112 * a.share(0):.1f} 1V13" if ends[0] < 0 < ends[1] else ""
    said = escape(f"{number(value)} between {number(ends[0])} and {number(ends[1])}")
    return Markup(
        '<svg class="strip" viewBox="0 0 120 14" width="120" height="14" role="img" aria-label="{}"><path class="grid" d="M4 7H116"/>'
        '<path class="zero" d="{}"/><path class="limits" d="{}"/><circle cx="{:.1f}" cy="7" r="3"/></svg>'
    ).format(said, zero, bar, at)
