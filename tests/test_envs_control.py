"""Every control task: the expert holds on, dynamics and env agree, constants and recursions are what the files say."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ilbench import registry
from ilbench.envs import pendulum
from ilbench.types import Box

SCALAR = ("scalar_stable", "scalar_marginal", "scalar_unstable")
NOISY = (*SCALAR, "double_integrator")
NAMES = ("cartpole", *NOISY, "pendulum", "pendulum_wall")


@partial(jax.jit, static_argnames="horizon")
def expert_episodes(env, expert, keys, horizon):
    def episode(key):
        state, obs = env.reset(env.params, key)

        def step(carry, t):
            state, obs = carry
            _, action = expert.act(expert.params, key, t, (), obs)
            out = env.step(env.params, jax.random.fold_in(key, t), state, action)
            return (out.state, out.obs), (obs, action, out.reward, out.terminated)

        return jax.lax.scan(step, (state, obs), jnp.arange(horizon, dtype=jnp.int32))[1]

    return jax.vmap(episode)(keys)


@pytest.mark.parametrize("name", NAMES)
def test_expert_survives_a_thousand_resets(name):
    task = registry.task(name)
    obs, action, reward, terminated = expert_episodes(
        task.env, task.expert, jax.random.split(jax.random.key(1), 1000), task.horizon
    )
    assert not terminated.any()
    low, high = task.reward_range
    assert low <= reward.min()
    assert reward.max() <= high
    assert (obs.dtype, reward.dtype) == (np.float32, np.float32)
    assert obs.shape[2:] == task.env.obs.shape
    assert action.shape[2:] == task.env.action.shape
    if isinstance(task.env.action, Box):
        assert np.abs(action).max() <= task.env.action.high
        assert task.deltas[0] == pytest.approx(0.05 * 2 * task.env.action.high)
    late = np.asarray(obs)[:, -50:]
    if name.startswith("pendulum"):
        assert np.abs(np.arctan2(late[..., 1], late[..., 0])).max() < 0.05
    elif name != "cartpole":
        assert np.abs(late).max() < 0.2


@pytest.mark.parametrize("name", [name for name in NAMES if name != "cartpole"])
def test_dynamics_are_the_env(name):
    task = registry.task(name, **({"noise": 0.0} if name in NOISY else {}))
    env, dynamics, rng = task.env, task.dynamics, np.random.default_rng(0)
    x = rng.uniform(-3, 3, (500, dynamics.dim)).astype(np.float32)
    u = rng.uniform(-2, 2, (500, 1)).astype(np.float32) * np.float32(env.action.high)
    out = jax.vmap(env.step, (None, None, 0, 0))(env.params, jax.random.key(0), x, u)
    np.testing.assert_array_equal(jax.vmap(partial(dynamics.to_vec, env.params))(x), x)
    new = jax.vmap(partial(dynamics.step_vec, env.params))(x, u)
    np.testing.assert_allclose(new, out.state, atol=1e-6)
    obs = jax.vmap(partial(dynamics.observe, env.params))
    np.testing.assert_allclose(obs(new), out.obs, atol=1e-6)
    back = jax.vmap(partial(dynamics.from_obs, env.params))(obs(x))
    np.testing.assert_allclose(back, x, atol=2e-5)


def test_lipschitz_constants_hold_without_a_wall_and_fail_across_it():
    rng, n = np.random.default_rng(1), 20_000
    x = np.stack([rng.uniform(-np.pi, np.pi, n), rng.normal(0, 3, n)], -1).astype(np.float32)
    y = x + rng.normal(0, 0.05, (n, 2)).astype(np.float32)
    u, v = rng.uniform(-5, 5, (2, n, 1)).astype(np.float32)

    def worst(name, x, y, u, v):
        task = registry.task(name)
        f = jax.vmap(partial(task.dynamics.step_vec, task.env.params))
        apart = np.linalg.norm(f(x, u) - f(y, v), axis=-1)
        k_x, k_u = pendulum.lipschitz(task.env.params)
        return np.max(apart / (k_x * np.linalg.norm(x - y, axis=-1) + k_u * np.abs(u - v)[:, 0]))

    assert 0.95 < worst("pendulum", x, y, u, u) <= 1 + 1e-4
    assert worst("pendulum", x, y, u, v) <= 1 + 1e-4
    assert worst("pendulum_wall", x, y, u, u) > 10


@pytest.mark.parametrize("name", SCALAR)
def test_constant_error_follows_the_open_loop_recursion(name):
    H, eps, quiet = 40, 0.01, {"gain": 0.0, "noise": 0.0, "start": 0.0}
    task = registry.task(name, **quiet)
    lam = float(task.env.params.A[0, 0])
    step, e, total = partial(task.dynamics.step_vec, task.env.params), np.zeros(1, np.float32), []
    for _ in range(H):
        e = step(e, np.full(1, eps, np.float32))
        total.append(float(e[0]))
    t = np.arange(1, H + 1)
    exact = eps * t if lam == 1 else eps * (1 - lam**t) / (1 - lam)
    np.testing.assert_allclose(total, exact, rtol=2e-5)
    if lam == 1:
        np.testing.assert_allclose(sum(total), eps * H * (H + 1) / 2, rtol=1e-5)


def test_a_fall_is_final_and_costs_the_minimum():
    task = registry.task("scalar_unstable")
    out = task.env.step(task.env.params, jax.random.key(0), np.float32([9.9]), np.float32([1.0]))
    assert bool(out.terminated)
    assert task.env.absorbing_reward == task.reward_range[0] == float(out.reward)
    cart = registry.task("cartpole")
    out = cart.env.step(cart.env.params, jax.random.key(0), np.float32([0, 0, 0.205, 3]), np.int32(0))
    assert bool(out.terminated)


@pytest.mark.parametrize(
    ("name", "kwargs"),
    [
        ("cartpole", {"force": 0.0}),
        ("scalar_stable", {"lam": 3.0}),
        ("double_integrator", {"dt": 0.0}),
        ("pendulum", {"restitution": 2.0}),
        ("pendulum_wall", {"horizon": 0}),
    ],
)
def test_refuses_numbers_out_of_range(name, kwargs):
    with pytest.raises(ValueError, match="must be"):
        registry.task(name, **kwargs)
