"""Claims: what a check of the theory says, what was predicted, what was measured, and the verdict.

Three kinds (T theorem, R rate, E empirical) and two expectations: `holds`, or `fails` for counterexamples. A check
makes claims with the constructors below and leaves the verdict of estimated inequalities open (PENDING), because
Holm's correction runs over all claims of a report: `judge` closes them. A number that is not finite is no evidence for
anything, so a claim that rests on one fails whatever was expected.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from ilbench import stats

Kind = Literal["T", "R", "E"]
Expected = Literal["holds", "fails"]
Mode = Literal["exact", "monte-carlo"]
VERDICTS = (
    "HOLDS",
    "VIOLATED",
    "INCONCLUSIVE",
    "VACUOUS",
    "REFUTED AS EXPECTED",
    "NOT REFUTED",
    "NOT RUN",
    "REPLICATED",
    "NOT REPLICATED",
)
PENDING = "PENDING"
MIN_RUNS = 10  # the least that checks are designed for


@dataclass(frozen=True)
class Claim:
    """One statement on one instance."""

    statement: str  # plain mathematics, one line
    kind: Kind
    mode: Mode
    expected: Expected
    predicted: float | None  # the number, or the bound, that the theory gives
    measured: float | None
    interval: tuple[float, float] | None = (
        None  # of `measured` (or of measured - predicted where that is what is tested)
    )
    n: int = 0  # independent repetitions; 0 = exact
    verdict: str = PENDING
    note: str = ""
    evidence: stats.GapBound | None = None  # of an estimated inequality, until it is judged
    interval_of: str = "measured"  # or "G - B", the paired difference of an estimated inequality

    def as_json(self) -> dict[str, Any]:
        """Plain values without NaN."""
        values = {k: v for k, v in dataclasses.asdict(self).items() if k != "evidence"}
        return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in values.items()}


@dataclass(frozen=True)
class Result:
    """What one check returns: its claims, and the numbers that its plot shows."""

    claims: tuple[Claim, ...]
    data: dict[str, Any] = field(default_factory=dict)


def settled(ok: bool, kind: Kind, expected: Expected) -> str:
    """The verdict of a claim that came out true or not, in the words of its kind and of what was expected."""
    if kind == "E":
        return "REPLICATED" if ok else "NOT REPLICATED"
    if expected == "fails":
        return "NOT REFUTED" if ok else "REFUTED AS EXPECTED"
    return "HOLDS" if ok else "VIOLATED"


def not_finite(
    statement: str, said: str, note: str = "", *, kind: Kind, mode: Mode, expected: Expected, n: int = 0
) -> Claim:
    """A claim on numbers that are not finite: it fails, VIOLATED, or NOT REFUTED where a refutation was expected."""
    verdict = "NOT REFUTED" if expected == "fails" else "VIOLATED"
    return Claim(
        statement, kind, mode, expected, None, None, None, n, verdict, f"not finite: {said}; {note}".rstrip("; ")
    )


def equal(
    statement: str,
    predicted: float,
    measured: float,
    *,
    tolerance: float,
    kind: Kind = "T",
    expected: Expected = "holds",
    note: str = "",
) -> Claim:
    """An exact identity: |measured - predicted| <= tolerance (absolute); it fails where a number is not finite."""
    if not all(map(math.isfinite, (predicted, measured, tolerance))):
        said = f"predicted {predicted}, measured {measured}, tolerance {tolerance}"
        return not_finite(statement, said, note, kind=kind, mode="exact", expected=expected)
    ok = bool(abs(measured - predicted) <= tolerance)
    verdict = settled(ok, kind, expected)
    return Claim(statement, kind, "exact", expected, float(predicted), float(measured), None, 0, verdict, note)


def at_most(
    statement: str,
    measured: float,
    bound: float,
    *,
    trivial: float = math.inf,
    slack: float = 1e-12,
    kind: Kind = "T",
    expected: Expected = "holds",
    note: str = "",
) -> Claim:
    """An exact inequality measured <= bound; VACUOUS where the bound is no smaller than the largest value possible.

    It fails where `measured` is not finite or the bound is NaN or -inf; a bound of +inf is an honest one that says nothing.
    """
    if not math.isfinite(measured) or not bound > -math.inf:
        said = f"measured {measured}, bound {bound}"
        return not_finite(statement, said, note, kind=kind, mode="exact", expected=expected)
    ok = bool(measured <= bound + slack * max(1.0, abs(bound)))
    verdict = "VACUOUS" if ok and bound >= trivial and expected == "holds" else settled(ok, kind, expected)
    return Claim(statement, kind, "exact", expected, float(bound), float(measured), None, 0, verdict, note)


def at_most_estimated(
    statement: str,
    gap: Any,
    bound: Any,
    trivial: float,
    *,
    expected: Expected = "holds",
    kind: Kind = "T",
    may_hold: bool = True,
    may_fail: bool = True,
    note: str = "",
) -> Claim:
    """G <= B with both estimated, `[S]` paired by training seed, or `[S, N]` episodes where it is true of every policy.

    Judged with the whole report (ilbench/stats/gap.py). Given episodes, n counts episodes and rare events keep their power.
    """
    g, b = (np.asarray(x, np.float64) for x in (gap, bound))
    whole = len(g)
    if not (np.isfinite(g).all() and np.isfinite(b).all()):
        whole = sum(bool(np.isfinite(x).all() and np.isfinite(y).all()) for x, y in zip(g, b, strict=True))
    if whole < len(g):
        said = f"{len(g) - whole} of {len(g)} runs"
        return not_finite(statement, said, note, kind=kind, mode="monte-carlo", expected=expected, n=len(g))
    if len(g) < 2:
        said = f"too few runs: no verdict; needs n = {MIN_RUNS}"
        return Claim(
            statement, kind, "monte-carlo", expected, None, None, None, len(g), "INCONCLUSIVE",
            f"{said}; {note}".rstrip("; "),
        )  # fmt: skip
    evidence = stats.gap_bound(g, b, trivial, may_hold=may_hold, may_fail=may_fail)
    _, lo, hi, _ = stats.paired_difference(*((x.mean(1) if x.ndim == 2 else x) for x in (g, b)))
    return Claim(
        statement, kind, "monte-carlo", expected, float(b.mean()), float(g.mean()), (lo, hi), evidence.n, PENDING,
        "; ".join(filter(None, (note, _power(evidence)))), evidence, "G - B",
    )  # fmt: skip


def _power(evidence: stats.GapBound) -> str:
    """Tightness, vacuity, and the violation that the n finds."""
    tau = "" if evidence.tightness is None else f"tau {evidence.tightness:.2g}"
    v = f"v {evidence.vacuity:.2g}" if evidence.vacuity else ""
    found = evidence.smallest_violation
    power = (
        f"finds a violation of {found:.2g} with probability .9"
        if math.isfinite(found)
        else "finds no violation at this n"
    )
    return ", ".join(filter(None, (tau, v, power if evidence.may_fail else "cannot be violated")))


def _needs(n: float) -> str:
    return f"needs about n = {n:.0f}" if math.isfinite(n) else "no n would settle it: equal, judge the ratio"


def equivalent(
    statement: str,
    predicted: float,
    measured: float,
    interval90: tuple[float, float],
    margin: float,
    n: int,
    *,
    kind: Kind = "R",
    expected: Expected = "holds",
    mode: Mode = "monte-carlo",
    note: str = "",
) -> Claim:
    """Equivalence (TOST): the 90 % interval lies inside predicted +- margin; wholly outside is a violation.

    It fails where a number is not finite; an interval without end, or none from a single run, gives no verdict.
    """
    lo, hi = interval90
    unknown = n != 1 and (math.isnan(lo) or math.isnan(hi))
    if unknown or not all(map(math.isfinite, (predicted, measured, margin))):
        said = f"predicted {predicted} +- {margin}, measured {measured} [{lo}, {hi}]"
        return not_finite(statement, said, note, kind=kind, mode=mode, expected=expected, n=n)
    if not (math.isfinite(lo) and math.isfinite(hi)):
        said = f"no finite interval from n = {n}: no verdict; needs n = {max(MIN_RUNS, n)}"
        return Claim(
            statement, kind, mode, expected, predicted, None, None, n, "INCONCLUSIVE", f"{said}; {note}".rstrip("; ")
        )
    inside, outside = stats.tost(lo, hi, predicted, margin), hi < predicted - margin or lo > predicted + margin
    verdict = settled(True, kind, expected) if inside else settled(False, kind, expected) if outside else "INCONCLUSIVE"
    note = note or f"within +-{margin:g}"
    if verdict == "INCONCLUSIVE" and n:  # half the interval is 1.645 standard errors; 1.28 more for probability .9
        room = abs(margin - abs(measured - predicted))
        note += "; " + _needs(math.ceil(n * (0.89 * (hi - lo) / room) ** 2) if room else math.inf)
    return Claim(statement, kind, mode, expected, float(predicted), float(measured), (lo, hi), n, verdict, note)


def not_run(statement: str, reason: str, *, kind: Kind = "T", mode: Mode = "monte-carlo") -> Claim:
    """A claim that could not be checked, and why."""
    return Claim(statement, kind, mode, "holds", None, None, None, 0, "NOT RUN", reason)


def judge(claims: Sequence[Claim]) -> list[Claim]:
    """Closes the pending claims of a report: one p-value each, Holm over all of them."""
    open_ = [c for c in claims if c.verdict == PENDING and c.evidence is not None]
    closed = iter(stats.verdicts([c.evidence for c in open_ if c.evidence is not None]))
    out = []
    for c in claims:
        if c.verdict != PENDING or c.evidence is None:
            out.append(c)
            continue
        raw = next(closed)
        if raw in ("INCONCLUSIVE", "VACUOUS") and not (raw == "VACUOUS" and c.expected == "fails"):
            verdict = raw
        else:
            verdict = settled(raw != "VIOLATED", c.kind, c.expected)
        said = [c.note, c.evidence.caution]
        if verdict == "INCONCLUSIVE":
            said.append(_needs(c.evidence.n_needed))
        out.append(dataclasses.replace(c, verdict=verdict, note="; ".join(filter(None, said))))
    return out


def failed(claims: Iterable[Claim]) -> list[Claim]:
    """Claims that make a report fail: expected to hold and VIOLATED, or expected to fail and NOT REFUTED.

    An empirical claim that did not replicate is no failure: it is published about other tasks and nets.
    """
    return [c for c in claims if c.verdict in ("VIOLATED", "NOT REFUTED")]


# ------------------------------------------------------------------------------ signs and one-sided limits
def above(
    statement: str,
    values: Any,
    threshold: float,
    *,
    kind: Kind = "T",
    expected: Expected = "holds",
    note: str = "",
) -> Claim:
    """mean(values) > threshold, `[S]` one value per seed; the interval is the mean's 95 % one.

    Kind E is settled here: REPLICATED iff the lower limit exceeds the threshold. Kinds T and R are judged with the report.
    """
    x = np.asarray(values, np.float64)
    if not (np.isfinite(x).all() and math.isfinite(threshold)):
        said = f"{int((~np.isfinite(x)).sum())} of {len(x)} runs, threshold {threshold}"
        return not_finite(statement, said, note, kind=kind, mode="monte-carlo", expected=expected, n=len(x))
    if len(x) < 2:
        reason = f"too few runs: no verdict; needs n = {MIN_RUNS}"
        return Claim(statement, kind, "monte-carlo", expected, threshold, None, None, len(x), "INCONCLUSIVE", reason)
    interval = stats.mean_ci(x)
    up = 1 + abs(threshold) + float(np.abs(x).max())  # the threshold as a known number that no atom can be taken for
    evidence = stats.gap_bound(np.full(len(x), threshold + up), x + up, 1e12 * up)
    verdict = settled(interval.lo > threshold, kind, expected) if kind == "E" else PENDING
    found = evidence.smallest_violation
    text = (
        f"finds a shortfall of {found:.2g} with probability .9"
        if math.isfinite(found)
        else "finds no shortfall at this n"
    )
    return Claim(
        statement, kind, "monte-carlo", expected, float(threshold), float(x.mean()), (interval.lo, interval.hi), len(x),
        verdict, f"{note}; {text}" if note and kind != "E" else note or text, None if kind == "E" else evidence,
    )  # fmt: skip
