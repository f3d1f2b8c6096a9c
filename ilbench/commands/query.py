"""`ilbench query`: SQL over records."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

from tyro.conf import Positional

from ilbench.commands.output import emit, say


@dataclass(frozen=True)
class Query:
    """SQL over all records, read-only: ilbench query "SELECT task, algorithm, avg(score) FROM rows GROUP BY ALL ORDER BY 1, 3 DESC".

    Two tables: rows, a flat row per record with a column for every score, and records, whose parts are JSON (cell->>'config'). DuckDB
    holds them in memory: no file, network or setting can be reached from a query. It is an extra: pip install 'ilbench[query]'.
    """

    sql: Positional[str] = ""
    """One SELECT."""
    format: Literal["table", "csv", "json", "markdown"] = "table"
    """csv: no cell is a formula; json: a list of rows."""
    schema: bool = False
    """Say the tables' columns and stop."""
    suite: str | None = None
    """Only these suites, e.g. quick or quick@2,brax@1; default: all, every version."""
    results: str | None = None
    """Folder of records; default: runs/, results/ and the shipped records, each suite from where most of it is."""
    json: bool = False
    """The same as --format json."""

    def execute(self) -> int:
        """Reads records, asks; computes nothing on a device."""
        from ilbench.report import query

        if self.schema == bool(self.sql.strip()):
            raise ValueError('give one SELECT, e.g. ilbench query "SELECT count(*) FROM rows", or --schema')
        tables = query.Tables(*_read(self.suite, self.results))
        format = "json" if self.json else self.format
        if self.schema:
            rows = tables.schema()
            names = list(rows[0])
        else:
            names, found = tables.ask(self.sql)
            rows = query.as_dicts(names, found)
            names = list(rows[0]) if rows else names
        if format == "json":
            emit(True, rows, lambda: None)
        else:
            print(_text(format, names, rows), end="")
        return 0


def _read(suites: str | None, results: str | None) -> tuple[list[Any], dict[tuple[str, str], str]]:
    """The records of the suites, what is none being named on stderr, and the tiers of those that others went over."""
    from ilbench.records import places
    from ilbench.report import source

    there = sorted({name for folder in places.folders(results) for name in places.suites(folder)})
    names = there if suites is None else [name.strip() for name in suites.split(",") if name.strip()]
    records: list[Any] = []
    tiers: dict[tuple[str, str], str] = {}
    for name in names:
        found = source.load(name, results, arrays=False)
        records += found.records
        tiers |= {(found.suite, id): tier for id, tier in found.tiers.items()}
    if not records:
        raise ValueError("there are no records to ask; run a suite first, or give their folder with --results")
    say(f"{len(records):,} records of {len(names)} suite{'' if len(names) == 1 else 's'}")
    return records, tiers


def _text(format: str, names: list[str], rows: list[dict[str, Any]]) -> str:
    from ilbench.display import sheets, tables
    from ilbench.report import query

    if format == "csv":
        flat = [{k: json.dumps(v) if isinstance(v, (list, dict)) else v for k, v in row.items()} for row in rows]
        return sheets.csv(flat) if flat else ",".join(map(sheets.inert, names)) + "\n"
    cells = [tuple(query.said(row[name]) for name in names) for row in rows]
    table = tables.Table(f"{len(rows):,} row{'' if len(rows) == 1 else 's'}", tuple(names), cells)
    return (
        tables.markdown([table]) if format == "markdown" else tables.text([table], tables.terminal())
    ).rstrip() + "\n"
