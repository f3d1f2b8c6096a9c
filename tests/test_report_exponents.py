"""The third table of the theory report: budgets from records' curves, and the word that it ends with."""

import json

import numpy as np
import pytest

from ilbench.evaluation.evidence import log_spaced
from ilbench.report import exponents as report
from ilbench.report import source, theory
from ilbench.stats import exponents

H = [16, 32, 64, 128]


def budget(eps=0.0, kappa=0.0, ubar=0.0, noise=0.01):
    h, g = np.array(H, float), np.random.default_rng(0)
    jitter = np.exp(noise * g.normal(size=(3, 10, 1)))
    e = 1e-3 * h**eps * jitter[0]
    own = e * h**kappa * jitter[1]
    return exponents.budget(H, h * own * h**ubar * jitter[2], e, own)


@pytest.mark.parametrize(
    ("powers", "why"),
    [
        ({"kappa": 0.98}, "covariate shift"),
        ({"ubar": 0.98, "kappa": 0.3}, "no recovery"),
        ({"eps": 0.5}, "eps moves with H"),
        ({"eps": -1.0}, "eps moves with H"),
        ({"eps": -1.0, "kappa": 0.93}, "covariate shift"),
        ({"kappa": 0.05, "eps": -0.05, "ubar": -0.4}, "none"),
    ],
)
def test_diagnosis_names_what_grows(powers, why):
    found = budget(**powers)
    assert report.diagnosis(found) == why
    assert found.p_gap.slope == pytest.approx(1 + sum(powers.values()), abs=1e-9)


def test_prefix_eps_is_read_or_interpolated():
    t = np.arange(1, 129)
    eps_t = 0.1 / t
    exact = np.array([eps_t[:h].mean() for h in H])
    np.testing.assert_array_equal(report.prefix_eps({"prefix_eps": exact}, H), exact)
    np.testing.assert_allclose(report.prefix_eps({"eps_t": eps_t[log_spaced(128) - 1]}, H), exact, rtol=0.02)


def test_every_sweep_of_the_shipped_suite_has_a_budget_that_adds_up():
    found = source.load("quick@1", "results")
    rows = theory.build(found.records, found.arrays)
    budgets = [r for r in rows if isinstance(r, report.Row)]
    swept = {(r.task, r.algorithm) for r in rows if isinstance(r, theory.Row)}
    assert {(r.task, r.algorithm) for r in budgets} == swept
    for r in budgets:
        terms = [s.slope for s in r.budget]
        assert terms[0] == pytest.approx(1 + sum(terms[1:]), abs=1e-9)
        assert r.cost == "task" or abs(terms[3]) < 1e-9
    assert "Why it compounds" in theory.text(rows)
    json.dumps([r.as_json() for r in rows], allow_nan=False)
    chains = {(r.task, r.algorithm.split(",")[1], r.cost): r.why for r in budgets if r.task[:5] in ("cliff", "recov")}
    assert chains["cliff@1", " BC coverage", "task"] == "covariate shift"
    assert chains["cliff@1", " DAgger coverage", "task"] == "no recovery"
    assert chains["recoverable@1", " DAgger coverage", "task"] == "none"
