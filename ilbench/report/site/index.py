"""The front page: three answers with their numbers, the picture of compounding, and the suites."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ilbench import registry
from ilbench.display.style import looks
from ilbench.display.tables import interval, number
from ilbench.report import beside, checks, compounding_page, theory
from ilbench.report.compounding import Row
from ilbench.report.compounding_figure import CAPTION, SHOWN, rates
from ilbench.report.diagnosis import REPAIRS, primary
from ilbench.report.pairs import overall
from ilbench.report.site import charts
from ilbench.report.site.book import Book, suite_path, task_path
from ilbench.report.site.material import Material, Suite, is_robot
from ilbench.report.yardsticks import YARDSTICKS

Answer = dict[str, Any]


def write(book: Book, material: Material) -> None:
    """index.html."""
    panels, caption = _panels(material.snapped) if material.snapped is not None else ([], "")
    look = looks((name, name) for name in SHOWN)
    answers = [_compounds(material), _mends(material), _agrees(material)] if material.suites or material.checks else []
    book.page(
        "index.html", "index.html", "Imitation learning, measured", checks=material.checks, aside=material.aside,
        answers=answers, panels=panels, caption=caption, legend=[(charts.key(look[n]), n.replace("_", " ")) for n in SHOWN],
        suites=[{"name": s.name, "href": suite_path(s.name), "newer": s.newer, "about": about(s), "line": s.line} for s in material.suites],
    )  # fmt: skip


def about(suite: Suite) -> str:
    """What a suite is, in its own words."""
    entry = registry.entries("suites").get(suite.name.split("@")[0].split("+")[0])
    changed = {"+doubled": "Every fit with twice its updates. ", "+custom": "With changed settings. "}
    return "".join(said for mark, said in changed.items() if mark in suite.name) + (
        entry.summary if entry is not None else ""
    )


def _to_run(question: str, more: str) -> Answer:
    return {"question": question, "headline": "Not measured yet", "lines": (), "href": "", "more": more}


def _names(tasks: Sequence[str]) -> str:
    return ", ".join(t.split("@")[0] for t in tasks) or "none"


# ---------------------------------------------------------------------------------------- answers
def _bc(page: compounding_page.Page) -> dict[str, dict[str, Row]]:
    """Of robots the rows that the sentences are about, by task and algorithm."""
    out: dict[str, dict[str, Row]] = {}
    for r in primary([r for r in page.rows if r.target == page.target]):
        if is_robot(r.task):
            out.setdefault(r.task, {}).setdefault(r.algorithm, r)
    return out


def _a(row: Row) -> str:
    return "-" if row.ratio is None else interval(*row.ratio)


def _compounds(material: Material) -> Answer:
    question, suite = "Does behaviour cloning compound on robots?", material.snapped
    if suite is None or suite.compounding is None:
        return _to_run(question, "ilbench run compounding")
    page, rows = suite.compounding, _bc(suite.compounding)
    words = {s.task: s.words for s in page.sentences if s.task in rows}
    yes = sorted((t for t in words if "compounds" in words[t]), key=lambda t: rows[t]["bc"].cost / rows[t]["bc"].eps)
    no = [t for t in words if "below" in words[t]]
    rest = [t for t in words if t not in yes and t not in no]
    lines = [
        f"Mistakes on its own states for one at the expert's (A; 1 is the line eps H), at {page.target:g} of the expert's steps:"
    ]
    lines += [
        f"{_names([t])} {_a(rows[t]['bc'])}{rows[t]['bc'].marks}, {rows[t]['bc'].seeds} seeds"
        for t in dict.fromkeys((*yes[:1], *yes[-1:]))
    ]
    lines += [
        f"Not on {_names(no)}; undecided on {_names(rest)}. 95 % intervals; each word a test, Holm over the robots."
    ]
    if any(rows[t]["bc"].marks for t in words):
        lines.append("*: not converged; !: some fits err more than the best constant action.")
    head = f"On {len(yes)} of {len(words)} robots"
    return {
        "question": question,
        "headline": head,
        "lines": lines,
        "href": suite_path(suite.name, "compounding"),
        "more": "Robot by robot",
    }


def _minus(value: float | None) -> float | None:
    return None if value is None else -value


def _mends(material: Material) -> Answer:
    question, suite = "Which method repairs it, at what price?", material.snapped
    lines, head, href = [], "", ""
    if suite is not None and suite.compounding is not None:
        page, rows = suite.compounding, _bc(suite.compounding)
        words = {s.task: s.words for s in page.sentences if s.task in rows}
        bad = [t for t in words if "compounds" in words[t]]
        helped = {n: [t for t in bad if f"{n}: less" in words[t] and n in rows[t]] for n in REPAIRS}
        best = max(REPAIRS, key=lambda n: len(helped[n]))
        head = f"{best.replace('_', ' ').capitalize()}: fewer mistakes than bc on {len(helped[best])} of "
        head += f"{len(bad)} robots where bc compounds"
        lines += [
            f"{_names([t])}: A {_a(rows[t][best])} for bc's {_a(rows[t]['bc'])}, {rows[t][best].seeds} seeds, "
            f"{rows[t][best].budget:,} labels each"
            for t in helped[best][:2]
        ]
        lines += [
            f"{n.replace('_', ' ')}: clearly fewer on {len(helped[n])}, at the same labels."
            for n in REPAIRS
            if n != best
        ]
        href = suite_path(suite.name, "compounding")
    ranked = max((s for s in material.suites if s.board.overall and _own(s)), key=lambda s: s.board.overall[0]["of"], default=None)
    if ranked is not None:
        of = [p for p in overall(ranked.groups) if {p.a, p.b} == {"bc", "dagger"}]
        for p in of:
            found = interval(p.mean, p.lo, p.hi) if p.a == "dagger" else interval(-p.mean, _minus(p.hi), _minus(p.lo))
            lines.append(
                f"Score, dagger minus bc within the same label budgets, {p.settings} settings of {ranked.name}: {found}, {p.seeds} seeds."
            )
        href = href or suite_path(ranked.name)
    lines += _price(material)
    if not lines:
        return _to_run(question, "ilbench run quick")
    return {"question": question, "headline": head or "By score", "lines": lines, "href": href, "more": "All repairs"}


def _own(suite: Suite) -> bool:
    """Whether it is declared as it stands, and by nothing newer."""
    return not suite.newer and "+" not in suite.name


def _price(material: Material) -> list[str]:
    """Labels to .9 of the expert, and env steps for each label, of the first and of bc, in the suite that compares most rows by it."""
    yards = {y.id: y for y in YARDSTICKS}
    made = {s.name: beside.lines(yards["labels"], s.measured.cells.get("labels", ())) for s in material.suites if _own(s)}
    name = max(made, key=lambda n: sum(bool(x.rank) for x in made[n]), default="")
    ranked = [x for x in made.get(name, ()) if x.rank and x.reached]
    if len(ranked) < 2:
        return []
    cells = next(s for s in material.suites if s.name == name).measured.cells
    steps = {x.label: x for x in beside.lines(yards["steps_per_label"], cells.get("steps_per_label", ()))}
    shown = [x for i, x in enumerate(ranked) if i == 0 or x.label == "bc"]
    said = [
        f"{x.label} {beside.said(yards['labels'], x)} on {x.reached} of {x.ran} settings"
        + (f", {beside.said(yards['steps_per_label'], steps[x.label])} env steps a label" if x.label in steps else "")
        for x in shown
    ]
    return [f"Labels to .9 of the expert, fewest of {len(ranked)} rows of {name}, {shown[0].seeds} seeds: {'; '.join(said)}."]


def _agrees(material: Material) -> Answer:
    question = "Does it agree with the theory?"
    lines = []
    theorems = [c for r in material.checks for c in r.claims if c.kind in ("T", "R")]
    wrong = sum(r.failed for r in material.checks)
    counted = ", ".join(f"{n} {v}" for v, n in checks.counts(material.checks).items())
    if material.checks:
        lines.append(f"{len(material.checks)} checks, all their claims judged together: {counted}.")
    for suite in material.suites:
        rows = [
            r
            for r in suite.theory
            if isinstance(r, theory.Row) and r.kind == "closed form" and r.verdict and r.slope.slope is not None
        ]
        if rows and not suite.newer:
            r = rows[0]
            lines.append(
                f"Exponent of the cost in H, {r.task}, {r.algorithm}: {interval(*r.slope[:3])} measured, {number(r.predicted)} predicted, "
                f"{r.n}; {sum(x.verdict == 'HOLDS' for x in rows)} of {len(rows)} such rows of {suite.name} hold."
            )
            break
    if material.snapped is not None and material.snapped.compounding is not None:
        lines.append(compounding_page.bounds(material.snapped.compounding))
    if not lines:
        return _to_run(question, "ilbench theory --out runs")
    head = f"{len(theorems)} claims from theorems and rates: {wrong or 'no'} check{' fails' if wrong in (0, 1) else 's fail'}"
    if material.checks:
        return {"question": question, "headline": head, "lines": lines, "href": "theory.html", "more": "Every claim"}
    with_theory = next((s for s in material.suites if s.theory), None)
    href = "" if with_theory is None else suite_path(with_theory.name, "theory")
    return {
        "question": question,
        "headline": "Measured, row by row",
        "lines": lines,
        "href": href,
        "more": "Every row" if href else "ilbench theory",
    }


# ---------------------------------------------------------------------------------------- panels
def _panels(suite: Suite) -> tuple[list[dict[str, Any]], str]:
    """The picture of compounding, a panel for each robot, and its caption."""
    page = suite.compounding
    assert page is not None
    look = looks((name, name) for name in SHOWN)
    chosen = [
        r
        for r in primary([r for r in page.rows if r.target == page.target])
        if r.algorithm in SHOWN and is_robot(r.task)
    ]
    panels = []
    for task in dict.fromkeys(r.task for r in chosen):
        series, said = [], []
        for r in sorted((r for r in chosen if r.task == task), key=lambda r: r.algorithm):
            c = r.curves
            assert c is not None
            for parts, dashed, where in ((c.excess, False, "own states"), (c.parts[:, 0], True, "expert's states")):
                x, y, lo, hi = (list(map(float, v)) for v in rates(c.steps, parts))
                series.append(
                    charts.Series(
                        f"{r.algorithm}, {where}",
                        look[r.algorithm],
                        x,
                        y,
                        lo,
                        hi,
                        dashed,
                        band=not dashed,
                        marked=False,
                    )
                )
            said.append(f"{r.algorithm.split('_')[0]} {_a(r)}{r.marks}")
        svg = charts.chart(
            f"Mistakes per step on {task}",
            charts.axis("step of the episode", [1.0, *(v for s in series for v in s.x)], True),
            charts.axis("mistakes per step", [v for s in series for v in s.y], True),
            series,
            charts.SMALL,
        )
        if svg is not None:
            panels.append(
                {
                    "svg": svg,
                    "name": task.split("@")[0],
                    "said": f"A: {'; '.join(said)}",
                    "href": task_path(suite.name, task),
                }
            )
    seeds = max((r.seeds for r in chosen), default=0)
    return panels, CAPTION.format(eps=f"{page.target:g}", seeds=seeds).replace("\n", " ")
