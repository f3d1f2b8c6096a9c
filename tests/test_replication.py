"""Published claims: what a verdict means, that the table reads the records that it says, and that every claim says where it is from."""

import gzip
import json
import pathlib

import numpy as np
import pytest

import ilbench
from ilbench.report import source
from ilbench.report.replication import table
from ilbench.report.replication.verdicts import (
    CONTRADICTED,
    NOT,
    REPLICATED,
    UNTESTABLE,
    Line,
    Suites,
    inside,
    overall,
    side,
)

RESULTS = pathlib.Path(ilbench.__file__).resolve().parent.parent / "results"


@pytest.fixture(scope="module")
def shipped():
    return Suites(lambda suite: source.load(suite, RESULTS).records)


def test_a_verdict_needs_the_whole_interval():
    assert [side(*limits) for limits in ((0.1, 0.2), (-0.1, 0.2), (-0.2, -0.1), (0.0, 0.1))] == [REPLICATED, NOT, CONTRADICTED, NOT]
    assert side(0.96, 1.0, 0.95) == REPLICATED
    assert side(0.9, 1.0, 0.95) == NOT
    assert [inside(*limits, -1, 1) for limits in ((-0.5, 0.5), (0.5, 1.5), (1.1, 2), (-3, -2))] == [
        REPLICATED,
        NOT,
        CONTRADICTED,
        CONTRADICTED,
    ]


def test_settings_that_disagree_are_counted_and_those_without_records_are_not():
    lines = [Line("", "", v) for v in (REPLICATED, UNTESTABLE, CONTRADICTED, REPLICATED)]
    assert overall(lines) == "2 replicated, 1 contradicted"
    assert overall(lines[:2]) == REPLICATED
    assert overall(lines[1:2]) == UNTESTABLE


def test_what_dagger_loses_on_the_cliff_is_what_its_records_say(shipped):
    with gzip.open(RESULTS / "compounding@1" / "records.jsonl.gz", "rt") as file:
        records = [json.loads(line) for line in file]

    def lost(task, algorithm):
        mine = [r for r in records if (r["cell"]["task"], r["cell"]["algorithm"]) == (task, algorithm)]
        return np.mean([r["scores"]["gap"] for r in mine])

    (row,) = table.build(shipped, "18")
    for line, task in zip(row.lines, ("reset_cliff@1", "reset_cliff_recoverable@1"), strict=True):
        assert f"dagger {lost(task, 'dagger'):.1f} and bc {lost(task, 'bc'):.1f}" in line.ours
        assert line.verdict == REPLICATED


def test_every_claim_says_where_it_is_from_and_what_differs(shipped):
    rows = table.build(shipped)
    assert len(rows) == len(table.names()) >= 6
    assert all(r.claim and "http" in r.source and r.lines for r in rows)
    assert all(r.differs for r in rows if r.suites)
    assert not any(line.verdict == UNTESTABLE for r in rows for line in r.lines if r.suites), "records of a claim are missing"


def test_the_page_is_what_the_command_writes(shipped):
    assert (RESULTS / table.PAGE).read_text() == table.page(table.build(shipped))


def test_a_claim_that_is_none_is_told_with_those_there_are():
    assert table.chosen("2") == table.chosen("02") == table.chosen("ccil") == ["r02_ccil"]
    with pytest.raises(ValueError, match=r"no claim 'cil'.*ccil"):
        table.chosen("cil")


def test_a_suite_without_records_is_named_and_not_believed():
    def nothing(suite):
        raise source.store.StoreError("none")

    empty = Suites(nothing)
    assert {line.verdict for r in table.build(empty) for line in r.lines} == {UNTESTABLE}
    assert set(empty.missing) == set(table.suites())
