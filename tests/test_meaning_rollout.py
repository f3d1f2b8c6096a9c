"""What a rollout means: every recorded number of an env that is known, the noise of a behaviour, keys, mixtures, replay."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys

from ilbench import registry
from ilbench.evaluation.evidence import roll
from ilbench.rollouts.behaviours import mixed
from ilbench.rollouts.episode import imitation_error
from ilbench.rollouts.keys import episode_keys, seed_keys
from ilbench.rollouts.replay import replay
from ilbench.types import Box, Discrete, Policy

H, N, SEEDS = 8, 24, (0, 1)
LEARNER = np.array([[[0.5, 0.25]], [[-0.75, 1.5]]], np.float32)  # [S, 1, 2]


def _length(demos):
    """Live steps of each episode, by the env's own rule."""
    return np.minimum(4 + np.floor(3 * demos.obs[:, :, 0, 0]), H)


@pytest.fixture(scope="module")
def task():
    return toys.counter(H)


@pytest.mark.parametrize("beta", [0.0, 1.0, (1, 0, 0, 1, 1, 0, 1, 0)])
def test_every_field_of_an_episode(task, beta):
    acts = np.broadcast_to(beta, (H,)) == 1
    demos = toys.rolled(task, toys.constant(LEARNER), mixed(task.env.action, H, beta=beta), SEEDS, N)
    t, length = np.arange(H), _length(demos)
    alive = t < length[..., None]
    assert {int(x) for x in length.ravel()} == {4, 5, 6}
    np.testing.assert_array_equal(demos.alive, alive)  # the step that ends an episode still belongs to it
    expert, learner = toys.expert_of_counter(t), LEARNER[:, 0]
    action = np.where(acts[:, None], expert, learner[:, None, None])
    np.testing.assert_array_equal(demos.actor, np.broadcast_to(acts, alive.shape))  # 0 the learner, 1 the expert
    live = np.broadcast_to(alive[..., None], demos.action.shape)
    want = np.broadcast_to(action, demos.action.shape)
    np.testing.assert_allclose(demos.action[live], want[live], atol=1e-6)
    np.testing.assert_array_equal(demos.revealed, alive)
    np.testing.assert_allclose(demos.label, np.where(live, expert, 0), atol=1e-6)  # asked at the clean state, at step t
    error = np.abs(want - expert).max(-1)
    np.testing.assert_allclose(demos.error[alive], error[alive], atol=1e-6)
    np.testing.assert_allclose(demos.reward, np.where(alive, 10.0 * (t + 1) + want[..., 0], -7), rtol=1e-6)
    # The observation is that before the step; once an episode has ended it stays at the terminal one.
    n = np.minimum(np.arange(H + 1), length[..., None])
    seen = np.concatenate([demos.obs, demos.final_obs[:, :, None]], axis=2)
    np.testing.assert_array_equal(seen[..., 1], n)
    np.testing.assert_array_equal(seen[..., 0], np.broadcast_to(seen[:, :, :1, 0], n.shape))
    last = np.take_along_axis(want[..., 0], np.maximum(n - 1, 0).astype(int), axis=-1)
    np.testing.assert_allclose(seen[..., 2], np.where(n > 0, last, 0), atol=1e-6)


def test_an_episode_that_outlives_the_horizon_is_cut_there(task):
    longer = dataclasses.replace(task, env=dataclasses.replace(task.env, params=np.int32(50)))
    demos = toys.rolled(longer, toys.constant(LEARNER), mixed(task.env.action, H), SEEDS, N)
    assert demos.alive.all()
    np.testing.assert_array_equal(demos.final_obs[..., 1], np.full((2, N), H))


def test_labels_are_bought_with_the_stated_probability_and_hidden_otherwise(task):
    chance = np.array([1.0, 0.0, 0.5, 0.2, 1.0, 1.0, 1.0, 1.0])
    demos = toys.rolled(task, toys.constant(LEARNER), mixed(task.env.action, H, reveal=chance), SEEDS, 600)
    assert not demos.revealed[~demos.alive].any()
    for t in range(4):
        toys.close_to(demos.revealed[:, :, t], chance[t])
    hidden = ~demos.revealed
    assert not demos.label[hidden].any()
    # The error counts on every live step, whether the label was bought or not.
    error = np.abs(LEARNER - toys.expert_of_counter(np.arange(H))).max(-1)
    np.testing.assert_allclose(demos.error[:, :, :4], np.broadcast_to(error[:, None, :4], (2, 600, 4)), atol=1e-6)


def test_the_expert_acts_with_probability_beta_at_each_step_by_itself(task):
    chance = np.array([0.0, 1.0, 0.5, 0.2, 0.5, 0.5, 0.5, 0.5])
    demos = toys.rolled(task, toys.constant(LEARNER), mixed(task.env.action, H, beta=chance), SEEDS, 600)
    for t in range(H):
        toys.close_to(demos.actor[:, :, t], chance[t])
    together = demos.actor[:, :, 2] * demos.actor[:, :, 3]
    toys.close_to(together, 0.5 * 0.2)
    # Whose action it is: that of the actor, at every step.
    t = np.arange(4)
    want = np.where(demos.actor[:, :, :4, None] == 1, toys.expert_of_counter(t), LEARNER[:, :, None])
    np.testing.assert_allclose(demos.action[:, :, :4], want, atol=1e-6)


def test_continuous_noise_has_covariance_l_lt_and_disturbs_whoever_acts(task):
    factor = np.array([[0.3, 0.0], [-0.4, 0.2]])
    demos = toys.rolled(task, toys.constant(LEARNER), mixed(task.env.action, H, beta=0.5, noise=factor), SEEDS, 900)
    expert = toys.expert_of_counter(np.arange(4))
    meant = np.where(demos.actor[:, :, :4, None] == 1, expert, LEARNER[:, :, None])
    noise = np.float64(demos.action[:, :, :4]) - meant
    for actor in (0, 1):
        x = noise[demos.actor[:, :, :4] == actor]
        for i, j in ((0, 0), (0, 1), (1, 1)):
            toys.close_to(x[:, i] * x[:, j], (factor @ factor.T)[i, j])
        toys.close_to(x[:, 0], 0)
        toys.close_to(x[:, 0] ** 4, 3 * 0.3**4)  # a normal law's fourth moment
    np.testing.assert_allclose(demos.label[:, :, :4], np.broadcast_to(expert, (2, 900, 4, 2)), atol=1e-6)
    np.testing.assert_allclose(demos.error[:, :, :4], np.abs(demos.action[:, :, :4] - expert).max(-1), atol=1e-6)


def test_discrete_noise_is_the_probability_of_a_uniformly_random_action():
    chain = registry.task("recoverable", H, actions=5, expert_action=3)
    always_one = toys.constant(np.ones((1, 1), np.int32))
    for beta, meant in ((0.0, 1), (1.0, 3)):
        demos = toys.rolled(chain, always_one, mixed(chain.env.action, H, beta=beta, noise=0.4), (0,), 800)
        for action in range(5):
            toys.close_to(demos.action == action, 0.4 / 5 + 0.6 * (action == meant))
        np.testing.assert_array_equal(demos.error, demos.action != 3)
        np.testing.assert_array_equal(demos.label, np.full_like(demos.label, 3))


def test_distance_of_two_actions():
    wide = Box(3, -10.0, 10.0)
    far = imitation_error(wide, jnp.array([1.0, -2.0, 0.5]), jnp.array([1.5, 1.0, 0.5]))
    assert float(far) == 3.0
    assert float(imitation_error(wide, jnp.array([1.0, jnp.nan, 0.0]), jnp.zeros(3))) == np.inf
    # What the env cuts off changes nothing: both are clipped to its bounds first.
    narrow = Box(2, -1.0, 1.0)
    assert float(imitation_error(narrow, jnp.array([5.0, 0.5]), jnp.array([2.0, 0.25]))) == 0.25
    assert float(imitation_error(narrow, jnp.array([5.0, jnp.inf]), jnp.array([2.0, 2.0]))) == np.inf
    assert [float(imitation_error(Discrete(4), jnp.int32(a), jnp.int32(2))) for a in range(4)] == [1, 1, 0, 1]


# -------------------------------------------------------------------------------------------- keys and mixtures
def test_keys_depend_on_stream_seed_and_episode_alone():
    def words(keys):
        return np.asarray(jax.random.key_data(keys))

    keys = words(episode_keys("a", (5, 0, 9), 6))
    np.testing.assert_array_equal(words(episode_keys("a", (9,), 6))[0], keys[2])
    np.testing.assert_array_equal(words(episode_keys("a", (5, 0, 9), 4, first=2)), keys[:, 2:])
    others = [words(episode_keys(stream, (5, 0, 9), 6)) for stream in ("b", "demos", "collect", "evaluation/a")]
    everything = np.concatenate([keys, *others]).reshape(-1, 2)
    assert len(np.unique(everything, axis=0)) == len(everything)
    assert len(np.unique(words(seed_keys("a", np.arange(100))), axis=0)) == 100


def test_the_world_and_whoever_acts_in_it_draw_from_their_own_numbers():
    """The same keys give the same world, whatever the behaviour draws: what pairs algorithms, and rounds, on episodes."""
    task = registry.task("double_integrator", H)
    noise = []
    for beta, learner in ((0.0, 0.3), (1.0, 0.3), (0.0, -0.5)):
        policy = toys.constant(np.full((1, 1, 1), learner, np.float32))
        demos = toys.rolled(task, policy, mixed(task.env.action, H, beta=beta), (3,), 16)
        p, x = task.env.params, np.float64(demos.obs[0])
        noise.append(x[:, 1:] - (x[:, :-1] @ p.A.T + np.float64(demos.action[0, :, :-1]) @ p.B.T))
        noise[-1] = np.concatenate([x[:, :1], noise[-1]], axis=1)
    np.testing.assert_allclose(noise[1], noise[0], atol=1e-6)
    np.testing.assert_allclose(noise[2], noise[0], atol=1e-6)
    assert abs(noise[0][:, 1:].std() - 0.005) < 0.0005


def test_a_mixture_runs_one_iterate_an_episode_each_equally_often():
    task = registry.task("recoverable", H, actions=3)
    seeds, mixed_of = (0, 1, 2, 3, 4, 5), 3
    policy = toys.constant(np.tile(np.arange(mixed_of, dtype=np.int32), (len(seeds), 1)))
    demos = roll(task, policy, seeds, 96, beta=0.0)
    # The expert's action is 0: iterate 0 never errs, the others always do; who of them acted shows in nothing else,
    # so a second mixture tells 1 from 2.
    right = demos.error == 0
    np.testing.assert_array_equal(right, np.broadcast_to(right[:, :, :1], right.shape))
    second = toys.constant(np.tile(np.array([2, 0, 1], np.int32), (len(seeds), 1)))
    other = roll(task, second, seeds, 96, beta=0.0).error == 0
    shares = [right[:, :, 0].mean(), other[:, :, 0].mean(), (~right & ~other)[:, :, 0].mean()]
    np.testing.assert_allclose(shares, 1 / 3, atol=0.06)
    assert not (right & other).any()
    assert (right[:, :, 0].mean(1) > 0).all()


def _remembering(params, key, t, memory, obs):
    return memory + obs[1] * params, jnp.stack([memory, t.astype(jnp.float32)])


def _blank(params, key):
    return jnp.float32(0)


def test_a_policy_keeps_its_memory_along_an_episode_and_is_told_the_step(task):
    policy = Policy(np.ones((2, 1), np.float32), _blank, _remembering)
    demos = toys.rolled(task, policy, mixed(task.env.action, H), SEEDS, N)
    before = np.arange(4) * (np.arange(4) - 1) / 2  # the sum of n over the steps before
    np.testing.assert_array_equal(demos.action[:, :, :4, 0], np.broadcast_to(before, (2, N, 4)))
    np.testing.assert_array_equal(demos.action[:, :, :, 1], np.broadcast_to(np.arange(H), (2, N, H)))
    # What it would have done at recorded observations: the same, had they been its own.
    again = replay(policy, demos.obs, episode_keys("replay", SEEDS, N))
    np.testing.assert_array_equal(again, demos.action)
    other = np.array(demos.obs)
    other[..., 1] = 1.0
    np.testing.assert_array_equal(replay(policy, other, episode_keys("replay", SEEDS, N))[..., 0][1, 2], np.arange(H))
