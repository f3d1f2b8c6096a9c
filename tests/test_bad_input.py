"""Bad input: exit 2, what was given, the close match, nothing written, nothing compiled."""

import sys

import pytest

from ilbench import cli
from ilbench.compute import parallel
from ilbench.records.schema import Reference
from ilbench.rollouts import keys

CASES = {  # what is typed: what is said; the exit code is 2
    "run quik": "quick",
    "run smoke@2": "smoke@1",
    "run smoke --tasks clif": "cliff",
    "run smoke --tasks ,": "cliff",
    "run smoke --algorithms ,": "dagger",
    "run smoke --algorithms dager": "dagger",
    "run smoke --tasks ant": "ant is a task, but suite smoke has no block of it; suites that have: brax",
    "run smoke --tasks copy_chain": "no suite has",
    "run smoke --algorithms noise_bc": "noise_bc is an algorithm, but suite smoke has no block of it; suites that have: brax",
    "run smoke --tasks cliff --algorithms dagger": "dagger is not run on cliff here; what is: dialled",
    "run smoke --tasks antt": "Did you mean ant or lane or ant_two_ways?",
    "run smoke --set block.head=mes": "mse",
    "run smoke --set block.head=mse": "it can run with --tasks scalar_unstable",
    "run smoke --set block.hed=mse": "budget, head",
    "run smoke --set block.horizon=5": "--horizons 5",
    "run smoke --set block.seeds=5": "--seeds 5",
    "run smoke --set .x=5": "NAME.FIELD=VALUE",
    "run smoke --set dagger.round=3": "dagger.rounds",
    "run smoke --set dager.rounds=3": "dagger.rounds",
    "run smoke --set dagger.rounds=x": "must be int",
    "run smoke --set dagger.rounds": "NAME.FIELD=VALUE",
    "run smoke --horizons 0": "at least 1",
    "run smoke --seeds a": "0-9",
    "run smoke --workers 0": "--workers must be at least 1, got 0",
    "run smoke --seeds 4-2": "2-4",
    "run smoke --seeds 99999999999": "4294967295",
    "run smoke --seeds 0-4294967295": "at most",
    "run smoke --set task.slp=0.1 --tasks cliff": "task.slip",
    "run smoke --set task.slip=x --tasks cliff": "must be float",
    "run smoke --set task.foo=1": "slip",
    "run smoke --set block.budget=10": "no demonstration",
    "run smoke --set dialled.eps=1.5": "[0, 1]",
    "run smoke --set dagger.p=-1": "[0, 1]",
    "run smoke --set evaluation.episodes=0": "at least 1",
    "run smoke --set evaluation.episods=9": "evaluation.episodes",
    "run smoke --set evaluation.name=other": "has no field 'name'",
    "run quick --tasks gridworld --set evaluation.snap=[0.003]": "actions are discrete",
    "run quick --tasks pendulum --set evaluation.snap=[0.001]": "--set evaluation.calibration=150",
    "run quick --tasks hopper --set evaluation.push=1": "beside evaluation.snap",
    "run quick --tasks hopper --set evaluation.snap=[3]": "error rates in (0, 1)",
    "run smoke --set evaluation.prefixes=[0]": "at least 1",
    "run smoke --set evaluation.prefixes=[-5]": "at least 1",
    'run smoke --set evaluation.prefixes=["a"]': "must be int",
    "run smoke --set evaluation.prefixes=5": "list of int",
    "run smoke --set fit.weight_decay=-1": "at least 0",
    "run smoke --set fit.learning_rate=1e400": "fit.learning_rate must be a finite number, got '1e400'",
    "run smoke --set mse.depth=-1": "mse.depth must be at least 0",
    "run smoke --set mse.width=0": "mse.width must be at least 1",
    "run smoke --set mse.activation=rel": "relu",
    "run smoke --set table.smoothing=-1": "at least 0",
    "leaderboard brx": "brax",
    "leaderboard zzz": "quick",
    "leaderboard quick --results nowhere": "not a folder",
    "theory quick@1 --results nowhere": "not a folder",
    "render hoper bc:20": "hopper",
    "render hopper bc:20 --seed -1": "0 ... 4294967295",
    "render hopper bc:20 --out nowhere/page.html": "no folder",
    "bench speed --robots hoper": "hopper",
    "bench speed --rounds 0": "at least 1",
    "bench blocks --out kept": "bench speed",
    "list task": "tasks",
    "expert show hoper": "hopper",
    "expert show cliff": "exact",
    "expert train hopper --seed 4294967296": "4294967295",
    "expert train hopper --steps 0": "at least one step",
    f"doctor --results {__file__}": "not a folder",
}
# Names and numbers are in order, but the disk or what has been run so far is not: the exit code is 1.
ABSENT = {
    "leaderboard smoke": "run `ilbench run smoke` first",
    "leaderboard smoke+custom@1": "--set",
    "run smoke --out /dev/null/x": "cannot write '/dev/null/x'",
    "expert train hopper --out /dev/null/x": "cannot write '/dev/null/x'",
    "bench speed --out /dev/null/x": "cannot write '/dev/null/x'",
}


def _main(monkeypatch, words):
    monkeypatch.setattr(sys, "argv", ["ilbench", *words])
    monkeypatch.setattr(parallel, "setup", lambda *args: None)  # the session's devices stay
    with pytest.raises(SystemExit) as stop:
        cli.main()
    return stop.value.code


@pytest.mark.parametrize(
    ("line", "said", "code"),
    [*((line, said, 2) for line, said in CASES.items()), *((line, said, 1) for line, said in ABSENT.items())],
    ids=[line.replace(__file__, "FILE") for line in (*CASES, *ABSENT)],
)
def test_refused_before_any_compute(line, said, code, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    count = parallel.compiled_programs()
    assert _main(monkeypatch, line.split()) == code
    shown = capsys.readouterr().err
    assert said in shown
    assert "Traceback" not in shown
    assert "pydantic.dev" not in shown
    assert parallel.compiled_programs() == count
    assert not list(tmp_path.iterdir())


def test_an_empty_selection_is_refused(monkeypatch, capsys):
    assert _main(monkeypatch, ["run", "smoke", "--tasks", "", "--dry-run"]) == 2
    assert "choose from: cliff, gridworld" in capsys.readouterr().err


def test_another_version_of_a_suite_is_no_suite(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "quick@1" / "records").mkdir(parents=True)
    (tmp_path / "runs" / "mine@3" / "records").mkdir(parents=True)
    assert _main(monkeypatch, ["leaderboard", "quick@7"]) == 2
    assert "there are: quick@1" in capsys.readouterr().err
    assert _main(monkeypatch, ["leaderboard", "mne"]) == 2
    assert "mine" in capsys.readouterr().err  # a folder's name is as good as a suite's


@pytest.mark.parametrize("devices", [0, -1])
def test_devices_are_at_least_one(devices):
    with pytest.raises(ValueError, match="--devices must be at least 1"):
        parallel.setup(devices)


@pytest.mark.parametrize("seed", [-1, 2**32, 99999999999, 2**70])
def test_a_seed_is_one_word_of_a_key(seed):
    with pytest.raises(ValueError, match="4294967295"):
        keys.seed_keys("test", [0, seed])


def test_what_the_system_refuses_is_one_line(monkeypatch, capsys):
    def refuse(self):
        raise PermissionError(13, "Permission denied", "runs/x")

    monkeypatch.setattr("ilbench.commands.list.List.execute", refuse)
    assert _main(monkeypatch, ["list", "tasks"]) == 1
    assert capsys.readouterr().err == "ilbench: Permission denied: 'runs/x'\n"


def test_what_a_schema_refuses_is_one_line(monkeypatch, capsys):
    def refuse(self):
        Reference(mean=1.0, n=-1)

    monkeypatch.setattr("ilbench.commands.list.List.execute", refuse)
    assert _main(monkeypatch, ["list", "tasks"]) == 2
    shown = capsys.readouterr().err
    assert shown.startswith("ilbench: Reference.n: ")
    assert shown.count("\n") == 1


def test_results_that_cannot_be_written_are_found_first(monkeypatch, capsys, tmp_path):
    (tmp_path / "runs").write_text("a file where the folder should be")
    monkeypatch.chdir(tmp_path)
    count = parallel.compiled_programs()
    assert _main(monkeypatch, ["run", "smoke"]) == 1
    assert "runs" in capsys.readouterr().err
    assert parallel.compiled_programs() == count


def test_resume_runs_only_what_is_missing(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    words = ["run", "smoke", "--tasks", "cliff", "--quiet"]
    assert _main(monkeypatch, words) == 0
    assert "2 cells run, 0 already there" in capsys.readouterr().out
    next((tmp_path / "runs").rglob("*.json")).unlink()
    assert _main(monkeypatch, words) == 0
    assert "1 cells run, 1 already there" in capsys.readouterr().out
