"""What `ilbench bench heads` measured, on a terminal and as a page, and on disk: speed@1/heads.json and HEADS.md."""

from __future__ import annotations

import json
import pathlib
from typing import Any

from ilbench.display.tables import Table, markdown
from ilbench.display.tables import text as render
from ilbench.records.files import write_atomic
from ilbench.report.speed import FOLDER

ACTING = ("head", "as large as", "evaluations", "1 at once", "1,024 at once", "compiling, s")
TRAINING = ("head", "evaluations", "rows", "a step", "undrawn", "floor", "step / floor", "operations", "by XLA")
NOTES = (
    "evaluations: passes of a row through all layers of the head's perceptrons, by the operations of its matrix products: for one action,",
    "and in the loss of one row; - where it has other networks. Milliseconds of acting: the median of repeats, compiling apart.",
    "A step without what a fit does once. floor: forward and backward of the same networks as a plain regression of as many rows as the",
    "loss evaluates. undrawn: the same loop at one key, so that what the loss draws costs nothing. operations: of a row's gradient,",
    "three times the forward products, and as XLA counts them (of everything). One seed, one device.",
)


def _shown(x: float | None, form: str) -> str:
    return "-" if x is None else format(x, form)


def acting(row: dict[str, Any]) -> tuple[str, ...]:
    """What acting costs, one text for each of ACTING."""
    act = row["act"]
    return (
        row["head"],
        row["size"],
        _shown(row["evaluations per action"], ",.4g"),
        *(f"{act[count]['milliseconds']:.3f} ms" for count in ("1", "1024")),
        f"{act['1']['compile, seconds']:.1f} + {act['1024']['compile, seconds']:.1f}",
    )


def training(row: dict[str, Any]) -> list[tuple[str, ...]]:
    """What a gradient step costs, by rows in it, one text for each of TRAINING."""
    return [
        (
            row["head"],
            _shown(row["evaluations per row"], ",.4g"),
            f"{int(batch):,}",
            *(f"{_shown(step[k], ',.0f')}" for k in ("microseconds", "undrawn, microseconds", "floor, microseconds")),
            _shown(step["over floor"], ".2f"),
            *(_shown(row["operations of a row"][k], ",.0f") for k in ("products", "XLA")),
        )
        for batch, step in row["train"].items()
    ]


def tables(found: dict[str, Any]) -> list[Table]:
    """Acting, then training."""
    packages = ", ".join(f"{name} {version}" for name, version in found["packages"].items())
    where = f"{found['device']}{', ' + found['flags'] if found.get('flags') else ''}; {packages}"
    return [
        Table(f"Acting ({where})", ACTING, [acting(row) for row in found["rows"]]),
        Table(
            f"A gradient step, in microseconds (fastest of {found['rounds']} rounds)",
            TRAINING,
            [line for row in found["rows"] for line in training(row)],
            NOTES,
        ),
    ]


def text(found: dict[str, Any]) -> str:
    """For a terminal."""
    return render(tables(found))


def page(found: dict[str, Any]) -> str:
    """HEADS.md."""
    head = "# What heads cost\n\n`ilbench bench heads --rounds 50 --out results` writes this table.\n\n"
    return head + markdown(tables(found)) + "\n"


def save(found: dict[str, Any], folder: pathlib.Path) -> None:
    """Writes `folder`/speed@1/heads.json and HEADS.md anew; raises OSError."""
    there = folder / FOLDER
    there.mkdir(parents=True, exist_ok=True)
    kept = json.loads(json.dumps(found), parse_float=lambda x: float(f"{float(x):.6g}"))
    write_atomic(there / "heads.json", (json.dumps(kept, indent=1, allow_nan=False) + "\n").encode())
    write_atomic(there / "HEADS.md", page(kept).encode())
