"""Which folder a suite is read from: one rule, and what was not read is said."""

import gzip
import json
import subprocess
import sys

import pytest

from ilbench import registry
from ilbench.records import places, store

IDS = [f"{i:032x}" for i in range(1, 400)]


def _fill(folder, suite, singles=0, packed=0):
    for id in IDS[:singles]:
        path = folder / suite / "records" / id[:2] / f"{id}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
    if packed:
        (folder / suite).mkdir(parents=True, exist_ok=True)
        lines = "".join(json.dumps({"cell": {"id": "x"}, "id": id}) + "\n" for id in IDS[:packed])
        (folder / suite / places.PACK).write_bytes(gzip.compress(lines.encode()))


# what runs/, results/ and the shipped folder hold, {suite: (single files, packed)}; asked for; read: (folder, suite, records)
RULES = {
    "a whole one in runs": (
        {"quick@1": (9, 0)},
        {"quick@1": (9, 0)},
        {"quick@1": (0, 9)},
        "quick",
        ("runs", "quick@1", 9),
    ),
    "a partial one hides nothing": ({"quick@1": (8, 0)}, {}, {"quick@1": (0, 9)}, "quick", ("shipped", "quick@1", 9)),
    "the only one": ({"quick@1": (8, 0)}, {}, {"brax@1": (0, 9)}, "quick@1", ("runs", "quick@1", 8)),
    "the newest version": ({"quick@1": (9, 0)}, {}, {"quick@2": (0, 5)}, "quick", ("shipped", "quick@2", 5)),
    "a version by name": ({"quick@1": (9, 0)}, {}, {"quick@2": (0, 5)}, "quick@1", ("runs", "quick@1", 9)),
    "numbers, not letters": ({"quick@9": (1, 0), "quick@10": (1, 0)}, {}, {}, "quick", ("runs", "quick@10", 1)),
    "a pack and files beside it": ({}, {"quick@1": (12, 9)}, {"quick@1": (0, 9)}, "quick", ("results", "quick@1", 12)),
    "custom is another suite": (
        {"quick+custom@1": (99, 0)},
        {},
        {"quick@1": (0, 9)},
        "quick",
        ("shipped", "quick@1", 9),
    ),
}


@pytest.fixture
def here(monkeypatch, tmp_path):
    monkeypatch.setattr(places, "shipped", lambda: (tmp_path / "site" / "results").resolve())
    (tmp_path / "here").mkdir()
    (tmp_path / "site" / "results").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path


@pytest.mark.parametrize("name", RULES)
def test_which_folder_is_read(name, here):
    runs, results, came, asked, read = RULES[name]
    homes = {"runs": here / "here" / "runs", "results": here / "here" / "results", "shipped": here / "site" / "results"}
    for held, folder in zip((runs, results, came), homes.values(), strict=True):
        for suite, (singles, packed) in held.items():
            _fill(folder, suite, singles, packed)
    place = places.find(asked)
    where = "shipped" if places.is_shipped(place.folder) else str(place.folder)
    assert (where, place.suite, place.count) == read
    held = {
        (f, s)
        for f, h in (("runs", runs), ("results", results), ("shipped", came))
        for s in h
        if s.startswith("quick@")
    }
    others = {("shipped" if places.is_shipped(o.folder) else str(o.folder), o.suite) for o in place.others}
    assert others == held - {read[:2]}
    assert all(other.name() in place.line() for other in place.others)
    assert str(here) not in place.line()  # no absolute path
    for home in homes:  # a folder given is the only one
        if (home, place.suite) in held and home != "shipped":
            alone = places.find(place.suite, home)
            assert (str(alone.folder), {str(o.folder) for o in alone.others} - {home}) == (home, set())


def test_the_shipped_ones_can_be_asked_for_by_name(here):
    _fill(here / "here" / "runs", "quick@1", 9)
    _fill(here / "site" / "results", "quick@1", 0, 5)
    assert places.find("quick").count == 9
    assert places.find("quick", places.SHIPPED).count == 5


def test_what_is_no_record_does_not_count(here):
    _fill(here / "here" / "runs", "quick@1", 3)
    folder = here / "here" / "runs" / "quick@1" / "records"
    for name in ("00/" + IDS[0] + ".json~", "00/." + IDS[9] + ".json", "ff/" + IDS[8] + ".json", "00/x.json"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("{}")
    (here / "here" / "runs" / "quick@x" / "records").mkdir(parents=True)
    assert places.find("quick").count == 3
    assert places.suites(here / "here" / "runs") == ["quick@1"]
    (here / "here" / "runs" / "quick@1" / places.PACK).write_bytes(b"no pack")
    assert places.find("quick").count == 3


def test_absent_suites_say_what_to_do(here):
    _fill(here / "here" / "runs", "quick@1", 1)
    with pytest.raises(store.StoreError, match=r"runs/ or results/ or the shipped records.*`ilbench run smoke` first"):
        places.find("smoke")
    with pytest.raises(registry.UnknownName, match=r"'quick@7'.*there are: quick@1"):
        places.find("quick@7")
    with pytest.raises(registry.UnknownName, match="quick"):
        places.find("quik")
    with pytest.raises(ValueError, match="not a folder"):
        places.find("quick", "nowhere")


def test_places_import_neither_jax_nor_pandas():
    code = "import sys, ilbench.records.places as p; p.folders(); print({'jax', 'pandas', 'numpy'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"
