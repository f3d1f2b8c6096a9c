"""The index of what was found sound: the same records without judging them, for these very bytes and this very code alone."""

import pathlib

import numpy as np
import pytest
from test_records import SUITE, record

from ilbench.records import files, index, pack, packing, reading, store
from ilbench.report import source, submission

N = 5
CURVE = {"cost_t": np.arange(5, dtype=np.float32)}


@pytest.fixture
def results(tmp_path, monkeypatch):
    """A packed suite of N records with arrays, one single file beside it, and a folder of caches of its own."""
    monkeypatch.setenv("ILBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    for seed in range(N):
        store.write(tmp_path / "results", record(seed), CURVE)
    packing.do(tmp_path / "results", SUITE)
    store.write(tmp_path / "results", record(N), CURVE)
    return tmp_path / "results"


@pytest.fixture
def judged(monkeypatch):
    """The bytes that were judged: parsed, sealed and computed again."""
    seen = []
    decode = reading.decode
    monkeypatch.setattr(reading, "decode", lambda data: seen.append(data) or decode(data))
    return seen


def load(results, arrays=False):
    return source.load(SUITE, results, arrays=arrays)


def entries(tmp_path):
    return sorted((tmp_path / "cache" / "records").glob("*.idx"))


def test_what_was_sound_is_read_again_without_being_judged(results, judged, tmp_path, monkeypatch):
    first = load(results)
    assert len(judged) == N + 1
    read = []
    sidecar = store.read_sidecar
    monkeypatch.setattr(store, "read_sidecar", lambda *args: read.append(args) or sidecar(*args))
    again = load(results)
    assert len(judged) == N + 1
    assert (again.records, again.problems) == (first.records, 0)
    assert len(again.records) == N + 1
    assert len(read) == 1  # of the single file; what lies in the pack is known by the pack's own digest
    assert len(load(results, arrays=True).arrays) == N + 1
    assert len(entries(tmp_path)) == 1


def test_an_entry_is_of_the_exact_bytes(results, judged):
    """A better score under the old seal, in a line of the pack, and in the single file."""
    load(results)
    done = len(judged)
    folder = results / SUITE
    lines = dict(pack.opened(folder).lines)
    first = next(iter(lines))
    lines[first] = lines[first].replace(b'"env_steps":', b'"env_steps":1')
    with files.replacing(folder / pack.RECORDS) as stream:
        pack.write_lines(stream, lines.values())
    single = store.record_path(results, SUITE, record(N).id)
    single.write_bytes(single.read_bytes().replace(b'"env_steps":', b'"env_steps":1'))
    found = load(results)
    assert len(judged) == done + 2
    assert found.problems == 2
    assert all("its own hash" in p.reason for p in found.aside)
    assert first not in {r.id for r in found.records}


def test_arrays_that_changed_are_read_again(results):
    load(results)
    file = results / SUITE / pack.ARRAYS
    data = bytearray(file.read_bytes())
    data[60:70] = bytes(10)
    file.write_bytes(bytes(data))
    assert load(results).problems >= 1
    file.unlink()
    assert load(results).problems == N


@pytest.mark.parametrize("how", ["damage", "cut", "code", "none"])
def test_an_index_that_is_not_ours_is_none(how, results, judged, tmp_path, monkeypatch):
    """Damaged, cut short, of other code, no folder to keep it in: everything is judged, and the answer is the same."""
    first = load(results)
    (file,) = entries(tmp_path)
    data = file.read_bytes()
    if how == "damage":
        file.write_bytes(data[:60] + bytes([data[60] ^ 1]) + data[61:])
    if how == "cut":
        file.write_bytes(data[:-32])
    if how == "code":
        monkeypatch.setattr(index, "_code", lambda judges: b"x" * 32)
    if how == "none":
        monkeypatch.setattr("ilbench.compute.caches.readings", lambda: None)
    assert load(results).records == first.records
    assert len(judged) == 2 * (N + 1)
    if how == "code":
        assert [f.name for f in entries(tmp_path)] != [file.name]
        assert len(entries(tmp_path)) == 1


def test_a_record_in_anothers_place_is_named_though_its_bytes_are_known(results):
    load(results)
    single = store.record_path(results, SUITE, record(N).id)
    copy = store.record_path(results, SUITE, record(N + 1).id)
    copy.parent.mkdir(parents=True, exist_ok=True)
    copy.write_bytes(single.read_bytes())
    assert [p.path for p in load(results).aside] == [str(copy)]


def test_who_judges_for_others_reads_without_it(results, judged, monkeypatch):
    load(results)
    done = len(judged)
    submission.check(results)
    assert len(judged) == done + N + 1
    assert pathlib.Path(index.__file__).name in index.JUDGES


def test_lines_are_found_by_their_ids_without_parsing(results, monkeypatch):
    """One whose setting is called id and looks like one is parsed; what is none is said as ever."""
    folder = results / SUITE
    (line, *_) = pack.opened(folder).lines.values()
    odd = line.replace(b'"config":{', b'"config":{"id":"' + b"f" * 32 + b'",')
    parsed = []
    loads = pack.json.loads
    monkeypatch.setattr(pack.json, "loads", lambda data: parsed.append(data) or loads(data))
    found: dict[str, bytes] = {}
    problems: list[str] = []
    for number, one in enumerate((line, odd, b"{}", line), 1):
        pack._take(one, number, found, problems)
    assert list(found.values()) == [line]
    assert problems == ["line 2: a second record " + next(iter(found)) + "; the first counts", "line 3: no record", problems[2]]
    assert parsed == [odd, b"{}"]
