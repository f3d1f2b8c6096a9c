"""`ilbench leaderboard` begins with an answer: who leads after Holm, in words, from which suites; and what is refused."""

import itertools
import json

import numpy as np
import pytest
from scipy import stats as scipy_stats
from test_compare import SEEDS, made, run
from test_leaderboard import change

from ilbench import registry
from ilbench.report import answers, leaderboard, selection, source


@pytest.fixture(scope="module")
def shipped():
    return source.load("quick@1", "results").records


def said(records, **chosen):
    groups = selection.chosen(
        leaderboard.shown_groups(records), *(chosen.get(k) for k in ("tasks", "demos", "algorithms"))
    )
    return answers.build([("mine@1", groups, leaderboard.of(groups))])


def spread(seed, mean, sd):
    """Ten values of exactly that mean and spread."""
    return mean + sd * scipy_stats.zscore(np.random.default_rng(seed).normal(size=SEEDS), ddof=1)


def test_the_leader_is_above_whom_scipy_and_holm_say(shipped):
    """Two settings of three rows, six pairs: p = .03 alone excludes 0, and does not stand where two are larger."""
    base = spread(0, 0.6, 0.05)
    doubt = base + spread(1, 0.02, 0.02 * np.sqrt(SEEDS) / scipy_stats.t.isf(0.015, SEEDS - 1))  # two-sided p = .03
    near = {"bc": base, "dagger": doubt, "noise_bc": base - spread(2, 0.3, 0.02)}
    far = {"bc": base, "dagger": base + 0.3 + spread(3, 0, 0.01), "noise_bc": base - spread(4, 0.001, 0.1)}
    records = made(shipped, near) + made(shipped, far, budget=2400)
    found = said(records)
    pairs = [
        scipy_stats.ttest_rel(place[a], place[b]).pvalue
        for place in (near, far)
        for a, b in itertools.combinations(("dagger", "bc", "noise_bc"), 2)
    ]
    holm = np.maximum.accumulate(np.sort(pairs) * np.arange(6, 0, -1))[np.argsort(np.argsort(pairs))]
    first, second = (a["clean"] for a in found.as_json())
    assert found.comparisons == 6
    assert first["against"]["bc"]["p"] == pytest.approx(0.03)
    assert [first["against"][n]["p_holm"] for n in ("bc", "noise_bc")] == pytest.approx(holm[:2])
    assert [second["against"][n]["p_holm"] for n in ("bc", "noise_bc")] == pytest.approx(holm[3:5])
    assert (first["verdict"], first["tie"], first["below"]) == ("shared", ["dagger", "bc"], ["noise_bc"])
    assert (second["verdict"], second["tie"], second["clear"]["b"]) == ("first", ["dagger"], "bc")
    lines = [a.line for a in found.found]
    assert lines[0].startswith(
        "pendulum, 6 demonstrations: clean undecided between dagger, bc: dagger above bc +0.020 ["
    )
    assert "not clear after Holm, dagger above noise_bc +0.320 [" in lines[0]
    assert lines[1].startswith("pendulum, 12 demonstrations: clean dagger first, above bc +0.300 [")
    assert lines[1].endswith("an expert must answer (demonstrations included): dagger 1,200 labels")
    assert said(records, demos="12").comparisons == 3  # the family is what is shown


def test_a_tie_the_same_few_seeds_and_one_row(shipped):
    base = spread(0, 0.6, 0.05)
    tie = {"bc": base, "dagger": base + spread(1, 0.001, 0.05), "ccil": base}
    (one,) = said(made(shipped, tie)).found
    assert "clean tie of dagger, bc, ccil;" in one.line
    assert one.values["clean"]["against"]["bc"]["p_holm"] == 1
    assert said(made(shipped, {"bc": base, "ccil": base})).comparisons == 0
    (two,) = said(made(shipped, {"bc": base, "ccil": base})).found
    assert "clean tie of bc, ccil (ccil the same to the last digit); demonstrations are all that is asked" in two.line
    few = [r for r in made(shipped, {"bc": base, "dagger": base + 0.2}) if r.cell.seed < 4]
    (three,) = said(few).found
    points = ", ".join(f"{x:.2f}" for x in base[:4])
    assert f"clean undecided, too few seeds: dagger {base[:4].mean() + 0.2:.3f} (" in three.line
    assert f"bc {base[:4].mean():.3f} ({points})" in three.line
    mine = {"bc": base, "dagger": base + spread(1, 0.2, 0.01), "ccil": base}
    more = [r for r in made(shipped, mine) if r.cell.seed < 4 or r.cell.algorithm != "ccil"]
    line = said(more).found[0].line
    assert "clean dagger first, above bc +0.200 [" in line
    assert f"; too few seeds of ccil {base[:4].mean():.3f} ({points})" in line
    assert "only bc, 0.6" in said(made(shipped, {"bc": base})).found[0].line


def test_noise_marks_and_what_is_asked_are_said(shipped):
    base, other = spread(0, 0.6, 0.05), spread(1, 0.6, 0.05)
    loss = {"held_out_loss": 0.5, "held_out_loss_half": 1.0}
    records = []
    for r in made(shipped, {"bc": base, "dagger": other}):
        noisy = float(0.9 if r.cell.algorithm == "dagger" else 0.3) + r.scores["score"] - 0.6
        cost = {"takeovers": 7, "labels": 1000} if r.cell.algorithm == "dagger" else {}
        shaken = change(
            r,
            evaluation={**r.cell.evaluation, "noise": 0.1},
            scores={"noisy_score": noisy, "noisy_expert_score": 1.0, **loss},
        )
        records.append(shaken.model_copy(update={"cost": shaken.cost.model_copy(update=cost)}))
    found = said(records)
    assert "clean tie of" in found.found[0].line
    assert "; under noise 0.1 dagger* first, above bc* +0.600 [" in found.found[0].line
    assert "dagger 1,000 labels and 7 takeovers" in found.found[0].line
    assert "*: fits had not converged" in answers.text(found)
    hopeless = said([change(r, scores={"noisy_expert_score": 0.1}) for r in records]).found[0]
    assert "under noise 0.1 no score: the expert itself cannot act under it" in hopeless.line
    unknown = said([change(r, algorithm="theirs") if r.cell.algorithm == "dagger" else r for r in records]).found[0]
    assert "whether theirs needs an expert is not known here" in unknown.line
    undefined = said([change(r, scores={"score": None}) for r in records]).found[0]
    assert "clean no score: the expert is no better than a random policy" in undefined.line


@pytest.mark.parametrize("width", [60, 100])
def test_lines_fit(shipped, width):
    shown = answers.text(said(shipped), width).splitlines()
    assert max(map(len, shown)) <= width
    assert len(answers.text(said(shipped)).split("\n\n")[0].splitlines()) == len(said(shipped).found)


def test_rows_are_chosen_by_name_task_and_demonstrations(shipped):
    rows = leaderboard.shown_groups(shipped)
    chosen = selection.chosen(rows, "hopper,pendul*", "6", "bc,ccil[dynamics=learned]")
    assert {(g.task, g.label) for g in chosen} == {
        (t, n) for t in ("hopper@1", "pendulum@1") for n in ("bc", "ccil[dynamics=learned]")
    }
    assert {g.budget / g.horizon for g in selection.of_demonstrations(rows, "6,12")} == {6, 12}
    for refused, says in (
        (("hoper", None, None), "Did you mean hopper"),
        (("hopper", "5", None), "The closest is 6. There are: 6"),
        (("hopper", "6", "daggr"), "Did you mean dagger"),
    ):
        with pytest.raises((registry.UnknownName, ValueError), match=says):
            selection.chosen(rows, *refused)
    for bad in ("x", "0", "-1", "nan", "5,"):
        with pytest.raises(ValueError, match="above 0"):
            selection.numbers(bad)


def test_what_is_superseded_or_doubled_is_left_out_and_said(tmp_path):
    for name in ("quick@1", "mine@3", "mine@4", "mine+doubled@4"):
        (tmp_path / name / "records").mkdir(parents=True)
    names, left_out = source.current(tmp_path)
    assert names == ["mine@4"]
    assert left_out["quick@1"] == f"superseded by {source.superseded('quick@1')}"
    assert "doubled" in left_out["mine+doubled@4"]


def test_suites_that_are_not_named_are_looked_through(monkeypatch, capsys):
    monkeypatch.setattr(
        source, "current", lambda results: (["quick@1", "quick@2", "replication@1"], {"old@1": "superseded by old@2"})
    )
    line = ("leaderboard", "--results", "results", "--tasks", "pendulum,cartpole", "--demos", "2,6")
    assert run(monkeypatch, *line, "--json") == 0
    shown = capsys.readouterr()
    found = json.loads(shown.out)["suites"]
    assert [[(a["task"], a["demonstrations"]) for a in s["answers"]] for s in found] == [
        [("cartpole@1", 6), ("pendulum@1", 6)],
        [("cartpole@1", 2), ("pendulum@1", 6)],
    ]
    assert {"bc", "dagger"} < {r["algorithm"] for r in found[0]["aggregates"][0]["rows"]}
    assert "old@1 (superseded by old@2)" in shown.err
    assert "taken: quick@1, quick@2\n" in shown.err
    assert run(monkeypatch, *line, "--algorithms", "bc,dagger") == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith("cartpole, 6 demonstrations (quick@1): clean tie of bc, dagger; ")
    assert max(map(len, out)) <= 100
    assert run(monkeypatch, *line, "--write") == 2
    assert "--write writes a suite's whole page" in capsys.readouterr().err
