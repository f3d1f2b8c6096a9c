"""A mass under a position controller: Newton's law, one motion under all gains, variances by Lyapunov against rollouts and the paper."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys

from ilbench import registry
from ilbench.exact import linear_errors as exact
from ilbench.rollouts.behaviours import mixed

GAINS = {
    "CO": (4.0, 8.0),
    "CU": (4.0, 1.0),
    "SO": (64.0, 32.0),
    "SU": (64.0, 4.0),
}  # compliant or stiff, over- or underdamped
DT = 0.02


def task(name, horizon=200, **more):
    return registry.task("pd_mass", horizon, stiffness=GAINS[name][0], damping=GAINS[name][1], **more)


def motion(name):
    """Expert's positions and velocities `[2, 8, 200, 2]`, targets and rewards at the same keys under some gains."""
    one = task(name)
    nobody = toys.constant(np.zeros((2, 1, 1), np.float32))
    demos = toys.rolled(one, nobody, mixed(one.env.action, 200, beta=1.0), (0, 1))
    return demos.obs, demos.label, demos.reward


@pytest.mark.parametrize("name", GAINS)
def test_the_force_is_the_controllers(name):
    (kp, kd), env = GAINS[name], task(name, noise=0.0).env
    rng = np.random.default_rng(0)
    x, a = rng.uniform(-2, 2, (50, 2)), rng.uniform(-15, 15, (50, 1))
    p, v, force = x[:, 0], x[:, 1], kp * (np.clip(a[:, 0], -10, 10) - x[:, 0]) - kd * x[:, 1]
    out = jax.vmap(env.step, (None, None, 0, 0))(env.params, jax.random.key(0), jnp.float32(x), jnp.float32(a))
    np.testing.assert_allclose(out.state, np.stack([p + DT * v + DT**2 / 2 * force, v + DT * force], -1), atol=1e-5)
    np.testing.assert_allclose(out.reward, -np.minimum(p**2, 1), atol=1e-6)


def test_gains_change_the_labels_and_neither_the_motion_nor_what_is_compiled():
    found = {name: motion(name) for name in GAINS}
    obs, _, reward = found["CO"]
    assert 0.1 < np.abs(obs[:, :, 0, 0]).max() <= 1
    assert np.abs(obs[:, :, -1]).max() < 0.2  # it arrives
    force = 4 * (found["CO"][1][..., 0] - obs[..., 0]) - 8 * obs[..., 1]
    drift = (obs[:, :, 1:] - obs[:, :, :-1])[..., :2] - force[:, :, :-1, None] * [DT**2 / 2, DT]
    assert np.abs(drift[..., 0] - DT * obs[:, :, :-1, 1]).max() < 1e-5  # noise is on v alone
    assert drift[..., 1].std() == pytest.approx(0.02, rel=0.05)
    for name, (kp, kd) in GAINS.items():
        np.testing.assert_allclose(found[name][0], obs, atol=2e-4)
        np.testing.assert_allclose(found[name][2], reward, atol=2e-4)
        assert np.abs(found[name][1]).max() < 10  # and was never out of reach
        np.testing.assert_allclose(kp * (found[name][1][..., 0] - obs[..., 0]) - kd * obs[..., 1], force, atol=0.02)
    one, two = task("CO"), task("SU")
    assert (one.env.step, one.env.reset, one.expert.act) == (two.env.step, two.env.reset, two.expert.act)
    assert jax.tree.structure((one.env, one.expert)) == jax.tree.structure((two.env, two.expert))


@partial(jax.jit, static_argnames="steps")
def _shaken(env, sd, keys, steps):
    """Positions `[N]` after targets of independent errors round 0, from rest."""

    def step(x, key):
        error = sd * jax.random.normal(key, (keys.shape[0], 1), jnp.float32)
        return jax.vmap(env.step, (None, 0, 0, 0))(env.params, keys, x, error).state, None

    return jax.lax.scan(step, jnp.zeros((keys.shape[0], 2), jnp.float32), jax.random.split(jax.random.key(1), steps))[
        0
    ][:, 0]


@pytest.mark.parametrize("name", GAINS)
def test_independent_errors_leave_the_variance_that_lyapunov_says(name):
    n = 20_000
    p = np.asarray(_shaken(task(name, noise=0.0).env, 0.1, jax.random.split(jax.random.key(0), n), 1000), np.float64)
    assert np.mean(p**2) == pytest.approx(exact.position_variance(*GAINS[name], DT, 0.1), rel=4.5 * np.sqrt(2 / n))


def test_the_variance_is_the_papers_as_steps_get_short_and_orders_gains_as_it_says():
    """sigma^2 alpha / (2 beta) of white noise of intensity sigma^2, here sd^2 dt."""
    for kp, kd in GAINS.values():
        assert exact.position_variance(kp, kd, 1e-4, 2.0) == pytest.approx(4e-4 * kp / (2 * kd), rel=5e-3)
    found = {name: exact.position_variance(*gains, DT, 1.0) for name, gains in GAINS.items()}
    assert sorted(found, key=found.get) == ["CO", "SO", "CU", "SU"]
    P = exact.stationary_covariance([[0.9, 0.2], [0.0, 0.5]], [[1.0], [2.0]], 0.3)
    A, B = np.array([[0.9, 0.2], [0.0, 0.5]]), np.array([[1.0], [2.0]])
    np.testing.assert_allclose(P, A @ P @ A.T + 0.09 * B @ B.T)


def test_a_policy_that_answers_the_state_makes_damping_irrelevant_and_keeps_the_square_of_stiffness():
    def variance(name):
        one = task(name)
        A, B = (np.float64(m) for m in (one.env.params.A, one.env.params.B))
        return exact.stationary_covariance(A - B @ one.expert.params.gain, B, 1.0)[0, 0]

    co, cu, so, su = (variance(name) for name in GAINS)
    assert cu / co == pytest.approx(1, rel=1e-4)
    assert so / co == pytest.approx(256, rel=1e-3)
    assert su / so == pytest.approx(1, rel=1e-3)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"stiffness": 0.0}, "stiffness must be in"),
        ({"damping": -1.0}, "damping must be in"),
        ({"stiffness": 64.0, "damping": 200.0}, "never settles"),
        ({"stiffness": 0.5, "damping": 8.0}, "out of reach 10"),
    ],
)
def test_gains_that_cannot_be_are_refused(options, said):
    with pytest.raises(ValueError, match=said):
        registry.task("pd_mass", **options)


def test_what_does_not_settle_has_no_variance():
    with pytest.raises(ValueError, match="below 1"):
        exact.stationary_covariance([[1.0]], [[1.0]], 1.0)
