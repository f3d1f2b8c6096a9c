"""T07: regret of two leaders, and DAgger and its relatives at the population."""

import numpy as np
import pytest

from ilbench.exact import dp, interactive
from ilbench.theory import t07_no_regret as t07


def test_quadratic_losses_are_the_stationary_moments():
    x = np.random.default_rng(0).normal(0, np.sqrt(0.25 / (1 - 0.7**2)), 400_000)
    c = np.clip(x, -1, 1)
    np.testing.assert_allclose(t07.quadratic(0.3), ((x * x).mean(), (x * c).mean(), (c * c).mean()), rtol=0.01)


def test_regret_of_both_leaders():
    assert t07.regret_convex(2000)[-1] == pytest.approx(0.2303, abs=5e-5)  # within 0.3 % of .2310
    mdp, expert, alias = t07.trap()
    for n in (2, 10, 100):
        assert interactive.dagger(mdp, expert, alias, t07.TRAP_T, n).gamma == pytest.approx(0.1, abs=1e-12)
    assert interactive.dagger(mdp, expert, alias, t07.TRAP_T, 25).gamma == pytest.approx(0.1 + 0.1 / 25, abs=1e-12)
    assert t07.gradient_descent(400)[-1] < 0.01


def test_leader_is_the_best_of_the_class():
    rng = np.random.default_rng(1)
    expert, alias, law = rng.integers(3, size=8), np.arange(8) % 2, rng.dirichlet(np.ones(8))
    every = np.stack(np.meshgrid(range(3), range(3), indexing="ij"), -1).reshape(-1, 2)[:, alias]
    losses = (law * (every != expert)).sum(-1)
    assert interactive.least_loss(law, expert, alias, 3) == pytest.approx(losses.min())
    assert law @ (interactive.leader(law, expert, alias, 3) != expert) == pytest.approx(losses.min())


@pytest.mark.parametrize("seed", range(3))
def test_without_aliases_everybody_learns_the_expert(seed):
    mdp, expert, _ = t07.aliased(seed)
    see = np.arange(len(expert))
    best = dp.total_return(mdp, expert, 8)
    run = interactive.dagger(mdp, expert, see, 8, 30)
    per_step, losses = interactive.forward_training(mdp, expert, see, 8)
    assert run.eps == pytest.approx(0, abs=1e-12)
    assert run.losses[-1] == pytest.approx(0, abs=1e-12)
    assert losses == pytest.approx(0, abs=1e-12)
    assert dp.total_return(mdp, per_step, 8) == pytest.approx(best)
    assert interactive.smile(mdp, expert, see, 8, 0.2, 40).losses == pytest.approx(0, abs=1e-12)


def test_smile_mixes_to_one_and_drops_the_expert():
    mdp, expert, alias = t07.aliased(0)
    s = interactive.smile(mdp, expert, alias, 6, 0.1, 25)
    np.testing.assert_allclose(s.policies.sum(-1), 1)
    left = 0.9**25
    np.testing.assert_allclose(s.policies[-1], (1 - left) * s.deployed + left * s.policies[0], atol=1e-12)
    with pytest.raises(ValueError, match="alpha"):
        interactive.smile(mdp, expert, alias, 6, 1.0, 3)


@pytest.mark.parametrize("T", [3, 6, 12, 100, 1000])
def test_with_smiles_schedule_dropping_the_expert_costs_at_most_one(T):
    alpha, rounds = interactive.smile_schedule(T)
    assert rounds >= 2 * np.log(T) / alpha
    assert T**2 * (1 - alpha) ** rounds <= 1


def test_exact_claims_come_out():
    verdicts = [c.verdict for c in t07.measure("exact", lambda text: None).claims]
    assert sorted(set(verdicts)) == ["HOLDS", "REFUTED AS EXPECTED"]
    assert verdicts.count("REFUTED AS EXPECTED") == 2
