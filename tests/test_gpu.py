"""Every robot on a device in minutes: what is judged, in which order, and that nothing is lost on the way."""

import json
import pathlib
import types

import numpy as np
import pytest

from ilbench.bench import gpu
from ilbench.report import gpu as report

REFERENCES = {
    "random": {"mean": 0.0},
    "expert": {"mean": 100.0, "ci": [100.0 - 1.959964, 100.0 + 1.959964]},
}  # standard error 1


def _quiet(line):
    del line


def test_a_robot_is_measured_judged_and_kept(tmp_path):
    asked = gpu.Asked(robots="inverted_pendulum", lanes="8", out=tmp_path / "gpu.json")
    found = gpu.run(asked, _quiet)
    assert json.loads(asked.out.read_text()) == found
    (row,) = found["rows"]
    assert (row["robot"], row["lanes"], row["steps"], row["frames"]) == ("inverted_pendulum", 8, 1000, 4)
    assert row["physics steps per second"] == pytest.approx(4 * row["env steps per second"])
    assert row["returns"]["mean"] == 1000.0
    assert gpu.sound(found)
    assert "1 of 1 rollouts repeat" in report.summary(found)
    assert "1 of 1 experts" in report.summary(found)


@pytest.mark.parametrize(
    ("shift", "z", "inside", "agrees"), [(0, 0, True, True), (3, 2.12, False, True), (6, 4.24, False, False)]
)
def test_returns_agree_up_to_the_noise_of_both_means(shift, z, inside, agrees):
    sample = np.tile([-1.0, 1.0], 200)
    sample *= 20 / sample.std(ddof=1)  # of 400 with this spread the mean's standard error is 1, as the manifest's
    found = gpu.judged(100.0 + shift + sample, REFERENCES)
    assert found["z"] == pytest.approx(z, abs=0.01)
    assert (found["inside"], found["agrees"], found["n"]) == (inside, agrees, 400)


def test_returns_without_noise_agree_up_to_rounding():
    exact = {"random": {"mean": 0.0}, "expert": {"mean": 100.0, "ci": [100.0, 100.0]}}
    assert [gpu.judged(np.full(4, r), exact)["agrees"] for r in (100.0, 100.009, 100.02)] == [True, True, False]
    assert gpu.judged(np.ones(4), None) is None


def test_every_robot_has_a_row_before_any_has_two():
    assert gpu.jobs(("a", "b"), (8, 2, 4), 10) == [
        ("a", 8, None), ("b", 8, None), ("a", 2, 10), ("b", 2, 10), ("a", 4, 10), ("b", 4, 10)
    ]  # fmt: skip


def test_what_fails_or_has_no_time_costs_no_other_row(monkeypatch):
    row = {"repeats": True, "returns": None}

    def measured(job):
        if job.robot == "b":
            raise RuntimeError("out of memory\nand a long story")
        return row | {"robot": job.robot}

    monkeypatch.setattr(gpu, "measured", measured)
    todo, kept = [gpu.Job(name, 8, 5) for name in "abc"], []
    found = gpu.everything(todo, 60.0, lambda out: kept.append(len(out["rows"])), _quiet)
    assert kept == [1, 1, 2]
    assert [r["robot"] for r in found["rows"]] == ["a", "c"]
    assert found["failed"] == [["b", 8, "out of memory"]]
    assert not gpu.sound(found)
    late = gpu.everything(todo, -1.0, kept.append, _quiet)
    assert (late["rows"], gpu.sound(late), late["left_out"]) == ([], False, [["a", 8], ["b", 8], ["c", 8]])


def test_one_bit_is_no_repetition(monkeypatch):
    bits = iter([0.0, 0.0, np.nextafter(np.float32(0), np.float32(1))])  # one to compile, two to compare

    def rolled(task, lanes, horizon):
        return lambda: types.SimpleNamespace(reward=np.full((1, lanes, horizon), next(bits), np.float32))

    monkeypatch.setattr(gpu, "rolled", rolled)
    monkeypatch.setattr(gpu.jax.tree, "leaves", lambda demos: [demos.reward])
    assert not gpu.measured(gpu.Job("hopper", 2, 5))["repeats"]


def test_what_is_no_robot_is_refused(tmp_path):
    with pytest.raises(ValueError, match="hopper"):
        gpu.run(gpu.Asked(robots="hoper", out=tmp_path / "x.json"), _quiet)
    with pytest.raises(ValueError, match="lanes"):
        gpu.run(gpu.Asked(robots="hopper", lanes="0", out=tmp_path / "x.json"), _quiet)


def test_runs_are_kept_one_after_another_on_a_page(tmp_path):
    row = {
        "robot": "hopper", "lanes": 2048, "steps": 100, "frames": 4, "compile, seconds": 1.0, "seconds": 0.5,
        "env steps per second": 409600.0, "physics steps per second": 1638400.0, "repeats": False, "returns": None,
    }  # fmt: skip
    found = {"devices": "1 x GPU", "packages": {"jax": "1"}, "rows": [row], "flags": ""}
    report.keep(found, tmp_path)
    page = report.keep({**found, "flags": "--xla_gpu_deterministic_ops=true"}, tmp_path).read_text()
    assert page.count("| hopper | 2,048 x 100 | 409,600 | 1,638,400 | 1.0 s + 0.50 s | NO | - | - |") == 2
    assert page.count("--xla_gpu_deterministic_ops=true") == 1
    assert len(json.loads((tmp_path / report.FOLDER / "gpu.json").read_text())) == 2


def test_the_shipped_page_is_that_of_the_shipped_runs():
    folder = pathlib.Path(__file__).parents[1] / "results" / report.FOLDER
    assert (folder / "GPU.md").read_text() == report.page(json.loads((folder / "gpu.json").read_text()))
