"""The exact law of DAgger on the Reset Cliff: printed numbers, limiting cases, a simulation, and the product's own tables."""

import numpy as np
import pytest

from ilbench import registry
from ilbench.exact import closed_forms as cf
from ilbench.exact import dp
from ilbench.exact.reset_cliff import interaction, missing_law
from ilbench.theory.instances import rounds

AT = np.array([5, 10, 20, 40]) - 1
# n = 100, ten rare states of mass 1/101: gap at H = 5, 10, 20, 40, and how many of 100 H labels are of good states
PRINTED = {
    True: ((0.3398, 0.7212, 1.4839, 3.0094), (468.7, 928.7, 1848.7, 3688.8)),
    False: ((0.5729, 2.1650, 8.1392, 27.0094), (429.8, 706.4, 949.0, 981.6)),
}


@pytest.mark.parametrize("recoverable", [True, False])
def test_printed(recoverable):
    law = interaction(100, 40, 12, 1 / 101, recoverable=recoverable)
    gap, useful = PRINTED[recoverable]
    assert law.gap[AT] == pytest.approx(gap, abs=5.01e-5)
    assert law.useful[AT] == pytest.approx(useful, abs=0.0501)
    assert cf.slope(AT + 1, law.gap[AT]) == pytest.approx(1.048 if recoverable else 1.859, abs=5e-4)
    name = "reset_cliff_recoverable" if recoverable else "reset_cliff"
    task = registry.task(name, 40, n=100)
    u = dp.advantage_range(task.mdp(), np.asarray(task.expert.params, np.int64), 40)
    assert u == pytest.approx(2 if recoverable else 40, rel=1e-12)
    assert (law.gap <= u * law.mistakes * (1 + 1e-12)).all()


def test_first_step_is_behaviour_cloning():
    law, rho = interaction(30, 3, 7, 1 / 31, recoverable=True), np.append(np.full(5, 1 / 31), 26 / 31)
    assert law.gap[0] == pytest.approx(float(cf.unseen_mass(rho, 30)), rel=1e-12)
    assert law.rows[0] == pytest.approx(6 - ((1 - rho) ** 30).sum(), rel=1e-12)
    assert interaction(1, 1, 7, 1 / 31, recoverable=False).gap[0] == pytest.approx(1 - (rho**2).sum(), rel=1e-12)
    assert missing_law(50, 5, 0.1).sum((1, 2)) == pytest.approx(1.0, rel=1e-12)


def simulated(n, horizon, states, mass, reps, recoverable, rng):
    """Gaps `[reps]` of tables that are filled episode by episode."""
    cumulative, bad, r = np.cumsum(np.full(states - 2, mass)), states - 1, np.arange(reps)
    seen = np.zeros((reps, horizon, states), bool)
    for _ in range(n):
        s = np.searchsorted(cumulative, rng.random(reps))
        for t in range(horizon):
            right = seen[r, t, s]
            seen[r, t, s] = True
            fresh = np.searchsorted(cumulative, rng.random(reps))
            s = np.where(right & (recoverable | (s != bad)), fresh, bad)
    rho = np.append(np.full(states - 2, mass), 1 - (states - 2) * mass)
    fallen, gap = np.zeros(reps), np.zeros(reps)
    for t in range(horizon):
        falls = (1 - fallen) * (~seen[:, t, :-1] @ rho)
        gap += falls + fallen
        fallen = falls + fallen * ~(seen[:, t, bad] & recoverable)
    return gap


@pytest.mark.parametrize("recoverable", [True, False])
def test_simulation(recoverable):
    x = simulated(20, 8, 6, 0.04, 20_000, recoverable, np.random.default_rng(int(recoverable)))
    exact = interaction(20, 8, 6, 0.04, recoverable=recoverable).gap[-1]
    assert abs(x.mean() - exact) < 4 * x.std() / np.sqrt(len(x))


@pytest.mark.parametrize("bad", [(0, 5, 6, 0.1), (5, 0, 6, 0.1), (5, 5, 6, 0.25), (5, 5, 6, 0.0), (5, 5, 2, 0.1)])
def test_bad_input(bad):
    with pytest.raises(ValueError, match="needs"):
        interaction(*bad, recoverable=True)


@pytest.mark.slow
@pytest.mark.parametrize("recoverable", [True, False])
def test_tables_of_the_product(recoverable):
    gaps, lab = rounds.interactive(20, 8, 6, range(64), lambda text: None, recoverable=recoverable)
    exact = interaction(20, 8, 6, 1 / 21, recoverable=recoverable).gap
    assert (np.abs(gaps.mean(0) - exact) < 4 * gaps.std(0) / np.sqrt(len(gaps))).all()
    assert (lab.ledger.labels == 20 * 8).all()
