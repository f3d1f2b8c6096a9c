"""The board in words: a line per setting that says who is better, clean and under noise, and what it asks of an expert.

Every pair of rows of a setting is tested, paired by seed, and Holm's correction is over all pairs of all settings that are answered,
clean and noisy alike: a row leads only those that it is clearly above after it. Who cannot be told from the row with the highest mean is
in a tie with it, which says that these seeds do not decide, and not that the two are equal. Intervals are those of the boards, of one
difference alone.
"""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from ilbench import registry, stats
from ilbench.display.tables import READABLE, fixed, plain, shown
from ilbench.report.groups import BASELINE, Group
from ilbench.report.leaderboard import Board, by_place, marked
from ilbench.report.overall import FEW
from ilbench.report.rows import difference
from ilbench.report.selection import demonstrations

ALPHA = 0.05  # of an answer, after Holm
MARKS = {
    "*": "fits had not converged when they were scored",
    "!": "some fits are worse than the best constant action",
    "#": "a gate never opened, or never closed, in some seeds",
}
SCORES = (("score", "clean"), ("noisy_score", "under_noise"))  # of a row, and what each is called here


class Side(NamedTuple):
    """One setting, clean or under noise: its rows with the best mean first, and the pairs that are tested."""

    rows: tuple[dict[str, Any], ...]  # of the board, those that have a score
    pairs: dict[
        tuple[str, str], dict[str, Any]
    ]  # score of the first minus that of the second, for the better one first
    name: str  # of the score in a row


@dataclass(frozen=True)
class Answer:
    """One setting: where it is from, and what is said of it, as plain values and as a line."""

    values: dict[str, Any]
    line: str


@dataclass(frozen=True)
class Answers:
    """A line per setting, and how many comparisons Holm's correction is over."""

    found: tuple[Answer, ...]
    comparisons: int
    marks: frozenset[str]  # those that some row carries

    def as_json(self) -> list[dict[str, Any]]:
        """An object per setting; numbers that are not finite are null."""
        out: list[dict[str, Any]] = plain(
            [a.values | {"answer": a.line, "comparisons": self.comparisons} for a in self.found]
        )
        return out


# ---------------------------------------------------------------------------------------------- numbers
def build(boards: Sequence[tuple[str, Sequence[Group], Board]]) -> Answers:
    """The answers of boards, each given as the suite's name, its rows as groups, and the board of these."""
    places = [(suite, gs, rows) for suite, groups, board in boards for gs, rows in _placed(groups, board)]
    sides = [{what: _side(gs, rows, name) for name, what in SCORES} for _, gs, rows in places]
    tested = [
        p for side in sides for s in side.values() for p in s.pairs.values() if p["p"] is not None and not p["same"]
    ]
    for p, adjusted in zip(tested, stats.holm([p["p"] for p in tested]) if tested else (), strict=True):
        p["p_holm"] = float(adjusted)
    suites = {suite for suite, *_ in places}
    titles = _titles([gs[0] for _, gs, _ in places])
    found = tuple(
        _answer(title, suite, len(suites) > 1, gs, rows, side)
        for title, (suite, gs, rows), side in zip(titles, places, sides, strict=True)
    )
    return Answers(found, len(tested), frozenset(c for *_, rows in places for r in rows for c in marked(r)))


def _placed(groups: Sequence[Group], board: Board) -> list[tuple[list[Group], list[dict[str, Any]]]]:
    """The groups of each place, and their rows of the board."""
    rows = iter(board.rows)
    return [(gs, list(itertools.islice(rows, len(gs)))) for gs in by_place(groups)]


def _side(gs: Sequence[Group], rows: Sequence[dict[str, Any]], name: str) -> Side:
    known = [(g, r) for g, r in zip(gs, rows, strict=True) if r.get(name) is not None]
    enough = [pair for pair in known if pair[1]["seeds"] >= FEW]
    known = enough if len(enough) > 1 else known  # a row that is not finished hides nothing of the others
    known.sort(key=lambda pair: (-pair[1][name], pair[1]["algorithm"]))
    pairs = {}
    for (a, _), (b, _) in itertools.combinations(known, 2):
        found = difference(a, b, name)
        if found is not None:
            pairs[a.label, b.label] = {k: v for k, v in found.items() if k != "baseline"} | {"p_holm": None}
    return Side(tuple(r for _, r in known), pairs, name)


def _clear(pair: dict[str, Any] | None) -> bool:
    """Whether the first of a pair is above the second after Holm."""
    return pair is not None and pair["p_holm"] is not None and pair["p_holm"] < ALPHA and pair["mean"] > 0


def _doubtful(pair: dict[str, Any] | None) -> bool:
    """Whether the interval of a difference, taken alone, is above 0, and the difference does not stand after Holm."""
    return pair is not None and not pair["same"] and pair["lo"] is not None and pair["lo"] > 0 and not _clear(pair)


def _verdict(side: Side) -> dict[str, Any]:
    """Who leads, who is in a tie with the leader, who is clearly below it; and of each kind the difference that is named."""
    labels = [r["algorithm"] for r in side.rows]
    first = labels[0]
    against = {other: side.pairs.get((first, other)) for other in labels[1:]}
    few = min(r["seeds"] for r in side.rows) < FEW or any(p is None or p["lo"] is None for p in against.values())
    below = [other for other in against if _clear(against[other])]
    tie = [name for name in labels if name not in below]
    doubtful = [other for other in tie[1:] if _doubtful(against[other])]
    same = [other for other in tie[1:] if (against[other] or {}).get("same")]
    if len(labels) == 1 or few:
        word = "alone" if len(labels) == 1 else "too few seeds"
    elif below:
        word = "first" if tie == [first] else "shared"
    else:
        word = "undecided" if doubtful else "tie"
    return {
        "verdict": word, "means": {r["algorithm"]: r[side.name] for r in side.rows}, "tie": tie, "below": below, "same": same,
        "clear": None if few else _named(side, against, below), "doubtful": None if few else _named(side, against, doubtful[::-1]),
        "against": against,
    }  # fmt: skip


def _named(side: Side, against: dict[str, Any], others: Sequence[str]) -> dict[str, Any] | None:
    """The difference that is said of several: to the baseline, if it is one of them, else to the first."""
    if not others:
        return None
    base = [r["algorithm"] for r in side.rows if r["name"] == BASELINE and r["algorithm"] in others]
    other = (base or list(others))[0]
    found: dict[str, Any] = against[other]
    return {"a": side.rows[0]["algorithm"], "b": other} | found


# ------------------------------------------------------------------------------------------------ words
def _titles(firsts: Sequence[Group]) -> list[str]:
    """A setting in words: "hopper, 5 demonstrations", with version, horizon and protocol where they tell it from another."""
    short = [g.task.partition("@")[0] for g in firsts]
    tasks = {name: {g.task for g, s in zip(firsts, short, strict=True) if s == name} for name in short}
    names = [s if len(tasks[s]) == 1 else g.task for s, g in zip(short, firsts, strict=True)]
    horizons = {name: {g.horizon for g, n in zip(firsts, names, strict=True) if n == name} for name in names}
    out = []
    for name, g in zip(names, firsts, strict=True):
        n = demonstrations(g)
        shown_n = f"{n:g} demonstration{'' if n == 1 else 's'}" if n == int(n) else f"labels of {n:.3g} demonstrations"
        steps = f" of {g.horizon:,} steps" if len(horizons[name]) > 1 else ""
        out.append(f"{name}, {shown_n if g.budget else 'no labels'}{steps}" + (f" ({g.apart})" if g.apart else ""))
    return out


def _answer(
    title: str, suite: str, several: bool, gs: Sequence[Group], rows: Sequence[dict[str, Any]], sides: dict[str, Side]
) -> Answer:
    first = rows[0]
    noise = next((r["noise"] for r in rows if "noise" in r), None)
    values: dict[str, Any] = {key: first[key] for key in ("task", "horizon", "budget", "apart")}
    values |= {"suite": suite, "demonstrations": demonstrations(gs[0]), "noise": noise}
    names = {r["algorithm"]: r["algorithm"] + marked(r) for r in rows}
    said = []
    for what, side in sides.items():
        if what == "under_noise" and noise is None:
            continue
        where = "clean" if what == "clean" else f"under noise {noise:g}"
        verdict = _verdict(side) if side.rows else None
        values[what] = verdict
        said.append(f"{where} {_words(verdict, side, names)}" if verdict else f"{where} {_no_score(rows, what)}")
        said += _left_out([r for r in rows if verdict and r["algorithm"] not in verdict["means"]], side.name, names)
    values["asks"] = [_asks(r) for r in rows]
    said.append(_asked(values["asks"]))
    return Answer(values, f"{title}{f' ({suite})' if several else ''}: {'; '.join(filter(None, said))}")


def _left_out(rows: Sequence[dict[str, Any]], name: str, names: dict[str, str]) -> list[str]:
    """Rows that are not among those compared, and why."""
    none = [names[r["algorithm"]] for r in rows if r.get(name) is None]
    few = [f"{names[r['algorithm']]} {_scored(r, name)}" for r in rows if r.get(name) is not None]
    return [f"{why} {_listed(those)}" for why, those in (("no score of", none), ("too few seeds of", few)) if those]


def _words(v: dict[str, Any], side: Side, names: dict[str, str]) -> str:
    """What a verdict says."""
    tie, below = ([names[n] for n in v[key]] for key in ("tie", "below"))
    if v["verdict"] == "alone":
        return f"only {tie[0]}, {_scored(side.rows[0], side.name)}: nothing to hold it against"
    if v["verdict"] == "too few seeds":
        return "undecided, too few seeds: " + _listed(
            [f"{names[r['algorithm']]} {_scored(r, side.name)}" for r in side.rows]
        )
    same = f" ({_listed([names[n] for n in v['same']])} the same to the last digit)" if v["same"] else ""
    doubt, clear = v["doubtful"], v["clear"]
    said = [
        f"{tie[0]} first"
        if v["verdict"] == "first"
        else f"{'undecided between' if doubt else 'tie of'} {_listed(tie)}{same}"
    ]
    if doubt:
        said[0] += f": {doubt['a']} above {doubt['b']} {_signed(doubt)}, not clear after Holm"
    if clear:
        rest = [n for n in below if n != names[clear["b"]]]
        who = "" if v["verdict"] == "first" else f"{clear['a']} "
        said.append(
            f"{who}above {names[clear['b']]} {_signed(clear)}" + (f" and above {_listed(rest)}" if rest else "")
        )
    return ", ".join(said)


def _signed(c: dict[str, Any]) -> str:
    """`+0.160 [0.060, 0.261]`."""
    said = fixed(c["mean"], c["lo"], c["hi"])
    return said if said.startswith("-") else f"+{said}"


def _scored(r: dict[str, Any], name: str) -> str:
    """A score with its limits, or the seeds' values where they are few."""
    points = r[f"{name}_points"]
    if points:
        return f"{fixed(r[name])} ({', '.join(fixed(x, places=2) for x in points)})"
    return fixed(r[name], *r[f"{name}_ci"])


def _no_score(rows: Sequence[dict[str, Any]], what: str) -> str:
    if what == "clean":
        undefined = any(r["undefined"] for r in rows)
        return "no score" + (": the expert is no better than a random policy" if undefined else "")
    return "no score: the expert itself cannot act under it"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names)


def _asks(r: dict[str, Any]) -> dict[str, Any]:
    """What a row asked of an expert, means over seeds; `expert` None: nobody knows here whether it takes one to answer."""
    entry = registry.entries("algorithms").get(r["name"])
    needs = None if entry is None else "expert" in dict(entry.literals).get("NEEDS", ())
    return {"algorithm": r["algorithm"], "expert": needs, "labels": r["labels"], "takeovers": r["takeovers"]}


def _asked(asks: Sequence[dict[str, Any]]) -> str:
    """Who needs an expert that answers, and for how much; records do not tell its demonstrations from its answers."""
    told: dict[str, list[str]] = {}
    for a in asks:
        if a["expert"]:
            much = f"{a['labels']:,.0f} labels" + (
                f" and {a['takeovers']:,.0f} takeovers" if round(a["takeovers"]) else ""
            )
            told.setdefault(much, []).append(a["algorithm"])
    unknown = [a["algorithm"] for a in asks if a["expert"] is None]
    out = []
    if told:
        each = [f"{_listed(who)} {much}" + (" each" if len(who) > 1 else "") for much, who in told.items()]
        out.append(f"an expert must answer (demonstrations included): {', '.join(each)}")
    if unknown:
        out.append(f"whether {_listed(unknown)} needs an expert is not known here")
    if not out:
        out.append(
            "demonstrations are all that is asked"
            if any(a["labels"] for a in asks)
            else "nothing is asked of an expert"
        )
    return "; ".join(out)


def legend(answers: Answers) -> list[str]:
    """How the lines are to be read."""
    out = [
        f"Differences of score (0 random, 1 expert) are paired by seed, limits 95 % of each alone; first, above: clear at "
        f"{100 * ALPHA:.0f} % after Holm over the {answers.comparisons:,} comparison{'' if answers.comparisons == 1 else 's'} of all "
        "pairs here. tie: these seeds do not tell them apart. undecided: one interval excludes 0, and it does not stand."
    ]
    carried = [f"{mark}: {what}" for mark, what in MARKS.items() if mark in answers.marks]
    return out + ([f"{'; '.join(carried)}; the tables say by how much."] if carried else [])


def text(answers: Answers, width: int | None = None) -> str:
    """For a terminal of `width` columns (None: any)."""
    lines = []
    for line in (shown(a.line) for a in answers.found):
        fits = width is None or len(line) <= width
        lines += (
            [line] if fits else textwrap.wrap(line, width or READABLE, subsequent_indent="  ", break_on_hyphens=False)
        )
    said = [part for line in legend(answers) for part in textwrap.wrap(line, width or READABLE, break_on_hyphens=False)]
    return "\n".join([*lines, "", *said])
