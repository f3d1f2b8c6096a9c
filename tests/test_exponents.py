"""The exponent budget: its four slopes add up, its limits cover, and what it cannot do it says."""

import numpy as np
import pytest

from ilbench import stats
from ilbench.stats import exponents

H = np.array([16.0, 32, 64, 128])


def runs(rng, seeds=10):
    eps = 1e-3 * rng.lognormal(0, 0.2, (seeds, 4))
    own = eps * H**0.5 * rng.lognormal(0, 0.2, (seeds, 1))
    return H * own * H**0.25 * rng.lognormal(0, 0.2, (seeds, 4)), eps, own


def test_slopes_add_up_and_limits_cover():
    rng, hits = np.random.default_rng(0), 0
    for _ in range(300):
        b = exponents.budget(H, *runs(rng))
        assert b.p_gap.slope == pytest.approx(1 + b.p_eps.slope + b.p_kappa.slope + b.p_ubar.slope, abs=1e-12)
        assert b.p_gap.lo < b.p_gap.lo90 < b.p_gap.hi90 < b.p_gap.hi
        hits += b.p_kappa.lo <= 0.5 <= b.p_kappa.hi
    assert hits / 300 >= 0.92


def test_gap_slope_is_that_of_stats_and_exact_curves_give_the_same():
    gap, eps, own = runs(np.random.default_rng(1))
    b = exponents.budget(H, gap, eps, own)
    np.testing.assert_allclose(b.p_gap[:5], stats.slope_ci(gap[:, None], H)[:5], atol=1e-12)
    exact = exponents.exponents(H, gap.mean(0), eps.mean(0), own.mean(0))
    np.testing.assert_allclose(list(exact.values()), [t.slope for t in b], atol=1e-12)


def test_what_has_no_slope_says_why():
    gap, eps, own = runs(np.random.default_rng(2))
    gap[:, 0] = 0
    b = exponents.budget(H, gap, eps, own)
    assert b.p_gap.slope is None
    assert "gap is not positive at H = 16" in b.p_ubar.reason
    assert b.p_kappa.slope is not None
    own[1:, 3] = 0
    assert "rests on one seed at H = 128" in exponents.budget(H, gap, eps, own).p_kappa.reason
    for bad in (
        (H[:3], gap, eps, own),
        (H, gap[:1], eps[:1], own[:1]),
        (H * 0, gap, eps, own),
        (H, gap, eps[:, :3], own),
    ):
        with pytest.raises(ValueError, match=r"got|horizons"):
            exponents.budget(*bad)
