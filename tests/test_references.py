"""Reference returns are measured once per machine, and never taken from a file that is about something else."""

import dataclasses
import json

import numpy as np
import plugins
import pytest

from ilbench import registry
from ilbench.evaluation import references
from ilbench.wrappers.noisy import noisy

N = 8


@pytest.fixture
def rolled(monkeypatch, tmp_path):
    """How many policies have been rolled out; the cache lies in `tmp_path`."""
    monkeypatch.setenv("ILBENCH_CACHE", str(tmp_path))
    count, roll = [], references.roll
    monkeypatch.setattr(references, "roll", lambda *a, **k: count.append(a) or roll(*a, **k))
    return count


def test_kept_and_read_back_bit_for_bit(rolled, tmp_path):
    first = references.references(registry.task("cartpole", 20), episodes=N)
    assert len(rolled) == 2
    assert references.references(registry.task("cartpole", 20), episodes=N) == first
    assert len(rolled) == 2
    assert first["expert"]["n"] == N
    (file,) = tmp_path.rglob("*.json")
    assert file.parent.name == "references"
    assert not any(word in file.read_text() for word in ("/", "root", "home"))


def _changes():
    task = registry.task("cartpole", 20)
    expert = dataclasses.replace(task.expert, params=np.asarray(task.expert.params) * np.float32(-1))
    return {
        "options": registry.task("cartpole", 20, force=5.0),
        "horizon": registry.task("cartpole", 19),
        "expert": dataclasses.replace(task, expert=expert),
        "absorbing reward": dataclasses.replace(
            task, env=dataclasses.replace(task.env, absorbing_reward=np.float32(-1))
        ),
        "another task": registry.task("pendulum", 20),
    }


@pytest.mark.parametrize("what", [*_changes(), "episodes", "code", "version"])
def test_whatever_decides_the_numbers_is_in_the_key(what, rolled, monkeypatch):
    references.references(registry.task("cartpole", 20), episodes=N)
    if what == "code":
        monkeypatch.setattr(references, "_code", lambda: "another")
    if what == "version":
        monkeypatch.setattr(references.ilbench, "__version__", "9")
    other = _changes().get(what, registry.task("cartpole", 20))
    references.references(other, episodes=N + (what == "episodes"))
    assert len(rolled) == 4


@pytest.mark.parametrize(
    "task",
    [
        dataclasses.replace(registry.task("cartpole", 20), id="mine"),
        noisy(registry.task("pendulum", 20), 0.1),
        dataclasses.replace(registry.task("cartpole", 20), block=7),
    ],
    ids=["another name", "wrapped", "another block"],
)
def test_a_task_whose_functions_nobody_knows_is_not_kept(task, rolled, tmp_path):
    assert references._key(task, N) is None
    references.references(task, episodes=N)
    assert not list(tmp_path.rglob("*.json"))


DAMAGE = {
    "empty": lambda stored: "",
    "half": lambda stored: json.dumps(stored)[:200],
    "list": lambda stored: "[1]",
    "another key": lambda stored: json.dumps(stored | {"key": stored["key"] | {"horizon": 7}}),
    "nan": lambda stored: json.dumps(stored | {"random": stored["random"] | {"mean": float("nan")}}),
    "text": lambda stored: json.dumps(stored | {"random": stored["random"] | {"mean": "10"}}),
    "fewer episodes": lambda stored: json.dumps(stored | {"expert": stored["expert"] | {"n": N - 1}}),
    "outside": lambda stored: json.dumps(stored | {"expert": stored["expert"] | {"mean": 1e9}}),
    "half of it": lambda stored: json.dumps({k: v for k, v in stored.items() if k != "expert"}),
    "deep": lambda stored: "[" * 5000,
    "large": lambda stored: json.dumps(stored | {"more": "x" * 20_000}),
}


def test_a_damaged_file_is_measured_anew_and_mended(rolled, tmp_path):
    task = registry.task("cartpole", 20)
    first = references.references(task, episodes=N)
    (file,) = tmp_path.rglob("*.json")
    stored, sound = json.loads(file.read_text()), file.read_bytes()
    for i, (name, damage) in enumerate(DAMAGE.items()):
        file.write_text(damage(stored))
        assert references.references(task, episodes=N) == first, name
        assert (len(rolled), file.read_bytes()) == (2 * (i + 2), sound), name
    assert [f.name for f in file.parent.iterdir()] == [file.name]


def test_a_folder_that_cannot_be_written_costs_nothing_but_time(rolled, tmp_path, monkeypatch):
    (tmp_path / "references").write_text("a file where the folder should be")
    task = registry.task("cartpole", 20)
    assert references.references(task, episodes=N) == references.references(task, episodes=N)
    assert len(rolled) == 4


def test_what_is_not_finite_is_not_kept(rolled, tmp_path):
    with plugins.registered("tasks", toys="plugins.broken_tasks"):
        assert np.isnan(references.references(registry.task("nan_reward"), episodes=N)["expert"]["mean"])
        assert not list(tmp_path.rglob("*.json"))
        references.references(registry.task("sound"), episodes=N)
        assert len(list(tmp_path.rglob("*.json"))) == 1


@pytest.mark.parametrize("episodes", [1, 0, -5])
def test_one_episode_has_no_interval(episodes, rolled):
    with pytest.raises(ValueError, match="at least 2 episodes"):
        references.references(registry.task("cartpole", 20), episodes=episodes)
    assert not rolled
