"""`ilbench compare`: is A better than B?"""

from __future__ import annotations

import math
from dataclasses import dataclass

from tyro.conf import Positional

from ilbench.commands.output import emit, opened, say


@dataclass(frozen=True)
class Compare:
    """Is A better than B, by how much, how sure, and how many seeds would tell?

    ilbench compare dagger bc --suite brax --tasks 'hopper,walker2d' compares setting by setting, paired by seed;
    ilbench compare mine bc --suite quick --fail-if-worse 0.05 exits with 1 where mine is clearly worse by more than 0.05.
    """

    a: Positional[str]
    """An algorithm, algorithm/head, or a label of the board such as 'ccil[dynamics=true]'."""
    b: Positional[str]
    """What it is compared with: bc, say."""
    suite: str = "quick"
    """Suite whose records are read."""
    tasks: str | None = None
    """Only tasks that match these comma-separated globs, e.g. 'hopper,grid*'."""
    results: str | None = None
    """Folder of records; default: runs/ if it holds the suite, else results/."""
    fail_if_worse: float | None = None
    """Exit with 1 where A is worse, after Holm, and its mean score lower by more than this: on a setting, or on all together."""
    full: bool = False
    """Every column, however wide the terminal is."""
    json: bool = False
    """Print JSON: rows, overall, notes."""

    def execute(self) -> int:
        """Reads records; computes nothing on a device."""
        from ilbench.display import tables
        from ilbench.report import compare

        least = self.fail_if_worse
        if least is not None and not (least >= 0 and math.isfinite(least)):
            raise ValueError(f"--fail-if-worse takes a difference in score of at least 0, e.g. 0.05; got {least}")
        found, first = opened(self.suite, self.results)
        made = compare.build(found.records, self.a, self.b, self.tasks)
        emit(
            self.json,
            {"suite": found.suite, "source": first} | made.as_json(),
            lambda: print(compare.text(made, first, tables.terminal(), self.full)),
        )
        worse = [] if least is None else made.worse_by(least)
        for r in worse:
            where = f"{r['task']} H={r['horizon']} n={r['budget']}" if "task" in r else f"all {r['settings']} settings"
            say(f"{self.a} is worse than {self.b} by {-r['difference']:.3g} on {where}")
        return 1 if worse else 0
