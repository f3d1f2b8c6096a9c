"""How pictures look: colours, a canvas, and an SVG whose bytes depend on nothing but the numbers."""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import Any

# Okabe & Ito, then the muted scheme of Tol, for boards of many algorithms: both safe for colour-blind readers
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9",
           "#882255", "#999933", "#332288", "#cc6677", "#44aa99", "#aa4499", "#117733", "#88ccee", "#ddcc77")  # fmt: skip
MARKS = ("o", "s", "^", "D", "v", "P")
GREY = "#999999"
# One colour per algorithm on every picture; others take what is left in the order of their names.
OWN = {"bc": 0, "dagger": 1, "ccil": 2, "noise_bc": 3, "dart": 4, "dialled": 5}
RC: Any = {"svg.hashsalt": "ilbench", "svg.fonttype": "none", "font.size": 9, "axes.grid": True, "grid.alpha": 0.3}


def looks(names: Iterable[tuple[str, str]]) -> dict[str, tuple[str, str]]:
    """Colour and mark by label, from (algorithm, label): the colour says which algorithm, the mark which of its rows.

    An algorithm with more rows than there are marks, one with many heads, say, has a colour for each of them.
    """
    pairs = sorted(set(names))
    crowded = {name for name, _ in pairs if sum(other == name for other, _ in pairs) > len(MARKS)}
    pairs = sorted((label if name in crowded else name, label) for name, label in pairs)
    taken = [OWN[a] for a in OWN if any(a == name for name, _ in pairs)]
    free = [i for i in range(len(COLOURS)) if i not in taken] or list(range(len(COLOURS)))
    strangers = sorted({name for name, _ in pairs} - set(OWN))
    colour = OWN | {name: free[i % len(free)] for i, name in enumerate(strangers)}
    own = {name: [label for other, label in pairs if other == name] for name, _ in pairs}
    return {
        label: (COLOURS[colour[name]], MARKS[(colour[name] + own[name].index(label)) % len(MARKS)])
        for name, label in pairs
    }


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


def saved(figure: Any, kind: str) -> bytes:
    """The figure as a file of that kind, svg, pdf or png (200 dots an inch): the same numbers give the same bytes."""
    if kind == "svg":
        return svg(figure).encode()
    buffer = io.BytesIO()
    undated: dict[str, Any] = {"Creator": "ilbench", "Producer": None, "CreationDate": None} if kind == "pdf" else {"Software": None}
    figure.savefig(buffer, format=kind, dpi=200, metadata=undated)
    return buffer.getvalue()


def legend_below(axis: Any, columns: int, size: float = 7, apart: float | None = None) -> None:
    """A legend under the axis, where it hides nothing; `apart` inches below it, or a share of its height, which a tall one outgrows."""
    from matplotlib.transforms import ScaledTranslation

    pairs = list(zip(*axis.get_legend_handles_labels(), strict=True))
    pairs.sort(key=lambda pair: not hasattr(pair[0], "has_yerr"))  # measured points before lines that guide the eye
    axis.legend(
        [h for h, _ in pairs], [name for _, name in pairs], fontsize=size, loc="upper center",
        bbox_to_anchor=(0.5, -0.2 if apart is None else 0.0), ncols=columns, frameon=False,
        **({} if apart is None else {"bbox_transform": axis.transAxes + ScaledTranslation(0, -apart, axis.figure.dpi_scale_trans)}),
    )  # fmt: skip
