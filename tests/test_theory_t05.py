"""T05 reproduces the exponent budgets, from dynamic programming and from closed forms."""

import numpy as np
import pytest

from ilbench.exact import closed_forms as cf
from ilbench.stats import exponents
from ilbench.theory import t05_exponent_budget
from ilbench.theory.instances import chains, reset

# regime, coverage -> gap, eps, kappa, ubar at eps = 1e-4, H = 16 ... 512
TABLE = {
    ("recoverable", "expert"): (1.980, 0, 0.980, 0),
    ("recoverable", "own"): (1.000, 0, 0, 0),
    ("cliff", "expert"): (1.980, 0, 0.980, 0),
    ("cliff", "own"): (1.980, 0, 0, 0.980),
    ("stable", "expert"): (1.017, 0, 0.022, -0.006),
    ("stable", "own"): (1.000, 0, 0, 0),
}


@pytest.mark.parametrize("cell", TABLE)
def test_budget(cell):
    curves = chains.exact(*cell, 1e-4, chains.EXACT_H)
    p = exponents.exponents(chains.EXACT_H, *curves)
    assert tuple(p.values()) == pytest.approx(TABLE[cell], abs=5.01e-4)
    np.testing.assert_allclose(curves.gap, chains.closed_form(*cell, 1e-4, chains.EXACT_H), rtol=1e-12)


@pytest.mark.parametrize(("shared", "p_gap", "p_eps"), [(True, 0.928, -1.0), (False, 1.926, 0.0)])
def test_reset_cliff(shared, p_gap, p_eps):
    h, n = np.array([4, 8, 16, 32, 64]), 10_000
    uniform = reset.expected_curves(h, n, shared=shared, wrong=0.75)  # A = 4
    p = exponents.exponents(h, uniform.dense, uniform.eps, uniform.own)
    assert (p["gap"], p["eps"], p["kappa"]) == pytest.approx((p_gap, p_eps, p_gap - 1 - p_eps), abs=5e-4)
    if not shared:
        np.testing.assert_allclose(uniform.dense, cf.reset_cliff(h, cf.reset_cliff_rho(12, n), n, 0.75), rtol=1e-9)
        assert n / (12 * 64**2) * uniform.dense[-1] == pytest.approx(0.1161, abs=5e-5)
    else:
        assert n / (12 * 64) * uniform.dense[-1] == pytest.approx(0.117, abs=5e-4)
    for by_formula, by_dp in zip(
        reset.expected(20, 30, shared=shared), reset.by_dp(20, 30, shared=shared), strict=True
    ):
        assert by_formula == pytest.approx(by_dp, rel=1e-9)


def test_missing_law_is_that_of_a_simulation():
    draws = np.random.default_rng(0).multinomial(40, [0.02] * 5 + [0.9], size=20_000)
    counted = np.bincount((draws[:, :5] == 0).sum(1), minlength=6) / 20_000
    np.testing.assert_allclose(reset.missing_law(5, 0.02, 40), counted, atol=4 * 0.5 / np.sqrt(20_000))


def test_trap_and_exact_claims():
    assert t05_exponent_budget.trap()[0] == pytest.approx(1.03, abs=5e-3)
    result = t05_exponent_budget.measure("exact", lambda text: None)
    assert {c.verdict for c in result.claims} == {"HOLDS", "REFUTED AS EXPECTED"}
