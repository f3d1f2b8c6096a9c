"""Records as a table: one flat row each, in a pandas DataFrame."""

from __future__ import annotations

import os
import pathlib
import sys
from typing import TYPE_CHECKING, Any

from ilbench.records import store
from ilbench.records.schema import Record

if TYPE_CHECKING:
    import pandas as pd


def row(record: Record) -> dict[str, Any]:
    """One flat row: id, suite, status, the Cell's fields, config.*, evaluation.*, score.*, episodes.*, cost.*, ..."""
    out: dict[str, Any] = {"id": record.id, "suite": record.suite}
    cell = record.cell
    out |= {k: getattr(cell, k) for k in ("task", "expert", "algorithm", "head", "horizon", "budget", "seed")}
    out |= {"status": record.status, "reason": record.reason}
    out |= {f"score.{k}": v for k, v in record.scores.items()}
    out |= {f"episodes.{k}": v for k, v in record.episodes.model_dump(exclude={"returns", "costs"}).items()}
    out |= {f"cost.{k}": getattr(record.cost, k) for k in type(record.cost).model_fields}  # neutral ones too
    out |= {f"reference.{name}": ref.mean for name, ref in record.references.items()}
    out |= {f"variant.{name}.{k}": v for name, scores in record.variants.items() for k, v in scores.items()}
    for part in ("config", "evaluation", "versions", "plugins"):
        out |= {f"{part}.{k}": v for k, v in getattr(cell, part).items()}
    return out


def load_records(path: str | pathlib.Path | None = None, suite: str | None = None) -> pd.DataFrame:
    """One row per record under `path` (of one `name@version` suite, or of all), sorted; files that are no valid
    record are named on stderr and left out. Without a path: runs/ if it is there, else results/. Raises StoreError
    when there is no such folder or suite."""
    import pandas as pd

    where = path if path is not None else "runs" if os.path.isdir("runs") else "results"
    records, problems = store.read_all(where, suite)
    for problem in problems:
        print(f"ilbench: left out {problem.path}: {problem.reason}", file=sys.stderr)
    frame = pd.DataFrame([row(r) for r in records])
    return frame if len(frame) else pd.DataFrame(columns=["id", "suite", "task", "algorithm", "head", "seed", "status"])
