"""Performance profiles as a picture: the share of runs that score above each score, with its 95 % limits.

A panel for every set of rows that the rankings compare. A row that lies above another everywhere is the better one at every score
that may be asked for; rows whose bands overlap are not told apart by the picture, the answers of `ilbench leaderboard` do that.
Paper: Dolan & More 2002, benchmarking optimization software with performance profiles, https://arxiv.org/abs/cs/0102001
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ilbench import stats
from ilbench.display.style import figure, legend_below, looks, svg
from ilbench.report.aggregates import chosen
from ilbench.report.groups import Group
from ilbench.report.overall import FEW, Compared, title

POINTS = 101  # scores at which a profile is drawn


def draw(groups: Sequence[Group], save: Callable[[Any], Any] = svg) -> Any:
    """The picture, saved as SVG or by `save`; None where no two rows can be compared."""
    found = chosen(groups)
    if not found:
        return None
    algorithm = {g.label: g.algorithm for g in groups}
    look = looks((algorithm[label], label) for c in found for label in c.scores)
    most = max(len(c.scores) for c in found)
    canvas = figure(4.6 * len(found), 4.0 + 0.1 * max(0, most - 6))
    for axis, c in zip(canvas.subplots(1, len(found), squeeze=False)[0], found, strict=True):
        _panel(axis, c, look)
    return save(canvas)


def _panel(axis: Any, c: Compared, look: dict[str, tuple[str, str]]) -> None:
    """The profiles of one set of rows, best mean first in the legend."""
    every = np.concatenate([x.ravel() for x in c.scores.values()])
    at = np.linspace(min(0.0, float(every.min())), max(1.0, float(every.max())), POINTS)
    for name in sorted(c.scores, key=lambda n: (-c.scores[n].mean(), n)):
        profile, colour = stats.performance_profile(c.scores[name], at), look[name][0]
        axis.plot(at, profile.share, color=colour, lw=1.4, label=name, marker=look[name][1], markevery=10, ms=3.5)
        if len(c.seeds) >= FEW:
            axis.fill_between(at, profile.lo, profile.hi, color=colour, alpha=0.12, lw=0)
    axis.set(xlabel="score (0 random, 1 expert)", ylabel="share of runs that score above", ylim=(-0.02, 1.02))
    few = "" if len(c.seeds) >= FEW else ", too few for limits"
    axis.set_title(f"{title(c.plain_settings(), c.of)}\n{len(c.seeds)} seeds{few}", fontsize=10)
    legend_below(axis, 2, 9)
