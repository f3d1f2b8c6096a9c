"""Records: the id is stable, what is stored comes back; damage, races and full disks leave whole records or none."""

from __future__ import annotations

import hashlib
import itertools
import json
import multiprocessing
import os
import pathlib
import re
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from ilbench.records import schema, store, table
from ilbench.records.schema import Cell, cell_id, make_record, summarise_episodes

SUITE = "quick@1"
CELL = {
    "task": "hopper@1",
    "expert": "00ff00ff00ff00ff",
    "algorithm": "dagger",
    "head": "mlp",
    "config": {"dagger.rounds": 10, "fit.lr": 3e-4, "fit.widths": [64, 64], "dagger.decay": 1.0, "fit.clip": None},
    "horizon": 200,
    "budget": 2000,
    "evaluation": {"episodes": 64, "protocol": "fixed-horizon/1", "deltas": [0.1, 0.3], "prefixes": [50, 100]},
    "seed": 7,
}
GOLDEN = "cd255d2e76bd6edd267f0b95eb4bcb5d"


def cell(**changes):
    return Cell(**{**CELL, **changes})


def record(seed=7, score=0.5, **fields):
    total = 1 + 8 * score
    episodes = fields.pop("episodes", summarise_episodes([total - 0.5, total + 0.5], [0.0, 3.0]))
    fields = {
        "status": "ok",
        "scores": {"score": score, "gap": None},
        "references": {"random": {"mean": 1.0, "ci": [0.9, 1.1], "n": 64}, "expert": {"mean": 9.0, "n": 0}},
        "variants": {"last": {"score": 0.4, "return": 4.2}},
    } | fields
    made = cell(seed=seed, evaluation=CELL["evaluation"] | {"episodes": episodes.n})
    return make_record(made, SUITE, episodes=episodes, **fields)


# -------------------------------------------------------------------------------------- identity
def test_id_is_golden():
    text = json.dumps(CELL, sort_keys=True, separators=(",", ":"))
    assert cell_id(cell()) == hashlib.sha256(text.encode()).hexdigest()[:32] == GOLDEN


def test_id_ignores_dict_order_and_tuples():
    reordered = Cell(**dict(reversed(CELL.items())))
    shuffled = cell(config=dict(reversed(CELL["config"].items())) | {"fit.widths": (64, 64)})
    assert cell_id(reordered) == cell_id(shuffled) == GOLDEN


@pytest.mark.parametrize("hash_seed", ["0", "1"])
def test_id_is_stable_across_processes(hash_seed):
    code = f"from ilbench.records.schema import Cell, cell_id; print(cell_id(Cell(**{CELL!r})))"
    env = {**os.environ, "PYTHONHASHSEED": hash_seed}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == GOLDEN


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 8},
        {"task": "hopper@2"},
        {"config": {**CELL["config"], "dagger.decay": 1}},
        {"budget": 2001},
        {"expert": "0" * 8},
    ],
)
def test_id_depends_on_every_part(change):
    assert cell_id(cell(**change)) != GOLDEN


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"config": {"a": float("nan")}}, "finite"),
        ({"config": {"a": np.float32(1)}}, "tolist"),
        ({"config": {"a": {1: 2}}}, "keys are strings"),
        ({"horizon": 200.0}, "horizon"),
        ({"seed": True}, "seed"),
        ({"task": "hopper"}, "task"),
        ({"task": "../x@1"}, "task"),
        ({"algorithm": "<script>"}, "algorithm"),
        ({"extra": 1}, "extra"),
    ],
)
def test_cell_refuses(change, says):
    with pytest.raises(ValidationError, match=says):
        cell(**change)


def test_import_is_light():
    code = "import sys, ilbench.records.store; print([m for m in ('jax', 'pandas', 'scipy') if m in sys.modules])"
    start = time.perf_counter()
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"
    assert time.perf_counter() - start < 5  # 0.3 s when the machine is idle


# ------------------------------------------------------------------------------------ round trips
numbers = st.none() | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    numbers | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
)


@settings(max_examples=100, deadline=None)
@given(
    config=st.dictionaries(st.text(max_size=10), values, max_size=4),
    scores=st.dictionaries(st.text(min_size=1, max_size=10), numbers, max_size=5),
    returns=st.lists(st.floats(width=32), max_size=5),
    status=st.sampled_from(["ok", "diverged", "failed"]),
)
def test_round_trip(config, scores, returns, status):
    reason = None if status == "ok" else "step 3"
    r = make_record(
        cell(config=config), SUITE, status=status, reason=reason, scores=scores,
        episodes=summarise_episodes(returns, [0.0] * len(returns)),
    )  # fmt: skip
    r = schema.seal(r)
    if any(schema.PATH.search(line) for line in (schema.canonical(v) for v in r.model_dump().values())):
        return
    again = store.decode(store.encode(r))
    assert again == r
    assert store.encode(again) == store.encode(r)
    assert cell_id(again.cell) == r.id


@pytest.mark.parametrize(
    "arrays", [None, {"a/b": np.arange(6.0).reshape(2, 3).T, "n": np.array(3), "c": np.ones(1, bool)}]
)
def test_store_round_trip(tmp_path, arrays):
    out = store.write(tmp_path, record(), arrays)
    assert out.outcome == "written"
    assert out.path == tmp_path / SUITE / "records" / out.record.id[:2] / f"{out.record.id}.json"
    (back,), problems = store.read_all(tmp_path)
    assert back == out.record == store.read(tmp_path, SUITE, back.id)
    assert problems == []
    loaded = store.read_sidecar(tmp_path, back)
    assert loaded.keys() == (arrays or {}).keys()
    for name, value in (arrays or {}).items():
        np.testing.assert_array_equal(loaded[name], value)
        assert loaded[name].dtype == value.dtype
        assert loaded[name].shape == value.shape
    assert store.exists(tmp_path, back.id)
    assert store.exists(tmp_path, back.id, SUITE)
    assert not store.exists(tmp_path, "0" * 32)
    assert not store.exists(tmp_path / "nowhere", back.id)


def test_256_episodes_fit_and_more_are_summarised(tmp_path):
    g = np.random.default_rng(0)
    returns, costs = g.normal(1000, 300, 300), g.integers(0, 1000, 300)
    scores = {f"measure_{i}": g.random() for i in range(20)}
    full = record(episodes=summarise_episodes(returns[:256], costs[:256]), scores=scores)
    assert len(full.episodes.returns) == 256
    store.write(tmp_path, full)
    many = summarise_episodes(returns, costs)
    assert many.returns is many.costs is None
    assert many.n == 300
    assert many.n_failing == np.count_nonzero(costs)
    assert many.return_sd == pytest.approx(returns.std(ddof=1))


def test_diverged_episodes_are_null():
    episodes = summarise_episodes([1.0, float("nan")], [0.0, 1.0])
    assert episodes.returns == [1.0, None]
    assert episodes.return_mean is None
    assert episodes.cost_mean == 0.5


def test_refuses_what_is_too_large_or_tells_on_the_machine(tmp_path):
    with pytest.raises(ValueError, match=r"largest field is 'scores'.*sidecar"):
        store.write(tmp_path, record(scores={f"s{i}": i / 7 for i in range(1000)}))
    with pytest.raises(ValueError, match=r"cell holds the path '/home/somebody/data'"):
        store.write(tmp_path, make_record(cell(config={"where": "/home/somebody/data"}), SUITE, status="ok"))
    with pytest.raises(ValueError, match="dtype"):
        store.write(tmp_path, record(), {"a": np.array(["text"])})
    with pytest.raises(ValidationError, match="ok has none"):
        record(status="diverged")
    assert not list(tmp_path.rglob("*.json"))


def test_reasons_are_scrubbed():
    harmless = "see https://example.org/a/b and fixed-horizon/1"
    text = f"no file '{pathlib.Path(__file__).resolve()}' at C:\\Users\\me\\x.txt, {harmless}"
    r = record(status="failed", reason=text + "!" * 600)
    assert r.reason.startswith(f"no file 'test_records.py' at x.txt, {harmless}!")
    assert len(r.reason) == 500
    store.encode(r)


def test_provenance_names_versions_and_no_machine():
    moving = {"XLA_FLAGS": f"--xla_gpu_cuda_data_dir={pathlib.Path.home()}/cuda-13 " + "x" * 400, "jax_debug_infs": True}
    known = {"device": "cpu", "devices": 2, "block": 128, "precision": "float32", "prng": "threefry2x32"}
    p = schema.provenance(**known, settings=moving)
    assert p.settings["XLA_FLAGS"].startswith("--xla_gpu_cuda_data_dir=cuda-13 x")
    assert len(p.settings["XLA_FLAGS"]) == 300
    assert p.settings["jax_debug_infs"] is True
    assert {"jax", "brax", "mujoco"} <= p.packages.keys()
    assert p.git_sha is None or len(p.git_sha) == 40
    text = p.model_dump_json()
    assert os.uname().nodename not in text
    assert str(pathlib.Path.home()) not in text


def test_git_is_optional(tmp_path, monkeypatch):
    assert schema._git(tmp_path) == (None, None)
    (tmp_path / "pyproject.toml").touch()
    monkeypatch.setenv("PATH", "")
    assert schema._git(tmp_path / ".") == (None, None)


# ----------------------------------------------------------------------------------------- damage
def test_truncated_at_any_byte_is_named_and_the_rest_loads(tmp_path):
    good = store.write(tmp_path, record(seed=1)).record
    bad = store.write(tmp_path, record(seed=2))
    data = bad.path.read_bytes()
    for size in [*range(0, len(data) - 2, 37), len(data) - 2]:
        bad.path.write_bytes(data[:size])
        found, problems = store.read_all(tmp_path)
        assert found == [good], size
        assert [p.path for p in problems] == [str(bad.path)]
        assert "truncated" in problems[0].reason
    assert not store.exists(tmp_path, bad.record.id)


def _edit(data, **changes):
    return json.dumps(json.loads(data) | changes).encode()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda d: b"\x00\xff" * 50, "truncated or not JSON"),
        (lambda d: b'{"name": "package", "version": 2}', "not an ilbench record"),
        (lambda d: b"[1, 2]", "not an ilbench record"),
        (lambda d: b"[" * 8000, "not a record|not JSON"),
        (lambda d: b" " * 10_000 + d, "more than 8192 bytes"),
        (lambda d: _edit(d, schema="ilbench.record/2"), "upgrade ilbench"),
        (lambda d: _edit(d, scores={"score": 0.99}), "own hash"),
        (lambda d: _edit(d, scores={"score": float("nan")}), "scores"),
        (lambda d: _edit(d, surprise=1), "surprise"),
        (lambda d: _edit(d, cell=CELL | {"seed": 3}), "not that of the cell"),
        (lambda d: _edit(d, self_hash=None), "own hash"),
    ],
)
def test_damaged_files_are_named(tmp_path, change, says):
    good = store.write(tmp_path, record(seed=1)).record
    bad = store.write(tmp_path, record(seed=2))
    bad.path.write_bytes(change(bad.path.read_bytes()))
    found, (problem,) = store.read_all(tmp_path, SUITE)
    assert found == [good]
    assert re.search(says, problem.reason), problem
    assert bad.path.exists()


def test_misplaced_files_are_named(tmp_path):
    out = store.write(tmp_path, record())
    copy = out.path.with_name("0" * 32 + ".json")
    copy.write_bytes(out.path.read_bytes())
    other = tmp_path / "other@1" / "records" / out.record.id[:2] / out.path.name
    other.parent.mkdir(parents=True)
    other.write_bytes(out.path.read_bytes())
    found, problems = store.read_all(tmp_path)
    assert found == [out.record]
    assert {p.path for p in problems} == {str(copy), str(other)}


def test_a_damaged_file_is_repaired_and_kept(tmp_path):
    out = store.write(tmp_path, record())
    out.path.write_bytes(b"{")
    assert store.write(tmp_path, record()).outcome == "repaired"
    assert store.read_all(tmp_path)[0] == [out.record]
    assert [p.read_bytes() for p in (tmp_path / SUITE / "attempts").iterdir()] == [b"{"]


def test_sidecar_is_checked(tmp_path):
    out = store.write(tmp_path, record(), {"a": np.ones(3)})
    (sidecar,) = out.path.parent.glob("*.safetensors")
    data = bytearray(sidecar.read_bytes())
    data[-1] ^= 1
    sidecar.write_bytes(data)
    with pytest.raises(store.StoreError, match="not the arrays"):
        store.read_sidecar(tmp_path, out.record)
    sidecar.unlink()
    with pytest.raises(store.StoreError, match="missing"):
        store.read_sidecar(tmp_path, out.record)


# ------------------------------------------------------------------------------------ many writers
def test_first_writer_wins(tmp_path):
    first = store.write(tmp_path, record(), {"a": np.zeros(2)})
    again = store.write(tmp_path, record(cost={"run_s": 3.0}), {"a": np.zeros(2)})
    assert (again.outcome, again.record) == ("same", first.record)
    other = store.write(tmp_path, record(), {"a": np.ones(2)})
    assert other.outcome == "conflict"
    assert store.decode(other.path.read_bytes()) == other.record
    assert store.read_all(tmp_path) == ([first.record], [])
    np.testing.assert_array_equal(store.read_sidecar(tmp_path, first.record)["a"], np.zeros(2))
    replaced = store.write(tmp_path, record(score=0.9), replace=True)
    assert replaced.outcome == "replaced"
    assert store.read_all(tmp_path) == ([replaced.record], [])


def test_without_hard_links(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    assert store.write(tmp_path, record()).outcome == "written"
    assert store.write(tmp_path, record(score=1.0)).outcome == "conflict"


def _writer(folder, worker, barrier, queue):
    barrier.wait()
    outcomes = []
    for seed in range(5):
        ours = record(seed, score=float(worker))
        outcomes.append(store.write(folder, ours, {"a": np.full(100, worker)}).outcome)
    queue.put(outcomes)


def test_concurrent_writers_leave_one_whole_record_each(tmp_path):
    context = multiprocessing.get_context("spawn")
    barrier, queue = context.Barrier(4), context.Queue()
    workers = [context.Process(target=_writer, args=(tmp_path, i, barrier, queue)) for i in range(4)]
    for w in workers:
        w.start()
    outcomes = [queue.get(timeout=60) for _ in workers]
    for w in workers:
        w.join()
    assert sorted(itertools.chain(*outcomes)) == ["conflict"] * 15 + ["written"] * 5
    found, problems = store.read_all(tmp_path)
    assert len(found) == 5
    assert problems == []
    for r in found:
        assert (store.read_sidecar(tmp_path, r)["a"] == r.scores["score"]).all()
    assert not list(tmp_path.rglob(".*"))


# ---------------------------------------------------------------------------------- refusing disks
def test_full_disk_leaves_nothing_half_written(tmp_path):
    code = f"""
    import resource, numpy as np
    from ilbench.records import schema, store
    cell = schema.Cell(**{CELL!r})
    r = schema.make_record(cell, {SUITE!r}, status="ok")
    store.write({str(tmp_path)!r}, r)
    other = schema.make_record(cell.model_copy(update=dict(seed=8)), {SUITE!r}, status="ok")
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
    for attempt in (lambda: store.preflight({str(tmp_path)!r}, 10**6),
                    lambda: store.write({str(tmp_path)!r}, other, dict(a=np.zeros(10**4)))):
        try:
            attempt()
            print("accepted")
        except store.StoreError as error:
            print(error)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert len(lines) == 2
    assert all("cannot write" in line and str(tmp_path) in line and "free space" in line for line in lines)
    found, problems = store.read_all(tmp_path)
    assert (len(found), problems) == (1, [])
    assert [p.suffix for p in tmp_path.rglob("*") if p.is_file()] == [".json"]


def test_preflight(tmp_path):
    store.preflight(tmp_path / "a" / "b", 1000)
    assert list((tmp_path / "a" / "b").iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.raises(store.StoreError, match=r"cannot write .*file"):
        store.preflight(tmp_path / "file")
    with pytest.raises(store.StoreError, match="MB free"):
        store.preflight(tmp_path, 10**18)
    with pytest.raises(store.StoreError, match="cannot write"):
        store.write(tmp_path / "file", record())


# ----------------------------------------------------------------------------------------- queries
def test_load_records(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(store.StoreError, match="run `ilbench run` first"):
        table.load_records()
    for seed in range(3):
        store.write("results", record(seed))
    bad = store.write("results", record(3)).path
    bad.write_bytes(b"{")
    frame = table.load_records()
    assert str(bad) in capsys.readouterr().err
    assert sorted(frame["seed"]) == [0, 1, 2]
    assert set(frame["score.score"]) == {0.5}
    assert set(frame["config.dagger.rounds"]) == {10}
    assert frame["score.gap"].isna().all()
    assert {"task", "algorithm", "head", "horizon", "budget", "status"} <= set(frame)
    assert {"cost.labels", "variant.last.score", "reference.expert", "evaluation.episodes"} <= set(frame)
    with pytest.raises(store.StoreError, match="there are: quick@1"):
        table.load_records(suite="core@1")
    (tmp_path / "results" / "core@1" / "records").mkdir(parents=True)
    assert len(table.load_records(suite="core@1")) == 0
