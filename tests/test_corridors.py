"""Two corridors and a ditch: success of every policy class by hand and by dynamic programming, and the product's records beside it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from ilbench import registry
from ilbench.envs import corridors
from ilbench.evaluation.references import expert_table, references
from ilbench.exact import divergences, dp
from ilbench.rollouts.behaviours import mixed
from tests.toys import rolled, tabled

H = 20


def walked(policy, wind, n=20_000):
    """Share of episodes in a corridor at the end: columns in NumPy, no table. `policy(column, first, rng)` gives moves."""
    rng = np.random.default_rng(0)
    column, fallen = np.zeros(n, int), np.zeros(n, bool)
    for t in range(H):
        move = policy(column, t == 0, rng)
        gust = np.where(rng.random(n) < wind, rng.choice([-1, 1], n), 0)
        column = np.where(fallen, column, np.clip(np.clip(column + move, -4, 4) + gust, -4, 4))
        fallen |= np.abs(column) <= 1
    return 1 - fallen.mean()


def first(law):
    """The expert, but at the start another law `[7]` of the moves -3 ... 3."""
    table = corridors.law(0.5)
    table[corridors.START] = law
    return table


def succeeds(table, wind=0.3):
    """Probability of being in a corridor at the end, exactly."""
    return dp.rewards(registry.task("corridors", wind=wind).mdp(), table, H)[-1]


def test_the_mode_table_is_exact():
    one_humped = binom.pmf(range(7), 6, 0.5)  # of the expert's mean: of all binomial laws the likeliest on its actions
    wind = 0.3
    # -3 and 3 are safe; beside -2 and 2 the wind blows into the ditch, beside -1 and 1 out of it.
    between = 2 / 64 + 12 / 64 * (1 - wind / 2) + 30 / 64 * wind / 2
    for law, exact in (
        (np.eye(7)[3], 0.0),  # the mean of the actions
        (one_humped, between),
        (np.eye(7)[6], 1.0),  # a mode
        (corridors.law(0.5)[corridors.START], 1.0),
        (np.full(7, 1 / 7), 2 / 7 + 2 / 7 * (1 - wind / 2) + 2 / 7 * wind / 2),
    ):
        assert succeeds(first(law)) == pytest.approx(exact, abs=1e-12)
    for wind in (0.0, 0.3, 1.0):
        assert succeeds(corridors.law(0.3), wind) == pytest.approx(1, abs=1e-12)
    told = expert_table(registry.task("corridors"))[0, corridors.START]
    np.testing.assert_allclose(told, corridors.law(0.5)[corridors.START], atol=1e-6)
    modes = np.linspace(0, 1, 101)
    forward, reverse = np.transpose(
        [(divergences.kl(told, q), divergences.kl(q, told)) for q in (binom.pmf(range(7), 6, p) for p in modes)]
    )
    assert modes[np.nanargmin(forward)] == 0.5  # covers both, and falls between
    assert modes[np.nanargmin(reverse)] in (0, 1)  # takes one
    assert np.isfinite(reverse).all()
    assert reverse.min() == pytest.approx(np.log(2), abs=1e-5)


def test_a_walk_without_tables_agrees():
    home = lambda c: np.where(c > 0, 3, -3) - c  # noqa: E731
    expert = lambda c, start, rng: np.where(rng.random(len(c)) < 0.7, 3, -3) if start else home(c)  # noqa: E731
    timid = lambda c, start, rng: np.full(len(c), 2) if start else home(c)  # noqa: E731
    drifts = lambda c, start, rng: np.full(len(c), 3 if start else 0)  # noqa: E731
    assert walked(expert, 0.3) == 1
    table = corridors.law(0.5)
    table[corridors.START] = np.eye(7)[5]
    stay = np.tile(np.eye(7)[3], (11, 1))
    stay[corridors.START] = np.eye(7)[6]
    for policy, exact in ((timid, succeeds(table)), (drifts, succeeds(stay))):
        assert 0.05 < exact < 0.95
        assert abs(walked(policy, 0.3) - exact) <= 4 * np.sqrt(exact * (1 - exact) / 20_000)


def test_a_wall_stops_the_move_and_then_the_wind_blows():
    P = registry.task("corridors", wind=0.3).mdp().P
    np.testing.assert_allclose(
        P[8, 6], np.eye(11)[8] * 0.15 + np.eye(11)[9] * 0.85, atol=1e-12
    )  # from column 3, three more


def test_the_product_says_what_dynamic_programming_says():
    """Who always takes one mode succeeds, and misses half of the law at the first step and nothing elsewhere."""
    task, law = registry.task("corridors"), corridors.law(0.5)
    assert references(task)["expert"]["mean"] == pytest.approx(H)
    mode = np.broadcast_to(law.argmax(-1), (1, 1, H, 11))
    demos = rolled(task, tabled(mode), mixed(task.env.action, H, beta=0.0), episodes=64)
    assert (demos.reward == 1).all()
    assert len(np.unique(demos.obs)) == 4  # the start and one corridor, all of whose columns the wind leads to
    eps = dp.expert_errors(task.mdp(), law.argmax(-1), law, H)
    np.testing.assert_allclose(eps, np.r_[0.5, np.zeros(H - 1)], atol=1e-12)
    np.testing.assert_allclose(demos.error[0], np.tile(eps, (64, 1)), atol=1e-5)


def test_the_twin_draws_nothing():
    task = registry.task("corridors_one", balance=0.2)
    assert task.expert.dist is None
    assert dp.rewards(task.mdp(), task.expert.params, H)[-1] == pytest.approx(1, abs=1e-12)
    reached = dp.occupancy(task.mdp(), task.expert.params, H).max(0)
    np.testing.assert_array_equal(np.flatnonzero(reached), [0, 7, 8, 9])  # the start and columns 2, 3, 4
