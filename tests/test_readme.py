"""README and docs/: their commands and code run, their links lead somewhere, and what they show is what the commands print."""

import ast
import inspect
import os
import pathlib
import re
import shlex
import subprocess
import sys
import types

import modules
import pytest
import tyro

from ilbench import cli, registry
from ilbench.report import pages, source
from ilbench.running import plan
from ilbench.running.execute import Session, execute

ROOT = pathlib.Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.M | re.S)
FENCES = FENCE.findall(TEXT)
ALL = [fence for page in PAGES for fence in FENCE.findall(page.read_text(encoding="utf-8"))]
LINES = dict.fromkeys(line for language, body in ALL if not language for line in body.splitlines() if line.startswith("ilbench "))
COMING = ("lecture", "query", "verify", "data")  # on their way: skipped while the command is unknown; a name goes out when it has landed
COMMANDS = list({tuple(shlex.split(line, comments=True)[1:]): None for line in LINES})
WRITES = ("export", "plot", "new", "smoke", "report", "serve", "submit-check")  # they make or want files of their own
PYTHON = [body for language, body in FENCES if language == "python"]


def _command(words):
    return tyro.cli(tyro.conf.OmitArgPrefixes[cli.Command], prog="ilbench", args=words)


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_commands_of_the_readme_run(words, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    if words[0] == "run":
        words = [*words, "--dry-run"]
    if words[0] in ("leaderboard", "theory", "compounding", "replicate", "compare"):
        words = [*words, "--results", "results"]
    command = _command(words)
    if words[:2] == ["expert", "train"] or words[0] in (
        "doctor",
        "render",
        "bench",
        *WRITES,
    ):  # minutes, or another test's business: parsed only
        assert command is not None
        return
    assert command.execute() == 0
    assert len(capsys.readouterr().out) > 100


def test_make_targets_exist():
    targets = re.findall(r"^make (\w+)", TEXT, re.M)
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert set(targets) == {"quick", "test"}
    assert all(re.search(rf"^{t}:", makefile, re.M) for t in targets)


@pytest.mark.slow
def test_python_of_the_readme_runs(tmp_path):
    done = subprocess.run([sys.executable, "-c", PYTHON[0]], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "cliff@1" in done.stdout


@pytest.mark.slow
def test_a_policy_from_outside_is_judged_as_the_readme_says(tmp_path):
    done = subprocess.run([sys.executable, "-c", PYTHON[1]], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert 0.3 < float(done.stdout) < 1.1


def test_algorithm_of_the_readme_is_an_algorithm(monkeypatch):
    module = types.ModuleType("half")
    monkeypatch.setitem(sys.modules, "half", module)  # dataclasses look their module up
    exec(PYTHON[2], module.__dict__)
    load = registry.load
    monkeypatch.setattr(registry, "load", lambda kind, name: module if name == "half" else load(kind, name))
    identity = registry.identity
    monkeypatch.setattr(
        registry, "identity", lambda kind, name: registry.Identity(1, None, {}) if name == "half" else identity(kind, name)
    )
    block = plan.Block("gridworld", "half", "table", 200, seeds=(0, 1), config={"half.keep": 0.2})
    done = execute(plan.resolve(block), block.seeds, Session())
    assert [o.spent["labels"] for o in done.outcomes] == [200, 200]
    assert all(o.scores["eps_bar"] > 0 for o in done.outcomes)


def test_tables_of_the_readme_are_what_the_commands_print():
    assert pages.readme(TEXT, source.load("quick", ROOT / "results")) == TEXT, "stale: run `make boards`"
