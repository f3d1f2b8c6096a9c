"""Records as tables that SQL is asked of: DuckDB in memory, which is given rows and may open no file, load nothing and change nothing.

records   a record a row: id, suite, status, tier, and its parts as JSON (cell, scores, episodes, cost, provenance ...)
rows      the same flat: task, algorithm, head, labels, seed, horizon, a column for every score, reference and cost
"""

from __future__ import annotations

import decimal
import importlib
import importlib.util
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ilbench.records.schema import Record, canonical
from ilbench.records.verified import TIERS

PARTS = ("cell", "scores", "variants", "episodes", "references", "cost", "provenance")
TEXTS = ("id", "suite", "task", "expert", "algorithm", "head", "status", "reason", "tier")
COUNTS = (
    "labels",
    "horizon",
    "seed",
    "episodes",
    "spent_labels",
    "env_steps",
    "gradient_steps",
    "takeovers",
    "switches",
    "model_steps",
)
CELL = {
    "task": "task",
    "expert": "expert",
    "algorithm": "algorithm",
    "head": "head",
    "labels": "budget",
    "horizon": "horizon",
    "seed": "seed",
}
SAID = {
    "labels": "expert labels that the cell may spend; spent_labels are those it did",
    "episodes": "evaluation episodes",
    "noise": "of the second evaluation, a fraction; scores under it are noisy_*",
    "tier": "self-reported, checked, re-evaluated, reproduced or contradicted (ilbench verify)",
    "score": "0 a random policy, 1 the expert",
    "random": "mean return of a random policy",
    "expert_return": "mean return of the expert",
}
MEMORY = "2GB"  # that a query may take


def flat(record: Record, tier: str = TIERS[0]) -> dict[str, Any]:
    """A row of `rows`; scores keep their own names, which may hold a slash or an @: quote those in SQL."""
    cell, cost = record.cell, record.cost
    out: dict[str, Any] = {"id": record.id, "suite": record.suite} | {
        name: getattr(cell, field) for name, field in CELL.items()
    }
    out |= {"status": record.status, "reason": record.reason, "tier": tier, "episodes": record.episodes.n}
    noise = cell.evaluation.get("noise")
    out |= {"noise": float(noise) if isinstance(noise, (int, float)) else None}
    out |= {f"score.{k}" if k in out else k: v for k, v in record.scores.items()}
    out |= {f"{name}_return" if name != "random" else "random": ref.mean for name, ref in record.references.items()}
    spent = ("env_steps", "gradient_steps", "takeovers", "switches", "model_steps", "run_s", "compile_s", "shared_s")
    return out | {"spent_labels": cost.labels} | {name: getattr(cost, name) for name in spent}


def _whole(record: Record, tier: str) -> dict[str, Any]:
    value = record.model_dump()
    own = {"id": record.id, "suite": record.suite, "status": record.status, "reason": record.reason, "tier": tier}
    return own | {name: canonical(value[name]) for name in PARTS}


class Tables:
    """The two tables, loaded; ValueError that says what to install where DuckDB is not."""

    def __init__(self, records: Iterable[Record], tiers: Mapping[tuple[str, str], str] | None = None) -> None:
        if importlib.util.find_spec("duckdb") is None:
            raise ValueError(
                "ilbench query takes DuckDB, which is not installed: pip install 'ilbench[query]', or pip install duckdb"
            )
        self._duckdb = importlib.import_module("duckdb")
        self._db = self._duckdb.connect(
            ":memory:", config={"autoinstall_known_extensions": False, "autoload_known_extensions": False}
        )
        known, rows, whole = tiers or {}, [], []
        for r in records:
            tier = known.get((r.suite, r.id), TIERS[0])
            rows.append(flat(r, tier))
            whole.append(_whole(r, tier))
        columns = list(
            dict.fromkeys([*flat_columns(), *sorted({k for row in rows for k in row} - set(flat_columns()))])
        )
        self._load("rows", rows, columns, {})
        self._load("records", whole, ["id", "suite", "status", "reason", "tier", *PARTS], dict.fromkeys(PARTS, "JSON"))
        # From here on nothing outside these tables can be reached, nor can that be taken back.
        for setting in (f"memory_limit = '{MEMORY}'", "temp_directory = ''", "python_enable_replacements = false",
                        "enable_external_access = false", "lock_configuration = true"):  # fmt: skip
            self._db.execute(f"SET {setting}")

    def _load(self, name: str, rows: Sequence[Mapping[str, Any]], columns: list[str], kinds: Mapping[str, str]) -> None:
        import pandas as pd

        data = {c: pd.Series([row.get(c) for row in rows], dtype=_pandas(c, c in kinds)) for c in columns}
        frame = pd.DataFrame(data, columns=columns)
        self._db.register("given", frame)
        typed = ", ".join(f"{_quoted(c)}::{kinds.get(c) or _sql(c)} AS {_quoted(c)}" for c in columns)
        self._db.execute(f"CREATE TABLE {name} AS SELECT {typed} FROM given")
        self._db.unregister("given")

    def schema(self) -> list[dict[str, Any]]:
        """A row per column: table, column, type, and what it is where its name does not say."""
        found = self._db.execute(
            "SELECT table_name, column_name, data_type FROM information_schema.columns ORDER BY table_name DESC, ordinal_position"
        ).fetchall()
        return [{"table": t, "column": c, "type": kind, "about": SAID.get(c, "")} for t, c, kind in found]

    def ask(self, sql: str) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Column names and rows of one SELECT; ValueError for anything else, and for what DuckDB refuses."""
        try:
            statements = self._db.extract_statements(sql)
            if len(statements) != 1 or statements[0].type != self._duckdb.StatementType.SELECT:
                what = ", ".join(str(s.type).rpartition(".")[2] for s in statements) or "nothing"
                raise ValueError(
                    f"one SELECT is asked for, this is {what}: records are only read (ilbench query --schema)"
                )
            self._db.execute("BEGIN TRANSACTION READ ONLY")  # a SELECT may hold a DELETE
            try:
                done = self._db.execute(statements[0])
                names = [column[0] for column in done.description]
                return names, [tuple(map(_plain, row)) for row in done.fetchall()]
            finally:
                self._db.execute("ROLLBACK")
        except self._duckdb.Error as error:
            raise ValueError(f"DuckDB: {error}") from error


def flat_columns() -> list[str]:
    """The columns of `rows` that come first, and are there whatever the records hold."""
    return ["id", "suite", *CELL, "status", "reason", "tier", "episodes", "noise", "score", "return", "gap", "cost"]


def _sql(column: str) -> str:
    return "VARCHAR" if column in TEXTS else "BIGINT" if column in COUNTS else "DOUBLE"


def _pandas(column: str, text: bool) -> str:
    return "object" if text or column in TEXTS else "Int64" if column in COUNTS else "float64"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _plain(value: Any) -> Any:
    """A value that JSON has: numbers that are not finite are null, what is no plain value its text."""
    if isinstance(value, (float, decimal.Decimal)):
        value = float(value)
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    return str(value)


def as_dicts(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[dict[str, Any]]:
    """Rows by column; of columns with one name the second is called `name_2`."""
    unique: list[str] = []
    for name in names:
        n = sum(name == other for other in names[: len(unique)])
        unique.append(f"{name}_{n + 1}" if n else name)
    return [dict(zip(unique, row, strict=True)) for row in rows]


def said(value: Any) -> str:
    """A value in a table for people."""
    return (
        ""
        if value is None
        else f"{value:.6g}"
        if isinstance(value, float)
        else json.dumps(value)
        if isinstance(value, (list, dict))
        else str(value)
    )
