"""`ilbench compare`: pairs, verdicts after Holm, the seeds that would decide, and its exit code; against SciPy and simulation."""

import json
import sys

import numpy as np
import pytest
from scipy import stats as scipy_stats
from test_leaderboard import change, diverged

from ilbench import cli, registry, stats
from ilbench.compute import parallel
from ilbench.report import compare, source
from ilbench.stats import power

SEEDS = 10


@pytest.fixture(scope="module")
def shipped():
    return source.load("quick@1", "results").records


def run(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["ilbench", *words])
    monkeypatch.setattr(parallel, "setup", lambda *args: None)
    with pytest.raises(SystemExit) as stop:
        cli.main()
    return stop.value.code


def made(records, scores, **cell):
    """The rows of bc on the pendulum as those of other algorithms with given scores: `{algorithm: [S]}`."""
    own = sorted(
        (r for r in records if r.cell.task == "pendulum@1" and r.cell.algorithm == "bc"), key=lambda r: r.cell.seed
    )
    return [
        change(r, algorithm=name, scores={"score": float(x), "return": float(x)}, **cell)
        for name, xs in scores.items()
        for r, x in zip(own, xs, strict=False)
    ]


def test_a_pair_is_tested_as_scipy_tests_it_and_holm_is_over_the_settings(shipped):
    rng = np.random.default_rng(0)
    base = {n: rng.normal(0.6, 0.05, SEEDS) for n in (1200, 2400, 4800)}
    noise = {n: scipy_stats.zscore(rng.normal(size=SEEDS), ddof=1) for n in base}
    t = {1200: scipy_stats.t.isf(0.015, SEEDS - 1), 2400: -6.0, 4800: 0.1}  # p = .03 alone: not clear among three
    mine = {n: base[n] + 0.04 * (noise[n] + t[n] / np.sqrt(SEEDS)) for n in base}
    records = [r for n in base for r in made(shipped, {"bc": base[n], "dagger": mine[n]}, budget=n)]
    found = compare.build(records, "dagger", "bc")
    p = [scipy_stats.ttest_rel(mine[n], base[n]).pvalue for n in base]
    holm = np.maximum.accumulate(np.sort(p) * [3, 2, 1])[np.argsort(np.argsort(p))]
    assert p[0] < 0.05 < holm[0]
    assert [r["p"] for r in found.rows] == pytest.approx(p)
    assert [r["p_holm"] for r in found.rows] == pytest.approx(holm)
    assert [r["verdict"] for r in found.rows] == ["undecided", "worse", "undecided"]
    assert [r["p_above"] for r in found.rows] == [np.mean(mine[n] > base[n]) for n in base]
    means = np.mean([mine[n] - base[n] for n in base], axis=0)
    assert found.overall["p"] == pytest.approx(scipy_stats.ttest_1samp(means, 0).pvalue)
    assert found.overall["difference"] == pytest.approx(means.mean())
    turned = compare.build(records, "bc", "dagger")
    assert [r["verdict"] for r in turned.rows] == ["undecided", "better", "undecided"]
    assert found.worse_by(0.0) == [found.rows[1]]
    assert not found.worse_by(-found.rows[1]["difference"])
    assert not turned.worse_by(0.0)


@pytest.mark.parametrize("effect", [0.4, 1.5])
def test_as_many_seeds_as_it_says_decide_in_nine_of_ten_cases(effect):
    d = scipy_stats.zscore(np.arange(8.0), ddof=1) + effect  # mean over spread is `effect`
    n = stats.seeds_needed(d, 0.01)
    drawn = np.random.default_rng(1).normal(effect, 1.0, (20_000, n))
    t = scipy_stats.ttest_1samp(drawn, 0, axis=1)
    assert np.mean((t.pvalue < 0.01) & (t.statistic > 0)) == pytest.approx(0.9, abs=0.025 if n > 15 else 0.05)
    assert power.power(n, effect, 0.01) >= 0.9 > power.power(n - 1, effect, 0.01)
    assert stats.seeds_needed(-d, 0.01) == n


@pytest.mark.parametrize("d", [[0.0, 0.0, 0.0], [0.1, 0.1], [1.0, -1.0], [0.3], [1e-4, *[1.0, -1.0] * 10]])
def test_what_says_nothing_of_the_seeds_says_nothing(d):
    assert stats.seeds_needed(d) is None


def test_the_same_diverged_and_few(shipped):
    x = np.linspace(0.3, 0.9, SEEDS)
    records = made(shipped, {"bc": x, "dagger": x})
    (row,) = compare.build(records, "dagger", "bc").rows
    assert (row["verdict"], row["seeds_needed"], row["p_above"]) == ("the same", None, 0.5)
    lost = [diverged(r) if r.cell.algorithm == "dagger" and r.cell.seed < 3 else r for r in records]
    (row,) = compare.build(lost, "dagger", "bc").rows
    assert row["difference"] == pytest.approx(-x[:3].sum() / SEEDS)  # a diverged seed scores 0
    few = [r for r in made(shipped, {"bc": x, "dagger": x + 0.1}) if r.cell.seed < 4]
    (row,) = compare.build(few, "dagger", "bc").rows
    assert (row["verdict"], row["p"], row["difference_ci"]) == ("undecided", None, [None, None])
    assert "A - B" in compare.text(compare.build(few, "dagger", "bc"))


def test_heads_and_settings_are_paired_or_named(shipped):
    x = np.linspace(0.3, 0.9, SEEDS)
    records = made(shipped, {"bc": x}) + made(shipped, {"bc": x - 0.1}, head="linear")
    (row,) = compare.build(records, "bc/mse", "bc/linear").rows
    assert row["difference"] == pytest.approx(0.1)
    with pytest.raises(ValueError, match="the same rows"):
        compare.build(records, "bc/mse", "bc/mse")
    other = [change(r, algorithm="dagger", config={"fit.updates": 7}) for r in made(shipped, {"bc": x})]
    with pytest.raises(ValueError, match=r"no pair: fit\.updates"):
        compare.build(records + other, "dagger", "bc/mse")
    with pytest.raises(registry.UnknownName, match="Did you mean bc/mse"):
        compare.build(records, "bc/mes", "bc/linear")
    with pytest.raises(registry.UnknownName, match="is an algorithm, but has no row here"):
        compare.build(records, "ccil", "bc")


def test_exit_codes_and_one_document(monkeypatch, capsys):
    line = ("compare", "bc", "dagger", "--suite", "brax@1", "--results", "results", "--tasks", "humanoid", "--json")
    assert run(monkeypatch, *line) == 0
    shown = json.loads(capsys.readouterr().out)
    worst = min(r["difference"] for r in shown["rows"] if r["verdict"] == "worse")
    assert run(monkeypatch, *line, "--fail-if-worse", "0.05") == 1
    assert "worse than dagger by" in capsys.readouterr().err
    assert run(monkeypatch, *line, "--fail-if-worse", str(-worst + 0.01)) == 0
    assert run(monkeypatch, *line, "--fail-if-worse", "-1") == 2
    assert "at least 0" in capsys.readouterr().err
