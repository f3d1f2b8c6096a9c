"""`ilbench leaderboard`: who is better."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tyro.conf import Positional

from ilbench.commands.output import emit, opened, say

if TYPE_CHECKING:
    from ilbench.report import answers, leaderboard, source
    from ilbench.report.groups import Group

WIDTH = 100  # columns where there is no terminal


@dataclass(frozen=True)
class Leaderboard:
    """Who is better, by how much, how sure, at what cost: an answer in words per setting, then a table per task and one over tasks.

    ilbench leaderboard --tasks hopper --demos 5 looks through every current suite; ilbench leaderboard brax ranks one.
    """

    suite: Positional[str | None] = None
    """Suite whose records are ranked; default: with --tasks, --demos or --algorithms all that are current and have them, else quick."""
    tasks: str | None = None
    """Only tasks that match these comma-separated globs, e.g. 'hopper,grid*'."""
    demos: str | None = None
    """Only budgets of so many demonstrations (labels over the horizon), comma-separated, e.g. 5 or 2,25."""
    algorithms: str | None = None
    """Only these rows, comma-separated: an algorithm, algorithm/head, or a label of the board."""
    results: str | None = None
    """Folder of records; default: runs/ if it holds the suite, else results/."""
    write: bool = False
    """Also write LEADERBOARD.md beside the records."""
    full: bool = False
    """Every column and statistic, and how the limits are made; without it a table fits the terminal."""
    json: bool = False
    """Print JSON: source, answers, overall rankings, a row per task and algorithm; of several suites a list of these."""

    def execute(self) -> int:
        """Reads records; computes nothing on a device."""
        from ilbench.display import tables
        from ilbench.report import answers, leaderboard, selection, source, tuning

        selection.numbers(self.demos or "1")
        selecting = any(x is not None for x in (self.tasks, self.demos, self.algorithms))
        if self.write and selecting:
            raise ValueError(
                "--write writes a suite's whole page; leave --tasks, --demos and --algorithms out, or leave --write out"
            )
        several = self.suite is None and selecting
        found = _current(self.results) if several else [opened(self.suite or "quick", self.results, arrays=False, lists=False)]
        kept = self._chosen(found, several)
        boards = [(f.suite, groups, leaderboard.of(groups, f.tiers)) for f, _, groups in kept]
        said = answers.build(boards)
        width = None if self.full else tables.terminal() or WIDTH
        if self.json:
            emit(True, _as_json(kept, boards, said, several), lambda: None)
        else:
            _show(kept, boards, said, width, self.full)
        if self.write:
            ((only, _, _),) = kept
            tuned = tuning.beside(only.suite, only.folder.parent)
            page = leaderboard.page(boards[0][2], only.suite, source.first_line(only), tuned)
            print(f"wrote {source.write_page(only, 'LEADERBOARD.md', page)}", file=sys.stderr)
        return 0

    def _chosen(
        self, found: list[tuple[source.Found, str]], several: bool
    ) -> list[tuple[source.Found, str, list[Group]]]:
        """The rows asked for of every suite that has some, and on stderr which suites these are."""
        from ilbench.report import leaderboard, selection

        groups = [leaderboard.shown_groups(f.records) for f, _ in found]
        rows = selection.chosen([g for gs in groups for g in gs], self.tasks, self.demos, self.algorithms)
        wanted = {id(g) for g in rows}
        kept = [(f, first, [g for g in gs if id(g) in wanted]) for (f, first), gs in zip(found, groups, strict=True)]
        if not several:
            return kept
        kept = [(f, first, gs) for f, first, gs in kept if gs]
        say(f"looked through {', '.join(f.suite for f, _ in found)}; taken: {', '.join(f.suite for f, *_ in kept)}")
        return kept


def _current(results: str | None) -> list[tuple[source.Found, str]]:
    """The records of every suite that is not superseded, each in its newest version."""
    from ilbench.report import source

    names, left_out = source.current(results)
    if left_out:
        say(f"left out: {', '.join(f'{name} ({why})' for name, why in left_out.items())}")
    say(f"reading {', '.join(names)}")
    return [opened(name, results, arrays=False, lists=False) for name in names]


def _as_json(kept: Any, boards: Any, said: answers.Answers, several: bool) -> dict[str, Any]:
    """One object, or of several suites one each."""
    from ilbench.report import aggregates

    found = said.as_json()
    each = [
        {"suite": suite, "source": first, "answers": [a for a in found if a["suite"] == suite]}
        | board.as_json()
        | {"aggregates": aggregates.build(groups)}
        for (_, first, _), (suite, groups, board) in zip(kept, boards, strict=True)
    ]
    return {"suites": each} if several else each[0]


def _show(
    kept: Any,
    boards: list[tuple[str, list[Group], leaderboard.Board]],
    said: answers.Answers,
    width: int | None,
    full: bool,
) -> None:
    """The answers, and the tables of each suite."""
    from ilbench.display import tables
    from ilbench.report import aggregates, answers, leaderboard, tuning

    if said.found:
        print(answers.text(said, width), end="\n\n")
    pages = []
    for (found, first, _), (suite, groups, board) in zip(kept, boards, strict=True):
        more = aggregates.text(aggregates.build(groups), width) if full else ""
        tuned = tuning.beside(suite, found.folder.parent) if full else None
        pages += [leaderboard.text(board, first, width, full), *([more] if more else [])]
        pages += [tables.text([tuned], width)] if tuned is not None else []
    print("\n\n".join(pages))
