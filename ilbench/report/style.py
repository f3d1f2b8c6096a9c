"""How pictures look: colours, a canvas, and an SVG whose bytes depend on nothing but the numbers."""

from __future__ import annotations

import io
from typing import Any

# Okabe & Ito: safe for colour-blind readers
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
MARKS = ("o", "s", "^", "D", "v", "P")
GREY = "#999999"
RC: Any = {"svg.hashsalt": "ilbench", "svg.fonttype": "none", "font.size": 9, "axes.grid": True, "grid.alpha": 0.3}


def figure(width: float = 6.4, height: float = 4.0) -> Any:
    """An empty Matplotlib figure in inches, laid out by constraints; no window system is touched."""
    import matplotlib
    from matplotlib.figure import Figure

    matplotlib.rcParams.update(RC)
    return Figure(figsize=(width, height), layout="constrained")


def svg(figure: Any) -> str:
    """The figure as SVG text: no date, no random ids."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": "ilbench"})
    return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines()) + "\n"


def legend_below(axis: Any, columns: int) -> None:
    """A legend under the axis, where it hides nothing."""
    axis.legend(fontsize=7, loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=columns, frameon=False)
