"""What `ilbench bench devices` measured on accelerators, kept beside the speed table: speed@1/gpu.json and GPU.md.

Runs are kept one after another, each with its devices, packages and XLA flags, and a row is compared within its own run's machine only.
"""

from __future__ import annotations

import json
import pathlib
from collections.abc import Iterable
from typing import Any

from ilbench.display.tables import Table, markdown, text
from ilbench.records.files import write_atomic
from ilbench.report.speed import FOLDER

COLUMNS = (
    "robot",
    "episodes x steps",
    "env steps/s",
    "physics steps/s",
    "compiling + running",
    "repeats",
    "return",
    "manifest",
)
NOTES = (
    "Rollouts of the expert beside a 2x64 MLP whose proposals are graded; the faster of two calls after one that compiles.",
    "repeats: whether those two were the same bits. return: of whole episodes; manifest: the expert's, measured on a CPU,",
    "and the z of the difference; DIFFERS where it is beyond 1 % over all robots.",
)


def cells(row: dict[str, Any]) -> tuple[str, ...]:
    """A measured row as texts, one for each of COLUMNS."""
    judged = row["returns"]
    returns, manifest = "-", "-"
    if judged is not None:
        z = "" if judged["z"] is None else f" (z {judged['z']:+.1f})"
        returns = f"{judged['mean']:,.1f}"
        manifest = f"{judged['reference']:,.1f}{z}{'' if judged['agrees'] else ' DIFFERS'}"
    return (
        row["robot"],
        f"{row['lanes']:,} x {row['steps']:,}",
        f"{row['env steps per second']:,.0f}",
        f"{row['physics steps per second']:,.0f}",
        f"{row['compile, seconds']:.1f} s + {row['seconds']:.2f} s",
        "yes" if row["repeats"] else "NO",
        returns,
        manifest,
    )


def table(found: dict[str, Any]) -> Table:
    """The rows of one run."""
    flags = f", {found['flags']}" if found.get("flags") else ""
    packages = ", ".join(f"{name} {version}" for name, version in found["packages"].items())
    return Table(
        f"Rollouts of the experts ({found['devices']}{flags}; {packages})",
        COLUMNS,
        [cells(row) for row in found["rows"]],
        NOTES,
    )


def summary(found: dict[str, Any]) -> str:
    """For a terminal: the rows, then what does not repeat, does not agree, failed, or had no time."""
    rows = [cells(row) for row in found["rows"]]
    title = f"Rollouts of the experts ({found['devices']}, {found['seconds']:.0f} s)"
    judgements = [r["returns"] for r in found["rows"] if r["returns"] is not None]
    lines = [
        f"{sum(r['repeats'] for r in found['rows'])} of {len(rows)} rollouts repeat bit for bit.",
        f"{sum(j['agrees'] for j in judgements)} of {len(judgements)} experts' returns agree with their manifests.",
        *(f"failed: {robot}, {lanes} episodes: {reason}" for robot, lanes, reason in found["failed"]),
        *(f"no time: {robot}, {lanes} episodes" for robot, lanes in found["left_out"]),
    ]
    return "\n".join([text([Table(title, COLUMNS, rows)]), *lines])


def page(runs: Iterable[dict[str, Any]]) -> str:
    """GPU.md."""
    head = "# Accelerators\n\n`ilbench bench devices --out results` adds a run of every robot on the devices that JAX finds.\n\n"
    return head + markdown([table(found) for found in runs if found["rows"]]) + "\n"


def keep(found: dict[str, Any], folder: pathlib.Path) -> pathlib.Path:
    """Adds a run to `folder`/speed@1/gpu.json and writes GPU.md anew; its path. Raises OSError, ValueError for what is no such file."""
    there = folder / FOLDER / "gpu.json"
    runs = json.loads(there.read_text(encoding="utf-8")) if there.is_file() else []
    runs = [*runs, json.loads(json.dumps(found), parse_float=lambda x: float(f"{float(x):.6g}"))]
    there.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(there, (json.dumps(runs, indent=1, allow_nan=False) + "\n").encode())
    write_atomic(there.parent / "GPU.md", page(runs).encode())
    return there.parent / "GPU.md"
