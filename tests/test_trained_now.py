"""A policy named on the command line is the suite's: whose settings it has is said, and the board's number beside it."""

import dataclasses
import json
import sys

import pytest

from ilbench import cli, registry
from ilbench.commands.theory import certificate
from ilbench.compute import parallel
from ilbench.records import schema, shipped, store
from ilbench.report import standing as board
from ilbench.report.standing import standing
from ilbench.running import plan, policies

FOUND = [  # task, policy, options: suite, updates, horizon, what is said
    ("cartpole", "bc:2", {}, "quick", 2500, 500, "settings of quick@"),
    ("cartpole", "bc:5", {}, "quick", 2500, 500, "declared there for 2 demonstrations"),
    ("cartpole", "bc:6", {"horizon": 30}, "quick", 2500, 30, "2,500 updates of 32"),
    ("cartpole", "bc:6", {"changes": {"fit.updates": 7}}, "quick", 7, 500, "changed: fit.updates=7"),
    ("cartpole", "bc/linear:6", {}, "quick", 2500, 500, "whose head there is mlp"),
    ("pendulum", "dagger:6", {}, "quick", 40_000, 200, "settings of quick@"),
    ("reset_cliff", "bc:90", {}, "quick", 2000, 40, "declared there for 100"),
    ("scalar_unstable", "bc:3", {"suite": "smoke"}, "smoke", 300, 100, "settings of smoke@1;"),
    ("cliff", "dialled:1", {}, None, 2000, 100, "default settings"),
]


@pytest.mark.parametrize(("task", "policy", "options", "suite", "updates", "horizon", "said"), FOUND)
def test_settings_are_those_of_a_suite(task, policy, options, suite, updates, horizon, said):
    found = policies.find(policy, task, **options)
    assert found.suite == (suite and f"{suite}@{plan.load_suite(suite).version}")
    assert (found.plan.fit.updates, found.plan.task.horizon) == (updates, horizon)
    assert said in found.settings


def test_without_a_suite_the_librarys_defaults_are_said(monkeypatch):
    monkeypatch.setattr(registry, "entries", lambda kind, real=registry.entries: {} if kind == "suites" else real(kind))
    found = policies.find("bc:6", "cartpole")
    assert (found.suite, found.plan.fit.updates) == (None, 2000)
    assert "of the library: no suite runs bc on cartpole; 2,000 updates" in found.settings
    assert standing(found) == ()


def test_what_is_trained_is_the_suites_cell():
    """Everything but the seeds is the block's, so that records of the suite speak of such policies."""
    suite = plan.load_suite("quick")
    for name in ("bc", "dagger", "ccil"):
        block = next(b for b in suite.blocks if (b.task, b.algorithm) == ("pendulum", name))
        found = policies.find(f"{name}:{block.budget // 200}", "pendulum", seed=3)
        assert found.plan.block == dataclasses.replace(block, seeds=(3,))
        assert plan.cells(found.plan)[3] == plan.cells(plan.resolve(block))[3]


def _shipped(folder, monkeypatch, seeds, **changes):
    monkeypatch.setattr(shipped, "folders", lambda: (folder,))
    found = policies.find("bc:6", "cartpole", seed=1, changes={"fit.updates": 20}, horizon=20)
    cell = plan.cells(found.plan)[1]
    for seed in seeds:
        scores = {"score": 0.5 + seed / 10, "return": 10.0 + 2 * seed, "gap": 1.0, "cost": 2.0, "survived": 1.0}
        of = {"expert": {"mean": 20.0}, "random": {"mean": 0.0}}
        made = schema.make_record(
            cell.model_copy(update={"seed": seed, **changes}), found.suite, status="ok", scores=scores, references=of,
            episodes=schema.summarise_episodes([10.0 + 2 * seed] * 64, [2.0] * 64),
        )  # fmt: skip
        store.write(folder, made, {})
    return found


def test_the_boards_number_stands_beside_it(tmp_path, monkeypatch):
    found = _shipped(tmp_path, monkeypatch, range(4))
    (said,) = standing(found)
    score, rest = said.removeprefix(found.suite).split(" (mean [95 %] over 4 seeds); ")
    assert score.startswith(": bc at 120 labels scores 0.65")
    assert rest == "this is seed 1, which scored 0.600"
    assert "which scored" not in standing(_shipped(tmp_path / "b", monkeypatch, (0, 2, 3)))[0]
    assert standing(_shipped(tmp_path / "c", monkeypatch, range(4), budget=7)) == ()
    monkeypatch.setattr(shipped, "folders", lambda: ())
    assert standing(found) == ()


def test_render_says_how_it_was_trained(tmp_path, monkeypatch, capsys):
    _shipped(tmp_path / "results", monkeypatch, range(4))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(parallel, "setup", lambda *args: None)
    words = ["render", "cartpole", "bc:6", "--seed", "1", "--set", "fit.updates=20", "--horizon", "20"]
    for more in ([], ["--json"]):
        monkeypatch.setattr(sys, "argv", ["ilbench", *words, *more])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        assert stop.value.code == 0
        shown = capsys.readouterr()
        page = (tmp_path / "cartpole.html").read_text()
        told = json.loads(shown.out)["trained"] if more else shown.out.splitlines()[1:3]
        assert "settings of quick@" in told[0]
        assert "this is seed 1" in told[1]
        assert all(line in page for line in told)
        assert "trained as in quick@" in page
        assert "settings of quick@" in shown.err


def test_certificates_say_it_too(tmp_path, monkeypatch):
    made = certificate("gridworld", "bc:6", episodes=16, horizon=30)
    assert "settings of quick@" in made.notes[0]
    assert "as in quick@" in made.policy
    with pytest.raises(registry.UnknownName, match="does not run bc on gridworld"):
        certificate("gridworld", "bc:6", episodes=16, suite="brax")


@pytest.mark.parametrize(("task", "policy", "sigma"), [("gridworld", "bc:6", None), ("scalar_unstable", "bc:1", 0.1)])
def test_the_board_says_nothing_of_noise(task, policy, sigma, monkeypatch):
    monkeypatch.setattr(board, "standing", lambda found: ("the board",))
    made = certificate(task, policy, sigma=sigma, episodes=4, horizon=30, changes={"fit.updates": 5})
    assert ("the board" in made.notes) == (sigma is None)


def test_a_record_has_no_other_suite(tmp_path, monkeypatch):
    _shipped(tmp_path, monkeypatch, (1,))
    (file,) = tmp_path.rglob("*.json")
    with pytest.raises(ValueError, match=r"holds no policy|trained already"):
        policies.find(str(file), "cartpole", suite="quick")
