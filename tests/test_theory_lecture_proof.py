"""The lecture's proof: its quantities against enumeration, the slip, and that a wrong eps is found out."""

from itertools import product

import numpy as np
import pytest

from ilbench.exact import dp
from ilbench.exact.mdp import MDP
from ilbench.theory import lecture_proof as lp
from ilbench.theory.instances import proof


def test_quantities_are_those_of_all_trajectories():
    rng, S, A, H = np.random.default_rng(0), 2, 2, 4
    mdp = MDP(rng.dirichlet(np.ones(S), (S, A)), rng.uniform(size=(S, A)), rng.dirichlet(np.ones(S)))
    expert, learner = rng.integers(0, A, (H, S)), rng.dirichlet(np.ones(A), (H, S))
    sums = np.zeros((3, H))
    for s in product(range(S), repeat=H):
        for a in product(range(A), repeat=H):
            move = mdp.rho[s[0]] * np.prod([mdp.P[s[t], a[t], s[t + 1]] for t in range(H - 1)])
            weight = move * learner[range(H), s, a].prod()
            wrong = a != expert[range(H), s]
            before = np.cumsum(wrong) - wrong > 0
            sums += weight * np.array([before, wrong & ~before, wrong])
    np.testing.assert_allclose(proof.steps(mdp, learner, expert, H)[:3], sums, atol=1e-14)


def test_masses_with_and_without_mistakes_are_the_occupancy():
    for mdp, learner, expert in proof.random_instances(6):
        stochastic = dp.erring_policy(expert, 0.2, 3)
        for q in (expert, stochastic):
            agreeing, erred = dp.split_by_mistakes(mdp, learner, q, proof.HORIZON)
            np.testing.assert_allclose(agreeing + erred, dp.occupancy(mdp, learner, proof.HORIZON), atol=1e-14)
            np.testing.assert_allclose(
                1 - agreeing[1:].sum(1), 1 - dp.survival(mdp, learner, q, proof.HORIZON)[:-1], atol=1e-13
            )


def test_the_slide_is_wrong_by_one_half_where_the_theorem_is_tight():
    two = lp.slip()
    np.testing.assert_allclose([two.joint[1] / (1 - two.broken[1]), two.eps[1], two.own.sum()], [1.0, 0.5, 1.5])
    assert two.joint[1] <= two.eps[1]


@pytest.mark.parametrize(("factor", "verdict"), [(1.0, "HOLDS"), (0.9, "VIOLATED")])
def test_a_wrong_eps_is_found_out(factor, verdict):
    rows = [proof.steps(*instance, proof.HORIZON) for instance in proof.random_instances(40)]
    rows = [r._replace(eps=factor * r.eps) for r in rows]
    assert {c.verdict for c in lp._inequalities("x", rows, "")[:3]} == {verdict}


@pytest.mark.slow
def test_trained_tables_obey_every_step(monkeypatch):
    monkeypatch.setattr(lp, "EPISODES", 300)
    m = lp.sampled()
    for left, right, _ in lp.PAIRS:
        x, y = getattr(m, left), getattr(m, right)
        assert (x.mean((0, 1)) - y.mean((0, 1)) <= 4 * lp.error(x, y) + 1e-12).all()
    assert 0 < m.own.mean() < 0.5
