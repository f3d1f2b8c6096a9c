"""A page per task of a suite: what it is, its expert, the methods' tables, score against labels, cost against the horizon."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from ilbench.display.style import looks
from ilbench.display.tables import Table, interval
from ilbench.experts import manifests
from ilbench.report.figures import prefix_cost
from ilbench.report.groups import Group
from ilbench.report.site import charts
from ilbench.report.site.boards import by_task, inside
from ilbench.report.site.book import Book, task_path
from ilbench.report.site.material import Suite, known_task
from ilbench.report.site.sections import section

Looks = dict[str, tuple[str, str]]


def write(book: Book, suite: Suite) -> None:
    """Every task of the board."""
    look = looks((r["name"], r["algorithm"]) for r in suite.board.rows)
    for task, tables in by_task(suite).items():
        path = task_path(suite.name, task)
        rows = [r for r in suite.board.rows if r["task"] == task]
        groups = [g for g in suite.groups if g.task == task]
        figures = [f for f in (*_scores(rows, look), _costs(groups, suite, look)) if f is not None]
        views = [book.table(path, t, suite.name) for t in (_references(groups), *tables)]
        sections = [section(figures=figures, tables=views)]
        book.page(
            path, "page.html", f"{task} in {suite.name}", heading=task, suite=suite.name, inside=inside(suite),
            lines=(), facts=_facts(task), sections=sections,
        )  # fmt: skip


def _facts(task: str) -> list[tuple[str, str, str]]:
    entry = known_task(task)
    if entry is None:
        return [("what", "a task, or a version of one, that this ilbench does not have", "")]
    name = task.split(" ")[0]
    out = [("what", entry.summary, ""), ("source", entry.paper, ""), ("tags", ", ".join(entry.tags), "")]
    return [(k, v, to) for k, v, to in (*out, ("expert", manifests.line(name, entry.tags), "")) if v]


def _references(groups: list[Group]) -> Table:
    """What chance and the expert return, as the records state it."""
    rows = {}
    for g in groups:
        for who in ("random", "expert"):
            ref = g.records[0].references.get(who)
            if ref is not None:
                score = "score 0" if who == "random" else "score 1"
                lo, hi = ref.ci or (None, None)
                rows[g.horizon, who] = (
                    f"{who} ({score})", str(g.horizon), interval(ref.mean, lo, hi, 4),
                    "exact" if ref.n == 0 else f"{ref.n:,}",
                )  # fmt: skip
    return Table("References", ("who", "horizon", "return [95 %]", "episodes"), [rows[k] for k in sorted(rows)])


def _series(name: str, look: tuple[str, str], found: list[dict[str, Any]], key: str) -> charts.Series:
    lo, hi = zip(*(r[f"{key}_ci"] for r in found), strict=True)
    return charts.Series(name, look, [r["labels"] for r in found], [r[key] for r in found], lo, hi, key != "score")


def _scores(rows: list[dict[str, Any]], look: Looks) -> list[dict[str, Any]]:
    """Score against the labels bought, clean and under noise, of each horizon and protocol that was run at several budgets."""
    out = []
    apart: dict[Any, list[dict[str, Any]]] = defaultdict(list)
    for r in rows:
        apart[r["horizon"], r["apart"]].append(r)
    for (horizon, where), mine in sorted(apart.items()):
        for key, title in (("score", "Score"), ("noisy_score", "Score under noise")):
            series = []
            for name in sorted({r["algorithm"] for r in mine}):
                found = sorted(
                    (r for r in mine if r["algorithm"] == name and r.get(key) is not None), key=lambda r: r["labels"]
                )
                if len(found) > 1:
                    series.append(_series(name, look[name], found, key))
            x = charts.axis("expert labels bought", [v for s in series for v in s.x], True)
            limits = [v for s in series for v in (*s.y, *s.lo, *s.hi)]
            svg = charts.chart(
                f"{title} against labels", x, charts.axis("score (0 random, 1 expert)", limits, False, (0, 1)), series
            )
            said = (
                f"{title} against expert labels, H = {horizon}{', ' + where if where else ''}; mean over seeds, 95 %."
            )
            if svg is not None:
                out.append({"svg": svg, "caption": said, "legend": [(charts.key(s.look), s.name) for s in series]})
    return out


def _costs(groups: list[Group], suite: Suite, look: Looks) -> dict[str, Any] | None:
    """0-1 cost up to H, at the largest budget of the longest horizon."""
    swept = [g for g in groups if g.records[0].cell.evaluation.get("prefixes")]
    if not swept:
        return None
    longest = max(g.horizon for g in swept)
    budget = max(g.budget for g in swept if g.horizon == longest)
    series = []
    for g in swept:
        c = prefix_cost(g, suite.found.arrays) if (g.horizon, g.budget) == (longest, budget) else None
        if c is not None:
            h, mean, lo, hi = (list(map(float, v)) for v in (c.horizons, c.mean, c.lo, c.hi))
            series.append(charts.Series(g.label, look[g.label], h, mean, lo, hi))
    x = charts.axis("horizon H (steps)", [v for s in series for v in s.x], True)
    y = charts.axis("0-1 cost up to H (steps)", [v for s in series for v in s.y], True)
    svg = charts.chart("0-1 cost against the horizon", x, y, series)
    said = f"Mistakes up to step H at {budget:,} labels; mean over seeds, 95 %. A line of slope 2 is eps H^2, of slope 1 eps H."
    return (
        None if svg is None else {"svg": svg, "caption": said, "legend": [(charts.key(s.look), s.name) for s in series]}
    )
