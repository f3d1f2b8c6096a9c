"""T03: the instances that attain the bounds, at every horizon, and the mean that is no bound."""

import numpy as np
import pytest

from ilbench.exact import bounds, dp
from ilbench.theory import t03_bc_bound_attained as t03
from ilbench.theory.instances import proof


@pytest.mark.parametrize(("eps", "H"), t03.CELLS)
def test_disjoint_errors_attain_both_bounds(eps, H):
    r = t03.ratios(t03.run("disjoint", eps, H, states=round(1 / eps)))
    np.testing.assert_allclose(r["clipped"], 1, atol=1e-12, rtol=0)
    np.testing.assert_allclose(r["b1"][: round(1 / eps)], 1, atol=1e-12, rtol=0)
    assert r["mean"].max() <= 2


def test_prefixes_are_the_instances_of_their_own_horizon():
    long = t03.run("disjoint", 0.05, 40, states=20)
    for H in (1, 7, 20, 40):
        np.testing.assert_allclose(t03.run("disjoint", 0.05, H).cost[-1], long.cost[H - 1], rtol=1e-13)


def test_the_mean_is_exceeded_by_as_much_as_can_be():
    r = t03.ratios(t03.run("first_step", 1e-3, 100))
    np.testing.assert_allclose([r["mean"][99], r["b0"][99]], [1.9802, 1], atol=5e-5)
    for mdp, learner, expert in proof.random_instances(60):
        H = proof.HORIZON
        cost, eps = (f(mdp, learner, expert, H) for f in (dp.expected_mistakes, dp.expert_errors))
        assert cost.sum() <= 2 * H / (H + 1) * bounds.b1_of_mean(eps) * (1 + 1e-12)
