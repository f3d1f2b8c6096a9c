"""The board of a suite: one's own choice, rankings by score and by what stands beside it, coverage, every table of LEADERBOARD.md."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from ilbench.display.tables import Table, plain
from ilbench.report import beside, convergence, leaderboard, tuning, yardsticks
from ilbench.report.rows import FALLING
from ilbench.report.site import choice
from ilbench.report.site.book import Book, as_csv, slug, suite_path, task_path
from ilbench.report.site.charts import strip
from ilbench.report.site.material import Material, Suite

SCORE = "score, mean over seeds and tasks [95 %]"  # the column of a ranking


def inside(suite: Suite) -> list[tuple[str, str]]:
    """The pages of one suite."""
    found = [("Board", suite_path(suite.name)), ("Compare", suite_path(suite.name, "compare"))]
    found += [("Compounding", suite_path(suite.name, "compounding"))] if suite.compounding is not None else []
    found += [("Theory", suite_path(suite.name, "theory"))] if suite.theory else []
    return [*found, ("Runs", suite_path(suite.name, "runs"))]


def of_places(board: leaderboard.Board) -> Iterator[tuple[Table, list[dict[str, Any]]]]:
    """Each table of one place with its rows."""
    at = 0
    for table in board.tables[board.wide :]:
        yield table, board.rows[at : at + len(table.rows)]
        at += len(table.rows)


def by_task(suite: Suite) -> dict[str, list[Table]]:
    """The tables of the board by task."""
    out: dict[str, list[Table]] = defaultdict(list)
    for table, rows in of_places(suite.board):
        out[rows[0]["task"]].append(table)
    return out


def coverage(suite: Suite) -> Table | None:
    """How many of the suite's settings each row was run on, and what came of it."""
    places = {g.place for g in suite.groups}
    if not places:
        return None
    mine: dict[str, list[tuple[Any, dict[str, Any]]]] = defaultdict(list)
    ordered = [r for _, rows in of_places(suite.board) for r in rows]
    names = {(g.task, g.horizon, g.budget, g.apart, g.label): g.place for g in suite.groups}
    for r in ordered:
        mine[r["algorithm"]].append((names[r["task"], r["horizon"], r["budget"], r["apart"], r["algorithm"]], r))
    rows = [
        (
            label,
            f"{len({place for place, _ in found})}/{len(places)}",
            *(str(sum(r[name] for _, r in found)) for name in ("seeds", "diverged", "failed")),
            str(sum((r["still_falling"] or 0) > FALLING for _, r in found)),
            str(sum(bool(r["worse_than_constant"]) for _, r in found)),
        )
        for label, found in sorted(mine.items())
    ]
    columns = ("algorithm", "settings", "runs", "diverged", "failed", "not converged (*)", "worse than constant (!)")
    notes = (
        "settings: k of N of task, horizon, budget and protocol. (*), (!): rows so marked.",
        "Failed runs are in no number; diverged ones score min(0, the worst).",
    )
    return Table("Coverage", columns, rows, notes)


def write(book: Book, suite: Suite, material: Material) -> None:
    """The board's page."""
    path, board = suite_path(suite.name), suite.board
    tables = []
    for i, table in enumerate(board.tables[: board.wide]):
        pictures = None
        if i < len(board.overall):
            rows = board.overall[i]["rows"]
            ends = [x for r in rows for x in (r["score"], *(r["score_ci"] or ()))]
            span = (min(0.0, *ends), max(1.0, *ends))
            pictures = (SCORE, [strip(r["score"], r["score_ci"] or (None, None), span) for r in rows])
        tables.append(book.table(path, table, suite.name, pictures))
    measured = suite.measured.cells
    found = [beside.table(y, measured[y.id]) for y in yardsticks.YARDSTICKS if y.id in measured and y.id != "score"]
    tables += [book.table(path, t, suite.name) for t in found if t is not None]
    covered = coverage(suite)
    tables += [book.table(path, covered, suite.name)] if covered is not None else []
    tables += [book.table(path, convergence.table(suite.twice, suite.name), suite.name)] if suite.twice else []
    tuned = tuning.beside(suite.name, suite.found.folder.parent)
    tables += [book.table(path, tuned, suite.name)] if tuned is not None else []
    tasks = [
        {
            "name": task,
            "anchor": slug(task),
            "href": task_path(suite.name, task),
            "tables": [book.table(path, table, suite.name) for table in found],
        }
        for task, found in by_task(suite).items()
    ]
    book.page(
        path, "board.html", f"{suite.name}: board", heading=f"Leaderboard of {suite.name}", lines=(suite.line, *board.lines),
        suite=suite.name, inside=inside(suite), tables=tables, tasks=tasks, more=_rows(book, suite),
        legend=(*leaderboard.LEGEND, *leaderboard.legend(board), *leaderboard.MORE),
        aside=[a for a in material.aside if a.place.startswith(f"{suite.name}/")], choice=choice.data(book, suite.name, measured),
    )  # fmt: skip


def _rows(book: Book, suite: Suite) -> str:
    """The rows of the board at full precision, as CSV."""
    flat = []
    for row in plain(suite.board.rows):
        one: dict[str, Any] = {}
        for key, value in row.items():
            if isinstance(value, dict):
                one |= {f"{key}.{k}": v for k, v in value.items()}
            elif isinstance(value, list) and key.endswith("_ci"):
                one |= {f"{key.removesuffix('_ci')}_low": value[0], f"{key.removesuffix('_ci')}_high": value[1]}
            elif not isinstance(value, list):
                one[key] = value
        flat.append(one)
    columns = list(dict.fromkeys(k for one in flat for k in one))
    if not columns:
        return ""
    path = suite_path(suite.name, "rows").removesuffix(".html") + ".csv"
    book.files[path] = as_csv(columns, [[one.get(c) for c in columns] for one in flat])
    return path
