"""Packs: two files that hold what the single files held, byte for byte, whatever happens on the way and to them."""

from __future__ import annotations

import contextlib
import errno
import gzip
import hashlib
import io
import json
import os
import pathlib
import shutil
import subprocess
import sys
import threading
import zipfile

import numpy as np
import pandas as pd
import pytest
from test_records import SUITE, record

from ilbench.records import files, pack, packing, store, table
from ilbench.records.schema import canonical
from ilbench.report import source
from ilbench.running import policies

N = 6


def arrays(seed):
    return {"cost_t": np.arange(seed, seed + 5, dtype=np.float32), "n": np.array(seed)}


def tree(folder):
    """Every file below, by its relative path: its bytes."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def contents(folder):
    """What a reader gets: sealed records and their arrays' bytes."""
    found, problems = store.read_all(folder, SUITE, sidecars=True)
    assert problems == []
    return {r.id: (canonical(r.model_dump()), store.sidecar_bytes(folder, r) if r.sidecar else None) for r in found}


@pytest.fixture
def results(tmp_path):
    """A suite of N records, every fourth without arrays."""
    for seed in range(N):
        store.write(tmp_path / "results", record(seed), arrays(seed) if seed % 4 else None)
    return tmp_path / "results"


def single(folder):
    return [p for p in (folder / SUITE).rglob("*.json") if "attempts" not in str(p)]


# ------------------------------------------------------------------------------------- there and back
def test_packing_and_undoing_keep_every_byte(results):
    before, held = tree(results), contents(results)
    done = packing.do(results, SUITE)
    assert (done.records, done.moved, done.left) == (N, N, [])
    assert sorted(p.name for p in (results / SUITE).iterdir()) == ["arrays.zip", "records.jsonl.gz"]
    assert contents(results) == held
    packed = tree(results)
    assert packing.do(results, SUITE).moved == 0  # nothing new
    assert tree(results) == packed
    undone = packing.undo(results, SUITE)
    assert (undone.records, undone.moved) == (N, N)
    assert tree(results) == before
    packing.do(results, SUITE)
    assert tree(results) == packed  # the same records, the same bytes


def test_every_reader_takes_packs_and_files_alike(results, capsys):
    frames, founds = [], []
    for step in (lambda: None, lambda: packing.do(results, SUITE), lambda: store.write(results, record(0))):
        step()
        frames.append(table.load_records(results))
        founds.append(source.load("quick", results))
        some = founds[0].records[3]
        assert store.read(results, SUITE, some.id) == some
        assert store.exists(results, some.id)
        assert store.sound(results, SUITE, some.id)
        assert not store.sound(results, SUITE, some.id, policy=True)
        assert not store.sound(results, SUITE, "f" * 32)
        assert policies.by_id(some.id[:12], str(results)) == (some, results)
        assert source.suites(results) == store.suites(results) == [SUITE]
    for frame, found in zip(frames[1:], founds[1:], strict=True):
        pd.testing.assert_frame_equal(frame, frames[0])
        assert found.records == founds[0].records
        assert {id: {k: v.tobytes() for k, v in a.items()} for id, a in found.arrays.items()} == {
            id: {k: v.tobytes() for k, v in a.items()} for id, a in founds[0].arrays.items()
        }
    assert capsys.readouterr().err == ""


def test_other_programs_read_the_records(results):
    """pandas and anything else that reads JSON lines (DuckDB's read_json does): one row a record, ids and seals as sealed."""
    held = contents(results)
    packing.do(results, SUITE)
    file = results / SUITE / pack.RECORDS
    frame = pd.read_json(file, lines=True)
    assert sorted(frame["id"]) == list(frame["id"]) == sorted(held)
    assert {s["score"] for s in frame["scores"]} == {0.5}
    assert set(frame["schema"]) == {"ilbench.record/1"}
    for line in gzip.decompress(file.read_bytes()).splitlines():
        raw = json.loads(line)
        assert canonical(raw).encode() == line
        sealed = raw.pop("self_hash")
        assert hashlib.sha256(canonical(raw).encode()).hexdigest() == sealed
        assert hashlib.sha256(canonical(raw["cell"]).encode()).hexdigest()[:32] == raw["id"]
    with zipfile.ZipFile(results / SUITE / pack.ARRAYS) as archive:
        assert archive.testzip() is None
        wanted = {(id, hashlib.sha256(data).hexdigest()[:12]): data for id, (_, data) in held.items() if data}
        assert {tuple(n.split(".")[:2]): archive.read(n) for n in archive.namelist()} == wanted


def test_a_run_goes_on_beside_a_pack(results):
    packing.do(results, SUITE)
    assert store.write(results, record(1), arrays(1)).outcome == "same"  # the pack is a first writer
    assert store.write(results, record(1), arrays(2)).outcome == "conflict"
    assert single(results) == []
    fresh = store.write(results, record(N), arrays(N))
    replaced = store.write(results, record(2, score=0.75), arrays(3), replace=True)
    assert (fresh.outcome, replaced.outcome) == ("written", "replaced")
    assert [store.decode(p.read_bytes()).scores["score"] for p in store.attempts(results)].count(0.5) == 2
    held = contents(results)
    assert len(held) == N + 1
    assert store.read(results, SUITE, replaced.record.id) == replaced.record  # the file wins over the pack
    done = packing.do(results, SUITE)
    assert (done.records, done.moved) == (N + 1, 2)
    assert single(results) == []
    assert contents(results) == held


def test_keep_keeps_the_files(results):
    before = tree(results)
    packing.do(results, SUITE, keep=True)
    assert before.items() <= tree(results).items()
    assert len(tree(results)) == len(before) + 2
    packing.do(results, SUITE)
    assert len(tree(results)) == 2


def test_what_is_not_sound_stays_and_is_named(results):
    files_ = sorted(single(results))
    damaged, spelled = files_[0], files_[1]
    damaged.write_bytes(b"{")
    spelled.write_bytes(spelled.read_bytes().replace(b'"status": ', b'"status":  '))
    lost = next(r for r in store.read_all(results)[0] if r.sidecar and r.id not in (damaged.stem, spelled.stem))
    sidecar = store.record_path(results, SUITE, lost.id).with_name(store.sidecar_name(lost))
    sidecar.write_bytes(b"")
    stray = damaged.with_name("notes.txt")
    stray.write_text("mine")
    before = tree(results)
    done = packing.do(results, SUITE)
    assert done.records == N - 3
    assert {p.path for p in done.left} == {str(p) for p in (damaged, spelled, sidecar, stray)}
    after = tree(results)
    kept = {damaged, spelled, sidecar, stray, store.record_path(results, SUITE, lost.id)}
    assert {str(p.relative_to(results)) for p in kept} <= set(after)
    assert all(after[name] == before[name] for name in after if name in before)
    packing.undo(results, SUITE)
    assert tree(results) == before


# ------------------------------------------------------------------------------- nothing is ever lost
def _fail_at(monkeypatch, number, error):
    """The `number`-th of the disk's operations of packing raises `error`; returns how many there were so far."""
    count = [0]
    for module, name in ((os, "replace"), (os, "fsync"), (pathlib.Path, "unlink"), (pathlib.Path, "rmdir"), (pack, "inflate"),
                         (pack, "write_lines"), (zipfile.ZipFile, "writestr"), (os, "chmod")):  # fmt: skip
        real = getattr(module, name)

        def failing(*args, real=real, **options):
            count[0] += 1
            if count[0] == number:
                raise error
            return real(*args, **options)

        monkeypatch.setattr(module, name, failing)
    return count


@pytest.mark.parametrize("what", [packing.do, packing.undo])
@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left on device")], ids=["ctrl-c", "full"]
)
def test_interrupted_anywhere_nothing_is_lost(results, what, error):
    held, whole = contents(results), None
    if what is packing.undo:
        packing.do(results, SUITE)
    start = tree(results)
    for number in range(1, 300):
        shutil.rmtree(results)
        for name, data in start.items():
            (results / name).parent.mkdir(parents=True, exist_ok=True)
            (results / name).write_bytes(data)
        with pytest.MonkeyPatch.context() as patch:
            count = _fail_at(patch, number, error)
            with contextlib.suppress(KeyboardInterrupt, store.StoreError):
                what(results, SUITE)
            if count[0] < number:
                whole = number
                break
        assert contents(results) == held, number
        assert not [name for name in tree(results) if name.endswith(files.SUFFIX)], number
        what(results, SUITE)  # the same command finishes
        assert contents(results) == held, number
    assert whole is not None
    assert whole > 20


def test_a_pack_that_reads_back_otherwise_is_not_kept(results, monkeypatch):
    before = tree(results)
    for name, broken in (("inflate", lambda *a: b"other"), ("read_lines", lambda stream: ({}, []))):
        with monkeypatch.context() as patch:
            patch.setattr(pack, name, broken)
            with pytest.raises(store.StoreError, match="otherwise"):
                packing.do(results, SUITE)
        assert tree(results) == before


def test_killed_while_packing(results):
    held = contents(results)
    code = f"""
import os, sys
from ilbench.records import pack, packing
real = pack.write_members
def slow(stream, members):
    real(stream, members)
    stream.flush()
    os.kill(os.getpid(), 9)
pack.write_members = slow
packing.do({str(results)!r}, {SUITE!r})
"""
    assert subprocess.run([sys.executable, "-c", code]).returncode == -9
    assert contents(results) == held
    assert len(list((results / SUITE).glob(".ilbench-*.tmp"))) == 2
    packing.do(results, SUITE)
    for file in (results / SUITE).glob(".ilbench-*.tmp"):
        os.utime(file, (0, 0))
    store.preflight(results)
    assert set(tree(results)) == {f"{SUITE}/{name}" for name in (pack.RECORDS, pack.ARRAYS)}
    assert contents(results) == held


@pytest.mark.parametrize(
    ("act", "shared"), [(lambda f: store.write(f, record(1)), False), (lambda f: packing.do(f, SUITE), True)]
)
def test_packing_has_the_folder_to_itself(results, act, shared):
    waiting = threading.Thread(target=act, args=(results,))
    with files.locked(results / SUITE, shared=shared):
        waiting.start()
        waiting.join(0.3)
        assert waiting.is_alive()
    waiting.join(30)
    assert not waiting.is_alive()


def test_writers_wait_for_packing(results):
    """A record that replaces another while its file is packed is not removed with it."""
    code = f"""
import sys
sys.path.insert(0, {str(pathlib.Path(__file__).parent)!r})
from test_records import record
from ilbench.records import store
print("ready", flush=True)
for score in range(40):
    store.write({str(results)!r}, record(1, score=float(score)), replace=True)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout.readline() == "ready\n"
        while writer.poll() is None:
            packing.do(results, SUITE)
    assert writer.returncode == 0
    assert store.read(results, SUITE, record(1).id).scores["score"] == 39.0
    assert len(contents(results)) == N


# ------------------------------------------------------------------------------------- damaged packs
def _never_another(results, held):
    """Whatever is read is what was packed; returns how many records were, with whole arrays."""
    found, problems = store.read_all(results, SUITE, sidecars=True)
    whole = 0
    for r in found:
        assert canonical(r.model_dump()) == held[r.id][0]
        try:
            data = store.sidecar_bytes(results, r) if r.sidecar else None
        except store.StoreError:
            continue
        assert data == held[r.id][1]
        assert store.sound(results, SUITE, r.id)
        whole += 1
    assert problems or whole == len(held)
    return whole


@pytest.mark.parametrize("name", [pack.RECORDS, pack.ARRAYS])
@pytest.mark.parametrize("how", ["flip", "cut", "insert", "zeros"])
def test_damage_never_crashes_and_never_gives_another_record(results, name, how):
    held = contents(results)
    packing.do(results, SUITE)
    file = results / SUITE / name
    data, g, damaged = file.read_bytes(), np.random.default_rng(0), 0
    for k, (place, value) in enumerate(zip(g.integers(0, len(data), 300), g.integers(1, 256, 300), strict=True)):
        bad = bytearray(data)
        if how == "flip":
            bad[place] ^= value
        elif how == "cut":
            del bad[place:]
        elif how == "insert":
            bad[place:place] = g.bytes(value)
        else:
            bad[place : place + value] = bytes(min(value, len(data) - place))
        file.write_bytes(bad)
        os.utime(file, ns=(k, k))
        damaged += _never_another(results, held) < N
    assert damaged > 100
    file.write_bytes(data)
    assert contents(results) == held


def _zip(members):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return stream.getvalue()


NAME = "a" * 32 + "." + "b" * 12 + ".safetensors"
BAD_ZIPS = {
    "traversal": (_zip([("../" + NAME, b"x")]), "not the name"),
    "absolute": (_zip([("/" + NAME, b"x")]), "not the name"),
    "folder": (_zip([(NAME + "/", b"")]), "not the name"),
    "upper case": (_zip([(NAME.replace("a", "A"), b"x")]), "not the name"),
    "bomb": (_zip([(NAME, bytes((64 << 20) + 1))]), "allowed are"),
    "not a zip": (b"PK" + bytes(100), "damaged"),
    "empty": (b"", "damaged"),
}


@pytest.mark.parametrize("how", list(BAD_ZIPS))
def test_zips_of_others_are_named_and_ignored(results, how, recwarn):
    held = contents(results)
    packing.do(results, SUITE, keep=True)
    data, says = BAD_ZIPS[how]
    (results / SUITE / pack.ARRAYS).write_bytes(data)
    problems = store.read_all(results, SUITE)[1]
    assert len(problems) == 1
    assert says in problems[0].reason
    assert {id for id in held if store.sound(results, SUITE, id)} == set(held)  # the single files are there
    with pytest.raises(store.StoreError, match="damaged pack"):
        packing.do(results, SUITE)


def test_a_member_that_lies_about_its_size_is_not_inflated(results):
    bomb = bytearray(_zip([(NAME, bytes(32 << 20))]))
    for place in (22, bomb.rindex(b"PK\x01\x02") + 24):  # uncompressed size, in both headers
        bomb[place : place + 4] = (10).to_bytes(4, "little")
    members, problems = pack.read_members(io.BytesIO(bytes(bomb)))
    assert problems == []
    with pytest.raises(ValueError, match="11 bytes, stated are 10"):
        pack.inflate(io.BytesIO(bytes(bomb)), NAME, members[NAME])


def test_text_is_bounded(monkeypatch):
    monkeypatch.setattr(pack, "MAX_TEXT", 1 << 20)
    lines, problems = pack.read_lines(io.BytesIO(gzip.compress(b" " * (1 << 22))))
    assert lines == {}
    assert "more than" in problems[0]


BAD_LINES = {
    "no record": (b"{}", "no record"),
    "not JSON": (b"{", "no record"),
    "no object": (b"[1]", "no record"),
    "too long": (b'{"id": "' + b"a" * 9000 + b'"}', "no record"),
    "unsealed": (b'{"id": "' + b"0" * 32 + b'"}', "schema"),
}


@pytest.mark.parametrize("how", [*BAD_LINES, "twice", "other suite", "no end"])
def test_lines_of_others_are_named_and_ignored(results, how):
    held = contents(results)
    packing.do(results, SUITE)
    file = results / SUITE / pack.RECORDS
    text = gzip.decompress(file.read_bytes())
    first = text.split(b"\n")[0]
    if how == "other suite":
        (results / "other@1").mkdir()
        file = shutil.copy(file, results / "other@1" / pack.RECORDS)
        found, problems = store.read_all(results, "other@1")
        assert found == []
        assert len(problems) == N
        assert {"quick@1" in p.reason for p in problems} == {True}
        return
    line, says = {"twice": (first, "second record"), "no end": (first[:-1], "cut short")}.get(how) or BAD_LINES[how]
    file.write_bytes(gzip.compress(text + line + (b"" if how == "no end" else b"\n")))
    found, (problem,) = store.read_all(results, SUITE)
    assert {r.id for r in found} == set(held)
    assert says in problem.reason


@pytest.mark.parametrize("name", [pack.RECORDS, pack.ARRAYS])
@pytest.mark.parametrize("kind", ["link out", "pipe"])
def test_packs_are_regular_files_inside(results, tmp_path, name, kind):
    packing.do(results, SUITE)
    file = results / SUITE / name
    os.rename(file, tmp_path / name)
    file.symlink_to(tmp_path / name) if kind == "link out" else os.mkfifo(file)
    _, problems = store.read_all(results, SUITE)
    assert [p.path for p in problems] == [str(file)]


def test_a_damaged_pack_is_neither_merged_nor_removed(results):
    packing.do(results, SUITE)
    file = results / SUITE / pack.RECORDS
    text = gzip.decompress(file.read_bytes()).split(b"\n")
    text[2] = canonical(json.loads(text[2]) | {"self_hash": "0" * 64}).encode()
    file.write_bytes(gzip.compress(b"\n".join(text)))
    store.write(results, record(N), arrays(N))
    before = tree(results)
    with pytest.raises(store.StoreError, match=r"damaged pack.*own hash"):
        packing.do(results, SUITE)
    assert tree(results) == before
    with pytest.raises(store.StoreError, match=rf"stays beside the {N - 1} records"):
        packing.undo(results, SUITE)
    assert before.items() <= tree(results).items()
    assert len(single(results)) == N


# ------------------------------------------------------------------------------------- the command
def _ilbench(*words):
    return subprocess.run([sys.executable, "-m", "ilbench", "pack", *words], capture_output=True, text=True)


def test_the_command(results):
    held = contents(results)
    done = _ilbench("quick", "--results", str(results), "--json")
    told = json.loads(done.stdout)
    assert (done.returncode, told["suite"], told["records"], told["left"]) == (0, SUITE, N, [])
    assert told["bytes"] == sum(p.stat().st_size for p in (results / SUITE).iterdir())
    assert f"{N} records" in _ilbench(SUITE, "--results", str(results), "--undo").stdout
    assert contents(results) == held


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["quik"], 2, "Did you mean quick@1"),
        (["quick@7"], 2, "quick@1"),
        (["quick", "--keep", "--undo"], 2, "give one of them"),
        (["quick", "--undo"], 1, "no pack"),
        (["quick", "--results", "nowhere"], 1, "holds no records"),
    ],
)
def test_the_command_refuses(results, words, code, says):
    done = _ilbench(*words, *(() if "--results" in words else ("--results", str(results))))
    assert (done.returncode, done.stdout) == (code, "")
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_undoing_keeps_arrays_that_only_the_pack_has(results):
    held = contents(results)
    packing.do(results, SUITE, keep=True)
    for file in (results / SUITE).rglob("*.safetensors"):
        file.unlink()
    assert contents(results) == held
    assert packing.undo(results, SUITE).moved == 0
    assert contents(results) == held
    packing.do(results, SUITE, keep=True)
    damaged = next((results / SUITE).rglob("*.safetensors"))
    damaged.write_bytes(b"x")
    with pytest.raises(store.StoreError, match="stays beside"):
        packing.undo(results, SUITE)
    assert contents(results) == held
