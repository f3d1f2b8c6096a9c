"""Which divergence seeks a mode."""

from __future__ import annotations

from typing import Any

from ilbench import stats
from ilbench.display.tables import fixed
from ilbench.report.replication.verdicts import UNTESTABLE, Line, Suites, inside

CLAIM = (
    "Fitted to two modes at +-1 (sd .1), a Gaussian lands within .3 of a mode with "
    "probability .290 by forward KL and .9973 by reverse KL, a mixture .9973, and the mean of the expert's actions 0"
)
SOURCE = "Ke et al. 2019, https://arxiv.org/abs/1905.12888; the numbers are ours, exact"
DIFFERS = "heads trained on 500 labels of two_modes; replicated where the interval of the success lies within .03 of the number"
SUITES = ("expressivity",)
NEAR = 0.03
ROWS: tuple[tuple[str, str, str, dict[str, Any], float], ...] = (
    ("gaussian, forward KL", "bc", "gaussian", {}, 0.290),
    ("gaussian, reverse KL", "f_divergence", "gaussian", {"f_divergence__divergence": "reverse_kl"}, 0.9973),
    ("mixture, forward KL", "bc", "mixture", {}, 0.9973),
    ("squared error", "bc", "mse", {}, 0.0),
)


def measure(records: Suites) -> list[Line]:
    """The share of actions near a mode."""
    out = []
    for said, algorithm, head, own, value in ROWS:
        found = [
            g
            for g in records.find("expressivity", "two_modes", algorithm, head=head, **own)
            if "task.half" not in g.config
        ]
        if len(found) != 1:
            out.append(Line(said, "no records", UNTESTABLE))
            continue
        x = found[0].scored("return")
        assert x is not None
        average, lo, hi, _ = stats.paired_difference(x, 0 * x)  # Student's t over seeds, each a share of 256 draws
        out.append(
            Line(
                f"{said}: {value:.4f}",
                f"{fixed(average, lo, hi, 3)}, {len(found[0].records)} seeds",
                inside(lo, hi, value - NEAR, value + NEAR),
            )
        )
    return out
