"""What a run finds already there: records, and with `save_policies` records that hold their policy."""

import pytest

from ilbench.records import store
from ilbench.running import runner

CELLS = {"tasks": "gridworld", "algorithms": "bc"}


def _policies(folder):
    records, problems = store.read_all(folder)
    assert not problems
    return {r.id: [n for n in store.read_sidecar(folder, r) if n.startswith("policy/")] for r in records}


def test_records_without_a_policy_run_again_when_it_is_asked_for(tmp_path):
    first = runner.run("smoke", **CELLS, out=tmp_path, quiet=True)
    assert (first.done, first.cached) == (2, 0)
    before, _ = store.read_all(tmp_path)
    assert not any(_policies(tmp_path).values())

    prepared = runner.prepare("smoke", **CELLS)
    assert [r["to_run"] for r in runner.describe(prepared, tmp_path)] == [0]
    assert [r["to_run"] for r in runner.describe(prepared, tmp_path, save_policies=True)] == [2]

    second = runner.run("smoke", **CELLS, out=tmp_path, save_policies=True, quiet=True)
    assert (second.done, second.cached) == (2, 0)
    found = _policies(tmp_path)
    assert len(found) == 2
    assert all(found.values())
    after, _ = store.read_all(tmp_path)
    assert [(r.id, r.scores) for r in after] == [(r.id, r.scores) for r in before]

    for wanted in (True, False):  # and a record with a policy serves whoever does not want it
        again = runner.run("smoke", **CELLS, out=tmp_path, save_policies=wanted, quiet=True)
        assert (again.done, again.cached) == (0, 2)
    assert _policies(tmp_path) == found


def test_every_kind_of_policy_is_found_again(tmp_path):
    assert runner.run("smoke", out=tmp_path, save_policies=True, quiet=True).done == 8
    assert runner.run("smoke", out=tmp_path, save_policies=True, quiet=True).cached == 8


@pytest.mark.parametrize("damage", ["lost", "cut"])
def test_a_policy_that_cannot_be_read_is_none(tmp_path, damage):
    runner.run("smoke", **CELLS, seeds=(0,), out=tmp_path, save_policies=True, quiet=True)
    (sidecar,) = tmp_path.rglob("*.safetensors")
    sidecar.unlink() if damage == "lost" else sidecar.write_bytes(b"cut")
    assert runner.run("smoke", **CELLS, seeds=(0,), out=tmp_path, save_policies=True, quiet=True).done == 1
    assert all(_policies(tmp_path).values())
