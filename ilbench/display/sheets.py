"""Rows of plain values as a file that spreadsheets and data frames read: CSV, in which no cell is a formula, and Parquet."""

from __future__ import annotations

import csv as csv_module
import importlib.util
import io
import json
import pathlib
import tempfile
from collections.abc import Sequence
from typing import Any

from ilbench.display.tables import shown

FORMULA = ("=", "+", "-", "@")  # what a spreadsheet takes for the start of a formula
READERS = ("pyarrow", "duckdb")  # that write Parquet


def columns(rows: Sequence[dict[str, Any]]) -> list[str]:
    """The keys of all rows, in the order in which they come."""
    return list(dict.fromkeys(key for row in rows for key in row))


def inert(text: str) -> str:
    """Text that a spreadsheet shows and does not compute: what begins like a formula, after spaces too, gets a ' in front."""
    said = shown(text)
    return f"'{said}" if said.lstrip().startswith(FORMULA) else said


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return repr(value) if isinstance(value, (int, float)) else inert(str(value))


def csv(rows: Sequence[dict[str, Any]]) -> str:
    """Comma-separated, a heading and a line per row; numbers with all their digits, nothing for what there is not."""
    out, names = io.StringIO(), columns(rows)
    writer = csv_module.writer(out, lineterminator="\n")
    writer.writerow([inert(name) for name in names])
    writer.writerows([[_cell(row.get(name)) for name in names] for row in rows])
    return out.getvalue()


def parquet(rows: Sequence[dict[str, Any]]) -> bytes:
    """Parquet, written by pyarrow or DuckDB, whichever is installed; ValueError that says what to install where neither is."""
    there = [name for name in READERS if importlib.util.find_spec(name) is not None]
    if not there:
        raise ValueError(
            "Parquet takes pyarrow or duckdb, and neither is installed: pip install pyarrow, or give --format csv (pandas and "
            "DuckDB read it, and results/*/records.jsonl.gz too)"
        )
    names = columns(rows)
    whole = [{name: row.get(name) for name in names} for row in rows]
    if there[0] == "pyarrow":
        return _by_pyarrow(whole)
    return _by_duckdb(whole)


def _by_pyarrow(rows: list[dict[str, Any]]) -> bytes:
    table, writer = (importlib.import_module(name) for name in ("pyarrow", "pyarrow.parquet"))
    stream = io.BytesIO()
    writer.write_table(table.Table.from_pylist(rows), stream)
    return stream.getvalue()


def _by_duckdb(rows: list[dict[str, Any]]) -> bytes:
    duckdb = importlib.import_module("duckdb")
    with tempfile.TemporaryDirectory() as folder:
        temporary, made = pathlib.Path(folder, "rows.json"), pathlib.Path(folder, "rows.parquet")
        temporary.write_text(json.dumps(rows, allow_nan=False), encoding="utf-8")
        duckdb.sql(f"copy (select * from read_json('{temporary}')) to '{made}' (format parquet)")
        return made.read_bytes()
