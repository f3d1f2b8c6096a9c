"""The page of compounding: sentences, the tables of A(H) and of u, for a terminal and as COMPOUNDING.md."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from ilbench.display.tables import Table, fixed, inert, interval, markdown, number, wrapped
from ilbench.display.tables import text as render
from ilbench.records.schema import Record
from ilbench.report import compounding, diagnosis, lengths
from ilbench.report.compounding import Arrays, Cost, Row
from ilbench.stats import Interval

HOW = (
    "0-1 deployment: the expert's action wherever the learner's is within delta of it, the learner's own elsewhere. Until its first",
    "mistake an episode is the expert's, so that the bounds are theorems. delta is chosen on other episodes, at eps of the expert's steps.",
    "A = mistakes on its own / sum_t eps_t at the expert's states of the same episodes: 1 is eps H, (H + 1) / 2 is eps H (H + 1) / 2.",
    "live + fallen = A; fallen: steps after a fall, beyond the expert's own. Intervals: 95 % over training seeds, of a ratio of means.",
    "slopes: of cost and of sum eps in H, where the cost is below H / 10; jackknife over seeds. B2 = sum_t min(1, sum_{i<=t} eps_i), ",
    "B0 = h sum_{t<=h} eps_t, at the longest h at which it is at most h / 2: theorems, Holm over the page. VIOLATED would mean a bug.",
)
U = (
    "One deviation, then the expert, against the same episode without it. own: the learner's first mistake beyond delta after a random",
    "step; push: a random direction, of a fixed size. u in (J expert - J random) / H, what a step is worth: 1 is a step lost.",
    "thirds: of the horizon in which it was made. Falling towards the end: paid for until the end. Intervals: 95 % over seeds.",
)
SAID = (
    "compounds: A > 1. covariate shift: live mistakes > 1 of A. falls: steps after a fall > .1 of A. no recovery: one own mistake adds",
    "falls, or costs more than a step, though the expert takes over. eps grows: the second half of the horizon has > 1.1 times the",
    "mistakes of the first, at the expert's states. on the line: A < 1.25. One-sided, studentised bootstrap over training seeds as in the",
    "intervals; Holm over all tasks of the table, word by word; else undecided. Each task at the largest budget at which bc scores in",
    "[.2, .95], else at its smallest.",
)
NARROWER = ("note", "n", "delta", "slopes: cost / sum eps", "B0", "score", "labels", "cost / B2", "sum eps", "cost")


class Page(NamedTuple):
    """All that is said of a suite's records."""

    rows: list[Row]
    costs: list[Cost]
    sentences: list[diagnosis.Sentence]
    target: float  # of the sentences
    lengths: list[lengths.Row]

    @property
    def violated(self) -> bool:
        """Whether a theorem came out against what is proved."""
        return any(r.b2 == "VIOLATED" or r.b0.startswith("VIOLATED") for r in self.rows)

    def as_json(self) -> dict[str, list[dict[str, object]]]:
        """Plain values."""
        return {
            "lengths": [r.as_json() for r in self.lengths],
            "sentences": [s.as_json() for s in self.sentences],
            "rows": [r.as_json() for r in self.rows],
            "costs": [c.as_json() for c in self.costs],
        }


def build(records: Iterable[Record], arrays: Arrays) -> Page | None:
    """None for records without 0-1 deployment."""
    kept = list(records)
    if not any(r.cell.evaluation.get("snap") for r in kept):
        return None
    rows, costs = compounding.build(kept, arrays), compounding.costs(kept, arrays)
    targets = [r.target for r in rows if r.target is not None]
    if not targets:
        return None
    first = max(targets)
    return Page(rows, costs, diagnosis.sentences([r for r in rows if r.target in (first, None)], costs), first, lengths.build(kept))


def summary(page: Page) -> str:
    """A line for each robot, as narrow as a README: A(H) at its first budget of bc and of what repairs it, and the words that hold."""
    shown = diagnosis.primary([r for r in page.rows if r.target == page.target])
    names = [name for name in ("bc", *diagnosis.REPAIRS) if any(r.algorithm == name for r in shown)]
    cells = []
    for said in page.sentences:
        mine = {r.algorithm: r for r in shown if r.task == said.task and said.row in ("", r.label)}
        ratios = [_whole(mine.get(n)) + (mine[n].marks if n in mine else "") for n in names]
        verdict = next((w for w in ("compounds", "below") if w in said.words), "undecided").replace("below", "does not")
        why = ", ".join(w for w in diagnosis.WHY if w in said.words)
        mends = [
            "-" if n not in mine else next((w for w in ("on the line", "less") if f"{n}: {w}" in said.words), "not clear")
            for n in names[1:]
        ]
        rest = [text for both in zip(ratios[1:], mends, strict=True) for text in both]
        cells.append((said.name, ratios[0], verdict, why, *rest))
    columns = ("robot", "A of bc [95 %]", "bc", "why", *[x for n in names[1:] for x in (f"A of {n}", n.split("_")[0])])
    notes = (
        f"A: mistakes on one's own / at the expert's states, 0-1 deployment at eps = {page.target:g}; 1 is the line eps H.",
        "compounds: A > 1. covariate shift: live mistakes > 1 of A. falls: steps after a fall > .1 of A. no recovery: one own mistake",
        "adds falls, or costs more than a step. on the line: A < 1.25; less: than bc. Each word is a test over training seeds, Holm over",
        "the robots; where none decides it is undecided, or not clear.",
        *_marked(shown),
        bounds(page),
    )
    return render([Table("Does it compound?", columns, cells, notes)], None)


# ------------------------------------------------------------------------------------------ tables
def _short(task: str) -> str:
    return task.split("@")[0]


def _sentences(page: Page) -> Table:
    repairs = [name for name in diagnosis.REPAIRS if any(name in s.repairs for s in page.sentences)]
    cells = [(s.name, s.bc, s.why, *(s.repairs.get(name, "-") for name in repairs)) for s in page.sentences]
    return Table(f"Does bc compound, why, and what mends it? (eps = {page.target:g})", ("task", "bc", "why", *repairs), cells, SAID)


def _whole(r: Row | None) -> str:
    return "-" if r is None or r.ratio is None else interval(*r.ratio)


def _part(found: Interval | None, digits: int = 2) -> str:
    """A part of A, or a cost; 0 without limits where nothing of it was seen."""
    if found is None:
        return "-"
    return interval(*found, digits=digits) if np.isfinite(found[1:]).all() else number(found.value, digits)


def _marked(rows: Sequence[Row]) -> list[str]:
    """What the marks say, as far as there are any."""
    said = {
        "*": "*: not converged, the held-out loss still fell by more than 5 % over the last half of the fit; squared error falls for ever.",
        "!": "!: some fits err more at the expert's states, in the mean, than the best constant action does; A is of their largest errors.",
    }
    return [text for mark, text in said.items() if any(mark in r.marks for r in rows)]


def bounds(page: Page) -> str:
    """How the bounds came out, in one line."""
    rows = [r for r in page.rows if r.target is not None]
    parts = []
    for name, verdicts in (("B2", [r.b2 for r in rows]), ("B0", [r.b0.split()[0] for r in rows])):
        parts.append(f"{name} " + ", ".join(f"{verdicts.count(v)} {v}" for v in dict.fromkeys(sorted(verdicts))))
    return f"Bounds, of {len(rows)} rows (learners times error rates): {'; '.join(parts)}."


def _names(rows: Sequence[Row]) -> dict[tuple[str, str], str]:
    """What a row is called: its algorithm, or the board's label where that names two rows of a task."""
    pairs = [(r.task, r.algorithm) for r in rows]
    return {(r.task, r.label): r.algorithm if pairs.count((r.task, r.algorithm)) == 1 else r.label for r in rows}


def _slope(r: Row) -> str:
    if r.slope.slope is None or r.slope_eps.slope is None:
        return "-"
    return f"{fixed(*r.slope[:3], places=2)} / {fixed(r.slope_eps.slope, places=2)}"


def _amplification(title: str, rows: Sequence[Row], notes: tuple[str, ...] = ()) -> Table:
    columns = (
        "task", "algorithm", "labels", "score", "delta", "sum eps", "cost", "A [95 %]", "live", "fallen", "slopes: cost / sum eps",
        "cost / B2", "B2", "B0", "n", "note",
    )  # fmt: skip
    names = _names(rows)
    cells = [
        (
            _short(r.task), names[r.task, r.label] + r.marks, f"{r.budget:,}", fixed(r.score, places=2), number(r.delta), number(r.eps),
            number(r.cost), _whole(r), _part(r.live), _part(r.fallen), _slope(r), number(r.tightness, 2),
            r.b2, r.b0, f"{r.seeds} seeds x {r.episodes}", r.note,
        )
        for r in rows
    ]  # fmt: skip
    return Table(title, columns, cells, (*notes, *_marked(rows)), NARROWER)


def _thirds(values: Sequence[float | None], digits: int = 2) -> str:
    return " / ".join(number(v, digits) for v in values)


def _u(costs: Sequence[Cost], names: Mapping[tuple[str, str], str]) -> Table:
    columns = ("task", "deviation", "n", "u [95 %]", "u by thirds", "falls added [95 %]", "falls by thirds")
    cells = [
        (_short(c.task), c.who if c.who == "a push" else f"{names.get((c.task, c.who), c.who)}'s own",
         f"{c.count:,}", _part(c.u, 3), _thirds(c.thirds), _part(c.fall), _thirds(c.falls))
        for c in costs
    ]  # fmt: skip
    return Table("u: what one mistake costs when the expert takes over", columns, cells, U, ("falls by thirds", "n"))


def parts(page: Page) -> tuple[list[Table], list[Table]]:
    """What is shown at once, and the rest."""
    snapped = [r for r in page.rows if r.target is not None]
    first = [r for r in snapped if r.target == page.target]
    shown = diagnosis.primary(first)
    labels = {(r.task, r.label) for r in shown if r.algorithm in ("bc", "dagger")}
    pushed = [c for c in page.costs if c.who == "a push" or (c.task, c.who) in labels]
    main = [_sentences(page), _amplification(f"A(H) at eps = {page.target:g}", shown, (*HOW, bounds(page))), _u(pushed, _names(shown))]
    rest = []
    for target in sorted({r.target for r in snapped if r.target is not None}, reverse=True):
        mine = [r for r in snapped if r.target == target]
        chosen = diagnosis.primary(mine)
        if target != page.target:
            rest.append(_amplification(f"A(H) at eps = {target:g}", chosen))
        if others := [r for r in mine if r not in chosen]:
            rest.append(_amplification(f"Other budgets and fits, eps = {target:g}", others))
    if anchors := [r for r in page.rows if r.target is None]:
        rest.append(_amplification("Anchors: discrete actions, as they are deployed", anchors))
    if page.lengths:
        main.append(lengths.table(page.lengths))
    if left := [c for c in page.costs if c not in pushed]:
        rest.append(_u(left, {})._replace(title="u of the other learners", notes=()))
    return main, rest


def text(page: Page, first: str = "", width: int | None = None, full: bool = False) -> str:
    """For a terminal of `width` columns (None: any); `full`: every column and the tables that are folded on the page."""
    main, rest = parts(page)
    found = render([*main, *rest] if full else main, width, full)
    return "\n".join([*(wrapped(first, width) if first else ()), *([""] if first else ()), found])


def markdown_page(page: Page, suite: str, first: str = "") -> str:
    """COMPOUNDING.md: the picture, what is said, A(H) and u; the rest folded."""
    main, rest = parts(page)
    head = (
        f"# Compounding, {suite}\n\nGenerated by `ilbench compounding --write` from the records beside it; do not edit.\n\n"
        + (f"{inert(first)}\n\n" if first else "")
        + "![Mistakes per step on one's own and on the expert's states](compounding.svg)\n\n"
    )
    folded = f"\n<details><summary>Other error rates, budgets, fits, anchors</summary>\n\n{markdown(rest)}\n</details>\n" if rest else ""
    return head + markdown(main) + folded
