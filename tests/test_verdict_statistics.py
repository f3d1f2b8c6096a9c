"""What the intervals cover and how often a report lies, in draws from exact laws at the n that is used. NumPy only."""

import numpy as np
import pytest
from scipy import stats as reference

from ilbench import stats
from ilbench.stats import claims, gap

pytestmark = pytest.mark.slow
R = 2000


def bar(nominal):
    """The bar for a measured share: 1.5 points below a nominal 95 or 90 %, less two standard errors of R draws."""
    least = nominal - 0.015
    return least - 2 * np.sqrt(least * (1 - least) / R)


def most(rate, repetitions=R, errors=2):
    """The bar for an error rate, plus standard errors: two, or three where forty bars are looked at."""
    return rate + errors * np.sqrt(rate * (1 - rate) / repetitions)


def cliff_cost(g, rate, H, size):
    """Costs of episodes on the cliff: the first error, and every step after it."""
    return np.maximum(0, H - g.geometric(np.broadcast_to(rate, size)) + 1).astype(float)


def cliff(H, eps):
    return H - (1 - eps) * -np.expm1(H * np.log1p(-eps)) / eps


# -------------------------------------------------------------------------------------- intervals
@pytest.mark.parametrize("n", [5, 10, 20])
def test_paired_differences_cover(n):
    g, hits = np.random.default_rng(0), np.zeros(3)
    for _ in range(R):
        shared = g.normal(size=n)
        pairs = (
            (shared + g.standard_t(4, n), shared + g.normal(size=n)),
            (g.beta(5, 1, n), g.beta(5, 1, n)),  # normalised scores crowd below 1
            (cliff_cost(g, 0.005, 100, (n, 64)).mean(1), cliff_cost(g, 0.005, 100, (n, 64)).mean(1)),
        )
        hits += [lo <= 0 <= hi for _, lo, hi, _ in (stats.paired_difference(*p) for p in pairs)]
    assert (hits / R >= bar(0.95)).all(), hits / R


def test_bootstrap_differences_cover():
    g, hits = np.random.default_rng(1), 0
    for _ in range(R):
        a, b = g.beta(5, 1, (2, 10, 4)) + 0.3 * g.normal(size=(10, 4))
        d = stats.bootstrap_difference(a, b, resamples=300, rng=g)
        hits += d.lo <= 0 <= d.hi
    assert hits / R >= bar(0.95)


@pytest.mark.parametrize(("n", "episodes", "eps"), [(10, 64, 0.005), (20, 64, 0.002), (10, 4000, 0.001)])
def test_ratio_intervals_cover(n, episodes, eps):
    """Cost over bound where both are means over episodes of the same law (H = 100); the truth is 1, nominal 90 %."""
    g, hits = np.random.default_rng(2), 0
    for _ in range(R):
        rate = eps * np.exp(0.5 * g.normal(size=(n, 1)))
        cost, bound = cliff_cost(g, rate, 100, (2, n, min(episodes, 400))).mean(-1)
        interval, _ = stats.ratio_equivalent(cost, bound)
        hits += interval.lo <= 1 <= interval.hi
    assert hits / R >= bar(0.90)


@pytest.mark.parametrize("level", [0.95, 0.9975])
def test_clopper_pearson_covers_at_every_n(level):
    for n in (10, 64, 640, 7810):
        top = min(n, 400)
        limits = np.array([stats.clopper_pearson(k, n, level) for k in range(top + 1)])
        for p in (1e-4, 1e-3, 0.01, 0.02):
            inside = (limits[:, 0] <= p) & (p <= limits[:, 1])
            assert reference.binom.pmf(np.arange(top + 1), n, p)[inside].sum() >= level


HS = np.array([16, 32, 64, 128, 256, 512])


@pytest.mark.parametrize("eps", [3e-6, 3e-5, 3e-4])
def test_bands_cover_when_failures_are_few(eps):
    """40,000 steps per horizon: about 0.1, 1 and 12 failing episodes each."""
    g, n, truth, inside = np.random.default_rng(3), 40_000 // HS, cliff(HS, eps), 0
    for _ in range(R):
        failing = g.binomial(n, -np.expm1(HS * np.log1p(-eps)))
        sums = np.zeros((2, len(HS)))
        for i, (h, k) in enumerate(zip(HS, failing, strict=True)):  # given a failure, its step is geometric below h
            u = g.random(k) * -np.expm1(h * np.log1p(-eps))
            cost = h - np.floor(np.log1p(-u) / np.log1p(-eps))
            sums[:, i] = cost.sum(), (cost**2).sum()
        means, sds = sums[0] / n, np.sqrt(np.maximum(0, sums[1] - sums[0] ** 2 / n) / (n - 1))
        lo, hi = stats.simultaneous_band(means, sds, n, failing=failing, upper=HS)
        inside += ((lo <= truth) & (truth <= hi)).all()
    assert inside / R >= 0.95


def test_slopes_of_one_seed_and_equivalence_at_the_margin():
    g, hits, passed = np.random.default_rng(4), 0, 0
    truth = cliff(HS, 0.005)
    x = np.log(HS) - np.log(HS).mean()
    slope = x @ np.log(truth) / (x @ x)
    for _ in range(R):
        curves = np.maximum(0, HS - g.geometric(0.005, 200)[:, None] + 1)[None]
        s = stats.slope_ci(curves, HS) if (curves.sum((0, 1)) > 0).all() else stats.Slope(None)
        hits += s.lo is None or s.lo <= slope <= s.hi
        s = stats.slope_ci_independent(truth * (1 + 0.03 * g.normal(size=len(HS))), 0.03 * truth, HS)
        passed += stats.tost(s.lo90, s.hi90, slope + 0.1)
    assert hits / R >= bar(0.95)
    assert passed / R <= most(0.05)


TAILS = {
    "normal": lambda g, s: g.normal(size=s),
    "exponential": lambda g, s: g.exponential(size=s) - 1,
    "gamma(4)": lambda g, s: g.gamma(4, 0.25, s) - 1,
    "log-normal .5": lambda g, s: np.exp(0.5 * g.normal(size=s) - 0.125) - 1,
    "three errors a run": lambda g, s: g.poisson(3, s) / 3 - 1,
}


@pytest.mark.parametrize("tail", TAILS)
@pytest.mark.parametrize("n", [5, 10, 20, 100])
def test_one_claim_errs_at_most_as_often_as_it_says(tail, n):
    """Mean D = 0: t of a left tail against the table at 5 % and at .25 % (Holm over 20); mirrored, the limit of D."""
    draws = 50 * R
    d = -TAILS[tail](np.random.default_rng(5), (draws, n))
    spread = d.std(1, ddof=1)
    p = gap.skewed_p(d.mean(1) / np.where(spread > 0, spread, np.inf) * np.sqrt(n), n)  # no spread: that is for bets
    for alpha in (0.05, 0.0025):
        assert np.mean(p <= alpha) <= most(alpha, draws, errors=3)


# ------------------------------------------------------------------------------- the whole report
def tight(g, runs, H=100, episodes=64):
    """Twenty true claims with E G = E B for every policy, whose error rates are log-normal (sigma = 1) over runs."""
    out = []
    spread = np.exp(g.normal(size=runs))
    for events in (0.3, 1.0, 3.0, 10.0):  # failing held-out episodes per run
        rate = np.minimum(0.5, events / episodes / H * spread)
        fail = np.minimum(1.0, H * rate)
        b3 = cliff_cost(g, rate[:, None], H, (runs, episodes)).mean(1)
        first = H * g.binomial(episodes, fail) / episodes  # all error at t = 1: B0 = H^2 eps
        out += [
            (cliff_cost(g, rate[:, None], H, (runs, episodes)).mean(1), b3),
            (cliff(H, rate), b3),  # the gap known exactly, the bound from few episodes: left tails
            (H * fail, first),
            (H * g.binomial(episodes, fail) / episodes, first),
        ]
    for tail in list(TAILS.values())[1:]:
        out.append((np.full(runs, 9.0), 9.0 + tail(g, runs)))
    return out, float(H)


def report(pairs, trivial):
    made = [claims.at_most_estimated(str(i), a, b, trivial) for i, (a, b) in enumerate(pairs)]
    return [c.verdict for c in claims.judge(made)]


@pytest.mark.parametrize("runs", [10, 20])
def test_a_report_of_true_claims_has_a_false_violated_in_at_most_one_of_twenty(runs):
    g, false = np.random.default_rng(6), 0
    repetitions = R
    for _ in range(repetitions):
        false += "VIOLATED" in report(*tight(g, runs))
    print(f"{runs} runs: {false} of {repetitions}")
    assert false / repetitions <= 0.05


@pytest.mark.parametrize("runs", [5, 10, 20])
def test_twenty_exponential_tails_at_once(runs):
    """The worst that is admitted. Student's t: 51 % at ten runs; its correction for skewness 22 %."""
    d = 1 - np.random.default_rng(7).exponential(size=(2 * R, 20, runs))
    t = d.mean(2) / d.std(2, ddof=1) * np.sqrt(runs)
    false = (gap.skewed_p(t, runs).min(1) * 20 <= 0.05).mean()
    assert false <= most(0.05, 2 * R)
    student = (reference.t.sf(t, runs - 1).min(1) * 20 <= 0.05).mean()
    assert student > 0.3


def test_episodes_given_the_policies_keep_the_rate_and_the_power():
    """Ten policies x 2,000 episodes on the cliff, H = 100, eps H = .3: tight, and a planted violation of 10 %."""
    g, found, H = np.random.default_rng(8), {1.0: 0, 1.1: 0}, 100
    repetitions = 300
    for _ in range(repetitions):
        rate = 0.003 * np.exp(0.5 * g.normal(size=(10, 1)))
        b = cliff_cost(g, rate, H, (10, 2000))
        for factor in found:
            a = factor * cliff_cost(g, rate, H, (10, 2000))
            p = stats.gap_bound(a, b, factor * H).p
            found[factor] += p <= 0.0025
    assert found[1.0] / repetitions <= most(0.0025, repetitions)
    assert found[1.1] / repetitions >= 0.8


def test_power_of_runs():
    """Twenty runs x 4,000 episodes of the same law, only the means of runs given."""
    g, found = np.random.default_rng(9), 0
    for _ in range(100):
        rate = 0.003 * np.exp(0.5 * g.normal(size=(20, 1)))
        a, b = (cliff_cost(g, rate, 100, (20, 4000)).mean(1) for _ in range(2))
        found += stats.gap_bound(1.1 * a, b, 110.0).p <= 0.0025
    assert found >= 90
