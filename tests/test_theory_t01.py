"""T01: the performance difference lemma, its branches, and that the verdicts can fail."""

import numpy as np
import pytest

from ilbench.theory import t01_pdl_identity as t01


def test_identity_is_exact_on_fifty_random_mdps_and_every_tabular_task():
    worst = np.max([np.abs(t01.residuals(*instance, 50)) for instance in t01.random_mdps()], axis=0)
    assert (50 * worst < 2.5e-14).all()  # absolute, rewards in [0, 1]
    tasks = t01.tabular()
    assert {"cliff", "gridworld", "random_mdp", "disjoint"} <= set(tasks)
    assert np.abs(list(tasks.values())).max() < 1e-12


def test_branches_telescope_from_the_base_to_the_policy():
    first, then = np.random.default_rng(0).dirichlet(np.ones(3), (2, 5, 4))
    through, upto = t01.branches(first, then)
    np.testing.assert_array_equal(through[:-1], upto[1:])
    np.testing.assert_array_equal([upto[0], through[-1]], [then, first])


@pytest.mark.parametrize(
    ("off", "se", "verdict"), [(0.0, 0.01, "HOLDS"), (0.5, 0.01, "VIOLATED"), (0.0, 1.0, "INCONCLUSIVE")]
)
def test_verdict_of_a_difference(off, se, verdict):
    assert t01._claim("x", t01.Sides(off, se), -3.0, 100, "u").verdict == verdict


@pytest.mark.slow
@pytest.mark.parametrize("direction", t01.DIRECTIONS)
def test_rollouts_give_both_sides(direction, monkeypatch):
    monkeypatch.setattr(t01, "EPISODES", 400)
    gap, terms, visited, exact, curve = t01.sampled("random_mdp", direction)
    for side, value in ((gap, exact), (terms, exact), (visited, 0.0)):
        assert abs(side.value - value) < 4 * side.se < 0.2 * abs(exact)
    np.testing.assert_allclose(curve.sum(), terms.value)
