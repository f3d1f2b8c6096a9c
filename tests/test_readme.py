"""README and docs/: their commands and code run, their links lead somewhere, and what they show is what the commands print."""

import ast
import importlib
import inspect
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tomllib
import types

import modules
import pytest
import tyro

from ilbench import cli, registry
from ilbench.report import methods, pages, source
from ilbench.report.groups import group
from ilbench.running import plan
from ilbench.running.execute import Session, execute

ROOT = pathlib.Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.M | re.S)
ALL = [fence for page in PAGES for fence in FENCE.findall(page.read_text(encoding="utf-8"))]
LINES = dict.fromkeys(line for language, body in ALL if not language for line in body.splitlines() if line.startswith("ilbench "))
COMMANDS = list({tuple(shlex.split(line, comments=True)[1:]): None for line in LINES})
PARSED = (
    *("export", "data", "plot", "new", "smoke", "report", "serve", "submit-check"),  # they make or want files of their own
    *("doctor", "render", "bench", "evaluate", "pack", "tune", "verify", "query", "lecture"),  # minutes, or another test's business
)
PYTHON = [body for language, body in ALL if language == "python"]


def _python(word):
    """The one program of README or docs/ that holds a word, the first of two alike."""
    return next(body for body in PYTHON if word in body)


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
    if words[:2] == ("expert", "train") or words[0] in PARSED:
        assert command is not None
        return
    assert command.execute() == 0
    assert len(capsys.readouterr().out) > 100


def test_make_targets_exist():
    targets = re.findall(r"^make (\w+)", TEXT, re.M)
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert set(targets) == {"quick", "test"}
    assert all(re.search(rf"^{t}:", makefile, re.M) for t in targets)


def test_what_docs_need_is_locked_and_moves_nothing_of_the_lock():
    """`make docs` installs on top of the lock: a package that both name has the same release in both, or that of its Python."""
    docs, lock = (
        {(name, version) for name, version in re.findall(r"^([\w.-]+)==(\S+)", (ROOT / path).read_text(), re.M)}
        for path in ("docs/requirements.txt", "requirements.txt")
    )
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]["docs"]
    assert {re.match(r"[\w-]+", one)[0] for one in wanted} <= {name for name, _ in docs}
    both = {name for name, _ in docs} & {name for name, _ in lock}
    assert "jinja2" in both
    assert {pin for pin in docs if pin[0] in both} <= lock
    assert "://" not in (ROOT / "docs/requirements.txt").read_text()


@pytest.mark.slow
def test_python_of_the_readme_runs(tmp_path):
    done = subprocess.run([sys.executable, "-c", _python("load_records")], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "cliff@1" in done.stdout


@pytest.mark.slow
def test_a_policy_from_outside_is_judged_as_the_readme_says(tmp_path):
    done = subprocess.run([sys.executable, "-c", _python("foreign")], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert 0.3 < float(done.stdout) < 1.1


def test_algorithm_of_the_readme_is_an_algorithm(monkeypatch):
    module = types.ModuleType("half")
    monkeypatch.setitem(sys.modules, "half", module)  # dataclasses look their module up
    exec(_python("keep: float"), module.__dict__)
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


CLASSES = (  # task, head, what else the row has, how README calls it
    *(("fork", head, {}, head) for head in ("energy", "autoregressive", "bins", "mixture", "flow", "diffusion", "cvae")),
    ("fork", "mse", {}, "regression"), ("ways_3", "mixture", {}, "mixture"), ("ways_3", "bins", {}, "bins of each number alone"),
    ("peg_one", "gaussian", {}, "a Gaussian\n  has"), ("peg_one", "mse", {}, "regression"),
    ("peg_one", "flow", {"flow.start": "zero"}, "flow from z = 0 has"), ("peg_one", "flow", {"flow.start": "normal"}, "from a draw"),
    ("peg_one", "flow", {"flow.start": "mean"}, "the mean of 16 draws"), ("peg", "tsd", {}, "TSD"),
    ("peg", "mip", {"mip.form": "paper"}, "MIP"), ("peg", "mse", {}, "regression has"),
    ("two_modes", "gaussian", {}, "forward KL"), ("two_modes", "gaussian", {"f_divergence.divergence": "reverse_kl"}, "reverse KL"),
    ("two_modes", "gaussian", {"f_divergence.divergence": "jensen_shannon"}, "Jensen-Shannon"),
    ("two_modes", "gaussian", {"f_divergence.divergence": "total_variation"}, "total\n  variation"),
)  # fmt: skip


def test_classes_of_policies_have_the_scores_of_their_board():
    said = TEXT.split("**Which class for which data**")[1].split("\n## ")[0]
    rows = group(source.load("expressivity", ROOT / "results").records)
    for task, head, own, word in CLASSES:
        (row,) = (
            g for g in rows
            if (g.task.split("@")[0], g.head) == (task, head) and "task.half" not in g.config and own.items() <= g.config.items()
            and g.algorithm == ("f_divergence" if "f_divergence.divergence" in own else "bc")
        )  # fmt: skip
        value = f"{row.scored().mean():.2f}".replace("0.00", "0").removeprefix("0") or "0"
        assert f"{word} {value}" in said, (task, head, value)
    (line,) = (x for x in (ROOT / "results/expressivity@1/LEADERBOARD.md").read_text().splitlines() if "had not converged when" in x)
    assert " ".join(line.split()[:4]) + " had not converged" in " ".join(said.split())


def test_which_classes_compound_is_what_their_page_says():
    """The two ranges of A in docs/results.md against COMPOUNDING.md of the suite, verdicts and all."""
    said = (ROOT / "docs/results.md").read_text(encoding="utf-8").split("**A richer class may compound more.**")[1].split("\n- ")[0]
    page = (ROOT / "results/expressivity@1/COMPOUNDING.md").read_text(encoding="utf-8")
    found = re.findall(r"^\| fork_one, bc\+(\w+)\S* \| (\w+)[^|]*\(A = ([\d.]+)", page, re.M)
    called = {"autoregressive": "autoregressive head", "gaussian": "Gaussian", "mip": "MIP", "mse": "regression", "shortcut": "short cut"}
    for part, word in zip(re.split(r", and (?=\.)", said), ("compounds", "does"), strict=True):
        mine = {called.get(name, name): float(a) for name, verdict, a in found if verdict == word}
        assert all(name in " ".join(part.split()) for name in mine)
        low, high = re.search(r"(\S+) to (\S+) for", part).groups()
        assert (float(low), float(high)) == (min(mine.values()), max(mine.values()))


@pytest.fixture(scope="module")
def found():
    return source.load("quick", ROOT / "results")


def _board(suite, heading):
    """First number of the score by row of one table of a suite's page."""
    page = (ROOT / "results" / suite / "LEADERBOARD.md").read_text(encoding="utf-8")
    (table,) = [part for part in page.split("\n## ") if part.startswith(heading)]
    return {m[1].replace("\\*", ""): m[2] for m in re.finditer(r"^\| (\S+) \| (\d\.\d+) \[", table, re.M)}


def test_what_repairs_and_env_steps_are_worth_is_on_their_boards():
    said = " ".join(TEXT.split())
    robot = _board("repairs@1", "humanoid@1, H = 1000, budget 25,000 ")
    assert "dagger has {}, noise in the demonstrations {}, bc {}".format(
        *(f"{float(robot[name]):.2f}".lstrip("0") for name in ("dagger", "noise_injection", "bc"))
    ) in said
    one, five = (_board("matching@1", f"hopper@1, H = 1000, budget {n} ") for n in ("1,000", "5,000"))
    decayed = "bc[weight_decay=0.001]"
    numbers = [f"{float(x):.2f}".lstrip("0") for x in (one[decayed], one["gail"], five[decayed])]
    assert "lift bc's {} to {} (`gail`); from five bc has {} ".format(*numbers) in said


def test_classes_side_by_side_have_the_numbers_of_their_board(found):
    """The table of docs/results.md against the suite's LEADERBOARD.md, which is written another way."""
    board = (ROOT / "results/expressivity@1/LEADERBOARD.md").read_text(encoding="utf-8")
    shown = pages.blocks(found)["classes"]()
    lines = [re.split(r" {2,}", line) for line in shown.splitlines() if re.search(r"\[-?\d\.", line)]
    assert len(lines) == 11 + 13 + 8
    for task, row, column in (("peg_one@1", "mip[form=released]", 2), ("fork@1", "cvae", 2), ("two_modes@1 (expert a89", "shortcut", 1)):
        (table,) = (part for part in board.split("\n## ") if part.startswith(task))
        (cells,) = (line.replace("\\", "").split(" | ") for line in table.splitlines() if line.replace("\\", "").startswith(f"| bc+{row}"))
        (mine,) = (line for line in lines if line[0] == row)
        assert mine[column].removesuffix("*") == cells[2]
        assert mine[column].endswith("*") == cells[0].endswith("*")


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_what_is_shown_is_what_the_commands_print(page, found):
    text = page.read_text(encoding="utf-8")
    assert pages.fill(text, found) == text, "stale: run `make boards`"


def test_a_marker_of_no_block_is_told(found):
    with pytest.raises(ValueError, match=r"no block is called 'metods'.*methods"):
        pages.fill("<!-- metods:begin -->\n<!-- metods:end -->", found)


def test_the_answers_are_the_tables_numbers(found):
    """The sentences of front.py against the tables in docs/results.md and the boards, which are made another way."""
    said = " ".join(TEXT.split("<!-- answers:begin -->")[1].split("<!-- answers:end -->")[0].split())
    table = (ROOT / "docs" / "results.md").read_text(encoding="utf-8").split("<!-- compounding:begin -->")[1]
    lines = table.split("<!-- compounding:end -->")[0].splitlines()
    rows = {line.split()[0]: re.split(r" {2,}", line) for line in lines if re.match(r"\w+ +-?[\d.]+ \[", line)}
    robots = {name: cells for name, cells in rows.items() if name != "pendulum"}  # the one task here that Brax has not
    yes = {name: cells[1] for name, cells in robots.items() if cells[2] == "compounds"}
    assert f"On {len(yes)} of {len(robots)}:" in said
    assert all(re.sub(r"[*!]", "", yes[name]) in said for name in ("inverted_pendulum", "inverted_double_pendulum", "hopper"))
    assert "swimmer it does not (0.995 [0.923, 1.08])" in said
    board = (ROOT / "results/repairs@1/LEADERBOARD.md").read_text(encoding="utf-8").split("## The 2 of")[0]
    first = dict(re.findall(r"\| [\d-]+ \| (\w+) \| ([^|]+) \|", board))
    assert len(first) == 5
    assert all(f"`{name}` {first[name]}" in said for name in first if name != "constant")
    page = (ROOT / "results/repairs@1/LEADERBOARD.md").read_text(encoding="utf-8")
    fitted = "".join(part for part in page.split("\n## ") if ", head mse\n" in part)  # tables have no steps that could go on
    marks = re.findall(r"^\| (?:bc|dart|dagger|noise_injection)(\S*) \|", fitted, re.M)
    assert f"{sum('*' in mark for mark in marks)} of {len(marks)} rows there had not converged" in said
    assert "9 of 9 closed forms hold" in said


def test_methods_has_every_algorithm_once():
    text = (ROOT / "docs" / "methods.md").read_text(encoding="utf-8")
    shown = re.findall(r"^\| `(\w+)`", text, re.M)
    assert sorted(shown) == sorted(n for n, e in registry.entries("algorithms").items() if e.distribution is None)
    kinds = {e.id: methods.kind(e) for e in registry.entries("algorithms").values()}
    known = {"bc": "demonstrations", "dart": "asked", "dagger": "asked", "hg_dagger": "takeover", "gail": "env steps", "random": "none"}
    assert {name: kinds[name] for name in known} == known


def test_the_readme_is_short():
    assert len(TEXT.splitlines()) <= 180


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CONTRIBUTING.md"], ids=lambda p: p.name)
def test_links_lead_somewhere(page):
    text = page.read_text(encoding="utf-8")
    links = re.findall(r"\]\((?!https?:|#)([^)\s]+)\)", re.sub(r"```.*?```", "", text, flags=re.S))
    for link in links:
        path, _, mark = link.partition("#")
        there = page.parent / path
        assert there.exists(), link
        titles = re.findall(r"^#+ (.*)", there.read_text(encoding="utf-8"), re.M) if mark else []
        assert not mark or mark in [re.sub(r"[^\w -]", "", t.lower()).replace(" ", "-") for t in titles], link
    assert links


def _documented(name):
    """Undocumented public functions, classes and methods of a module."""
    tree = modules.TREES[name]
    public = [n for n in ast.walk(tree) if isinstance(n, (ast.FunctionDef, ast.ClassDef)) and not n.name.startswith("_")]
    inner = {id(m) for n in public if isinstance(n, ast.FunctionDef) for m in ast.walk(n) if m is not n}
    return [n.name for n in public if id(n) not in inner and not ast.get_docstring(n)]


@pytest.mark.parametrize("name", ["types", "registry", "training.lab"])
def test_what_is_public_has_a_docstring(name):
    assert not _documented(name)


def test_what_the_api_page_names_has_a_docstring():
    text = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    dotted = re.findall(r"^\.\. auto(?:function|class|module):: ([\w.]+)", text, re.M)
    dotted += [f"ilbench.registry.{name}" for name in re.search(r":members: (\w.*)", text)[1].split(", ")]
    assert len(dotted) > 10
    for name in dotted:
        assert inspect.getdoc(_object(name)), name


def _object(dotted):
    module, _, name = dotted.rpartition(".")
    try:
        return getattr(importlib.import_module(module), name)
    except AttributeError:
        return importlib.import_module(dotted)


@pytest.mark.slow
def test_the_tutorial_runs_as_it_stands(tmp_path):
    """Its files written, its commands run, in its order; of what it shows every line that holds no measured number comes out."""
    text = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
    (suite,) = (body for language, body in FENCE.findall(text) if language == "python" and "def suite" in body)
    (project,) = (body for language, body in FENCE.findall(text) if language == "toml")
    (tmp_path / "first.py").write_text(suite)
    (tmp_path / "pyproject.toml").write_text(project)
    path = f"{tmp_path / 'site'}{os.pathsep}{ROOT}"

    def python(*words):
        environment = {**os.environ, "PYTHONPATH": path, "COLUMNS": "200"}
        return subprocess.run([sys.executable, "-m", *words], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)

    printed = {}
    for line in re.findall(r"^\$ ilbench (.*)", text, re.M):
        if line.startswith("run"):
            python("pip", "install", "-q", "--no-deps", "--no-build-isolation", "--no-index", "--target", "site", ".")
        done = python("ilbench", *shlex.split(line))
        printed[line.split()[0]] = done.stdout
        assert done.returncode == (3 if line.startswith("smoke") else 0), done.stderr
        if line.startswith("new"):
            mine = (tmp_path / "mine.py").read_text()
            lines = next(body for language, body in FENCE.findall(text) if language == "python")
            assert lines in mine
            before, after = re.search(r"change `(.*?)` to `(.*?)`", text).groups()
            assert before in mine
            (tmp_path / "mine.py").write_text(mine.replace(before, after))
    assert printed["new"].strip() == "mine.py"
    assert "mine: 5 of 5 wrong" in printed["smoke"]
    assert "mine left more than half of its budget unspent: [75, 75] of 300 labels" in printed["smoke"]
    assert "first@1: 20 cells run, 0 already there, 0 failed, of 20" in printed["run"]
    assert re.search(r"^gridworld@1 H=100 n=600 .* undecided ", printed["compare"], re.M)
    assert re.search(r"^all 2 together .* worse ", printed["compare"], re.M)
    assert re.search(r"^mine & .* & 150 & 5 ", printed["export"], re.M)
