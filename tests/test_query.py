"""`ilbench query`: answers are those of plain Python over the same records; nothing can be written, reached or set from a query."""

import collections
import json
import math

import pytest
from test_compare import run

from ilbench.records import store
from ilbench.report import query

duckdb = pytest.importorskip("duckdb")
SUITE = "quick@2"


@pytest.fixture(scope="module")
def records():
    return store.read_all("results", SUITE)[0]


@pytest.fixture(scope="module")
def tables(records):
    return query.Tables(records, {(SUITE, records[0].id): "reproduced"})


def test_means_and_counts_are_those_of_python(records, tables):
    scores = collections.defaultdict(list)
    for r in records:
        if r.scores.get("score") is not None:
            scores[r.cell.task, r.cell.algorithm].append(r.scores["score"])
    _, found = tables.ask("SELECT task, algorithm, avg(score), count(score) FROM rows GROUP BY ALL HAVING count(score) > 0")
    assert {(t, a): n for t, a, _, n in found} == {key: len(x) for key, x in scores.items()}
    for t, a, mean, _ in found:
        assert mean == pytest.approx(math.fsum(scores[t, a]) / len(scores[t, a]), rel=1e-12)
    ((lacks,),) = tables.ask("SELECT count(*) FROM rows WHERE held_out_loss IS NULL")[1]
    assert lacks == sum(r.scores.get("held_out_loss") is None for r in records) > 0
    ((seeds, labels, noise),) = tables.ask("SELECT sum(seed), sum(labels), count(noise) FROM rows")[1]
    wanted = sum(r.cell.seed for r in records), sum(r.cell.budget for r in records), len(records)
    assert (int(seeds), int(labels), noise) == wanted
    tiers = tables.ask("SELECT tier, count(*) FROM rows GROUP BY 1 ORDER BY 2")[1]
    assert tiers == [("reproduced", 1), ("self-reported", len(records) - 1)]
    ((config,),) = tables.ask(f"SELECT cell->'config' FROM records WHERE id = '{records[0].id}'")[1]
    assert json.loads(config) == records[0].cell.config
    assert {c["column"] for c in tables.schema() if c["table"] == "rows"} >= {"task", "labels", "score", "noise", "horizon", "head"}


REFUSED = (
    "SELECT * FROM read_text('/etc/passwd')",
    "SELECT * FROM '/etc/passwd'",
    "SELECT * FROM glob('/*')",
    "COPY rows TO '/tmp/rows.csv'",
    "ATTACH '/tmp/x.db'",
    "SET enable_external_access = true",
    "INSTALL httpfs",
    "PRAGMA database_list",
    "SELECT 1; DROP TABLE rows",
    "DELETE FROM rows",
    "WITH x AS (DELETE FROM rows RETURNING 1) SELECT * FROM x",
    "EXPLAIN ANALYZE DELETE FROM rows",
    "SELECT * FROM records_of_python",
    "selec 1",
    "",
)


@pytest.mark.parametrize("sql", REFUSED)
def test_a_query_reads_the_tables_and_nothing_else(sql, records, tables):
    records_of_python = query.Tables  # a name that DuckDB could take for a table  # noqa: F841
    with pytest.raises(ValueError, match=r"DuckDB|one SELECT"):
        tables.ask(sql)
    assert tables.ask("SELECT count(*) FROM rows")[1] == [(len(records),)]


def test_formats_and_what_is_missing(monkeypatch, capsys):
    line = ("query", "--results", "results", "--suite", SUITE, "SELECT '=1+1' AS a, 0.5 AS b, NULL AS c, 1 AS a")
    assert run(monkeypatch, *line, "--format", "csv") == 0
    assert capsys.readouterr().out == "a,b,c,a_2\n'=1+1,0.5,,1\n"
    assert run(monkeypatch, *line, "--json") == 0
    assert json.loads(capsys.readouterr().out) == [{"a": "=1+1", "b": 0.5, "c": None, "a_2": 1}]
    for bad in (("query",), ("query", "SELECT 1", "--schema")):
        assert run(monkeypatch, *bad) == 2
    monkeypatch.setattr(query.importlib.util, "find_spec", lambda name: None)
    capsys.readouterr()
    assert run(monkeypatch, *line) == 2
    assert "pip install 'ilbench[query]'" in capsys.readouterr().err
