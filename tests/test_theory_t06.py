"""T06 reproduces u, the tightness of u T eps_on and the tautology of the 0-1 cost."""

import numpy as np
import pytest

from ilbench import registry
from ilbench.exact import dp
from ilbench.theory import t06_dagger_u
from ilbench.theory.instances import branches, chains


@pytest.mark.parametrize(("regime", "u", "tight"), [("recoverable", 1, 1.0), ("cliff", 100, 0.5), ("stable", 1, 1.0)])
def test_u_and_tightness(regime, u, tight):
    mdp, H, eps = registry.task(regime, 100).mdp(), 100, 1e-6
    learner, expert = chains.learner("own", eps), np.zeros(2, int)
    assert dp.advantage_range(mdp, expert, H, visitor=learner) == pytest.approx(u)
    gap, bound = t06_dagger_u.gap_and_bound(mdp, learner, expert, H)
    assert gap / bound == pytest.approx(tight, abs=6e-3)


@pytest.mark.parametrize("name", t06_dagger_u.ZERO_ONE)
def test_zero_one_cost_makes_u_one(name):
    u, gap, mistakes = t06_dagger_u.zero_one(name)
    assert u == pytest.approx(1)
    assert gap == pytest.approx(mistakes)


def test_slopes_of_the_cliff_under_both_costs():
    gap = chains.exact("cliff", "own", 1e-4, chains.EXACT_H).gap
    assert t06_dagger_u.zero_one_slope("cliff") == pytest.approx(1.000, abs=1e-9)
    assert np.polyfit(np.log(chains.EXACT_H), np.log(gap), 1)[0] == pytest.approx(1.98, abs=5e-3)


def test_exact_claims_hold():
    assert {c.verdict for c in t06_dagger_u.measure("exact", lambda text: None).claims} == {"HOLDS"}


def test_branches_differ_from_the_step_of_the_kick_on():
    """On the double integrator, whose expert recovers: no kick after the fact, the same start before it."""
    task = registry.task("double_integrator", 12)
    b = branches.run(task, 0.0, [3, 11], 2, 4, "test")
    assert (b.gap == 0).all()
    assert b.advantage.shape == (2, 2, 4)
    assert (b.advantage[0] > 0).all()
