"""Error growth on linear systems: the printed numbers, and the kicks and offsets that measure it in rollouts."""

import numpy as np
import pytest

from ilbench.exact import closed_forms
from ilbench.exact import linear_errors as exact
from ilbench.stats import claims
from ilbench.stats.claims import failed, judge
from ilbench.theory import t13_stability_regimes as check

GRID = (16, 32, 64, 128, 256, 512)


def test_slope_of_a_stable_plant_on_a_finite_grid_is_1_16():
    assert round(float(closed_forms.slope(GRID, exact.error_sum(0.9, 1e-3, GRID))), 2) == 1.16


def test_marginal_sum_is_exact():
    ratio = exact.errors(1.0, 0.5, 1000).sum() / (0.5 * 1000 * 1001 / 2)  # binary fractions: no rounding at all
    assert f"{ratio:.12f}" == "1.000000000000"
    assert ratio == 1.0


def test_unstable_rate_is_log_lam():
    sums = np.cumsum(exact.errors(1.1, 1e-3, 300))
    assert f"{np.log(sums[-1] / sums[-2]):.4f}" == f"{np.log(1.1):.4f}" == "0.0953"


@pytest.mark.parametrize("lam", [0.0, 0.5, 0.9, 1.0, 1.1, 1.5])
def test_closed_form_is_the_recursion(lam):
    H = np.arange(1, 200)
    np.testing.assert_allclose(exact.error_sum(lam, 0.3, H), np.cumsum(exact.errors(lam, 0.3, 199)), rtol=1e-11)


@pytest.mark.parametrize("lam", [-0.1, 1 + 1e-6])
def test_where_the_closed_form_cancels_it_refuses(lam):
    with pytest.raises(ValueError, match="1e-4 away"):
        exact.error_sum(lam, 1.0, 10)


def test_exact_mode_has_no_failures_and_one_counterexample():
    found = judge(check.measure("exact", lambda text: None).claims)
    assert not failed(found)
    assert [c.verdict for c in found].count("REFUTED AS EXPECTED") == 1


def test_a_constant_offset_drives_a_rollout_as_the_recursion_says():
    from ilbench.envs import integrator
    from ilbench.theory.instances.nudge import nudged, observations, repeated

    task = integrator.make("scalar_marginal", 33, gain=0.0)
    learners = [nudged(repeated(task.expert, 2), 2, np.full((33, 1), size)) for size in (0.01, 0.0)]
    a, b = (observations(task, learner, 2, 3, "test") for learner in learners)
    np.testing.assert_allclose(
        np.abs(a - b)[..., 1:, 0], np.broadcast_to(exact.errors(1, 0.01, 32), (2, 3, 32)), atol=1e-6
    )


def test_replaying_the_recorded_actions_is_the_same_rollout():
    from ilbench.envs import integrator
    from ilbench.theory.instances.nudge import kick, log_rate, nudged, observations, repeated
    from ilbench.theory.instances.tables import rolled

    task = integrator.make("scalar_unstable", 33, start=0.5)
    expert = repeated(task.expert, 2)
    base = rolled(task, nudged(expert, 2, np.zeros((33, 1))), 2, 1, "test")
    replayed = [
        observations(task, nudged(expert, 2, base["label"][:, 0] + kick(33, 1, 2, s), share=0.0), 2, 1, "test")
        for s in (0.0, 1e-3)
    ]
    np.testing.assert_allclose(replayed[0], base["obs"], atol=1e-6)
    rate = log_rate(np.abs(replayed[1] - replayed[0])[..., 0], np.arange(4, 33))
    np.testing.assert_allclose(rate, np.log(1.1), atol=1e-3)  # without feedback the plant itself is measured


def test_above_settles_empirical_claims_and_leaves_theorems_to_the_report():
    clear, unclear = np.linspace(1, 2, 10), np.linspace(-1, 1.1, 10)
    assert [claims.above("x", v, 0.0, kind="E").verdict for v in (clear, unclear, -clear)] == [
        "REPLICATED",
        "NOT REPLICATED",
        "NOT REPLICATED",
    ]
    assert [c.verdict for c in judge([claims.above("x", v, 0.0) for v in (clear, unclear, -clear)])] == [
        "HOLDS",
        "INCONCLUSIVE",
        "VIOLATED",
    ]
    assert claims.above("x", [1.0], 0.0).verdict == "INCONCLUSIVE"
