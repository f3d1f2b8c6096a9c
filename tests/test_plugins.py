"""Plug-ins of others: what is broken is left out and named, what identifies one is known, what it returns is checked."""

import dataclasses
import json
import sys
import types

import numpy as np
import plugins
import pytest
from plugins import faulty

from ilbench import cli, registry, testing
from ilbench.compute import parallel
from ilbench.evaluation import measuring
from ilbench.running import validate
from ilbench.running.execute import Session, execute
from ilbench.running.plan import Block, resolve
from ilbench.types import Policy, Trained

SOUND = '"""A sound one.\n\nPaper: somebody 2026\n"""\ndef train(lab, config): ...\n'
BROKEN = {  # the module's text: what is said of it
    "def train(:": "SyntaxError",
    "def trian(lab, config): ...": "defines no 'train'",
    "from other import *": "defines no 'train'",
    SOUND + "VERSION = 1 + 1": "VERSION must be a literal integer",
    SOUND + "VERSION = 0": "got 0",
    SOUND + "VERSION = True": "got True",
    SOUND + "READS = ('a', 1)": "READS must be a literal tuple",
    SOUND + "READS = 'data.bin'": "READS must be a literal tuple",
    SOUND + "TAGS = 5": "TypeError",
}
ONE = (("algorithms", "theirs"), "somebodys")


def _run(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["ilbench", *words])
    monkeypatch.setattr(parallel, "setup", lambda *args: None)
    with pytest.raises(SystemExit) as stop:
        cli.main()
    return stop.value.code


@pytest.mark.parametrize(("text", "said"), BROKEN.items(), ids=list(BROKEN.values()))
def test_a_broken_plug_in_is_left_out_and_named(text, said, tmp_path, monkeypatch, capsys):
    with plugins.installed(tmp_path, {"somebodys.py": text}, {ONE[0]: ONE[1]}, monkeypatch):
        assert "theirs" not in registry.entries("algorithms")
        assert {"bc", "dagger"} <= set(registry.entries("algorithms"))
        shown = capsys.readouterr().err
        assert shown.startswith("ilbench: left out algorithm 'theirs': entry point 'theirs' = 'somebodys': ")
        assert said in shown
        assert shown.count("\n") == 1
        with pytest.raises(registry.UnknownName, match="was left out"):
            registry.entry("algorithms", "theirs")


@pytest.mark.parametrize(
    ("files", "module", "said"),
    [
        ({}, "nowhere", "not installed"),
        ({}, "nowhere.at.all", "ModuleNotFoundError"),
        ({"package/__init__.py": "1 / 0", "package/it.py": SOUND}, "package.it", "ZeroDivisionError"),
        ({"package/__init__.py": "raise SystemExit(3)", "package/it.py": SOUND}, "package.it", "SystemExit"),
        ({"somebodys.py": SOUND}, "some body", "theirs"),
    ],
)
def test_a_module_that_is_not_there_ends_no_command(files, module, said, tmp_path, monkeypatch, capsys):
    with plugins.installed(tmp_path, files, {ONE[0]: module}, monkeypatch):
        assert _run(monkeypatch, "list", "algorithms", "--json") == 0
        shown = capsys.readouterr()
        assert {row["id"] for row in json.loads(shown.out)} >= {"bc", "dagger"}
        assert said in shown.err
        assert "Traceback" not in shown.err
        sys.modules.pop("package", None)


@pytest.mark.parametrize(
    "files",
    [
        {"somebodys.py": SOUND},
        {"somebodys/__init__.py": SOUND},
        {"somebodys/__init__.py": '"""A sound one.\n\nPaper: somebody 2026\n"""\nfrom .impl import train\n'},
        {"somebodys/__init__.py": '"""A sound one.\n\nPaper: somebody 2026\n"""\nfrom .impl import fit as train\n'},
        {"somebodys.py": '"""A sound one.\n\nPaper: somebody 2026\n"""\ntrain = lambda *a: None\n'},
        {
            "somebodys.py": '"""A sound one.\n\nPaper: somebody 2026\n"""\ntry:\n    import x\nexcept ImportError:\n    train = 3\n'
        },
    ],
)
def test_a_plug_in_is_called_what_its_entry_point_is_called(files, tmp_path, monkeypatch, capsys):
    with plugins.installed(tmp_path, files, {ONE[0]: ONE[1]}, monkeypatch):
        found = registry.entries("algorithms")["theirs"]
        assert (found.module, found.summary, found.paper) == ("somebodys", "A sound one.", "somebody 2026")
        assert "__init__" not in registry.entries("algorithms")
        assert capsys.readouterr().err == ""


def test_two_of_one_name_are_not_guessed(tmp_path, monkeypatch, capsys):
    files, mine = {"a.py": SOUND, "b.py": SOUND}, registry.entry("algorithms", "bc")
    with plugins.installed(tmp_path, files, {("algorithms", "bc"): "a"}, monkeypatch):
        assert registry.entry("algorithms", "bc") == mine
        assert "ilbench.algorithms.bc stays" in capsys.readouterr().err
    with plugins.registered("algorithms", theirs="plugins.faulty"):
        assert registry.entry("algorithms", "theirs").module == "plugins.faulty"


def test_a_family_makes_names_that_nobody_lists(tmp_path, monkeypatch):
    text = "def make(name, horizon=None): ...\ndef make_any(name, horizon=None): return name\n"
    files = {"relatives.py": f'"""Tasks."""\nTASKS = {{"one": {{}}}}\nFAMILY = "mine"\n{text}'}
    with plugins.installed(tmp_path, files, {("tasks", "theirs"): "relatives"}, monkeypatch):
        assert registry.task_maker("mine:x/y")("mine:x/y") == "mine:x/y"
        assert registry.task_maker("brax:ant/mjx").__module__ == "ilbench.envs.brax"
        with pytest.raises(registry.UnknownName, match="yours:x"):
            registry.task_maker("yours:x")


def test_identity_is_known_without_importing(tmp_path, monkeypatch):
    text = SOUND + "VERSION = 4\nREADS: tuple[str, ...] = ('data/table.bin',)\nraise RuntimeError('imported')\n"
    with plugins.installed(tmp_path, {"somebodys.py": text, "data/table.bin": "one"}, {ONE[0]: ONE[1]}, monkeypatch):
        first = registry.identity("algorithms", "theirs")
        assert first[:2] == (4, "somebody==1.2")
        assert first.digests == {"data/table.bin": "7692c3ad3540bb80"}
        (tmp_path / "data" / "table.bin").write_text("two")
        assert registry.identity("algorithms", "theirs").digests != first.digests
        (tmp_path / "data" / "table.bin").unlink()
        with pytest.raises(ValueError, match=r"reads 'data/table\.bin', which is no file"):
            registry.identity("algorithms", "theirs")
    assert registry.identity("algorithms", "bc") == registry.Identity(1, None, {})


# ------------------------------------------------------------------------------------ what train returns
@pytest.mark.parametrize("fault", faulty.FAULTS)
def test_what_train_returns_is_checked(fault):
    params = {"bias": np.zeros((2, 1, 4), np.float32), "kernel": np.zeros((2, 1, 3, 4), np.float32)}
    policy = Policy(params, faulty._first, faulty._first)
    change, said = faulty.FAULTS[fault]
    result = change(Trained({"last": policy}, "last", {"loss": np.zeros((2, 4))}), policy)
    if said is None:
        validate.trained(result, "mine", (0, 1))
        return
    with pytest.raises(ValueError, match="algorithm 'mine'") as error:
        validate.trained(result, "mine", (0, 1))
    assert said in str(error.value)


def test_what_our_algorithms_return_is_sound():
    plan = resolve(Block("scalar_stable", "bc", "mse", 100, seeds=(0, 1), config={"fit.updates": 2}))
    done = execute(plan, (0, 1), Session())
    result = Trained({"last": done.policy}, "last")
    validate.trained(result, "bc", 2, plan.task)
    with pytest.raises(ValueError, match="S = 3 seeds"):
        validate.trained(result, "bc", 3)
    with pytest.raises(ValueError, match=r"'last' cannot act on one observation \[2\] of double_integrator@1"):
        validate.trained(result, "bc", 2, registry.task("double_integrator"))


# ------------------------------------------------------------------------------------------ measures
def _measures(monkeypatch, **functions):
    modules = {name: types.SimpleNamespace(measure=f, literals=()) for name, f in functions.items()}
    monkeypatch.setattr(registry, "entries", lambda kind: modules)
    monkeypatch.setattr(registry, "load", lambda kind, name: modules[name])


def test_all_measures_at_once_are_each_of_them():
    given, separate = testing.evidence(True), {}
    for name in registry.entries("measures"):
        separate |= registry.load("measures", name).measure(given)
    assert repr(measuring.measure_all(given)) == repr(separate)


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        ({"score": 42.0}, r"measures 'returns' and 'theirs' both return 'score'"),
        ({"x": "high"}, r"measure 'theirs': 'x' is 'high' \(str\)"),
        ({"x": np.array(["a"])}, "'x'"),
        ({"x": [[1], [1, 2]]}, "'x'"),
        ({"x": 1j}, "complex"),
        ({"train/loss": 1.0}, "'train/loss'"),
        ({3: 1.0}, "the key 3"),
        (None, "returned NoneType"),
    ],
)
def test_a_measure_takes_no_others_key_and_returns_numbers(returned, said, monkeypatch):
    _measures(monkeypatch, returns=lambda e: {"score": 1.0}, theirs=lambda e: returned)
    with pytest.raises(ValueError, match=said):
        measuring.measure_all(testing.evidence(True))


def test_values_that_are_not_finite_are_named(monkeypatch):
    values = {"a": 1.0, "b": None, "c": np.nan, "d": np.array([1, np.inf]), "e": np.arange(3), "f": np.bool_(True)}
    _measures(monkeypatch, all=lambda e: values)
    assert measuring.non_finite(measuring.measure_all(testing.evidence(True))) == ("c", "d")


# ---------------------------------------------------------------------------------------- broken tasks
@pytest.mark.parametrize("name", ["sound", "nan_reward", "nan_obs", "nan_expert", "raises_in_step", "wrong_obs_shape"])
def test_broken_tasks_are_broken_and_the_sound_one_is_not(name):
    with plugins.registered("tasks", toys="plugins.broken_tasks"):
        task = registry.task(name)
        assert task == dataclasses.replace(task)
        if name == "sound":
            testing.check_env(task)
            return
        with pytest.raises((AssertionError, RuntimeError, TypeError, ValueError)):
            testing.check_env(task)
