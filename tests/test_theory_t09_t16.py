"""The printed numbers of sample rates, interaction, DART, corrective labels and AggreVaTe against the exact engine."""

import jax
import numpy as np
import pytest

from ilbench.envs import pendulum
from ilbench.exact import closed_forms as cf
from ilbench.stats.claims import failed
from ilbench.theory import t09_sample_rates as t09
from ilbench.theory import t10_interaction_value as t10
from ilbench.theory import t11_dart_match as t11
from ilbench.theory import t12_corrective_label as t12
from ilbench.theory import t16_aggrevate_vs_dagger as t16
from ilbench.theory.instances import corrective, numpy_pendulum, renewal

STAR = t11.at(t11.fixed_point())
NUMBERS = {  # name: (printed, computed); half a unit of the last printed digit is allowed
    "gap N/(S H^2), N = 1e4, H = 64": ("0.1161", lambda: t09.gap(64, 10**4, 0.75) * 1e4 / (12 * 64**2)),
    "its limit": ("0.115", lambda: t09.LIMIT),
    "local slopes, fixed rho, 1": ("-0.34", lambda: t09._exact().data["local"][0]),
    "local slopes, fixed rho, 2": ("-0.69", lambda: t09._exact().data["local"][1]),
    "local slopes, fixed rho, 3": ("-1.4", lambda: t09._exact().data["local"][2]),
    "local slopes, fixed rho, 4": ("-2.9", lambda: t09._exact().data["local"][3]),
    "local slopes, fixed rho, 5": ("-5.8", lambda: t09._exact().data["local"][4]),
    "shared table, worst rho: slope": ("0.93", lambda: cf.slope(t09.GRID_H, t09._exact().data["shared"])),
    "shared table, worst rho: gap N/(S H)": ("0.117", lambda: t09._exact().data["shared"][-1] * 1000 / (12 * 64)),
    "shared table, same rho, H = 4, in 1e-3": ("1", lambda: t09._exact().data["shared_same_rho"][0] * 1e3),
    "recoverable BC, H = 40": ("19.6", lambda: t10.cloned_gap(40, 1.0, recoverable=True)),
    "uniform rule, absorbing": ("14.9", lambda: t10.cloned_gap(40, 2 / 3, recoverable=False)),
    "uniform rule, recoverable": ("3.45", lambda: t10.cloned_gap(40, 2 / 3, recoverable=True)),
    "DART shift, eta = 0": ("1.56", lambda: t11.at(0.0).shift),
    "DART shift, eta = .05": ("0.68", lambda: t11.at(0.05).shift),
    "DART shift, eta = .09": ("0.018", lambda: -t11.at(0.09).shift),
    "DART shift, eta = .2": ("1.95", lambda: -t11.at(0.2).shift),
    "DART fixed point": ("0.0891", t11.fixed_point),
    "DART residual": ("0.0015", lambda: -STAR.shift),
    "DART Pinsker": ("43", lambda: t11.pinsker(STAR)),
    "DAgger's cost": ("98.5", lambda: t16.cost(0.4, t16.follow_the_leader(0.4).dagger)),
    "AggreVaTe's cost": ("0", lambda: t16.cost(0.4, t16.follow_the_leader(0.4).aggrevate)),
}


@pytest.mark.parametrize("name", NUMBERS)
def test_printed_numbers(name):
    printed, compute = NUMBERS[name]
    digits = len(printed.partition(".")[2])
    assert abs(float(compute()) - float(printed)) <= 0.5 * 10.0**-digits + 1e-9


def test_shared_table_on_the_same_law_is_exponentially_good():
    assert 1e-27 < t09._exact().data["shared_same_rho"][-1] < 1e-26


def test_drawn_training_is_the_closed_form_and_labels_count():
    rng, few = np.random.default_rng(0), (5, 20)
    seen = renewal.behaviour_cloning(rng, 2000, 20, 8, 6, 20)
    cost = renewal.gaps(seen, 20, recoverable=False)
    expected = cf.reset_cliff(np.arange(1, 9), cf.reset_cliff_rho(6, 20), 20)
    assert (np.abs(cost.mean(0) - expected) <= 4.5 * cost.std(0) / np.sqrt(2000)).all()
    rounds = renewal.interactive(rng, 50, few, 8, 6, 20, recoverable=True, one_label=True)
    assert all((s.sum((1, 2)) <= n).all() for s, n in zip(rounds, few, strict=True))


def test_dagger_numbers():
    seen = renewal.interactive(np.random.default_rng(1), 400, (100,), 40, 12, 100, recoverable=True)[0]
    np.testing.assert_allclose(renewal.gaps(seen, 100, recoverable=True).mean(0)[t10.AT], t10.PRINTED, rtol=0.04)
    seen = renewal.interactive(np.random.default_rng(2), 400, (100,), 40, 12, 100, recoverable=False)[0]
    np.testing.assert_allclose(renewal.gaps(seen, 100, recoverable=False).mean(0)[-1], 27.0, atol=0.1)


@pytest.mark.parametrize("task_id", pendulum.TASKS)
def test_the_numpy_pendulum_is_the_env_and_its_constant_holds(task_id):
    rng, params = np.random.default_rng(3), pendulum.make(task_id).env.params
    p = numpy_pendulum.plant(params)
    x, y = rng.uniform(-1, 1, (2, 500, 2)) * [np.pi, 8]
    u = rng.uniform(-5, 5, 500)
    step = jax.vmap(lambda x, u: pendulum.step_vec(params, x, u))
    ours = x + numpy_pendulum.residual(p, x, u)
    np.testing.assert_allclose(step(x.astype(np.float32), u.astype(np.float32)[:, None]), ours, atol=1e-5)
    smooth = p._replace(wall=None)
    np.testing.assert_allclose(numpy_pendulum.before(smooth, x + numpy_pendulum.residual(smooth, x, u), u), x, atol=1e-12)
    change = np.linalg.norm(numpy_pendulum.residual(smooth, x, u) - numpy_pendulum.residual(smooth, y, u), axis=-1)
    near = x + 1e-6 * (y - x)
    slope = np.linalg.norm(numpy_pendulum.residual(smooth, x, u) - numpy_pendulum.residual(smooth, near, u), axis=-1)
    slope /= np.linalg.norm(x - near, axis=-1)
    k = numpy_pendulum.lipschitz(smooth)
    assert (change <= k * np.linalg.norm(x - y, axis=-1)).all()
    assert 0.9 * k < slope.max() <= k + 1e-6  # and it is not much too large


def test_a_bound_with_too_small_a_constant_is_caught():
    true, k = t12._true("pendulum")
    rng = np.random.default_rng(4)
    target, u = rng.uniform(-1, 1, (2000, 2)) * t12.BOX, np.zeros(2000)
    label = t12.solved(true, true._replace(gravity=-true.gravity), k, target, u)
    assert label.over == 0
    assert t12.solved(true, true._replace(gravity=-true.gravity), -k / 2, target, u).over > 0


@pytest.mark.slow
def test_the_bound_on_products_labels_needs_its_terms():
    x = corrective.observed("pendulum")
    assert (x.miss <= x.bound + 1e-5).all()
    assert (x.miss > x.fit + 1e-3).any()
    assert x.d.max() > 0.5


@pytest.mark.slow
@pytest.mark.parametrize("check", [t09, t10, t12])
def test_monte_carlo_modes_come_out_as_expected(check):
    from ilbench.stats.claims import judge

    claims = judge(check.measure("monte-carlo", lambda text: None).claims)
    assert not failed(claims)
    assert {c.verdict for c in claims} <= {"HOLDS", "REPLICATED", "REFUTED AS EXPECTED"}
