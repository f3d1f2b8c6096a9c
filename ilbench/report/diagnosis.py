"""One sentence for each task: whether bc compounds, why, and what mends it; every word is a test that stands beside it.

    compounds        A(H) > 1: more mistakes on its own than eps H
    covariate shift  more than 1 of A are mistakes on live steps
    falls            more than a tenth of A are steps after a fall, beyond the expert's own falls
    no recovery      one own mistake adds falls, or costs more than a step is worth, though the expert takes over right after it
    eps grows        the second half of the horizon holds over 1.1 times the mistakes of the first, at the expert's states
    on the line      a repair's A(H) < 1.25
    less             a repair's A(H) is below bc's, of the same seeds

One-sided tests over training seeds, paired: a seed's mistakes are skewed, and a studentised bootstrap allows for it, as in the
intervals (`stats.seed_p`). Holm over all robots of the page, word by word. What no test decides is called undecided.
"""

from __future__ import annotations

import collections
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from ilbench import stats
from ilbench.display.tables import interval, number
from ilbench.report.compounding import Cost, Row
from ilbench.stats.ratios import linearised

LEVEL = 0.05
EASY = (0.2, 0.95)  # of bc's score: where there is something to learn and something left to learn
LINE, MATERIAL, GROWTH = 1.25, 0.1, 1.1
REPAIRS = ("dagger", "noise_injection")  # what is held against bc: asking on one's own states, and demonstrating beside the path
WHY = ("covariate shift", "falls", "no recovery", "eps grows")


@dataclass(frozen=True)
class Sentence:
    """What is said of one task, and the adjusted p-values behind it."""

    task: str
    bc: str
    why: str
    repairs: dict[str, str]  # by algorithm
    words: tuple[str, ...]  # of those at the top of this file, what holds; a repair's as `dagger: less`
    p: dict[str, float]
    row: str = ""  # which of the task's rows of bc, where it has several

    @property
    def name(self) -> str:
        """`hopper`, or `hopper, bc+flow` where the task has several rows of bc."""
        return self.task.split("@")[0] + (f", {self.row}" if self.row else "")

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def primary(rows: Sequence[Row]) -> list[Row]:
    """Of each task the rows at the budget that is shown first, the longest fits: the largest at which bc scores in EASY, else the least."""
    out = []
    for task in dict.fromkeys(r.task for r in rows):
        mine = [r for r in rows if r.task == task]
        most = max((r.updates or 0) for r in mine)
        mine = [r for r in mine if (r.updates or 0) == most]
        fair = [r.budget for r in mine if r.algorithm == "bc" and r.score is not None and EASY[0] <= r.score <= EASY[1]]
        budget = max(fair) if fair else min(r.budget for r in mine)
        out += [r for r in mine if r.budget == budget]
    return out


def more(top: np.ndarray, bottom: np.ndarray, factor: float) -> float:
    """One-sided p of "the mean of top is at most factor times that of bottom", `[S]` paired by seed."""
    return stats.seed_p(top - factor * bottom)


def _halves(r: Row) -> tuple[np.ndarray, np.ndarray]:
    """Mistakes at the expert's states in the first and in the second half of the horizon, `[S]` each."""
    assert r.curves is not None
    first = np.array([np.interp(r.horizon / 2, r.curves.steps, one) for one in r.curves.parts[:, 0]])
    return first, r.curves.eps - first


def _tests(bc: Row, repairs: Mapping[str, Row], own: Cost | None) -> dict[str, float]:
    """Unadjusted p-values of the words, as far as there are numbers for them."""
    if bc.ratio is None or bc.curves is None:
        return {}
    c, out = bc.curves, {}
    out["compounds"] = more(c.cost, c.eps, 1.0)
    out["below"] = more(LINE * c.eps, c.cost, 1.0)
    if bc.live is not None:
        live = c.parts[:, 1, -1]
        first, second = _halves(bc)
        out |= {"covariate shift": more(live, c.eps, 1.0), "falls": more(c.cost - live, c.eps, MATERIAL)}
        out["eps grows"] = more(second, first, GROWTH)
    if own is not None:
        count, lost, fell = own.sums.T
        out["no recovery"] = min(1.0, 2 * min(stats.seed_p(fell), more(lost, count, 1.0)))
    for name, row in repairs.items():
        if row.ratio is None or row.curves is None:
            continue
        d = row.curves
        out[f"{name}: on the line"] = more(LINE * d.eps, d.cost, 1.0)
        if len(d.eps) == len(c.eps):
            out[f"{name}: less"] = stats.seed_p(linearised(c.cost, c.eps) - linearised(d.cost, d.eps))
    return out


def p_of(p: float) -> str:
    """`p < .001` or `p = .012`."""
    return "p < .001" if p < 0.001 else f"p = {p:.3f}".replace("0.", ".")


def _ratio(r: Row) -> str:
    return "no A" if r.ratio is None else f"A = {interval(*r.ratio)}"


def _why(bc: Row, p: dict[str, float], own: Cost | None) -> tuple[str, list[str]]:
    shown = {
        "covariate shift": f"live mistakes {interval(*bc.live)} of A" if bc.live else "",
        "falls": f"steps after a fall {interval(*bc.fallen)} of A" if bc.fallen else "",
        "no recovery": "" if own is None else f"one own mistake costs {interval(*own.u)} steps and adds {interval(*own.fall)} falls",
        "eps grows": f"second half / first half of sum eps: {number(_growth(bc))}",
    }
    words = [word for word in shown if p.get(word, 1.0) < LEVEL]
    said = [f"{word} ({shown[word]}, {p_of(p[word])})" for word in words]
    return "; ".join(said) if said else "undecided", words


def _growth(r: Row) -> float:
    first, second = _halves(r)
    return float(second.mean() / first.mean()) if first.mean() > 0 else float("nan")


def _mended(row: Row, p: Mapping[str, float], compounds: bool) -> tuple[str, list[str]]:
    """What is said of a repair, and its words."""
    value, line, less = _ratio(row), f"{row.algorithm}: on the line", f"{row.algorithm}: less"
    words = [word for word in (line, less) if p.get(word, 1.0) < LEVEL]
    if line in words:
        said = f"{'mends it: ' if compounds else ''}on the line eps H ({value}, below {LINE}: {p_of(p[line])})"
        return said + (f"; less than bc, {p_of(p[less])}" if less in words else ""), words
    if less in words:
        return f"lessens it ({value}; less than bc, {p_of(p[less])})", words
    return f"no clear difference ({value}{'; less than bc: ' + p_of(p[less]) if less in p else ''})", words


def _sentence(bc: Row, repairs: Mapping[str, Row], p: dict[str, float], own: Cost | None) -> Sentence:
    compounds, below = p.get("compounds", 1.0) < LEVEL, p.get("below", 1.0) < LEVEL
    if bc.ratio is None:
        return Sentence(bc.task, bc.note or "no mistake", "-", {}, (), p)
    verdict = "compounds" if compounds else "does not compound" if below else "undecided"
    tested = f"; below {LINE}: {p_of(p['below'])}" if below and not compounds else f"; above 1: {p_of(p['compounds'])}"
    why, words = _why(bc, p, own)
    words = [*(("compounds",) if compounds else ("below",) if below else ()), *words]
    mended = {}
    for name, row in repairs.items():
        mended[name], its = _mended(row, p, compounds)
        words += its
    return Sentence(bc.task, f"{verdict} ({_ratio(bc)}{tested})", why, mended, tuple(words), p)


def sentences(rows: Iterable[Row], costs: Sequence[Cost]) -> list[Sentence]:
    """A sentence for each task that was snapped, from the rows of one target; of anchors the answers are known."""
    shown = primary([r for r in rows if r.target is not None])
    tasks = list(dict.fromkeys(r.task for r in shown))
    pairs: list[tuple[Row, dict[str, Row]]] = []
    for task in tasks:
        mine = {r.algorithm: r for r in reversed(shown) if r.task == task}
        several = [r for r in shown if r.task == task and r.algorithm == "bc"]
        if len(several) > 1:  # heads side by side: each says its own, and no repair is of them all
            pairs += [(r, {}) for r in several]
        elif "bc" in mine:
            pairs.append((mine["bc"], {name: mine[name] for name in REPAIRS if name in mine}))
    own = [next((c for c in costs if (c.task, c.who) == (bc.task, bc.label)), None) for bc, _ in pairs]
    tests = [_tests(bc, repairs, cost) for (bc, repairs), cost in zip(pairs, own, strict=True)]
    for word in sorted(set().union(*tests)):
        having = [t for t in tests if word in t]
        for t, adjusted in zip(having, stats.holm([t[word] for t in having]) if having else (), strict=True):
            t[word] = float(adjusted)
    count = collections.Counter(bc.task for bc, _ in pairs)
    return [
        replace(_sentence(bc, repairs, p, cost), row=bc.label if count[bc.task] > 1 else "")
        for (bc, repairs), p, cost in zip(pairs, tests, own, strict=True)
    ]
