"""Bad input: exit 2, what was given, the close match, nothing written, nothing compiled."""

import sys

import pytest

from ilbench import cli, parallel

CASES = {
    "run quik": "quick",
    "run smoke --tasks clif": "cliff",
    "run smoke --algorithms dager": "dagger",
    "run smoke --set dagger.round=3": "dagger.rounds",
    "run smoke --set dager.rounds=3": "dagger.rounds",
    "run smoke --set dagger.rounds=x": "must be int",
    "run smoke --set dagger.rounds": "NAME.FIELD=VALUE",
    "run smoke --horizons 0": "at least 1",
    "run smoke --seeds a": "0-9",
    "run smoke --set block.labels=10": "no demonstration",
    "run smoke --set dialled.eps=1.5": "[0, 1]",
    "run smoke --set dagger.p=-1": "[0, 1]",
    "run smoke --set evaluation.episodes=0": "at least 1",
    "leaderboard nothing": "no records",
    "expert show hoper": "hopper",
    "expert show cliff": "exact",
}


def _main(monkeypatch, words):
    monkeypatch.setattr(sys, "argv", ["ilbench", *words])
    monkeypatch.setattr(parallel, "setup", lambda *args: None)  # the session's devices stay
    with pytest.raises(SystemExit) as stop:
        cli.main()
    return stop.value.code


@pytest.mark.parametrize(("line", "said"), CASES.items(), ids=CASES)
def test_refused_before_any_compute(line, said, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    count = parallel.compiled_programs()
    assert _main(monkeypatch, line.split()) in (1, 2)
    assert said in capsys.readouterr().err
    assert parallel.compiled_programs() == count
    assert not list(tmp_path.iterdir())


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
