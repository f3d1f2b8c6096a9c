"""T08 reproduces the tight ratios of gap <= R D_H^2, no violation, and the slopes with and without sharing."""

import numpy as np
import pytest

from ilbench.exact import closed_forms as cf
from ilbench.exact import dp
from ilbench.exact.mdp import MDP, check
from ilbench.theory import t07_no_regret
from ilbench.theory import t08_horizon_free as t08
from ilbench.theory.instances import reset


@pytest.mark.parametrize(("eps", "horizon", "ratio"), [(0.01, 10, 0.9755), (1e-4, 100, 0.9975)])
def test_cliff_with_terminal_reward(eps, horizon, ratio):
    gap, lost, hellinger = t08.sparse_cliff(eps, horizon)
    assert gap / hellinger == pytest.approx(ratio, abs=5e-5)
    assert gap == pytest.approx(lost, abs=1e-12)
    assert gap == pytest.approx(1 - (1 - eps) ** horizon, abs=1e-12)


def test_no_violation_on_400_random_mdps():
    rng = np.random.default_rng(1)
    g, lost, d = np.array([t08.random_chain(rng) for _ in range(400)]).T
    assert (g <= lost + 1e-12).all()
    assert (lost <= d + 1e-12).all()
    assert (g > 0).mean() > 0.9


def test_terminal_reward_and_width():
    mdp, _, _ = t07_no_regret.aliased(0)
    clocked = check(t08.terminal(mdp, 5, np.arange(9.0)))
    policy = np.random.default_rng(0).integers(3, size=9)
    last = dp.occupancy(mdp, policy, 6)[-1]
    assert dp.total_return(clocked, np.tile(policy, 5), 5) == pytest.approx(last @ np.arange(9.0))
    assert 0 < t08.return_width(clocked, 5) <= 8
    one_way = MDP(np.array([[[0.5, 0.5]], [[0.0, 1.0]]]), np.array([[1.0], [0.25]]), np.array([1.0, 0.0]))
    assert t08.return_width(one_way, 4) == pytest.approx(3 * 0.75)  # 4 at best, 1 + 3 / 4 at worst


@pytest.mark.parametrize(
    ("shared", "reward", "slope"),
    [(True, "sparse", 0), (True, "dense", 0.928), (False, "sparse", 0.997), (False, "dense", 1.926)],
)
def test_slopes(shared, reward, slope):
    curves = reset.expected_curves(t08.H, t08.N, shared=shared, wrong=0.75)
    assert cf.slope(t08.H, getattr(curves, reward)) == pytest.approx(slope, abs=5e-4)


def test_exact_claims_hold():
    assert {c.verdict for c in t08.measure("exact", lambda text: None).claims} == {"HOLDS"}


@pytest.mark.slow
def test_trained_tables_cost_what_their_own_dynamic_programming_says():
    dense, sparse, lost = t08.sampled(5, shared=True)
    exact = reset.evaluated(*reset.trained(5, t08.SEEDS, shared=True))
    for sample, value in ((dense, exact.dense), (sparse, exact.sparse), (lost, exact.sparse)):
        d = sample - value
        assert abs(d.mean()) < 4 * d.std(ddof=1) / np.sqrt(len(d))
