"""What is committed under results/: sound records, of declared cells, with pages that match them."""

import pathlib

import pytest

from ilbench import registry
from ilbench.records import store
from ilbench.records.schema import cell_id
from ilbench.report import checks, pages, source, speed
from ilbench.running import runner
from ilbench.running.plan import cells

RESULTS = pathlib.Path(__file__).parent.parent / "results"
SUITES = store.suites(RESULTS)


@pytest.mark.parametrize("suite", SUITES)
def test_records_are_sound_and_small(suite):
    records, problems = store.read_all(RESULTS, suite)
    assert not problems
    assert records
    sidecars = [store.read_sidecar(RESULTS, r) for r in records if r.sidecar]
    assert sidecars
    assert sum(f.stat().st_size for f in (RESULTS / suite).rglob("*") if f.is_file()) < 30e6


@pytest.mark.parametrize("suite", [s for s in SUITES if "+" not in s])
def test_pages_are_not_stale(suite):
    found = source.load(suite, RESULTS)
    for name, content in pages.render(found).items():
        if name.endswith(".svg"):  # glyph metrics differ between font libraries; the tables carry the numbers
            assert (found.folder / name).is_file()
            continue
        assert (found.folder / name).read_text(encoding="utf-8") == content, f"{name} is stale: run `make boards`"


def test_page_of_the_checks_is_not_stale():
    folder = RESULTS / checks.FOLDER
    stored = checks.load(RESULTS)
    assert {r.id for r in stored} == set(registry.entries("checks")), "stale: run `ilbench theory --out results`"
    pictures = [p.name for p in folder.glob("*.svg")]
    assert (folder / "CHECKS.md").read_text(encoding="utf-8") == checks.page(stored, pictures), "run `make boards`"
    assert not [r.id for r in stored if r.failed]
    assert len(pictures) == len(stored)


def test_page_of_the_speeds_is_not_stale():
    folder = RESULTS / speed.FOLDER
    assert (folder / "SPEED.md").read_text(encoding="utf-8") == speed.page(speed.load(RESULTS)), "run `make boards`"


@pytest.mark.parametrize("suite", ["quick"])
def test_records_are_those_of_the_declared_suite(suite):
    """A changed suite, task version, expert or default makes the shipped records stale."""
    prepared = runner.prepare(suite)
    declared = {cell_id(c) for p in prepared.plans for c in cells(p).values()}
    shipped = {r.id for r in store.read_all(RESULTS, prepared.suite)[0]}
    assert declared == shipped, f"stale: rerun `ilbench run {suite} --out results` and `make boards`"
