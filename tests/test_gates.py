"""Gates: who drives, replayed step by step in NumPy; what is revealed and charged; thresholds."""

import numpy as np
import pytest
import toys

from ilbench import registry
from ilbench.algorithms import hg_dagger
from ilbench.rollouts.behaviours import same
from ilbench.rollouts.gates import apart
from ilbench.rollouts.keys import episode_keys
from ilbench.rollouts.replay import replay
from ilbench.training.bootstrap import resampled
from ilbench.types import Box, Data, Discrete

SEEDS = (0, 1, 2)


def test_distances_are_shares_of_the_squared_diagonal():
    a, b = np.float32([[1.0, 9.0], [np.nan, 0]]), np.float32([[-1.0, 2.0], [0, 0]])
    np.testing.assert_allclose(apart(Box(2, -2.0, 2.0), a, b, np), [4 / 32, np.inf])
    np.testing.assert_array_equal(apart(Discrete(3), np.array([0, 1]), np.array([0, 2]), np), [0, 1])


def test_a_person_comes_late_stays_while_it_differs_and_labels_what_it_drives():
    task = registry.task("double_integrator", 60)
    config = {"rounds": 1, "high": 2e-4, "low": 5e-5, "members": 2, "reaction": 2, "hold": 3}
    result, lab = toys.trained(task, "hg_dagger", "linear", 240, SEEDS, config)
    new, keys = lab.demos()[1], episode_keys("x", SEEDS, lab.demos()[1].alive.shape[1])
    theirs = replay(same(task.expert, 3, iterates=True), new.obs, keys, SEEDS)
    fits = [
        f[1]["net"]["Dense_0"] | f[1]["norm"] for f in lab.of("fit")[:2]
    ]  # two least-squares members: their mean drives
    mine = np.zeros_like(theirs)
    for f in fits:
        f = {k: np.asarray(v) for k, v in f.items()}
        x = (new.obs - f["mean"][:, None, None]) / f["std"][:, None, None]
        mine += (np.einsum("snhd,sda->snha", x, f["kernel"]) + f["bias"][:, None, None]) / 2
    far = apart(task.env.action, mine, theirs, np)
    late = kept = 0
    for s, n in np.ndindex(new.alive.shape[:2]):
        driving, called, content = False, None, 0
        for t in range(int(new.alive[s, n].sum())):
            if driving:
                content = content + 1 if far[s, n, t] < 5e-5 else 0
                kept += far[s, n, t] < 2e-4
                if content == 3:
                    driving, called = False, None
            else:
                called = t if called is None and far[s, n, t] > 2e-4 else called
                if called is not None and t == called + 2:
                    driving, content, late = True, 0, late + 1
            assert driving == new.actor[s, n, t] == new.revealed[s, n, t], (s, n, t)
    assert late > 3
    assert kept > 0
    np.testing.assert_array_equal(lab.ledger.labels, [240] * 3)
    np.testing.assert_allclose(result.scalars["driven"], (new.actor * new.alive).sum((1, 2)) / new.alive.sum((1, 2)))


def test_the_threshold_of_doubt_is_the_mean_of_the_last_quarter():
    assert hg_dagger.threshold(np.arange(8.0)) == 6.5
    assert np.isnan(hg_dagger.threshold(np.zeros(0)))


def test_a_bootstrap_draws_as_many_rows_as_there_are():
    weight = np.float32([[1, 1, 0, 1, 1, 1]])
    got = resampled(Data(weight, weight, weight, weight), [np.random.default_rng(0)]).weight
    assert (got.sum(), got[0, 2]) == (5, 0)
    assert got.max() > 1


@pytest.mark.parametrize(("name", "all_steps"), [("ensemble_dagger", True), ("safe_dagger", False)])
def test_what_is_asked_is_revealed(name, all_steps):
    _, lab = toys.trained(registry.task("scalar_stable"), name, "linear", 300, SEEDS, {"rounds": 1})
    new = lab.demos()[1]
    np.testing.assert_array_equal(new.revealed, new.alive if all_steps else (new.actor == 1) & new.alive)
