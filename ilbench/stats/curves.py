"""A claim about all points of a curve at once, judged by a simultaneous band."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ilbench.stats.claims import Claim, Expected, Kind, not_finite, settled

Band = Callable[[float], tuple[Any, Any]]  # level -> limits [K], [K] that hold at all K points at once


def along(
    statement: str,
    measured: Any,
    band: Band,
    low: Any,
    high: Any,
    margin: Any,
    n: int,
    *,
    kind: Kind = "T",
    expected: Expected = "holds",
    note: str = "",
) -> Claim:
    """low <= E measured <= high at all K points `[K]` at once; low = high is a predicted curve, low = -inf a bound.

    HOLDS: no limit of the 95 % band is further than `margin` from [low, high], and no interval misses it.
    Violated: an interval of the 99.9 % band misses it, or a point or a limit is not a number. The claim shows the point that
    is worst in units of its margin.
    """
    measured = np.asarray(measured, np.float64)
    low, high, margin = (np.broadcast_to(np.asarray(x, np.float64), measured.shape) for x in (low, high, margin))

    def apart(lo: Any, hi: Any) -> Any:  # how far an interval is from [low, high]
        return np.maximum(np.maximum(lo - high, low - hi), 0)

    (lo, hi), (wide_lo, wide_hi) = band(0.95), band(0.999)
    numbers = np.stack([np.broadcast_to(x, measured.shape) for x in (lo, hi, wide_lo, wide_hi, low, high, margin)])
    bad = ~np.isfinite(measured) | np.isnan(numbers).any(
        0
    )  # limits without end are honest ones: too wide for a verdict
    if bad.any():
        said = f"{int(bad.sum())} of {len(measured)} points"
        return not_finite(statement, said, note, kind=kind, mode="monte-carlo", expected=expected, n=n)
    reach = np.maximum(hi - high, low - lo) / margin
    at = int(np.argmax(np.maximum(measured - high, low - measured) / margin))
    verdict = "INCONCLUSIVE"
    if (apart(wide_lo, wide_hi) > 0).any():
        verdict = settled(False, kind, expected)
    elif reach.max() <= 1 and not (apart(lo, hi) > 0).any():
        verdict = settled(True, kind, expected)
    predicted, value, limits = float(high[at]), float(measured[at]), (float(lo[at]), float(hi[at]))
    said = f"shown: point {at + 1} of {len(measured)}; widest limit at {reach.max():.2f} of the margin"
    return Claim(
        statement, kind, "monte-carlo", expected, predicted, value, limits, n, verdict, f"{note}; {said}".lstrip("; ")
    )  # fmt: skip
