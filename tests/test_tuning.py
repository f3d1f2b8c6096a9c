"""Tuning: as many trials for each, on seeds of its own; what is chosen is the best by the records; what cannot be tuned says so."""

import json
import types

import numpy as np
import pytest

from ilbench import cli, registry
from ilbench.report import leaderboard, source
from ilbench.report import tuning as report
from ilbench.report.site import index, material
from ilbench.running import plan as planning
from ilbench.running import tuning


def test_trials_begin_as_declared_and_never_repeat():
    prepared, trials = tuning.trials("repairs", "dart", tasks="pendulum", count=5)
    assert set(trials[0].ids()) == {"pendulum@1 mse 1000", "pendulum@1 mse 3000"}
    assert len(trials) == 5
    assert trials[0].changes == {}
    ids = [id for trial in trials for block in trial.ids().values() for id in block]
    assert len(ids) == len(set(ids)) == 5 * 2 * len(tuning.SEEDS)  # two budgets of pendulum
    assert prepared.suite == "repairs+tuning@1"
    again = tuning.trials("repairs", "dart", tasks="pendulum", count=5)[1]
    assert [t.ids() for t in trials] == [t.ids() for t in again]  # the same draws every time


def test_every_algorithm_gets_the_same_number_of_trials():
    assert {a: len(tuning.trials("repairs", a, tasks="pendulum", head="mse")[1]) for a in ("bc", "dagger", "ccil", "noise_bc")} == {
        "bc": 6, "dagger": 8, "ccil": 8, "noise_bc": 8
    }  # fmt: skip  # bc has three rates and two decays, of which one pair is as declared


def test_every_space_holds_values_that_its_algorithm_takes():
    for name, entry in registry.entries("algorithms").items():
        for key, values in dict(dict(entry.literals).get("SPACE", {})).items():
            field = key.partition(".")[2]
            for value in values:
                assert getattr(registry.load("algorithms", name).Config(**{field: value}), field) == value


def test_one_head_and_some_labels_can_be_tuned_and_blocks_that_share_a_name_are_two():
    _, trials = tuning.trials("matching", "bc", tasks="pendulum", head="gaussian", labels=(3000,), count=2)
    assert [list(trial.ids()) for trial in trials] == [["pendulum@1 gaussian 3000"]] * 2
    _, trials = tuning.trials("matching", "iq_learn", tasks="gridworld", labels=(500,), count=2)  # offline, and online
    assert [set(trial.ids()) for trial in trials] == [{"gridworld@1 mlp 500", "gridworld@1 mlp 500 (2)"}] * 2
    assert len({id for ids in trials[0].ids().values() for id in ids}) == 2 * len(tuning.SEEDS)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"algorithm": "gail", "head": "gausian", "suite": "matching"}, "Did you mean gaussian"),
        ({"algorithm": "gail", "labels": (7,), "suite": "matching"}, "no block of gail here has 7 labels; there are 400, 500"),
        ({"algorithm": "dager"}, "Did you mean dagger"),
        ({"algorithm": "dagger", "count": 1}, "at least 2"),
        ({"algorithm": "dagger", "seeds": (3, 100_000)}, "seeds 3 ... 3 are the suite's own"),
        ({"algorithm": "bc", "tasks": "gridworld"}, "nothing to tune"),
    ],
)
def test_what_cannot_be_tuned_is_refused(given, says):
    with pytest.raises(ValueError, match=says):
        tuning.trials(**{"suite": "repairs"} | given)


def _record(id, score, status="ok"):
    cost = types.SimpleNamespace(gradient_steps=10, model_steps=1, env_steps=5)
    return types.SimpleNamespace(
        id=id, status=status, scores={"score": score}, cost=cost, cell=types.SimpleNamespace(seed=int(id[-1]))
    )


def test_the_best_mean_over_blocks_and_seeds_is_chosen_and_failures_never_are(tmp_path):
    trials = [({}, {"t 1": ["a0", "a1"], "u 1": ["b0", "b1"]}), ({"x.y": 2}, {"t 1": ["c0", "c1"], "u 1": ["d0", "d1"]}),
              ({"x.y": 3}, {"t 1": ["e0", "e1"], "u 1": ["f0", "f1"]}), ({"x.y": 4}, {"t 1": ["g0", "g1"]})]  # fmt: skip
    values = {"a0": 0.5, "a1": 0.7, "b0": 0.1, "b1": 0.1, "c0": 0.6, "c1": 0.8, "d0": 0.2, "d1": 0.3, "e0": 1.0, "e1": 1.0,
              "f0": 1.0, "g0": 0.3, "g1": 0.3}  # fmt: skip
    found = report.judged(
        "m", {"x.y": (2, 3, 4)}, trials, [_record(k, v) for k, v in values.items()] + [_record("f1", 1.0, "diverged")]
    )
    assert [t["score"] for t in found["trials"]] == [pytest.approx(0.35), pytest.approx(0.475), None, pytest.approx(0.3)]
    assert found["chosen"] == 1
    assert found["trials"][1]["difference"][0] == pytest.approx(np.mean([0.1, 0.15]))
    assert found["trials"][0]["gradient_steps"] == 4 * 11
    page = report.keep(found, tmp_path).read_text()
    assert page.count("| chosen |") == 1
    assert "| x.y=3 | failed |" in page
    report.keep({**found, "algorithm": "a"}, tmp_path)
    assert list(json.loads((tmp_path / report.FILE).read_text())) == ["a", "m"]  # beside, not instead


def test_a_suite_is_tuned_by_command_and_goes_on_where_it_stopped(tmp_path, capsys, monkeypatch):
    words = ["tune", "dagger", "--suite", "smoke", "--trials", "2", "--seeds", "100000-100001", "--out", str(tmp_path), "--json", "--quiet"]
    monkeypatch.setattr("sys.argv", ["ilbench", *words])

    def said():
        with pytest.raises(SystemExit) as end:
            cli.main()
        assert end.value.code in (0, None)
        return json.loads(capsys.readouterr().out)

    found = said()
    assert [len(found["trials"]), found["trials"][0]["changes"]] == [2, {}]
    assert {s for t in found["trials"] for s in t["seeds"]} == {100_000, 100_001}
    assert said() == found
    assert planning.load_suite("smoke").name in (tmp_path / "smoke+tuning@1" / "TUNING.md").read_text()


def test_what_was_tuned_stands_under_the_board_and_is_no_board_of_its_own(tmp_path):
    trials = [({}, {"t@1 mse 1": ["a0", "a1", "a2"]}), ({"x.y": 2}, {"t@1 mse 1": ["c0", "c1", "c2"]})]
    values = dict(zip(["a0", "a1", "a2", "c0", "c1", "c2"], [0.5, 0.6, 0.7, 0.75, 0.85, 0.96], strict=True))
    found = report.judged("m", {"x.y": (2,)}, trials, [_record(k, v) for k, v in values.items()])
    folder = tmp_path / "smoke+tuning@1"
    folder.mkdir()
    report.keep(found, folder)
    table = report.beside("smoke@1", tmp_path)
    assert table.rows[0][:6] == ("m", "t@1 mse 1", "2 on 3 seeds", "0.600", "x.y=2", "0.853")
    assert table.rows[0][6].startswith("+0.253 [")
    assert report.beside("smoke@2", tmp_path) is None
    assert "Tuning for smoke@1" in leaderboard.page(leaderboard.build([]), "smoke@1", "", table)
    (folder / "records").mkdir()
    names, why = source.current(tmp_path)
    assert names == []
    assert why == {"smoke+tuning@1": "trials of `ilbench tune`, on seeds of their own"}
    (tmp_path / "smoke@1" / "records").mkdir(parents=True)
    assert material._all(tmp_path) == ["smoke@1"]
    suites = [types.SimpleNamespace(name=name, newer=newer) for name, newer in (("a@1", ""), ("a+doubled@1", ""), ("a@1", "a@2"))]
    assert [index._own(s) for s in suites] == [True, False, False]  # whose numbers the front page takes


def test_the_shipped_study_stands_under_the_full_board(capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["ilbench", "leaderboard", "matching", "--results", "results", "--full"])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code in (0, None)
    said = capsys.readouterr().out
    assert said.index("Tuning for matching@1") > said.index("hopper@1, H = 1000, budget 1,000 labels")
