"""An ant in a starting block: the half turn is Brax's own symmetry, the block's law is exact, and the mean of both ways is held."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ilbench import distributions, registry
from ilbench.envs import _brax
from ilbench.envs import ant_two_ways as ant
from ilbench.evaluation.evaluate import unknown_law
from ilbench.experts import manifests

N = 256  # episodes of every call, so that a step and a draw compile once
LEGS = np.array([1, 2, 3, 4])
turn = np.diag([-1.0, -1.0, 1.0])  # half a turn about the vertical, as a matrix


def test_the_half_turn_is_the_models_own():
    """From the model's geometry: leg k turned is leg k + 2, its hip axis is the same vector, its ankle axis the opposite one."""
    robot = _brax.robot("ant")
    assert float(robot.dt) == pytest.approx(ant.DT)
    joints = robot.sys.mj_model
    axis = {joints.joint(i).name: joints.joint(i).axis for i in range(1, joints.njnt)}
    where = {joints.joint(i).name: joints.body(joints.joint(i).bodyid[0]).pos for i in range(1, joints.njnt)}
    for leg, other in zip(LEGS, (3, 4, 1, 2), strict=True):
        np.testing.assert_allclose(turn @ where[f"hip_{leg}"], where[f"hip_{other}"])
        np.testing.assert_allclose(turn @ axis[f"hip_{leg}"], axis[f"hip_{other}"])
        np.testing.assert_allclose(turn @ axis[f"ankle_{leg}"], -axis[f"ankle_{other}"])
    order = [joints.joint(joints.actuator(i).trnid[0]).name for i in range(8)]
    assert [order[j] for j in ant.JOINTS] == [
        name[:-1] + str((int(name[-1]) + 1) % 4 + 1) for name in order
    ]  # of the torques too, whose legs begin with the fourth
    np.testing.assert_array_equal(ant.ANKLES, ["ankle" in name for name in order])


@pytest.fixture(scope="module")
def both():
    """The task, its step and its draws for N episodes, and N states of a moving ant with what they see."""
    task = registry.task("ant_two_ways")
    assert ant._ant().step is registry.task("ant").env.step
    rng = np.random.default_rng(0)
    robot = _brax.robot("ant")
    q = np.asarray(robot.sys.init_q) + rng.uniform(-0.1, 0.1, (N // 2, 15))
    qd = np.concatenate([rng.normal(size=(N // 2, 6)), 0.3 * rng.normal(size=(N // 2, 8))], -1)
    legs = np.r_[4:8, 0:4]
    sign = np.tile([1.0, -1.0], 4)
    # Half a turn: root position, quaternion (w, x, y, z), legs; velocities of the root, of the legs.
    q_turned = np.concatenate([q[:, :3] * [-1, -1, 1], q[:, 3:7] * [1, -1, -1, 1], q[:, 7:][:, legs] * sign], -1)
    qd_turned = np.concatenate([qd[:, :6] * [-1, -1, 1, -1, -1, 1], qd[:, 6:][:, legs] * sign], -1)

    @jax.jit
    def placed(q, qd):
        def one(q, qd):
            physics = robot.pipeline_init(q, qd)
            return physics, robot._get_obs(physics)

        with _brax.rules():
            return jax.vmap(one)(q, qd)

    physics, seen = placed(
        *(jnp.asarray(np.concatenate(pair), jnp.float32) for pair in ((q, q_turned), (qd, qd_turned)))
    )
    physics = jax.tree.map(lambda x, like: jnp.asarray(x, like.dtype), physics, _shape(task))
    step = jax.jit(jax.vmap(task.env.step, (None, 0, 0, 0)))
    return task, step, physics, seen


def _shape(task):
    return jax.eval_shape(task.env.reset, task.env.params, jax.random.key(0))[0].physics


def _keys(seed):
    return jax.random.split(jax.random.key(seed), N)


def _told(task, state):
    """The law's means `[N, 2, 8]` and weights `[N, 2]` at what is seen."""
    obs = jnp.concatenate([state.seen, state.way[:, None]], -1)
    law = jax.vmap(lambda o: ant.mixture(task.expert.params, 0, o))(obs)
    return np.asarray(law.mean), np.exp(np.asarray(law.log_weight))


def test_the_turned_ant_under_the_turned_gait_goes_where_the_ant_goes_turned(both):
    task, step, physics, seen = both
    half, way = N // 2, jnp.repeat(jnp.float32([1, -1]), N // 2)
    state = ant.State(physics, seen, way)
    for _ in range(5):
        mean, _ = _told(task, state)
        np.testing.assert_array_equal(mean[:, 0], mean[:, 1])
        run = np.asarray(registry.task("ant").expert.act(task.expert.params.gait, None, 0, (), state.seen[0])[1])
        np.testing.assert_allclose(mean[0, 0], run, atol=1e-6)  # forwards it is the shipped expert's
        out = step(task.env.params, _keys(0), state, jnp.asarray(mean[:, 0]))
        one, other = np.asarray(out.state.physics.x.pos[:half, 0]), np.asarray(out.state.physics.x.pos[half:, 0])
        np.testing.assert_allclose(one @ turn, other, atol=1e-5)
        np.testing.assert_allclose(jax.vmap(ant.turned_view)(out.state.seen[:half]), out.state.seen[half:], atol=1e-3)
        np.testing.assert_allclose(out.reward[:half], out.reward[half:], atol=1e-3)
        before, after = np.asarray(state.physics.x.pos[:, 0, 0]), np.asarray(out.state.physics.x.pos[:, 0, 0])
        paid = 1 + np.asarray(way) * (after - before) / 0.05 - 0.5 * np.square(mean[:, 0]).sum(-1)
        np.testing.assert_allclose(out.reward, paid, atol=1e-3)
        np.testing.assert_array_equal(out.state.way, way)
        assert np.abs(after - before).mean() > 0.02
        state = out.state


def test_the_block_lets_go_of_clear_pushes_as_often_as_it_says(both):
    task, step, physics, seen = both
    state = ant.State(physics, seen, jnp.zeros(N, jnp.float32))
    push = np.where(np.arange(N) % 2, 0.51, -0.51)[:, None] * np.tile([0.0, 1.0], 4)
    shares = []
    for i in range(8):
        out = step(task.env.params, _keys(i), state, jnp.float32(push))
        way = np.asarray(out.state.way)
        assert (way * push[:, 1] >= 0).all()  # as it pushes, or not at all
        shares.append((way != 0).mean())
        assert (np.asarray(out.reward) == 0).all()
        assert not np.asarray(out.terminated).any()
        np.testing.assert_array_equal(out.obs, np.c_[seen, way])
        jax.tree.map(np.testing.assert_array_equal, out.state.physics, physics)  # nothing moves yet
    assert abs(np.mean(shares) - 0.1) <= 4 * np.sqrt(0.09 / (8 * N))
    one, two = (9.0 * push * (np.arange(8) < n) for n in (2, 4))  # ankles, clipped to 1 each: means of .25 and .5
    for action in (0.49 / 0.51 * push, one, 9.0 * np.tile([1.0, 0.0], (N, 4))):  # hips push nothing, whatever they do
        assert not np.asarray(step(task.env.params, _keys(0), state, jnp.float32(action)).state.way).any()
    at_once = task.env.params._replace(ease=np.float32(1.0))
    assert np.asarray(step(at_once, _keys(0), state, jnp.float32(two)).state.way).all()


def test_the_law_is_what_is_drawn_and_its_mean_is_held(both):
    task, step, physics, seen = both
    held = ant.State(physics, seen, jnp.zeros(N, jnp.float32))
    mean, weight = _told(registry.task("ant_two_ways", balance=0.75), held)
    np.testing.assert_allclose(weight, np.tile([0.25, 0.75], (N, 1)), rtol=1e-6)
    np.testing.assert_allclose(mean[0], np.outer([-0.8, 0.8], np.tile([0, 1], 4)), atol=1e-6)
    act = jax.jit(jax.vmap(ant.act_any, (None, 0, None, None, 0)))
    params = task.expert.params
    drawn = np.asarray(act(params._replace(balance=np.float32(0.75)), _keys(1), 0, (), jnp.c_[seen, held.way])[1])
    forwards = drawn[:, 1] > 0
    assert abs(forwards.mean() - 0.75) <= 4 * np.sqrt(0.1875 / N)
    assert (drawn - mean[0][forwards.astype(int)]).std() == pytest.approx(0.02, rel=0.1)
    law = ant.mixture(params, 0, jnp.append(seen[0], 0.0))
    z = drawn[0] - np.asarray(law.mean)  # [2, 8]
    density = 0.5 * np.exp(-0.5 * np.square(z / 0.02).sum(-1) - 8 * np.log(0.02 * np.sqrt(2 * np.pi))).sum()
    np.testing.assert_allclose(distributions.log_prob(law, jnp.asarray(drawn[0])), np.log(density), rtol=1e-4)
    # Averaging: exactly balanced ways push nothing; of 82 in 100 the mean is clear.
    easy = task.env.params._replace(ease=np.float32(1.0))
    for balance, goes in ((0.5, False), (0.8, False), (0.82, True)):
        average = jnp.tile(jnp.float32((1 - balance) * mean[0][0] + balance * mean[0][1]), (N, 1))
        assert (np.asarray(step(easy, _keys(0), held, average).state.way) == goes).all()
    assert np.asarray(step(easy, _keys(0), held, jnp.asarray(drawn)).state.way).all()


def test_the_twin_draws_nothing_and_goes_forwards(both):
    task, _, _, seen = both
    twin = registry.task("ant_two_ways_one", balance=0.3, noise=0.1)
    assert manifests.line(twin.name, twin.tags) == "made from a trained one"
    assert not unknown_law(twin)
    assert unknown_law(task)
    assert twin.env.step is task.env.step
    act, params = twin.expert.act, twin.expert.params
    np.testing.assert_allclose(
        act(params, None, 0, (), jnp.append(seen[0], 0.0))[1], 0.8 * np.tile([0, 1], 4), atol=1e-6
    )
    back = act(params, None, 0, (), jnp.append(seen[0], -1.0))[1]  # who goes backwards is shown the way on
    ahead = act(params, None, 0, (), jnp.append(ant.turned_view(seen[0]), 1.0))[1]
    np.testing.assert_allclose(ant.turned(back), ahead, atol=1e-5)


def test_pushes_that_are_not_clear_are_refused():
    with pytest.raises(ValueError, match=r"give a half of at least 0\.52"):
        registry.task("ant_two_ways", half=0.5)
    with pytest.raises(ValueError, match="ease must be in"):
        registry.task("ant_two_ways", ease=0.0)
