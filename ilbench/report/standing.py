"""Where a policy that was trained now would stand: what the records that come with ilbench say of such policies."""

from __future__ import annotations

from typing import Any

from ilbench.display.tables import interval, number
from ilbench.records import shipped
from ilbench.report import leaderboard
from ilbench.running.plan import cells
from ilbench.running.trained_now import Training


def standing(found: Any) -> tuple[str, ...]:
    """A line on policies that are the same in all but the seed as what `policies.find` found; none where there are none."""
    if not isinstance(found, Training) or found.suite is None:
        return ()
    block = found.plan.block
    (cell,) = cells(found.plan).values()
    same = [r for r in shipped.records(found.suite) if shipped.but_for_seed(r.cell) == shipped.but_for_seed(cell)]
    rows = leaderboard.build(same).rows if same else []
    if not rows or rows[0]["score"] is None:
        return ()
    score = interval(rows[0]["score"], *rows[0]["score_ci"])
    own = next((r for r in same if r.cell.seed == cell.seed), None)
    this = f", which scored {number(own.scores.get('score'))}" if own is not None else ""
    return (
        f"{found.suite}: {block.algorithm} at {block.budget:,} labels scores {score} (mean [95 %] over {len(same)} seeds); "
        f"this is seed {cell.seed}{this}",
    )
