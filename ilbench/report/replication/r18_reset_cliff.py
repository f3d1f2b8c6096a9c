"""Asking on one's own states where no fall can be undone, and where one can."""

from __future__ import annotations

from ilbench.display.tables import interval
from ilbench.report.replication.verdicts import UNTESTABLE, Line, Suites, paired, side

CLAIM = (
    "At equal episodes DAgger is worse than BC where a fall is final (cost 27.0 against 19.6 at H = 40, N = 100), and better where it can "
    "be undone (3.0 against 19.6)"
)
SOURCE = (
    "Rajaraman et al. 2020 and 2021, https://arxiv.org/abs/2009.05990; the numbers are of our own dynamic programming"
)
DIFFERS = "five rounds, equal labels: a fallen learner's labels are not bought"
SUITES = ("compounding",)


def measure(records: Suites) -> list[Line]:
    """What dagger loses against what bc loses, in reward: a fallen learner's answers are right, and are worth nothing."""
    out = []
    for task, sign, said in (
        ("reset_cliff", 1, "a fall is final"),
        ("reset_cliff_recoverable", -1, "one action gets up"),
    ):
        dagger, bc = (records.one("compounding", task, name, horizon=40) for name in ("dagger", "bc"))
        if dagger is None or bc is None:
            out.append(Line(said, "no records", UNTESTABLE))
            continue
        mean, lo, hi, n = paired(dagger, bc, "gap")
        if sign < 0:
            mean, lo, hi = -mean, -hi, -lo
        losses = " and ".join(f"{g.algorithm} {g.values('gap').mean():.1f}" for g in (dagger, bc))
        more = f"dagger {'above' if sign > 0 else 'below'} bc by {interval(mean, lo, hi)}, {n} seeds"
        out.append(Line(said, f"lost: {losses}; {more}", side(lo, hi)))
    return out
