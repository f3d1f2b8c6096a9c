"""Statistics: exact properties, refusals, and coverage measured on samples from known laws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats as reference

from ilbench import stats
from ilbench.stats import bounded, intervals

scores = hnp.arrays(float, hnp.array_shapes(min_dims=2, max_dims=2, min_side=2, max_side=6), elements=st.floats(-9, 9))


# ------------------------------------------------------------------------------------- properties
@given(scores)
def test_iqm_is_scipys_trimmed_mean(x):
    assert stats.iqm(x) == pytest.approx(reference.trim_mean(x.ravel(), 0.25))


def test_iqm_of_three_is_the_mean():
    assert stats.iqm([0.0, 0.0, 3.0]) == 1.0


@settings(deadline=None, max_examples=50)
@given(scores, st.sampled_from(["iqm", "mean"]))
def test_interval_is_repeatable_equivariant_and_around_the_value(x, statistic):
    first, again = (stats.bootstrap_ci(x, statistic, rng=3, resamples=200) for _ in range(2))
    assert first == again
    assert first.lo <= first.value + 1e-9
    assert first.value <= first.hi + 1e-9
    assert np.isfinite(first).all()


@pytest.mark.parametrize("shape", [(3,), (8,), (10,), (5, 10)])
@pytest.mark.parametrize("statistic", ["iqm", "mean", lambda x: np.median(x, axis=(1, 2))])
def test_interval_moves_and_scales_with_the_data(shape, statistic):
    x = np.random.default_rng(0).normal(size=shape)
    a, b = stats.bootstrap_ci(x, statistic), stats.bootstrap_ci(3 * x - 2, statistic)
    np.testing.assert_allclose(b, 3 * np.array(a) - 2, atol=1e-9)
    wider = stats.bootstrap_ci(x, statistic, level=0.99)
    assert wider.lo <= a.lo < a.hi <= wider.hi


def test_constant_scores_have_no_width():
    assert stats.bootstrap_ci(np.ones((5, 3))) == (1, 1, 1)
    assert stats.mean_ci(np.zeros(10)) == (0, 0, 0)


def test_mean_of_few_is_students_t():
    x = np.array([1.0, 2.0, 4.0, 3.5])
    np.testing.assert_allclose(stats.mean_ci(x)[1:], reference.t.interval(0.95, 3, x.mean(), reference.sem(x)))


def test_paired_difference_is_the_paired_t_test():
    g = np.random.default_rng(1)
    a, b = g.normal(size=(2, 10))
    mean, lo, hi, p = stats.paired_difference(a, b)
    expected = reference.ttest_rel(a, b)
    assert p == pytest.approx(expected.pvalue)
    np.testing.assert_allclose([mean, lo, hi], [(a - b).mean(), *expected.confidence_interval()])
    assert stats.paired_difference(a, a) == (0, 0, 0, 1)
    assert stats.paired_difference(a + 1, a)[3] == pytest.approx(2 * 2.0**-10)  # the sign test's, not 0


def test_bootstrap_difference_pairs():
    g = np.random.default_rng(2)
    shared = g.normal(size=(10, 4))
    a, b = shared + 0.2 + 0.01 * g.normal(size=(10, 4)), shared
    d = stats.bootstrap_difference(a, b)
    assert d.value == pytest.approx(stats.iqm(a) - stats.iqm(b))
    assert 0.1 < d.lo < d.hi < 0.3
    mirrored = stats.bootstrap_difference(b, a)
    np.testing.assert_allclose([-mirrored.hi, -mirrored.lo], [d.lo, d.hi], atol=0.01)


@pytest.mark.parametrize(("k", "n"), [(0, 10), (10, 10), (3, 200), (0, 1)])
def test_clopper_pearson(k, n):
    expected = reference.binomtest(k, n).proportion_ci(method="exact")
    np.testing.assert_allclose(stats.clopper_pearson(k, n), [expected.low, expected.high], atol=1e-12)


@pytest.mark.parametrize("p", [0.001, 0.01, 0.3])
def test_clopper_pearson_covers_exactly(p):
    n = 200
    limits = np.array([stats.clopper_pearson(k, n) for k in range(n + 1)])
    inside = (limits[:, 0] <= p) & (p <= limits[:, 1])
    assert reference.binom.pmf(np.arange(n + 1), n, p)[inside].sum() >= 0.95


def test_score_diverged():
    np.testing.assert_array_equal(stats.score_diverged([0.5, np.nan, 0.2]), [0.5, 0.0, 0.2])
    np.testing.assert_array_equal(stats.score_diverged([0.5, np.inf, -0.2]), [0.5, -0.2, -0.2])
    np.testing.assert_array_equal(stats.score_diverged([[np.nan, 1.0], [-3.0, -np.inf]]), [[-3.0, 1.0], [-3.0, 0.0]])
    np.testing.assert_array_equal(stats.score_diverged([np.nan, np.nan]), [0.0, 0.0])


@pytest.mark.parametrize(
    "call",
    [
        stats.iqm,
        stats.mean_ci,
        stats.bootstrap_ci,
        lambda x: stats.bootstrap_difference(x, x),
        lambda x: stats.paired_difference(x, np.zeros(3)),
        lambda x: stats.simultaneous_band(x, np.ones(3), 10),
        lambda x: stats.slope_ci(np.reshape(x, (3, 1, 1)).repeat(2, 2), [1, 2]),
        lambda x: stats.slope_ci_independent(x, np.ones(3), [1, 2, 3]),
        stats.holm,
        lambda x: stats.gap_bound(x, np.ones(3), 1.0),
        lambda x: stats.ratio_equivalent(np.ones(3), x),
        lambda x: stats.rank_intervals({"a": x, "b": np.ones(3)}),
        stats.seed_mean,
        lambda x: stats.seed_difference(x, np.zeros(3), 0.0, 2.0),
    ],
)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_non_finite_is_refused(call, bad):
    with pytest.raises(ValueError, match=r"[12] non-finite of"):
        call(np.array([1.0, bad, 2.0]))


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: stats.mean_ci([]), "no values"),
        (lambda: stats.mean_ci([1.0]), "at least 2 seeds"),
        (lambda: stats.bootstrap_ci([1.0, 2.0], "median"), "allowed are 'iqm', 'mean'"),
        (lambda: stats.bootstrap_ci(np.ones((2, 2, 2))), "1 or 2 dimensions"),
        (lambda: stats.bootstrap_difference([1.0, 2.0], [1.0]), "same seeds"),
        (lambda: stats.clopper_pearson(3, 2), "3 hits of 2"),
        (lambda: stats.simultaneous_band([1.0], [1.0], 10, failing=[1]), "upper"),
        (lambda: stats.slope_ci(np.ones((2, 2, 2)), [4, 4]), "distinct"),
        (lambda: stats.gap_bound([1.0, 2.0], [1.0, 2.0], 0.0), "trivial"),
        (lambda: stats.seed_mean([1.0]), "at least 2 seeds"),
        (lambda: stats.seed_mean([0.0, 2.0], 0.0, 1.0), "do not lie in"),
    ],
)
def test_messages(call, says):
    with pytest.raises(ValueError, match=says):
        call()


# ------------------------------------------------------------------------------- slopes, verdicts, ranks
@given(st.floats(0.5, 2.5), st.integers(2, 6), st.integers(1, 4))
def test_slope_of_a_power_is_its_exponent(power, seeds, episodes):
    h = np.array([8, 16, 64, 512])
    curves = np.arange(1.0, seeds + 1)[:, None, None] * np.ones((seeds, episodes, 1)) * h**power
    s = stats.slope_ci(curves, h)
    np.testing.assert_allclose(s[:5], power, atol=1e-9)
    np.testing.assert_allclose(stats.slope_ci_independent(h**power, 0 * h, h)[:5], power, atol=1e-9)


def test_slope_without_cost_is_none_with_a_reason():
    curves = np.ones((3, 4, 2))
    curves[:, :, 0] = 0
    s = stats.slope_ci(curves, [16, 32])
    assert s.slope is s.lo is s.hi90 is None
    assert "no cost at H = 16" in s.reason
    curves[1, 2, 0] = 1
    assert "one seed or episode only at H = 16" in stats.slope_ci(curves, [16, 32]).reason
    assert "no cost at H = 16" in stats.slope_ci_independent([0.0, 1.0], [0.0, 0.1], [16, 32]).reason


def test_slope_limits_are_nested():
    g = np.random.default_rng(0)
    s = stats.slope_ci(g.gamma(2, size=(10, 5, 3)).cumsum(-1), [1, 2, 3])
    assert s.lo < s.lo90 < s.slope < s.hi90 < s.hi
    one = stats.slope_ci(g.gamma(2, size=(1, 50, 3)).cumsum(-1), [1, 2, 3])
    assert one.lo < one.slope < one.hi


def test_tost_and_holm():
    assert stats.tost(1.95, 2.01, 1.98)
    assert not stats.tost(1.87, 2.01, 1.98)
    np.testing.assert_allclose(stats.holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    assert stats.holm([0.9, 0.8]).max() <= 1


def test_verdicts():
    g = np.random.default_rng(0)
    noise = 0.01 * g.normal(size=(6, 10))
    claims = [
        stats.gap_bound(1 + noise[0], 2 + noise[1], 100.0),
        stats.gap_bound(2 + noise[2], 1 + noise[3], 100.0),
        stats.gap_bound(1 + noise[4], 1 + noise[5], 100.0),
        stats.gap_bound(5 + noise[0], 120 + noise[1], 100.0),
        stats.gap_bound(1 + noise[0], 2 + noise[1], 100.0, may_hold=False),
        stats.gap_bound(2 + noise[2], 1 + noise[3], 100.0, may_fail=False),
        stats.gap_bound(np.zeros(3), np.zeros(3), 100.0),
        stats.gap_bound(120 + noise[2], 110 + noise[3], 100.0),
    ]
    assert stats.verdicts(claims) == [
        "HOLDS", "VIOLATED", "INCONCLUSIVE", "VACUOUS", "INCONCLUSIVE", "INCONCLUSIVE", "INCONCLUSIVE", "VIOLATED",
    ]  # fmt: skip
    assert claims[0].tightness == pytest.approx(0.5, abs=0.01)
    assert claims[3].vacuity == pytest.approx(1.2, abs=0.01)
    assert stats.verdicts([]) == []


def test_rounding_is_no_violation():
    g = np.random.default_rng(0).random(10)
    (claim,) = [stats.gap_bound(g * (1 + 3e-16), g, 9.0)]
    assert stats.verdicts([claim]) == ["HOLDS"]
    assert claim.upper == 0


def test_holm_spares_the_many():
    g = np.random.default_rng(0)
    one = stats.gap_bound(1 + 0.1 * g.normal(size=10), 0.92 + 0.02 * g.normal(size=10), 9.0)
    assert 0.001 < one.p < 0.05
    assert stats.verdicts([one]) == ["VIOLATED"]
    assert set(stats.verdicts([one] * 50)) == {"INCONCLUSIVE"}


def test_smallest_violation_is_found_nine_times_in_ten():
    g, n = np.random.default_rng(0), 10
    x = np.arange(10.0)
    x = 1.0541 * (x - x.mean()) / x.std(ddof=1)
    d = stats.gap_bound(5 + x, np.full(10, 5.0), 9.0).smallest_violation
    claims = [stats.gap_bound(9 + x, np.full(n, 9.0), 99.0) for x in g.normal(d, 1.0541, size=(4000, n))]
    found = np.mean([20 * c.p <= 0.05 for c in claims])
    assert found == pytest.approx(0.9, abs=0.02)


def test_ratio_equivalent():
    g = np.random.default_rng(0)
    b = 5 + g.normal(size=20)
    interval, same = stats.ratio_equivalent(b * (1 + 0.001 * g.normal(size=20)), b)
    assert same
    assert interval.lo < interval.value < interval.hi
    assert not stats.ratio_equivalent(1.05 * b, b)[1]
    assert not stats.ratio_equivalent(b + g.normal(size=20), b)[1]


def test_ranks():
    g = np.random.default_rng(0)
    shared = g.normal(size=(10, 5))
    table = {
        name: shared + s + 0.1 * g.normal(size=(10, 5)) for name, s in (("a", 1.0), ("b", 1.0), ("c", 0), ("d", -1))
    }
    ranks = stats.rank_intervals(table)
    assert {name: r.label for name, r in ranks.items()} == {"a": "1-2", "b": "1-2", "c": "3", "d": "4"}
    assert stats.rank_intervals(dict.fromkeys("abc", shared)) == dict.fromkeys("abc", (1, 3))
    assert stats.rank_intervals({"only": shared}) == {"only": (1, 1)}


def test_seeds_that_tie_have_limits_where_the_range_is_known():
    for n in (5, 10, 30):
        np.testing.assert_allclose(stats.seed_mean(np.ones(n), 0, 1), [1, *stats.clopper_pearson(n, n)])
        np.testing.assert_allclose(
            stats.seed_mean(np.zeros(n), 0, 2), [0, *(2 * x for x in stats.clopper_pearson(0, n))]
        )
    assert stats.seed_mean(np.ones(10)) == (1, -np.inf, np.inf)
    one = np.r_[np.ones(9), 0.98]  # an all but tie is no better known
    assert stats.seed_mean(one, 0, 1).lo < 0.8
    mean, lo, hi, p = stats.seed_difference(np.ones(10), np.ones(10), 0, 1)
    assert (mean, p) == (0, 1)
    assert -0.4 < lo < -0.2 < 0.2 < hi < 0.4


@pytest.mark.parametrize(
    ("ties", "n", "rare"), [(2, 7, True), (2, 8, False), (3, 10, True), (2, 10, False), (1, 3, False)]
)
def test_more_than_a_quarter_at_an_end_is_a_sign_of_rare_events(ties, n, rare):
    x = np.linspace(0, 1, n)
    x[-ties:] = 1
    assert intervals.crowded(x) == intervals.crowded(-x) == rare
    x[n // 2], x[-ties:] = 2, np.linspace(0.6, 0.9, ties)  # equal values in the middle are none
    assert not intervals.crowded(x)


def test_p_value_of_a_bet_is_the_limits_inverse():
    x = np.random.default_rng(0).random(12) / 2
    assert bounded.p_value(x, bounded.upper_limit(x)) == pytest.approx(0.05)
    assert bounded.p_value(np.full(12, 0.5), 0.5) == pytest.approx(1)
    assert bounded.p_value(np.zeros(12), 0.5) < 0.01


def test_limits_lie_in_the_range_and_move_with_it():
    g = np.random.default_rng(0)
    for x in (g.random(10), g.beta(9, 1, 10), g.integers(0, 2, 10) * 1.0):
        a, b = stats.seed_mean(x, 0, 1), stats.seed_mean(5 - 3 * x, 2, 5)
        assert 0 <= a.lo <= a.value <= a.hi <= 1
        np.testing.assert_allclose([b.value, b.hi, b.lo], 5 - 3 * np.array(a), atol=0.02)


def test_equal_algorithms_share_a_place_whatever_ties():
    same = np.r_[np.ones(9), 0.0]
    assert stats.rank_intervals({"a": same, "b": np.ones(10)}) == {"a": (1, 2), "b": (1, 2)}
    ranks = stats.rank_intervals({"a": np.full((10, 3), 0.1), "b": np.ones((10, 3))})
    assert ranks == {"b": (1, 1), "a": (2, 2)}


def test_band_is_exact_without_failures():
    lo, hi = stats.simultaneous_band([0.0], [0.0], 100, failing=[0], upper=[50])
    assert lo[0] == 0
    assert hi[0] == pytest.approx(50 * stats.clopper_pearson(0, 100, 0.975)[1])


# -------------------------------------------------------------------------------------- coverage
SEEDS = {  # what a seed's value may look like: a draw of shape `s`, its mean, its range
    "normal": (lambda g, s: g.normal(size=s), 0.0, (-np.inf, np.inf)),
    "exponential": (lambda g, s: g.exponential(size=s), 1.0, (-np.inf, np.inf)),
    "exponential below": (lambda g, s: -g.exponential(size=s), -1.0, (-np.inf, np.inf)),
    "log-normal": (lambda g, s: np.exp(g.normal(size=s)), np.exp(0.5), (-np.inf, np.inf)),
    "near one": (lambda g, s: g.beta(5, 1, s), 5 / 6, (0, 1)),
    "5 % of seeds fail": (lambda g, s: (g.random(s) > 0.05) * 1.0, 0.95, (0, 1)),
    "20 % of seeds fail": (lambda g, s: (g.random(s) > 0.2) * 1.0, 0.8, (0, 1)),
    "an episode in 640 fails": (lambda g, s: 1 - g.binomial(64, 1 / 640, s) / 64, 1 - 1 / 640, (0, 1)),
    "both": (lambda g, s: (1 - g.binomial(64, 0.002, s) / 64) * (g.random(s) > 0.05), 0.998 * 0.95, (0, 1)),
}


@pytest.mark.parametrize("law", SEEDS)
def test_coverage_of_what_boards_print(law):
    """The table in the docstring of ilbench/stats/intervals.py, ten seeds: 93 % at least, less two standard errors."""
    draw, truth, limits = SEEDS[law]
    n = 1500
    lo, hi = intervals.seed_means(draw(np.random.default_rng(5), (n, 10)), *limits)
    assert np.mean((lo <= truth) & (truth <= hi)) >= 0.93 - 2 * np.sqrt(0.07 * 0.93 / n)


def test_coverage_of_ties_with_five_seeds_and_of_boards_with_three():
    g, n = np.random.default_rng(6), 2000
    lo, hi = intervals.seed_means(g.integers(0, 2, (n, 5)) * 1.0, 0, 1)
    assert np.mean((lo <= 0.5) & (hi >= 0.5)) >= 0.95
    for scale in (1, 10):  # two tasks, averaged within each of three seeds
        both = (g.normal(size=(n, 3, 2)) * [1, scale]).mean(-1)
        lo, hi = intervals.seed_means(both, -np.inf, np.inf)
        assert np.mean((lo <= 0) & (hi >= 0)) >= 0.94


@pytest.mark.parametrize(("law", "most"), [("both", 0.03), ("5 % of seeds fail", 0.03), ("near one", 0.06)])
def test_two_equal_algorithms_are_rarely_told_apart(law, most):
    draw, _, limits = SEEDS[law]
    g, n = np.random.default_rng(7), 500
    found = [stats.seed_difference(draw(g, 10), draw(g, 10), *limits) for _ in range(n)]
    assert np.mean([not lo <= 0 <= hi for _, lo, hi, _ in found]) <= most
    assert np.mean([p < 0.05 for *_, p in found]) <= most


LAWS = {
    "normal": lambda g, s: g.normal(size=s),
    "exponential": lambda g, s: g.exponential(size=s),
    "near one": lambda g, s: g.beta(5, 1, s),  # normalised scores crowd below 1
    "heavy tails": lambda g, s: g.standard_t(4, s),
}
REPETITIONS = 2000
BAR = 0.935 - 2 * np.sqrt(0.935 * 0.065 / REPETITIONS)  # 93.5 %, less two standard errors


def repeat(draw, interval, truth):
    """Share of repetitions whose interval (the last two entries) holds the truth."""
    hits = 0
    for _ in range(REPETITIONS):
        lo, hi = interval(draw())[1:3]
        hits += lo <= truth <= hi
    return hits / REPETITIONS


@pytest.mark.slow
@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize(("shape", "statistic"), [((10, 1), "iqm"), ((10, 1), "mean"), ((5, 10), "iqm")])
def test_coverage_of_means(law, shape, statistic):
    g = np.random.default_rng(0)
    shift = 0.3 * np.arange(shape[1])
    big = np.sort((LAWS[law](g, (1_000_000 // shape[1], shape[1])) + shift).ravel())
    truth = big.mean() if statistic == "mean" else big[len(big) // 4 : -(len(big) // 4)].mean()
    draw = lambda: LAWS[law](g, shape) + shift  # noqa: E731
    covered = repeat(draw, lambda x: stats.bootstrap_ci(x, statistic, resamples=500, rng=g), truth)
    assert covered >= BAR, f"{law} {shape} {statistic}: {covered:.3f}"


def cliff(h, eps):
    """Expected cost of the cliff after h steps."""
    return h - (1 - eps) * -np.expm1(h * np.log1p(-eps)) / eps


H = np.array([16, 32, 64, 128, 256, 512])
X = np.log(H) - np.log(H).mean()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("seeds", "eps", "spread"), [(10, 0.01, 0.0), (10, 0.01, 0.5), (10, 0.002, 0.5), (3, 0.01, 0.3)]
)
def test_coverage_of_prefix_slopes(seeds, eps, spread):
    """Error rates differ from seed to seed (log-normal); 64 episodes a seed, one rollout for all horizons."""
    g = np.random.default_rng(1)
    z = np.linspace(-6, 6, 2001)
    weight = np.exp(-z * z / 2) / np.exp(-z * z / 2).sum()
    means = weight @ np.stack([cliff(H, e) for e in np.minimum(1, eps * np.exp(spread * z))])
    truth = X @ np.log(means) / (X @ X)

    def draw():
        rate = np.minimum(1, eps * np.exp(spread * g.normal(size=(seeds, 1))))
        return np.maximum(0, H - g.geometric(rate, (seeds, 64))[..., None] + 1)

    assert repeat(draw, lambda c: stats.slope_ci(c, H), truth) >= BAR


@pytest.mark.slow
def test_coverage_of_independent_slopes_and_bands():
    """Equal step budget per horizon, about 40 failing episodes at each: where Student's t alone covered 92 %."""
    g, eps = np.random.default_rng(2), 1e-3
    n = 40_000 // H
    truth = cliff(H, eps)
    slope = X @ np.log(truth) / (X @ X)
    hits, inside, exact = 0, 0, 0
    for _ in range(REPETITIONS):
        costs = [np.maximum(0, h - g.geometric(eps, m) + 1) for h, m in zip(H, n, strict=True)]
        means, sds = (np.array([f(c) for c in costs]) for f in (np.mean, lambda c: np.std(c, ddof=1)))
        s = stats.slope_ci_independent(means, sds / np.sqrt(n), H)
        hits += s.lo <= slope <= s.hi
        lo, hi = stats.simultaneous_band(means, sds, n)
        inside += ((lo <= truth) & (truth <= hi)).all()
        lo, hi = stats.simultaneous_band(means, sds, n, failing=[np.count_nonzero(c) for c in costs], upper=H)
        exact += ((lo <= truth) & (truth <= hi)).all()
    assert hits / REPETITIONS >= BAR
    assert inside / REPETITIONS >= BAR
    assert exact / REPETITIONS >= 0.95


@pytest.mark.slow
@pytest.mark.parametrize(("shape", "most"), [(4, 0.075), (16, 0.065)])
def test_one_sided_errors_under_skew(shape, most):
    """Nominal 5 %, ten seeds, gamma(shape) tails on either side; Student's t alone: 8.6 % at shape 4."""
    g = np.random.default_rng(4)
    tails = g.gamma(shape, 1 / shape, (4000, 10))
    for d in (1 - tails, tails - 1):
        claims = [stats.gap_bound(9 + x, np.full(10, 9.0), 99.0) for x in d]
        assert np.mean([c.p <= 0.05 for c in claims]) <= most
        assert np.mean([c.upper < 0 for c in claims]) <= most


@pytest.mark.slow
def test_a_true_bound_is_rarely_called_violated_and_ties_share_a_rank():
    g = np.random.default_rng(3)
    false, split = 0, 0
    for _ in range(1000):
        gap, bound = g.gamma(4, 0.25, (2, 20, 10))  # twenty claims, all with G = B
        false += "VIOLATED" in stats.verdicts([stats.gap_bound(a, b, 9.0) for a, b in zip(gap, bound, strict=True)])
    for _ in range(200):
        ranks = stats.rank_intervals({name: g.beta(5, 1, (10, 3)) for name in "abc"})
        split += ranks["a"] != (1, 3)
    assert false / 1000 <= 0.06
    assert split / 200 <= 0.09
