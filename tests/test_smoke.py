"""`ilbench new` writes plug-ins that run as they stand; `ilbench smoke` tells good algorithms from cheating and faulty ones, in words."""

import json
import sys

import plugins
import pytest
from test_compare import run

from ilbench import registry, testing
from ilbench.commands import new
from ilbench.commands import smoke_test as smoke

BROKEN = '''"""Fits the labels moved round by one action: what it does is never what the expert did.

Source: none
"""
from dataclasses import dataclass
from ilbench.types import Trained

TRY = ("gridworld", "table", 300)

@dataclass(frozen=True)
class Config:
    """Nothing."""

def train(lab, config):
    data = lab.rows(lab.demonstrate(), lab.budget)
    params, losses = lab.fit(data._replace(action=1 - data.action))
    return Trained({"last": lab.policy(params)}, "last", {"loss": losses})
'''


@pytest.fixture
def taken_in(monkeypatch):
    """What `registry.add` takes in is given back after the test."""
    before, path = list(registry._ADDED), list(sys.path)
    yield
    for _, source in registry._ADDED[len(before) :]:
        sys.modules.pop(source.module, None)
    registry._ADDED[:], sys.path[:] = before, path
    plugins.forget()


def rows(monkeypatch, capsys, *words):
    code = run(monkeypatch, "smoke", *words, "--json")
    return code, {r["task"]: (r["verdict"], r["what"]) for r in json.loads(capsys.readouterr().out)}


def test_a_new_algorithm_passes_and_its_settings_are_taken(tmp_path, monkeypatch, capsys, taken_in):
    monkeypatch.chdir(tmp_path)
    assert run(monkeypatch, "new", "algorithm", "mine_own") == 0
    capsys.readouterr()
    code, found = rows(monkeypatch, capsys, "mine_own.py")
    assert code == 0
    assert {verdict for verdict, _ in found.values()} == {"ok"}
    assert list(found) == ["cliff", "contract", "recoverable", "gridworld", "scalar_stable"]
    assert run(monkeypatch, "smoke", "mine_own.py", "--set", "mine_own.shar=1") == 3
    assert "mine_own.share" in capsys.readouterr().out
    assert run(monkeypatch, "new", "algorithm", "mine_own") == 2
    assert "is there already" in capsys.readouterr().err


def test_labels_moved_round_are_found(tmp_path, monkeypatch, capsys, taken_in):
    (tmp_path / "turned.py").write_text(BROKEN, encoding="utf-8")
    code, found = rows(monkeypatch, capsys, str(tmp_path / "turned.py"))
    assert code == 3
    assert found["cliff"][0] == found["recoverable"][0] == "wrong"
    assert "worse than the best constant action" in found["cliff"][1]
    assert "at least 0.999 is due: the labels cover" in found["cliff"][1]


@pytest.mark.parametrize(
    ("module", "config", "said"),
    [
        ("cheats", {"cheats.how": "idle"}, "bought [0, 0] of 400 labels"),
        ("cheats", {"cheats.how": "miser"}, "bought [100, 100] of 400 labels"),
        ("faulty", {"faulty.fault": "diverged"}, "diverged (non-finite parameters after training)"),
        ("faulty", {"faulty.fault": "one seed"}, "of shape [1, "),
        ("faulty", {"faulty.fault": "raises"}, "ZeroDivisionError: a fault of the author's own"),
        ("faulty", {"faulty.fault": "none"}, "expert and head are linear"),
    ],
)
def test_cheats_and_faults_are_named(module, config, said, monkeypatch):
    monkeypatch.setattr(smoke, "KNOWN", smoke.KNOWN[-1:])
    monkeypatch.setattr(smoke, "contract", lambda *args: {"task": "contract", "verdict": "ok", "what": ""})
    with plugins.registered("algorithms", **{module: f"plugins.{module}"}):
        row, _ = smoke.held(module, config)
    assert said in row["what"]
    assert row["verdict"] == ("ok" if config == {"faulty.fault": "none"} else "wrong")


def test_what_breaks_the_contract_is_said():
    with plugins.registered("algorithms", cheats="plugins.cheats"):
        found = smoke.contract("cheats", smoke.KNOWN[-1], {"cheats.how": "neighbour"})
    assert found["verdict"] == "wrong"
    assert "depends on the seeds that it runs with" in found["what"]


def test_a_new_head_and_a_new_task_keep_their_contracts(tmp_path, monkeypatch, capsys, taken_in):
    for kind, name in (("head", "straight"), ("task", "my_cart")):
        assert run(monkeypatch, "new", kind, name, "--out", str(tmp_path)) == 0
        assert registry.add(f"{kind}s", tmp_path / f"{name}.py") == name
    module, task = registry.load("heads", "straight"), registry.task("scalar_stable")
    testing.check_head(module.make(task.spec, module.Config()), task)
    testing.check_env(registry.task("my_cart"))
    assert set(new.TEXTS) == {"algorithm", "head", "task"}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("smoke dager", "Did you mean dagger"),
        ("smoke dialled", "INSTRUMENT"),
        ("smoke nowhere.py", "is no Python file"),
        ("new algorithm bc", "there is another algorithm 'bc'"),
        ("new task Mine", "letters a-z"),
        ("new head mine --out nowhere", "no folder 'nowhere'"),
    ],
)
def test_refused(line, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(monkeypatch, *line.split()) == 2
    assert said in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_file_called_like_a_module_is_refused(tmp_path):
    (tmp_path / "json.py").write_text(new.ALGORITHM, encoding="utf-8")
    with pytest.raises(ValueError, match="another module is called 'json'"):
        registry.add("algorithms", tmp_path / "json.py")
