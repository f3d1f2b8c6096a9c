"""What the gains of a position controller do to cloning."""

from __future__ import annotations

from itertools import combinations

from ilbench.display.tables import interval, number
from ilbench.exact.linear_errors import position_variance
from ilbench.report.groups import Group
from ilbench.report.replication.verdicts import CONTRADICTED, NOT, REPLICATED, UNTESTABLE, Line, Suites, paired, side

CLAIM = (
    "Compliant and overdamped position control is cloned best, stiff "
    "and underdamped worst, and validation loss ranks gains wrongly"
)
SOURCE = "Seo 2026, Behavior cloning under PD control, https://arxiv.org/abs/2604.14484"
DIFFERS = (
    "a mass of our own, gains 4 and 64 N/m at .25 and 2 of critical damping, 5 and 15 demonstrations of 4 s; returns, not failures; the "
    "paper's variance is of targets that are functions of time with independent errors, exact; the expert that is cloned answers the "
    "state, so that for errors of that kind damping would not matter at all; no robot here is driven by positions"
)
SUITES = ("replication",)
GAINS = {  # stiffness and damping
    "compliant overdamped": (4.0, 8.0),
    "compliant underdamped": (4.0, 1.0),
    "stiff overdamped": (64.0, 32.0),
    "stiff underdamped": (64.0, 4.0),
}
BEST, *MIXED, WORST = GAINS
STEP = 0.02  # s
PAIRS = [(BEST, WORST), *((BEST, name) for name in MIXED), *((name, WORST) for name in MIXED)]
DEMONSTRATIONS, HORIZON = (5, 15), 200


def _exact() -> Line:
    """The order of the paper's variances: a theorem, computed."""
    sd = {name: position_variance(*gains, STEP, 1.0) ** 0.5 for name, gains in GAINS.items()}
    said = ", ".join(f"{name} {number(x, 2)}" for name, x in sd.items())
    holds = all(sd[a] < sd[b] for a, b in PAIRS)
    setting = "targets of time: sd of the position for independent errors of sd 1"
    return Line(setting, f"{said}, exact", REPLICATED if holds else CONTRADICTED)


def _ranked(setting: str, rows: dict[str, Group]) -> Line:
    """Of pairs of gains that both the validation loss and the return tell apart: whether some are in opposite orders."""
    pairs = list(combinations(rows.values(), 2))
    told, wrong, level = 0, 0, 1 - 0.05 / len(pairs)  # one wrong order among all pairs would do
    for a, b in pairs:
        (_, *loss, _), (_, *better, _) = paired(a, b, "held_out_loss", level), paired(b, a, "return", level)
        if all(lo > 0 or hi < 0 for lo, hi in (loss, better)):
            told, wrong = told + 1, wrong + ((loss[0] > 0) != (better[0] > 0))
    means = ", ".join(f"{name} {number(g.values('held_out_loss').mean(), 2)}" for name, g in rows.items())
    verdict = REPLICATED if wrong else CONTRADICTED if told else NOT
    return Line(setting, f"{wrong} of {told} pairs that both tell apart; losses: {means}", verdict)


def measure(records: Suites) -> list[Line]:
    """The exact order, then the order of clones of the same motion, and of their validation losses."""
    out: list[Line] = []
    for n in DEMONSTRATIONS:
        rows: dict[str, Group] = {}
        for name, (stiffness, damping) in GAINS.items():
            own = {"budget": n * HORIZON, "task__stiffness": stiffness, "task__damping": damping}
            found = records.one("replication", "pd_mass", "bc", **own)
            if found is not None:
                rows[name] = found
        if len(rows) < len(GAINS):
            out.append(Line(f"{n} demonstrations", "no records", UNTESTABLE))
            continue
        for a, b in PAIRS:
            mean, lo, hi, seeds = paired(rows[a], rows[b], "return")  # the expert's is the same: one motion
            ours = f"lost more: {interval(mean, lo, hi, 2)}, {seeds} seeds"
            out.append(Line(f"{n} demonstrations: {a} above {b}", ours, side(lo, hi)))
        out.append(_ranked(f"{n} demonstrations: validation loss ranks gains wrongly", rows))
    measured = any(line.verdict != UNTESTABLE for line in out)
    return [_exact(), *out] if measured else out  # a theorem alone is no replication of what is claimed of clones
