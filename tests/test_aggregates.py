"""Performance profiles, optimality gaps and P(A > B): against NumPy and SciPy, their coverage, and what boards show."""

import numpy as np
import pytest
from scipy import stats as scipy_stats
from test_compare import SEEDS, made, run

from ilbench import stats
from ilbench.commands import plot
from ilbench.report import aggregates, leaderboard, profiles_figure, source
from ilbench.stats import intervals

AT = (0.0, 0.5, 0.75, 1.0)


def test_estimates_are_those_of_the_paper():
    """On scores with ties, at thresholds that are met: above is strict, U counts ties half, beyond 1 nothing falls short."""
    g = np.random.default_rng(0)
    a, b = g.integers(0, 6, (2, 10, 3)) / 4
    profile = stats.performance_profile(a, AT)
    assert profile.share == pytest.approx([sum(x > tau for x in a.ravel()) / a.size for tau in AT])
    assert stats.optimality_gap(a).value == pytest.approx(1 - np.minimum(a, 1).mean())
    assert stats.optimality_gap(a, 0.5).value == pytest.approx(0.5 - np.minimum(a, 0.5).mean())
    u = [scipy_stats.mannwhitneyu(x, y).statistic / 100 for x, y in zip(a.T, b.T, strict=True)]
    found, turned = stats.improvement(a, b), stats.improvement(b, a)
    assert found.value == pytest.approx(np.mean(u))
    assert turned == pytest.approx((1 - found.value, 1 - found.hi, 1 - found.lo))
    assert stats.improvement(a[:, 0], b[:, 0]).value == pytest.approx(u[0])
    assert stats.iqm(a) == pytest.approx(scipy_stats.trim_mean(a.ravel(), 0.25))


def test_runs_that_all_agree_have_a_width():
    found = stats.improvement(np.ones(SEEDS), np.zeros(SEEDS))
    wilson = scipy_stats.binomtest(SEEDS, SEEDS).proportion_ci(method="wilson")
    assert found == pytest.approx((1, wilson.low, 1))
    wilson = scipy_stats.binomtest(SEEDS, SEEDS).proportion_ci(0.975, method="wilson")
    assert stats.performance_profile(np.ones((SEEDS, 4)), [0.5]).lo[0] == pytest.approx(wilson.low)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: stats.improvement([1.0, 2.0], [1.0, 2.0, 3.0]), "same seeds and tasks"),
        (lambda: stats.improvement([1.0], [1.0]), "at least 2 seeds"),
        (lambda: stats.optimality_gap([[1.0, 2.0]]), "at least 2 seeds"),
        (lambda: stats.performance_profile([1.0, np.nan], AT), "non-finite"),
    ],
)
def test_refusals(call, says):
    with pytest.raises(ValueError, match=says):
        call()


# ---------------------------------------------------------------------------------------- coverage
R = 700
LEAST = 0.935 - 2 * np.sqrt(0.935 * 0.065 / R)  # 93.5 %, less two standard errors


@pytest.mark.parametrize("tasks", [1, 5])
@pytest.mark.parametrize("law", ["normal", "alike in a seed", "settings alike in a seed", "rounded"])
@pytest.mark.parametrize("p", [0.5, 0.8, 0.99])
def test_coverage_of_improvement(law, p, tasks):
    g = np.random.default_rng(1)
    own, common, wide = (
        g.normal(size=(2, R, SEEDS, tasks)),
        g.normal(size=(R, SEEDS, tasks)),
        g.normal(size=(2, R, SEEDS, 1)),
    )
    z = own if law in ("normal", "rounded") else (own + (common if law == "alike in a seed" else wide)) / np.sqrt(2)
    a, b = z + np.array([scipy_stats.norm.ppf(p) * np.sqrt(2), 0]).reshape(2, 1, 1, 1)
    truth = p
    if law == "rounded":
        a, b = np.round(a), np.round(b)
        k = np.arange(-9, 12)
        masses = [
            np.diff(scipy_stats.norm.cdf(np.arange(-9.5, 12) - shift))
            for shift in (scipy_stats.norm.ppf(p) * np.sqrt(2), 0)
        ]
        truth = masses[0] @ (np.sign(k[:, None] - k) / 2 + 0.5) @ masses[1]
    found = [stats.improvement(x, y) for x, y in zip(a, b, strict=True)]
    assert np.mean([i.lo <= truth <= i.hi for i in found]) >= LEAST


@pytest.mark.parametrize("tasks", [1, 33])
@pytest.mark.parametrize("common", [0, 0.5, 0.9])
def test_coverage_of_profiles(common, tasks):
    """Normal scores whose settings share so much of a seed's variance; thresholds below and above."""
    g, p = np.random.default_rng(2), np.array([0.01, 0.2, 0.5, 0.7, 0.9, 0.95, 0.99])
    x = np.sqrt(common) * g.normal(size=(R, SEEDS, 1)) + np.sqrt(1 - common) * g.normal(size=(R, SEEDS, tasks))
    found = [stats.performance_profile(y, -scipy_stats.norm.ppf(p)) for y in x]
    assert (np.mean([(f.lo <= p) & (p <= f.hi) for f in found], axis=0) >= LEAST).all()


def test_coverage_of_gaps():
    """Scores of a beta law that reach beyond 1, and whose five settings share half of a seed's luck."""
    g, law = np.random.default_rng(2), scipy_stats.beta(4, 1)
    z = np.sqrt(0.5) * g.normal(size=(R, SEEDS, 1)) + np.sqrt(0.5) * g.normal(size=(R, SEEDS, 5))
    x, truth = 1.05 * law.ppf(scipy_stats.norm.cdf(z)), law.expect(lambda x: max(0.0, 1 - 1.05 * x))
    short = np.maximum(0, 1 - x).mean(2)
    lo, hi = intervals.seed_means(short, 0.0, 1.0)  # all at once, which is quick
    assert np.mean((lo <= truth) & (truth <= hi)) >= LEAST
    np.testing.assert_allclose(stats.optimality_gap(x[0]), (short[0].mean(), lo[0], hi[0]), atol=1e-12)


# ------------------------------------------------------------------------------------------ boards
@pytest.fixture(scope="module")
def shipped():
    return source.load("quick@1", "results").records


def test_a_board_compares_over_what_its_rankings_compare(shipped):
    x, better = np.linspace(0.55, 0.95, SEEDS), np.linspace(0.71, 1.21, SEEDS)
    records = made(shipped, {"bc": x, "dagger": better}) + made(shipped, {"bc": x, "dagger": x}, budget=2400)
    (found,) = aggregates.build(leaderboard.shown_groups(records))
    dagger, bc = found["rows"]
    assert (dagger["algorithm"], dagger["rank"], bc["rank"]) == ("dagger", "1", "2")
    assert [len(found["settings"]), found["of"]] == [2, 2]
    assert bc["optimality_gap"] == pytest.approx(0.25)
    assert bc["profile"]["share"][bc["profile"]["thresholds"].index(0.5)] == 1
    u = scipy_stats.mannwhitneyu(better, x).statistic / SEEDS**2
    (pair,) = found["pairs"]
    assert pair["p_above"] == pytest.approx((u + 0.5) / 2)
    shown = aggregates.text([found])
    assert f"{1 - pair['p_above']:.2f} [{1 - pair['p_above_ci'][1]:.2f}, {1 - pair['p_above_ci'][0]:.2f}]" in shown
    one = aggregates.build(leaderboard.shown_groups(made(shipped, {"bc": x, "dagger": better})))
    assert "pendulum@1 H=200 n=1200: ranks" in aggregates.text(one)


def test_few_seeds_are_points(shipped):
    x = np.linspace(0.5, 0.9, SEEDS)
    records = [r for r in made(shipped, {"bc": x, "dagger": x + 0.05}) if r.cell.seed < 4]
    (found,) = aggregates.build(leaderboard.shown_groups(records))
    assert [p["p_above_ci"] for p in found["pairs"]] == [None]
    bc = found["rows"][1]
    assert (bc["optimality_gap_ci"], "lo" in bc["profile"]) == (None, False)
    assert bc["optimality_gap_points"] == pytest.approx(1 - x[:4])
    assert f"({', '.join(f'{1 - v:.2f}' for v in x[:4])})" in aggregates.text([found])


# -------------------------------------------------------------------------------------- the picture
def test_the_picture_has_a_band_where_there_are_seeds_enough(shipped):
    x = np.linspace(0.5, 0.9, SEEDS)
    records = made(shipped, {"bc": x, "dagger": x + 0.2})
    canvas = profiles_figure.draw(leaderboard.shown_groups(records), lambda c: c)
    (axis,) = canvas.axes
    assert [line.get_label() for line in axis.lines] == ["dagger", "bc"]
    score, share = axis.lines[1].get_data()
    assert share == pytest.approx([np.mean(x > at) for at in score])
    band = axis.collections[1].get_paths()[0].get_extents()
    assert (band.y0, band.y1) == pytest.approx((0, 1))
    few = profiles_figure.draw(leaderboard.shown_groups([r for r in records if r.cell.seed < 4]), lambda c: c)
    assert not few.axes[0].collections
    assert "4 seeds, too few for limits" in few.axes[0].get_title()
    assert profiles_figure.draw(leaderboard.shown_groups(made(shipped, {"bc": x}))) is None


def test_plot_lists_its_kinds_and_draws_profiles(monkeypatch, capsys, tmp_path):
    assert run(monkeypatch, "plot") == 0
    assert {line.split()[0] for line in capsys.readouterr().out.splitlines()[2:]} == set(plot.KINDS)
    assert run(monkeypatch, "plot", "profiles") == 2
    assert "-o profiles.svg" in capsys.readouterr().err
    file = tmp_path / "a.svg"
    assert run(monkeypatch, "plot", "profiles", "--suite", "quick@1", "--results", "results", "-o", str(file)) == 0
    assert "share of runs that score above" in file.read_text()
