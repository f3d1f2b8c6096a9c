"""Rank intervals: which places the data cannot rule out. NumPy float64."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ilbench.stats.intervals import finite, score_range, seed_difference


class Rank(NamedTuple):
    """Places that the data cannot rule out, 1 the best."""

    lo: int
    hi: int

    @property
    def label(self) -> str:
        """`2`, or `1-3` when places are shared."""
        return str(self.lo) if self.lo == self.hi else f"{self.lo}-{self.hi}"


def rank_intervals(scores: Mapping[str, ArrayLike], *, level: float = 0.95) -> dict[str, Rank]:
    """Rank intervals of algorithms by mean score, from `[S]` or `[S, T]` paired by seed, higher is better.

    A place is lost only to whom the interval of the mean paired difference (Bonferroni over the rivals) puts ahead, so
    algorithms that cannot be told apart share it. Tasks are averaged within a seed first: the seeds are the units, so
    nothing is assumed of what the tasks of a seed share.
    """
    means = {name: finite(name, x, 1, 2) for name, x in scores.items()}
    means = {name: x.mean(1) if x.ndim == 2 else x for name, x in means.items()}
    names, each = list(means), 1 - (1 - level) / max(1, len(means) - 1)
    lo, hi = score_range(*means.values())
    better = np.zeros((len(names), len(names)), bool)
    for i, a in enumerate(names):
        for j, b in enumerate(names[:i]):
            _, low, high, _ = seed_difference(means[a], means[b], lo, hi, level=each)
            better[i, j], better[j, i] = low > 0, high < 0
    return {name: Rank(1 + int(better[:, i].sum()), len(names) - int(better[i].sum())) for i, name in enumerate(names)}
