"""A measured log-log slope against the slope of a closed form on the same grid, as a claim."""

from __future__ import annotations

from ilbench import stats
from ilbench.stats import claims

MARGIN = 0.1


def equivalent(statement: str, predicted: float, slope: stats.Slope, n: int, note: str = "") -> claims.Claim:
    """Equivalence within +-.1 by the 90 % interval; NOT RUN with the reason where there is no slope."""
    if slope.slope is None or slope.lo90 is None or slope.hi90 is None:
        return claims.not_run(statement, slope.reason or "no slope", kind="R")
    return claims.equivalent(statement, predicted, slope.slope, (slope.lo90, slope.hi90), MARGIN, n, note=note)


def claim(statement: str, predicted: float, slope: stats.Slope, n: int, note: str = "") -> claims.Claim:
    """`equivalent`, with the half width of the interval behind the note."""
    half = (slope.hi90 - slope.lo90) / 2 if slope.hi90 is not None and slope.lo90 is not None else float("inf")
    text = f"{note}90 % interval within +-{MARGIN:g}, half width {half:.3f}"
    return equivalent(statement, predicted, slope, n, text)
