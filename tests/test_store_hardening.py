"""The store under strange hands: copies, links, pipes, floods, forged numbers, lost arrays, other people's repositories."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import time

import numpy as np
import pytest
from safetensors import numpy as safetensors
from test_records import SUITE, cell, record

from ilbench.records import files, schema, store
from ilbench.records.codec import decode_arrays, encode_arrays
from ilbench.records.consistency import consistent, fits_arrays
from ilbench.records.schema import check_cell, make_record, seal, summarise_episodes
from ilbench.report import source

ARRAYS = {"prefix_return": np.array([[4.5], [5.5]], np.float32), "cost_t": np.zeros(3, np.float32)}


def stored(folder, seed=7, **options):
    return store.write(folder, record(seed, **options), ARRAYS)


def agree(folder, out):
    """Run and board see the same thing: whether this record is there."""
    one = store.read(folder, SUITE, out.record.id)
    assert (one is not None) == (out.record.id in {r.id for r in store.read_all(folder)[0]})
    return one


# --------------------------------------------------------------------------------- one id, one record
def misplaced(out):
    """Names and places that are none of a record's, by what is copied there."""
    file, id = out.path, out.record.id
    other = "00" if id[:2] != "00" else "11"
    return {
        "backup": file.with_name(file.name + "~"),
        "upper case": file.with_name(id.upper() + ".json"),
        "suffix": file.with_name(id + ".JSON"),
        "copy": file.with_name(id + " (copy).json"),
        "no suffix": file.with_name(id),
        "shard": file.parents[1] / other / file.name,
        "upper shard": file.parents[1] / "AB" / file.name,
        "deeper": file.parent / "old" / file.name,
        "top": file.parents[1] / file.name,
    }


@pytest.mark.parametrize(
    "where", list(misplaced(store.Written("same", pathlib.Path("r/s/records/ab/x.json"), record())))
)
def test_copies_are_named_and_do_not_count(tmp_path, where):
    out = stored(tmp_path)
    copy = misplaced(out)[where]
    copy.parent.mkdir(parents=True, exist_ok=True)
    copy.write_bytes(out.path.read_bytes())
    found, problems = store.read_all(tmp_path)
    assert found == [out.record]
    assert len(problems) == 1
    assert problems[0].path in (str(copy), str(copy.parent))
    assert "ignored" in problems[0].reason
    copy.unlink()
    assert store.read(tmp_path, SUITE, out.record.id) == out.record


# ------------------------------------------------------------------------------------ inside the store
def test_a_shard_may_be_a_link_inside_and_not_outside(tmp_path):
    folder = tmp_path / "results"
    out = stored(folder)
    shard = out.path.parent
    for target, there in ((folder / SUITE / "moved", True), (tmp_path / "outside", False)):
        os.rename(shard, target)
        shard.symlink_to(target)
        assert (agree(folder, out) is not None) == there
        problems = store.read_all(folder)[1]
        assert [p.path for p in problems] == ([] if there else [str(shard)])
        if not there:
            with pytest.raises(store.StoreError, match="leads out"):
                stored(folder)
        shard.unlink()
        os.rename(target, shard)
    assert agree(folder, out) == out.record


def test_a_suite_may_lie_elsewhere(tmp_path):
    out = stored(tmp_path / "far")
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / SUITE).symlink_to(tmp_path / "far" / SUITE)
    assert agree(tmp_path / "results", out) == out.record
    assert stored(tmp_path / "results", seed=8).outcome == "written"


def test_a_folder_that_cannot_be_read_is_named(tmp_path, monkeypatch):
    out, other = stored(tmp_path), stored(tmp_path, seed=8)
    real = pathlib.Path.iterdir

    def refuse(self):
        if self.name == other.path.parent.name:
            raise PermissionError(13, "Permission denied")
        return real(self)

    assert out.path.parent != other.path.parent
    monkeypatch.setattr(pathlib.Path, "iterdir", refuse)
    found, (problem,) = store.read_all(tmp_path)
    assert found == [out.record]
    assert problem == (str(other.path.parent), "cannot be read: Permission denied")


@pytest.mark.parametrize("what", ["record", "sidecar"])
@pytest.mark.parametrize("kind", ["link out", "link to nothing", "pipe", "socket", "folder", "huge"])
def test_only_regular_files_of_a_size_are_read(tmp_path, what, kind):
    out = stored(tmp_path / "results")
    file = out.path if what == "record" else out.path.with_name(store.sidecar_name(out.record))
    secret = tmp_path / "secret"
    secret.write_bytes(file.read_bytes())
    file.unlink()
    if kind == "pipe":
        os.mkfifo(file)
    elif kind == "socket":
        code = "import socket, os, sys; os.chdir(sys.argv[1]); socket.socket(socket.AF_UNIX).bind(sys.argv[2])"
        subprocess.run([sys.executable, "-c", code, str(file.parent), file.name], check=True)
    elif kind == "folder":
        file.mkdir()
    elif kind == "huge":
        with file.open("wb") as stream:
            stream.truncate(20 << 30)  # sparse: takes no disk, and would take 20 GB of memory
    else:
        file.symlink_to(secret if kind == "link out" else tmp_path / "nothing")
    started = time.perf_counter()
    assert not store.sound(tmp_path / "results", SUITE, out.record.id)
    _, problems = store.read_all(tmp_path / "results", sidecars=True)
    assert [p.path for p in problems] == [str(file)]
    assert time.perf_counter() - started < 5
    again = stored(tmp_path / "results")
    assert (again.outcome, again.record.id) == ("repaired" if what == "record" else "same", out.record.id)
    assert store.sound(tmp_path / "results", SUITE, out.record.id)
    assert secret.is_file()
    kept = [p for p in (tmp_path / "results" / SUITE).glob("attempts/*") if p.is_file() and not p.is_symlink()]
    assert all(p.stat().st_size > 1 << 30 for p in kept), "content from outside was copied in"


def test_repair_takes_no_content_from_outside(tmp_path):
    out = stored(tmp_path / "results")
    secret = tmp_path / "secret"
    secret.write_text("key")
    out.path.unlink()
    out.path.symlink_to(secret)
    assert stored(tmp_path / "results").outcome == "repaired"
    assert secret.read_text() == "key"
    assert [p.is_symlink() for p in store.attempts(tmp_path / "results")] == [True]
    assert agree(tmp_path / "results", out) == out.record


# ---------------------------------------------------------------------------------------- whole records
@pytest.mark.parametrize("damage", [lambda f: f.unlink(), lambda f: f.write_bytes(b"x" + f.read_bytes()[1:])])
def test_a_record_without_its_arrays_is_run_again(tmp_path, damage):
    out = stored(tmp_path)
    assert store.sound(tmp_path, SUITE, out.record.id)
    sidecar = out.path.with_name(store.sidecar_name(out.record))
    damage(sidecar)
    assert not store.sound(tmp_path, SUITE, out.record.id)
    assert store.read_all(tmp_path)[1] == []  # the record itself is sound
    (problem,) = store.read_all(tmp_path, sidecars=True)[1]
    assert problem.path == str(sidecar)
    assert "again" in problem.reason
    assert stored(tmp_path).outcome == "same"  # whose arrays are there again
    assert store.sound(tmp_path, SUITE, out.record.id)
    damage(sidecar)  # another result is no conflict with a record that is not whole
    other = store.write(tmp_path, record(score=0.25), {"cost_t": np.ones(3, np.float32)})
    assert other.outcome == "repaired"
    assert agree(tmp_path, other) == other.record


def test_policies_are_asked_for(tmp_path):
    plain = stored(tmp_path).record
    assert not store.sound(tmp_path, SUITE, plain.id, policy=True)
    with_policy = store.write(tmp_path, record(), ARRAYS | {"policy/w": np.full(2, np.nan, np.float32)}, replace=True)
    assert store.sound(tmp_path, SUITE, with_policy.record.id, policy=True)
    assert not store.sound(tmp_path, SUITE, "0" * 32)


def test_conflicts_are_counted(tmp_path):
    assert stored(tmp_path).outcome == "written"
    assert store.attempts(tmp_path, SUITE) == []
    conflict = stored(tmp_path, score=0.75)
    assert conflict.outcome == "conflict"
    assert store.attempts(tmp_path) == [conflict.path]


def test_what_killed_runs_leave_is_removed_after_an_hour(tmp_path):
    out = stored(tmp_path)
    names = [
        ".probe-" + "a" * 32,
        f"{SUITE}/records/{out.record.id[:2]}/.{out.record.id}.{'b' * 32}",
        f"{SUITE}/.ilbench-x.tmp",
    ]
    kept = [".gitignore", f"{SUITE}/records/{out.record.id[:2]}/.DS_Store"]
    for name in names + kept:
        (tmp_path / name).write_text("half")
    assert store.clean(tmp_path) == []  # another run may be writing them
    for name in names + kept:
        os.utime(tmp_path / name, (time.time() - 2 * files.STALE_S,) * 2)
    store.preflight(tmp_path)
    assert [name for name in names + kept if (tmp_path / name).exists()] == kept
    assert store.read_all(tmp_path) == ([out.record], [])


# --------------------------------------------------------------------------------- numbers that fit
FORGED = {
    "score": lambda r: {"scores": r.scores | {"score": 0.999}},
    "return": lambda r: {"scores": r.scores | {"return": 6.0}},
    "cost": lambda r: {"scores": r.scores | {"cost": 0.0}},
    "episodes": lambda r: {"episodes": r.episodes.model_copy(update={"return_mean": 9.0})},
    "spread": lambda r: {"episodes": r.episodes.model_copy(update={"return_sd": 0.0})},
    "failing": lambda r: {"episodes": r.episodes.model_copy(update={"n_failing": 0})},
    "no lists": lambda r: {"episodes": r.episodes.model_copy(update={"returns": None, "costs": None})},
    "no episodes": lambda r: {"episodes": schema.Episodes()},
    "no references": lambda r: {"references": {}},
    "reference": lambda r: {"references": r.references | {"expert": schema.Reference(mean=5.5)}},
    "no better than chance": lambda r: {
        "references": r.references | {"expert": schema.Reference(mean=0.5)},
        "scores": r.scores | {"score": -8.0},  # which is what the formula would give
        "variants": {},
    },
    "undefined": lambda r: {"references": r.references | {"expert": r.references["random"]}, "variants": {}},
    "variant": lambda r: {"variants": {"last": {"score": 0.9, "return": 4.2}}},
    "flood": lambda r: {"scores": r.scores | {"eps_bar": 1e308}},
    "fewer episodes": lambda r: {"episodes": summarise_episodes([5.0], [3.0])},
    "seed": lambda r: {"cell": r.cell.model_copy(update={"seed": 2**32})},
}


@pytest.mark.parametrize("how", list(FORGED))
def test_forged_numbers_are_named_and_set_aside(tmp_path, how):
    honest = record(scores={"score": 0.5, "return": 5.0, "cost": 1.5, "eps_bar": 0.1})
    kept = stored(tmp_path, seed=1)
    assert consistent(honest) is None
    forged = honest.model_copy(update=FORGED[how](honest))
    forged = seal(forged.model_copy(update={"id": schema.cell_id(forged.cell)}))
    with pytest.raises(ValueError, match="do not fit"):
        store.write(tmp_path, forged)
    file = store.record_path(tmp_path, SUITE, forged.id)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(store.encode(forged))
    found, (problem,) = store.read_all(tmp_path)
    assert found == [kept.record]
    assert problem.path == str(file)
    assert "do not fit" in problem.reason
    assert not store.sound(tmp_path, SUITE, forged.id)


def test_what_did_not_end_well_is_not_recomputed():
    wild = record(status="diverged", reason="non-finite return", scores={"score": None, "return": None})
    assert consistent(wild) is None
    assert consistent(make_record(cell(), SUITE, status="failed", reason="no memory")) is None


@pytest.mark.parametrize("seed", range(20))
def test_honest_records_are_believed(seed):
    """Whatever the scale, and rounded to seven digits as the runner rounds."""
    g = np.random.default_rng(seed)
    scale, n = 10.0 ** g.integers(-6, 7), int(g.integers(1, 40))
    returns, costs = scale * (g.normal(size=n) + g.normal()), g.integers(0, 50, n)
    random, expert = sorted(scale * g.normal(size=2))
    episodes, seven = summarise_episodes(returns, costs), lambda x: float(f"{x:.7g}")
    total = episodes.return_mean
    scores = {"return": total, "cost": costs.mean(), "score": (total - random) / (expert - random)}
    scores = {name: seven(value) for name, value in scores.items()}
    variants = {"best": {"return": scores["return"], "score": scores["score"]}}
    ends = {"random": {"mean": random}, "expert": {"mean": expert}}
    r = record(episodes=episodes, scores=scores, variants=variants, references=ends)
    assert consistent(store.decode(store.encode(seal(r)))) is None
    off = r.model_copy(update={"scores": scores | {"score": scores["score"] + 1e-3 * (abs(scores["score"]) + 1)}})
    assert abs(scores["score"]) > 100 or "score" in consistent(off)


def test_shipped_numbers_fit_their_arrays():
    results = pathlib.Path(__file__).parent.parent / "results"
    for r in store.read_all(results, "quick@1")[0]:
        arrays = store.read_sidecar(results, r)
        assert fits_arrays(r, arrays) is None
        assert "gap" in fits_arrays(r, arrays | {"prefix_gap": arrays["prefix_gap"] + 1 + abs(r.scores["gap"])})


def test_a_board_leaves_out_what_does_not_fit_its_arrays(tmp_path, capsys):
    good = store.write(tmp_path, record(1, scores={"gap": 2.0}), {"prefix_gap": np.float32([0.5, 1.0, 2.0])}).record
    store.write(tmp_path, record(2, scores={"gap": 0.0}), {"prefix_gap": np.float32([0.5, 1.0, 2.0])})
    found = source.load("quick", tmp_path)
    assert found.records == [good]
    assert "gap" in capsys.readouterr().err


# ------------------------------------------------------------------------------------------- arrays
def _header(**entries):
    text = json.dumps(entries).encode()
    return len(text).to_bytes(8, "little") + text


BAD_ARRAYS = {
    "empty": b"",
    "header beyond the end": (2**40).to_bytes(8, "little") + b"{}",
    "no JSON": (2).to_bytes(8, "little") + b"{]",
    "no table": (2).to_bytes(8, "little") + b"[]",
    "entry": _header(a=3),
    "bfloat16": _header(a={"dtype": "BF16", "shape": [1], "data_offsets": [0, 2]}) + b"\0\0",
    "dtype": _header(a={"dtype": ["F32"], "shape": [1], "data_offsets": [0, 4]}) + b"\0" * 4,
    "cut short": _header(a={"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}) + b"\0" * 4,
    "shape": _header(a={"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}) + b"\0" * 4,
    "negative": _header(a={"dtype": "F32", "shape": [-1], "data_offsets": [4, 0]}) + b"\0" * 4,
    "bool shape": _header(a={"dtype": "F32", "shape": [True], "data_offsets": [0, 4]}) + b"\0" * 4,
    "overflow": _header(a={"dtype": "F32", "shape": [2**26] * 8, "data_offsets": [0, 4]}) + b"\0" * 4,
    "dimensions": _header(a={"dtype": "F32", "shape": [1] * 9, "data_offsets": [0, 4]}) + b"\0" * 4,
    "nan": safetensors.save({"a": np.array([1, np.nan], np.float16)}),
    "1e308": safetensors.save({"a": np.array([1e308])}),
}


@pytest.mark.parametrize("how", list(BAD_ARRAYS))
def test_strange_arrays_are_one_problem(tmp_path, how):
    import hashlib

    with pytest.raises(ValueError, match=r"array|header"):
        decode_arrays(BAD_ARRAYS[how])
    good = stored(tmp_path, seed=1).record
    data = BAD_ARRAYS[how]  # honestly hashed, as a third party's writer might
    r = record(2)
    bad = seal(r.model_copy(update={"sidecar": hashlib.sha256(data).hexdigest()}))
    file = store.record_path(tmp_path, SUITE, bad.id)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(store.encode(bad))
    file.with_name(store.sidecar_name(bad)).write_bytes(data)
    found, (problem,) = store.read_all(tmp_path, sidecars=True)
    assert {f.id for f in found} == {good.id, bad.id}
    assert bad.id in problem.path
    assert not store.sound(tmp_path, SUITE, bad.id)
    assert good.id in source.load("quick", tmp_path).arrays


@pytest.mark.parametrize("bad", [np.array(["text"]), np.array([np.inf]), np.zeros((1,) * 9), np.array([1j])])
def test_what_cannot_be_read_is_not_written(tmp_path, bad):
    with pytest.raises(ValueError, match="array 'x'"):
        store.write(tmp_path, record(), {"x": bad})
    assert not list(tmp_path.rglob("*.json"))


@pytest.mark.parametrize("kind", ["?", "u1", "i2", "i4", "i8", "u8", "f2", "f4", "f8"])
def test_arrays_come_back(kind):
    for shape in ((), (0,), (3,), (2, 0, 4), (2, 3)):
        array = np.arange(np.prod(shape)).reshape(shape).astype(kind)
        back = decode_arrays(encode_arrays({"a/b": array, "n": np.ones(1, kind)}))
        np.testing.assert_array_equal(back["a/b"], array)
        assert (back["a/b"].dtype, back["a/b"].shape, back["a/b"].flags.writeable) == (array.dtype, shape, True)


def test_flipped_bytes_of_a_record_are_never_another_record(tmp_path):
    g = np.random.default_rng(0)
    out = stored(tmp_path)
    data = out.path.read_bytes()
    for place, mask in zip(g.integers(0, len(data), 300), g.integers(1, 256, 300), strict=True):
        flipped = bytearray(data)
        flipped[place] ^= mask
        out.path.write_bytes(flipped)
        found, problems = store.read_all(tmp_path)
        assert (found, len(problems)) in (([], 1), ([out.record], 0))  # white space may differ


# ------------------------------------------------------------------------------- before any compute
REFUSED = {
    "path": ({"config": {"task.file": "/home/somebody/data.npz"}}, r"task\.file holds the path '/home"),
    "in a list": ({"config": {"task.files": ["a", "/data/x/y"]}}, "task.files holds the path"),
    "in the evaluation": ({"evaluation": {"file": "C:\\data\\x"}}, r"evaluation\.file holds the path"),
    "of a plug-in": ({"plugins": {"mine/f": "/opt/x/f.csv"}}, r"plugins\.mine/f holds the path"),
    "large": ({"config": {"bc.a": 1, "bc.table": list(range(3000))}}, r"largest setting is config\.bc\.table"),
    "many episodes": ({"config": {"bc.t": "x" * 6000}, "evaluation": {"episodes": 256}}, "largest setting is"),
}


@pytest.mark.parametrize("how", list(REFUSED))
def test_what_a_record_refuses_is_known_before(how):
    change, says = REFUSED[how]
    with pytest.raises(ValueError, match=says):
        check_cell(cell(**change))
    n = change.get("evaluation", {}).get("episodes", 0)
    made = make_record(cell(**change), SUITE, status="ok", episodes=summarise_episodes([0.0] * n, [0.0] * n))
    with pytest.raises(ValueError, match=r"path|bytes"):  # and it would indeed have been refused after the compute
        store.encode(seal(made))


@pytest.mark.parametrize("size", [0, 1000, 3000])
def test_what_a_record_takes_is_not_refused(size):
    check_cell(cell(config={"bc.note": "x" * size}))
    check_cell(cell(config={"file": "data/demos.npz", "url": "https://example.org/a/b"}))


# -------------------------------------------------------------------------------- other repositories
def test_a_hook_of_another_repository_leaves_no_trace(tmp_path, monkeypatch):
    def git(folder, *words):
        command = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@b.c", *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    shas = {}
    for name in ("ours", "theirs"):
        (tmp_path / name / "ilbench").mkdir(parents=True)
        (tmp_path / name / "pyproject.toml").write_text(name)
        git(tmp_path / name, "init", "-q")
        git(tmp_path / name, "add", ".")
        git(tmp_path / name, "commit", "-qm", name)
        shas[name] = git(tmp_path / name, "rev-parse", "HEAD")
    for name, value in {"GIT_DIR": ".git", "GIT_WORK_TREE": "", "GIT_INDEX_FILE": ".git/index"}.items():
        monkeypatch.setenv(name, str(tmp_path / "theirs" / value))
    assert schema._git((tmp_path / "ours").resolve()) == (shas["ours"], False)


# ---------------------------------------------------------------------------------------- whole files
def test_a_full_disk_leaves_the_old_page(tmp_path):
    page = tmp_path / "LEADERBOARD.md"
    page.write_text("old")
    code = f"""
import pathlib, resource, signal
from ilbench.report import source
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
found = source.Found("quick@1", pathlib.Path({str(tmp_path)!r}), [], {{}})
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    source.write_page(found, "LEADERBOARD.md", "new" * 1000)
except OSError:
    print("refused")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "refused"
    assert page.read_text() == "old"
    assert list(tmp_path.iterdir()) == [page]


def test_nothing_is_written_in_place():
    """Everything that the package writes goes through ilbench/records/files.py; /proc is no file."""
    root = pathlib.Path(__file__).parent.parent
    writers = ("write_text(", "write_bytes(", '"w")', '"wb")')
    found = [
        f"{file.name}: {line.strip()}"
        for folder in ("ilbench", "bench", "envs")
        for file in (root / folder).rglob("*.py")
        for line in file.read_text(encoding="utf-8").splitlines()
        if any(w in line for w in writers) and file.name != "files.py" and "/proc/" not in line and "fdopen" not in line
    ]
    # A zip into a stream of files.py, HDF5 in memory, and a temporary that is renamed by hand, are whole or not there as well.
    whole = ("zipfile.ZipFile(stream", "library().File(stream", " temporary.write")
    assert [line for line in found if not any(w in line for w in whole)] == []
