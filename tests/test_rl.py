"""The RL loop: learns, bootstraps at the time limit and not at a fall, and depends on its keys alone."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ilbench.training import ppo, rl
from ilbench.types import Box, Discrete, Env, Step

SMALL = rl.Config(lanes=32, unroll=8, epochs=4, minibatches=4, hidden=(16,), value_hidden=(16,), gamma=0.9, lr=3e-3)


def _reset(params, key):
    x = jax.random.uniform(key, (1,), jnp.float32, -1.0, 1.0)
    return x, x


def _step(params, key, state, action):
    """Moves by the action; the reward is minus the squared distance from 0."""
    x = state + 0.5 * jnp.clip(action, -1.0, 1.0)
    return Step(x, x, -jnp.sum(x**2), jnp.abs(x[0]) > 3.0)


POINT = Env((), _reset, _step, Box(1), Box(1, -1.0, 1.0), np.float32(-9.0))


def _bandit_step(params, key, state, action):
    """Action 2 pays 1, the others nothing."""
    return Step(state, state, (action == 2).astype(jnp.float32), jnp.bool_(False))


BANDIT = Env((), lambda params, key: (jnp.int32(0), jnp.int32(0)), _bandit_step, Discrete(2), Discrete(3))


def _mode(env, learner, obs):
    sizes = [layer["bias"].shape[0] for layer in learner.params["policy"].values()]
    from ilbench.training import nets

    _, apply = nets.mlp(nets.width_of(env.obs), tuple(sizes))
    return apply(learner.params["policy"], nets.features(env.obs, ppo.norm_of(learner), obs))


def train(env, config, key, iterations=60, horizon=16):
    learner, lanes = rl.begin(env, config, key, horizon=horizon)
    return rl.advance(env, config, learner, lanes, key, horizon=horizon, iterations=iterations)


def test_learns_to_reach_the_origin():
    learner, _, stats = train(POINT, SMALL, jax.random.key(0))
    assert stats.reward[-5:].mean() > -0.15 > -0.3 > stats.reward[0]
    for x in (-0.5, 0.5):
        action = jnp.tanh(_mode(POINT, learner, jnp.array([x], jnp.float32)))
        assert abs(x + 0.5 * float(action[0])) < 0.2


def test_learns_with_discrete_actions():
    learner, _, stats = train(BANDIT, dataclasses.replace(SMALL, entropy=0.0), jax.random.key(0), iterations=20)
    assert stats.reward[-1] > 0.9
    assert int(jnp.argmax(_mode(BANDIT, learner, jnp.int32(0)))) == 2


def _rows(terminated, done, reward=1.0):
    steps = len(done)
    one = jnp.ones((steps, 1), jnp.float32)
    flags = [jnp.asarray(flag).reshape(steps, 1) for flag in (terminated, done)]
    return rl.Rows(one, one, one, reward * one, one, *flags)


def test_time_limit_is_bootstrapped_and_a_fall_is_not():
    value, follow = jnp.zeros((2, 1)), jnp.full((2, 1), 10.0)
    at = lambda terminated, done: ppo.advantages(_rows(terminated, done), value, follow, -5.0, 0.5, 1.0)[:, 0]  # noqa: E731
    np.testing.assert_allclose(at([0, 0], [0, 0]), [1 + 5 + 0.5 * 6, 1 + 5])
    np.testing.assert_allclose(at([False, False], [True, False]), [1 + 5, 1 + 5])  # out of time: V(next), trace cut
    np.testing.assert_allclose(at([True, False], [True, False]), [1 - 2.5, 1 + 5])  # fell: the terminal value


def test_advantages_are_the_textbook_sum():
    rng = np.random.default_rng(0)
    rows = _rows(np.zeros(6, bool), np.zeros(6, bool))._replace(
        reward=jnp.asarray(rng.normal(size=(6, 1)), jnp.float32)
    )
    value = jnp.asarray(rng.normal(size=(7, 1)), jnp.float32)
    got = ppo.advantages(rows, value[:-1], value[1:], 0.0, 0.9, 0.8)[:, 0]
    delta = np.asarray(rows.reward + 0.9 * value[1:] - value[:-1])[:, 0]
    want = [sum((0.9 * 0.8) ** k * delta[t + k] for k in range(6 - t)) for t in range(6)]
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)


def test_episodes_end_at_the_horizon_and_start_afresh():
    learner = ppo.init(POINT, SMALL, jax.random.key(0))
    lanes = rl.start(POINT, 32, 10, jax.random.key(1))
    assert len(np.unique(np.asarray(lanes.obs))) == 32
    assert len(np.unique(np.asarray(lanes.age))) > 5  # not all of them run out of time in the same step
    config = dataclasses.replace(SMALL, unroll=30)
    after, rows = rl.unroll(POINT, config, learner, lanes, jax.random.key(2), horizon=10)
    done = np.asarray(rows.done)
    assert (done.sum(0) >= 3).all()
    assert not np.asarray(rows.terminated).any()
    assert (np.asarray(after.age) < 10).all()
    starts = np.asarray(rows.obs)[1:][done[:-1]]
    assert (np.abs(starts) <= 1).all()
    assert len(np.unique(starts)) == len(starts)  # a cached first state would come back
    ends = np.asarray(rows.next_obs)[:-1][done[:-1]]
    assert not np.any(ends == starts)  # next_obs is the last state of the old episode, not the new start


def test_same_key_same_learner_and_another_key_another():
    one, two, other = (train(POINT, SMALL, jax.random.key(k), iterations=2)[0] for k in (3, 3, 4))
    flat = lambda learner: np.concatenate([np.ravel(x) for x in jax.tree.leaves(learner.params)])  # noqa: E731
    np.testing.assert_array_equal(flat(one), flat(two))
    assert not np.allclose(flat(one), flat(other))


def test_new_numbers_compile_nothing():
    train(POINT, SMALL, jax.random.key(0), iterations=2)
    program = rl._sharded(16, 2, None)
    before = program._cache_size()
    train(POINT, dataclasses.replace(SMALL, lr=1e-3, gamma=0.95, entropy=0.0), jax.random.key(0), iterations=2)
    assert program._cache_size() == before


def test_own_reward_replaces_the_envs():
    learner, lanes = ppo.init(POINT, SMALL, jax.random.key(0)), rl.start(POINT, 32, 10, jax.random.key(1))

    def reward(params, obs, action, next_obs, earned):
        return params * jnp.ones_like(earned)

    _, rows = rl.unroll(
        POINT, SMALL, learner, lanes, jax.random.key(2), horizon=10, reward=reward, reward_params=jnp.float32(7.0)
    )
    np.testing.assert_array_equal(rows.reward, 7.0)


def test_the_guard_stops_a_policy_that_runs_away():
    config = dataclasses.replace(SMALL, lr=1.0, max_kl=0.01)
    _, _, stats = train(POINT, config, jax.random.key(0), iterations=2)
    assert stats.skipped[0] > 0.5
    assert np.isfinite(stats.reward).all()


def test_running_statistics_are_those_of_all_rows():
    x = np.random.default_rng(0).normal(3.0, 2.0, (300, 4)).astype(np.float32)
    norm = ppo.Moments(jnp.float32(0.0), jnp.zeros(4), jnp.ones(4))
    for part in np.split(x, 3):
        norm = ppo.observe(norm, Box(4), jnp.asarray(part), lambda tree: tree, 1)
    np.testing.assert_allclose(norm.mean, x.mean(0), rtol=1e-4)
    np.testing.assert_allclose(norm.var, x.var(0), rtol=1e-4)


def test_a_batch_that_does_not_divide_is_refused():
    with pytest.raises(ValueError, match="do not divide"):
        rl.check(dataclasses.replace(SMALL, lanes=30, unroll=7))
