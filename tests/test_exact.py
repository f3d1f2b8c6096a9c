"""The exact engine against brute force, identities, and the numbers derived for the instances."""

from itertools import product

import numpy as np
import pytest

from ilbench.exact import bounds, dp
from ilbench.exact import closed_forms as cf
from ilbench.exact.mdp import MDP, check


def random_mdp(rng, S, A):
    return check(MDP(rng.dirichlet(np.ones(S), (S, A)), rng.uniform(size=(S, A)), rng.dirichlet(np.ones(S))))


def two_state(recover, stay):
    P = np.array([[[1, 0], [0, 1]], [[recover, 1 - recover], [1 - stay, stay]]], float)
    return check(MDP(P, -P[..., 1], np.array([1.0, 0.0])))


CLIFF, RECOVERABLE, STABLE = two_state(0, 1), two_state(1, 1), two_state(1, 0.5)
EXPERT = np.zeros(2, int)


def learner(eps, off=1.0):
    return dp.erring_policy(EXPERT, [eps, off], 2)


def test_against_enumeration_of_all_trajectories():
    rng, S, A, H = np.random.default_rng(0), 2, 2, 4
    mdp = random_mdp(rng, S, A)
    p, q = rng.dirichlet(np.ones(A), (H, S)), rng.dirichlet(np.ones(A), (H, S))
    d, J, miss, alive, root = np.zeros((H, S)), 0.0, np.zeros(H), np.zeros(H), 0.0
    tv = np.abs(p - q).sum(-1) / 2
    for s in product(range(S), repeat=H):
        for a in product(range(A), repeat=H):
            move = mdp.rho[s[0]] * np.prod([mdp.P[s[t], a[t], s[t + 1]] for t in range(H - 1)])
            pp, qq = p[range(H), s, a], q[range(H), s, a]
            w = move * pp.prod()
            d[range(H), s] += w
            J += w * mdp.R[list(s), list(a)].sum()
            miss += w * tv[range(H), s]
            root += move * np.sqrt(pp * qq).prod()
            # coupled agreement up to t, summed over what happens after t under p
            alive += move * np.cumprod(np.minimum(pp, qq)) * np.append(np.cumprod(pp[:0:-1])[::-1], 1)
    np.testing.assert_allclose(dp.occupancy(mdp, p, H), d, atol=1e-14)
    np.testing.assert_allclose(dp.total_return(mdp, p, H), J, atol=1e-14)
    np.testing.assert_allclose(mdp.rho @ dp.values(mdp, p, H)[0], J, atol=1e-14)
    np.testing.assert_allclose(dp.expected_mistakes(mdp, p, q, H), miss, atol=1e-14)
    np.testing.assert_allclose(dp.survival(mdp, p, q, H), alive, atol=1e-14)
    np.testing.assert_allclose(dp.affinity(mdp, p, q, H), root, atol=1e-14)


def test_optimal_policy_beats_every_deterministic_policy():
    rng, S, A, H = np.random.default_rng(1), 2, 2, 3
    mdp = random_mdp(rng, S, A)
    best, Q = dp.optimal_policy(mdp, H)
    every = [dp.total_return(mdp, np.array(table).reshape(H, S), H) for table in product(range(A), repeat=H * S)]
    np.testing.assert_allclose([dp.total_return(mdp, best, H), mdp.rho @ Q[0].max(-1)], max(every), atol=1e-14)
    worst = dp.worst_actions(mdp, best, H)
    np.testing.assert_array_equal(worst, 1 - best)


def test_performance_difference_lemma_both_directions():
    rng, H = np.random.default_rng(2), 50
    for _ in range(20):
        mdp = random_mdp(rng, 20, 5)
        p, q = rng.dirichlet(np.ones(5), (H, 20)), rng.dirichlet(np.ones(5), (H, 20))
        gap = dp.total_return(mdp, p, H) - dp.total_return(mdp, q, H)
        forward = np.einsum("hs,hsa,hsa", dp.occupancy(mdp, p, H), p - q, dp.q_values(mdp, q, H))
        reverse = np.einsum("hs,hsa,hsa", dp.occupancy(mdp, q, H), p - q, dp.q_values(mdp, p, H))
        both = [dp.performance_difference(mdp, p, q, H).sum(), -dp.performance_difference(mdp, q, p, H).sum()]
        np.testing.assert_allclose(both, [forward, reverse], atol=1e-12 * H)
        assert max(abs(gap - forward), abs(gap - reverse)) <= 1e-12 * H


def test_bound_ladder_on_random_mdps():
    rng, H, slack = np.random.default_rng(3), 15, 1e-12
    for _ in range(100):
        mdp = random_mdp(rng, 5, 3)
        expert, _ = dp.optimal_policy(mdp, H)
        p = dp.erring_policy(expert, rng.beta(0.2, 2, (H, 5)), 3)
        rung = bounds.ladder(dp.expert_errors(mdp, p, expert, H), dp.first_mistake(mdp, p, expert, H))
        gap = dp.total_return(mdp, expert, H) - dp.total_return(mdp, p, H)
        mistakes = dp.expected_mistakes(mdp, p, expert, H).sum()
        assert max(gap, mistakes) <= rung["b3"] + slack
        assert rung["b3"] <= rung["b2"] + slack <= min(rung["b1"], rung["b0"]) + 2 * slack
        u = dp.advantage_range(mdp, expert, H)
        assert gap <= bounds.dagger(u, dp.expected_mistakes(mdp, p, expert, H)) + slack
        assert gap <= bounds.hellinger(dp.affinity(mdp, p, expert, H), H) + slack


@pytest.mark.parametrize("eps", [1e-12, 1e-4, 0.01, 0.3, 1.0])
@pytest.mark.parametrize("H", [1, 7, 100, 1000])
def test_closed_forms_are_the_dynamic_programme(eps, H):
    close = {"rtol": 1e-11, "atol": 0}
    for mdp, off, form in (
        (CLIFF, 1.0, cf.cliff),
        (RECOVERABLE, 1.0, cf.recoverable_bc),
        (RECOVERABLE, eps, cf.recoverable_dagger),
        (STABLE, 1.0, cf.stable_bc),
    ):
        np.testing.assert_allclose(form(eps, H), -dp.total_return(mdp, learner(eps, off), H), **close)
    first = dp.first_mistake(CLIFF, learner(eps), EXPERT, H)
    np.testing.assert_allclose(bounds.b3(first), cf.cliff(eps, H), **close)  # B3 is attained on the cliff
    np.testing.assert_allclose(1 - first.sum(), cf.survival(eps, H), rtol=0, atol=1e-12)


def test_printed_numbers_of_the_behaviour_cloning_bound():
    H = np.array([10, 20, 50, 100, 200, 500, 1000])
    ratio = np.array([0.970592, 0.939422, 0.854557, 0.737370, 0.568478, 0.320679, 0.180021])
    np.testing.assert_allclose(cf.cliff(0.01, H) / (0.01 * H * (H + 1) / 2), ratio, atol=5e-7)
    clipped = [cf.cliff(0.01, h) / bounds.b1_clipped(np.full(h, 0.01)) for h in H]
    np.testing.assert_allclose(clipped, [*ratio[:4], 0.759229, 0.891566, 0.947927], atol=5e-7)
    eps = np.array([1e-3, 1e-4, 1e-5, 1e-6])
    np.testing.assert_allclose(cf.cliff(eps, 100) / (eps * 5050), [0.967793, 0.996708, 0.99967, 0.999967], atol=5e-7)
    np.testing.assert_allclose(cf.copy_chain(1e-6, 100) / (1e-6 * 5050), 0.999934, atol=5e-7)
    np.testing.assert_allclose(cf.cliff(0.0, H), 0, atol=0)
    one_step = np.eye(1, 100)[0] * 1e-3
    loss = cf.first_step(1e-3, 100)
    np.testing.assert_allclose([loss / bounds.b1_of_mean(one_step), loss / bounds.b0(one_step)], [200 / 101, 1])
    affinity = [dp.affinity(CLIFF, learner(e), EXPERT, H) for e, H in ((0.01, 10), (1e-4, 100))]
    terminal = [1 - cf.survival(0.01, 10), 1 - cf.survival(1e-4, 100)]
    np.testing.assert_allclose(terminal / bounds.hellinger(affinity), [0.9755, 0.9975], atol=5e-5)


def test_printed_exponents():
    x, H = np.array([0.01, 0.03, 0.1, 0.3, 1, 3, 10]), 2 ** np.arange(4, 10)
    local = [1.997, 1.990, 1.967, 1.905, 1.718, 1.391, 1.111]
    np.testing.assert_allclose(cf.local_exponent("cliff", x / 1e-7, 1e-7), local, atol=6e-4)
    for grid, reference in (([4, 8, 16, 32], 1.909), ([10, 20, 50, 100], 1.964), (H, 1.985)):
        np.testing.assert_allclose(cf.slope(grid, np.multiply(grid, np.add(grid, 1)) / 2), reference, atol=1e-3)
    for form, printed in (("cliff", 1.980), ("recoverable_dagger", 1.0), ("stable_bc", 1.017)):
        np.testing.assert_allclose(cf.exponent(form, H, 1e-4), printed, atol=6e-4)


@pytest.mark.parametrize(
    ("mdp", "off", "gap", "kappa", "ubar"),
    [
        (RECOVERABLE, 1.0, 1.980, 0.980, 0),
        (RECOVERABLE, None, 1.0, 0, 0),
        (CLIFF, 1.0, 1.980, 0.980, 0),
        (CLIFF, None, 1.980, 0, 0.980),
        (STABLE, 1.0, 1.017, 0.022, -0.006),
        (STABLE, None, 1.0, 0, 0),
    ],
)
def test_exponent_budget_adds_up(mdp, off, gap, kappa, ubar):
    eps, grid = 1e-4, 2 ** np.arange(4, 10)
    pi = learner(eps, eps if off is None else off)
    H = grid[-1]
    cost = np.cumsum(-dp.rewards(mdp, pi, H))[grid - 1]
    on_policy = np.cumsum(dp.expected_mistakes(mdp, pi, EXPERT, H))[grid - 1]
    np.testing.assert_allclose(cf.slope(grid, cost), gap, atol=1.5e-3)
    np.testing.assert_allclose(cf.slope(grid, on_policy / (grid * eps)), kappa, atol=1.5e-3)
    np.testing.assert_allclose(cf.slope(grid, cost / on_policy), ubar, atol=1.5e-3)


def test_a_uniform_default_recovers_by_luck():
    # With 3 actions it gets up with probability 1/3 per step: slope 1.03, where the always-wrong default has 1.98.
    P = np.stack([np.eye(2)[[0, 1, 1]]] * 2)
    eps, grid = 1e-4, 2 ** np.arange(4, 10)
    pi = np.array([[1 - eps, eps / 2, eps / 2], [1 / 3] * 3])
    cost = np.cumsum(-dp.rewards(check(MDP(P, -P[..., 1], np.array([1.0, 0.0]))), pi, grid[-1]))[grid - 1]
    np.testing.assert_allclose(cf.slope(grid, cost), 1.034, atol=1e-3)


@pytest.mark.parametrize(("S", "H"), [(300, 200), pytest.param(1000, 1000, marks=pytest.mark.slow)])
def test_scale(S, H):
    A = 10
    mdp = random_mdp(np.random.default_rng(4), S, A)
    table, Q = dp.optimal_policy(mdp, H)
    np.testing.assert_allclose(dp.total_return(mdp, table, H), mdp.rho @ Q[0].max(-1), rtol=1e-12)
    long = 100_000
    np.testing.assert_allclose(-dp.rewards(CLIFF, learner(1e-5), long).sum(), cf.cliff(1e-5, long), rtol=1e-10)


@pytest.mark.parametrize(
    "call",
    [
        lambda: check(MDP(CLIFF.P * 0.5, CLIFF.R, CLIFF.rho)),
        lambda: check(CLIFF._replace(R=np.zeros((2, 3)))),
        lambda: dp.occupancy(CLIFF, EXPERT, 0),
        lambda: dp.occupancy(CLIFF, np.array([0, 2]), 3),
        lambda: dp.occupancy(CLIFF, np.zeros((2, 3)), 3),
        lambda: dp.value_iteration(CLIFF, 1.0),
        lambda: cf.cliff(1.5, 10),
        lambda: cf.cliff(0.5, 0),
        lambda: cf.slope([1, 2], [0, 1]),
        lambda: cf.exponent("clif", [1, 2], 0.1),
    ],
)
def test_refuses_what_it_cannot_compute(call):
    with pytest.raises(ValueError, match=r"got|must|needs|smallest|there are"):
        call()
