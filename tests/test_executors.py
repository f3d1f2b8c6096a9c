"""Who runs the blocks changes no bit; a worker that dies costs its block and no other; memory and numbers are checked first."""

import itertools
import pathlib

import jax
import plugins
import pytest

import ilbench
from ilbench.compute import caches, memory, parallel, process
from ilbench.evaluation.evidence import Protocol
from ilbench.records import store
from ilbench.records.schema import cell_id
from ilbench.running import executors, foresight, runner
from ilbench.running.plan import Block, Suite, cells, resolve
from ilbench.running.work import Work, run_block

PROTOCOL = Protocol(episodes=6, held_out=4)
FIT = {"fit.updates": 30, "fit.batch": 16}
SUITE = Suite(
    "side",
    1,
    (
        Block("gridworld", "dagger", "table", 600, config={"dagger.rounds": 2}, seeds=(0, 1, 5), protocol=PROTOCOL),
        Block("gridworld", "bc", "table", 250, seeds=(1, 0), protocol=PROTOCOL),
        Block("cartpole", "bc", "mlp", 1000, config=FIT, seeds=(0, 1), protocol=PROTOCOL),
        Block("scalar_stable", "bc", "mse", 200, config=FIT, seeds=(0, 1), protocol=PROTOCOL),
    ),
)
MOODY = '''"""An algorithm that clones, or ends as its config says.

Source: none.
"""
import os, signal
from dataclasses import dataclass
from ilbench.types import Trained

@dataclass(frozen=True)
class Config:
    end: str = "well"

def train(lab, config):
    print("what a plug-in prints")
    if config.end == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if config.end == "gone":
        os._exit(7)
    if config.end == "raises":
        raise ZeroDivisionError("a fault of its own")
    params, losses = lab.fit(lab.rows(lab.demonstrate(), lab.budget))
    return Trained({"last": lab.policy(params)}, "last", {"loss": losses})
'''


def _all(folder):
    """Everything that records say but for times: with the digest of their arrays, and where they come from."""
    records, problems = store.read_all(folder)
    assert not problems
    return {r.id: (store._result(r), r.provenance) for r in records}


def test_records_are_the_same_bit_for_bit_whoever_runs_the_blocks(tmp_path, capsys):
    for workers in (1, 2):
        done = runner.run(SUITE, out=tmp_path / str(workers), save_policies=True, workers=workers)
        assert (done.done, done.failed, done.workers) == (9, [], workers)
    assert len(_all(tmp_path / "1")) == 9
    assert _all(tmp_path / "1") == _all(tmp_path / "2")
    shown = capsys.readouterr()
    assert not shown.out
    assert shown.err.count("9 done, 0 cached, 0 failed of 9 cells; ETA 0s; now finished") == 2


def test_a_worker_that_dies_costs_its_block_and_no_other(tmp_path, monkeypatch, capfd):
    ends = ("well", "killed", "raises", "gone", "well")
    blocks = tuple(
        Block("gridworld", "moody", "table", 100 * n, config={"moody.end": end}, seeds=(0, 1), protocol=PROTOCOL)
        for n, end in enumerate(ends, start=1)
    )
    (tmp_path / "plugin").mkdir()
    point = {("algorithms", "moody"): "moody"}
    with plugins.installed(tmp_path / "plugin", {"moody.py": MOODY}, point, monkeypatch):
        done = runner.run(Suite("moods", 1, blocks), out=tmp_path / "out", workers=2, quiet=True)
    assert (done.done, done.cells) == (4, 10)
    assert {reason for _, reason in done.failed} == {
        "its worker process was ended by SIGKILL, as the system does where memory runs out",
        "ZeroDivisionError: a fault of its own",
        "its worker process ended with exit code 7",
    }
    assert {label for label, _ in done.failed} == {"gridworld H=100 moody/table"}
    assert {result["cell"]["budget"] for result, _ in _all(tmp_path / "out").values()} == {100, 500}
    assert pathlib.Path(done.log).read_text().count("Traceback") == 1
    shown = capfd.readouterr()
    assert not shown.out
    assert shown.err.count("what a plug-in prints") >= 2


def test_what_became_another_cell_since_it_was_planned_is_not_run():
    block = SUITE.blocks[1]
    ids = {seed: cell_id(cell) for seed, cell in cells(resolve(block)).items()}
    assert len(run_block(Work(block, ids, "side@1", "")).results) == 2
    before = parallel.compiled_programs()
    with pytest.raises(ValueError, match="another cell than was planned"):
        run_block(Work(block, ids | {1: ids[0]}, "side@1", ""))
    assert parallel.compiled_programs() == before


def test_a_worker_that_cannot_start_ends_the_run(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(executors.Setting, "here", lambda: executors.Setting(0, "off", {}))
    with pytest.raises(RuntimeError, match="exit code 1 before it could run anything"):
        runner.run(SUITE, out=tmp_path, workers=2, quiet=True)
    assert "--devices must be at least 1" in capfd.readouterr().err
    assert not list(tmp_path.rglob("*.json"))


def test_a_run_that_is_given_up_takes_its_workers_along(monkeypatch):
    work, seen, spawned = [Work(SUITE.blocks[2], {0: ""}, "side@1", str(i)) for i in range(3)], [], []

    def interrupted(workers):
        spawned.extend(worker.process for worker in workers)
        raise KeyboardInterrupt

    monkeypatch.setattr(executors, "_speaking", interrupted)
    with pytest.raises(KeyboardInterrupt):
        next(executors.processes(2)(work, seen.append))
    assert seen == work[:2]
    assert [process.returncode for process in spawned] == [-9, -9]


@pytest.mark.parametrize("workers", [0, -1, True, 1.5, "2"])
def test_a_number_of_workers_is_refused_before_any_compute(workers, tmp_path):
    before = parallel.compiled_programs()
    with pytest.raises(ValueError, match="--workers must be at least 1"):
        ilbench.run("smoke", workers=workers, out=tmp_path / "out", quiet=True)
    assert parallel.compiled_programs() == before
    assert not list(tmp_path.iterdir())


def test_workers_are_for_cpus(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    executors.check(1)
    with pytest.raises(ValueError, match="CUDA_VISIBLE_DEVICES=0"):
        executors.check(2)


# ------------------------------------------------------------------------------------------ memory
def test_any_blocks_that_run_at_once_fit_together(monkeypatch):
    needs = [5e9, 1e9, 3e9, 1e9]
    for free, wanted in itertools.product((0, 4e9, 7e9, 11e9, 14e9, 1e11), (1, 2, 3, 9)):
        monkeypatch.setattr(memory, "available", lambda free=free: free)
        count = foresight.at_once(needs, wanted)
        assert 1 <= count <= min(wanted, len(needs))
        largest = sorted(needs)[::-1]
        if count > 1:
            assert sum(largest[:count]) + count * foresight.PROCESS <= memory.SPARE * free
        if count < min(wanted, len(needs)):
            assert sum(largest[: count + 1]) + (count + 1) * foresight.PROCESS > memory.SPARE * free
    monkeypatch.setattr(memory, "available", lambda: None)
    assert foresight.at_once(needs, 3) == 3
    assert foresight.at_once([], 3) == 1


def test_fewer_run_at_a_time_where_memory_is_short_and_it_is_said(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(memory, "available", lambda: 2**30)
    done = runner.run(SUITE, tasks="gridworld", seeds=(0,), out=tmp_path, workers=8, quiet=True)
    assert (done.done, done.workers) == (2, 1)
    assert capsys.readouterr().err == "ilbench: 1 at a time rather than 2: memory holds no more of these blocks\n"


# ------------------------------------------------------------------------------------------ who takes which block
def test_a_task_is_compiled_by_as_few_as_possible_and_nobody_is_idle():
    work = [Work(Block(task, "bc", "table", n), {0: ""}, "x@1", f"{task}{n}") for task in "abc" for n in range(3)]
    at, order = [None, None], []
    for turn in range(9):
        own = at[turn % 2]
        one = work.pop(executors._next(work, own, set(at)))
        at[turn % 2] = executors._task(one)
        order.append(one.label)
    assert order == ["a0", "b0", "a1", "b1", "a2", "b2", "c0", "c1", "c2"]


# ------------------------------------------------------------------------------------------ another process is set up alike
def test_settings_that_move_bits_go_along(monkeypatch):
    name = "jax_default_matmul_precision"
    usual = process.pinned()
    try:
        jax.config.update(name, "highest")
        assert process.settings()[name] == "highest"
        changed = process.pinned()
        process.pin(usual)
        assert name not in process.settings()
        process.pin(changed)
        assert process.settings()[name] == "highest"
    finally:
        jax.config.update(name, None)
    assert process.pinned() == usual


@pytest.mark.parametrize("ours", [False, True])
def test_programs_are_kept_where_the_parent_keeps_them(ours, monkeypatch):
    folder = jax.config.values["jax_compilation_cache_dir"]
    monkeypatch.setattr(caches, "_OURS", {folder} if ours else set())
    assert caches.used() == ("auto" if ours else folder)
    jax.config.update("jax_compilation_cache_dir", None)
    assert caches.used() == "off"
    jax.config.update("jax_compilation_cache_dir", folder)
    assert executors.Setting.here().devices == 2
