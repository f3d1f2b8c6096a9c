"""Push-T: contact mechanics by complementarity and closed forms, a second simulation in NumPy, and the expert's success."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ilbench import registry
from ilbench.envs import _pushing, pusht


@pytest.fixture(scope="module")
def task():
    return registry.task("pusht")


def expert_episodes(task, count):
    """States `[N, H + 1, 5]` and rewards `[N, H]` of the expert, whose memory is carried."""

    def episode(key):
        state, obs = task.env.reset(task.env.params, key)

        def one(carry, t):
            state, obs, memory = carry
            memory, action = task.expert.act(task.expert.params, key, t, memory, obs)
            out = task.env.step(task.env.params, key, state, action)
            return (out.state, out.obs, memory), (out.state, action, out.reward)

        start = (state, obs, task.expert.init(task.expert.params, key))
        after, action, reward = jax.lax.scan(one, start, jnp.arange(task.horizon))[1]
        return jnp.concatenate([state[None], after]), action, reward

    return [np.asarray(x) for x in jax.jit(jax.vmap(episode))(jax.random.split(jax.random.key(3), count))]


def force(q, n, u, arm, mu):
    """The force `[2]` in the cone at q under which the point moves with the disc, or slips along it: bisection over its direction."""
    t = np.array([-n[1], n[0]])
    mobility = np.eye(2) + np.outer([-q[1], q[0]], [-q[1], q[0]]) / arm**2

    def at(angle):
        f = n * np.cos(angle) + t * np.sin(angle)
        f = f * (n @ u) / (n @ mobility @ f)  # the normal part of the motion is the disc's
        return f, t @ (mobility @ f) - t @ u  # and how much faster along the face the point is than the disc

    low, high = -np.arctan(mu), np.arctan(mu)
    if at(low)[1] > 0:  # the disc slips to the right whatever the force: friction drags that way
        return at(low)[0], "slips"
    if at(high)[1] < 0:
        return at(high)[0], "slips"
    for _ in range(60):
        low, high = ((low + high) / 2, high) if at((low + high) / 2)[1] < 0 else (low, (low + high) / 2)
    return at(low)[0], "sticks"


def test_the_motion_is_what_friction_allows(task):
    body, rng, seen = task.env.params.body, np.random.default_rng(0), set()
    at, normal = np.asarray(task.expert.params.at, float), np.asarray(task.expert.params.normal, float)
    move = jax.jit(lambda q, n, u: _pushing.twist(body, q, n, u))
    for _ in range(200):
        k, slope = rng.integers(len(at)), rng.normal()
        u = normal[k] + slope * np.array([-normal[k, 1], normal[k, 0]])
        f, how = force(at[k], normal[k], u, float(body.arm), float(body.friction))
        v, w = move(*(x.astype(np.float32) for x in (at[k], normal[k], u)))
        np.testing.assert_allclose(v, f, atol=2e-5)
        assert float(w) == pytest.approx((at[k, 0] * f[1] - at[k, 1] * f[0]) / float(body.arm) ** 2, abs=1e-4)
        seen.add(how)
    assert seen == {"slips", "sticks"}


def segment(point, a, b):
    """The nearest point of a segment."""
    return a + min(max(np.dot(point - a, b - a) / np.dot(b - a, b - a), 0.0), 1.0) * (b - a)


def simulated(pose, disc, way, body):
    """A second simulation of a step, in float64: the same eight parts, the outline by loops, the force by bisection."""
    corners, arm, mu, radius = (np.asarray(x, float) for x in body)
    pose, disc = np.array(pose, float), np.array(disc, float)
    for _ in range(8):
        disc = disc + np.asarray(way) / 8
        turn = np.array([[np.cos(pose[2]), -np.sin(pose[2])], [np.sin(pose[2]), np.cos(pose[2])]])
        point, step = turn.T @ (disc - pose[:2]), turn.T @ np.asarray(way) / 8
        q = min((segment(point, a, b) for a, b in zip(corners, np.roll(corners, -1, 0), strict=True)),
                key=lambda q: np.hypot(*(q - point)))  # fmt: skip
        gap = np.hypot(*(q - point))
        within = [abs(point[0]) < 0.125 and corners[0, 1] < point[1] < corners[4, 1],
                  abs(point[0]) < 0.5 and corners[2, 1] < point[1] < corners[4, 1]]  # fmt: skip
        sign = -1 if any(within) else 1
        n, deep = sign * (q - point) / gap, radius - sign * gap
        if deep <= 0:
            continue
        t = np.array([-n[1], n[0]])
        share = np.clip(deep / max(n @ step, 1e-9), 0, 1)
        f, _ = force(q, n, deep * n + share * (t @ step) * t, arm, mu)
        pose = pose + np.r_[turn @ f, (q[0] * f[1] - q[1] * f[0]) / arm**2]
    return pose, disc


def test_a_second_simulation_agrees_along_the_experts_way(task):
    state, action, reward = expert_episodes(task, 64)
    assert reward[:, -1].mean() > 0.95
    assert (reward.sum(-1) < 200).all()  # nobody begins where the T belongs
    params, rng = task.env.params, np.random.default_rng(0)
    moves = np.abs(np.diff(state[..., 2:], axis=1)).max(-1) > 1e-3
    some = [rng.choice(np.argwhere(which), 150) for which in (moves, ~moves)]
    for n, t in np.concatenate(some):
        s = state[n, t].astype(float)
        pose, disc = simulated(s[2:], s[:2], 0.1 * np.clip(action[n, t], -1, 1), params.body)
        np.testing.assert_allclose(state[n, t + 1], np.r_[disc, pose], atol=2e-4)
        assert reward[n, t] == (np.hypot(*pose[:2]) <= 0.03 and abs((pose[2] + np.pi) % (2 * np.pi) - np.pi) <= 0.06)
    assert 0.1 < moves[:, :60].mean() < 0.8  # on its way round the disc touches nothing, and nothing slides on
    last = state[:, -1, 2:]
    assert np.hypot(last[:, 0], last[:, 1]).max() < 0.03


def test_closed_forms(task):
    """Through the weight: as far as the disc, unturned; arm of two rectangles; what the disc does not touch stays."""
    body = task.env.params.body
    stem = float(body.corners[0, 1])
    pose, _ = _pushing.pushed(body, jnp.zeros(3), jnp.float32([0, stem - 0.06]), jnp.float32([0, 0.1]))
    np.testing.assert_allclose(pose, [0, 0.1, 0], atol=1e-6)
    pose, _ = _pushing.pushed(body, jnp.zeros(3), jnp.float32([0, stem - 0.08]), jnp.float32([0, 0.1]))
    np.testing.assert_allclose(pose, [0, 0.08, 0], atol=1e-6)
    pose, _ = _pushing.pushed(body, jnp.zeros(3), jnp.float32([0.4, stem]), jnp.float32([0.1, 0.1]))
    np.testing.assert_array_equal(pose, np.zeros(3))
    rng = np.random.default_rng(0)  # half a million points: 4 units of the bar, 3 of the stem
    x = np.r_[rng.uniform(-2, 2, 400_000), rng.uniform(-0.5, 0.5, 300_000)]
    y = np.r_[rng.uniform(5 / 14, 19 / 14, 400_000), rng.uniform(-37 / 14, 5 / 14, 300_000)]
    np.testing.assert_allclose([x.mean(), y.mean()], 0, atol=0.01)
    assert float(body.arm) == pytest.approx(0.25 * np.hypot(x, y).mean(), rel=3e-3)


def test_the_same_way_pushes_alike_however_fast(task):
    """Quasi-static: two half steps are one, up to what the eight parts of a step leave; the contact does slip and turn the T."""
    body = task.env.params.body
    go = jax.jit(lambda pose, disc, way: _pushing.pushed(body, pose, disc, way))
    start, way = (jnp.float32([0.1, -0.2, 0.3]), jnp.float32([0.55, 0.1])), jnp.float32([-0.08, 0.06])
    once = half = start
    for _ in range(4):
        once = go(*once, way)
        half = go(*go(*half, way / 2), way / 2)
    assert np.abs(once[0] - start[0]).max() > 0.05
    np.testing.assert_allclose(once[0], half[0], atol=0.01)


def test_refuses_numbers_out_of_range():
    with pytest.raises(ValueError, match="friction must be"):
        registry.task("pusht", friction=1.5)
    assert pusht.OUTLINE.shape == (8, 2)


def test_a_place_is_a_distance_and_an_angle_to_either_side(task):
    go = jax.jit(lambda state: task.env.step(task.env.params, jax.random.key(0), state, jnp.zeros(2)).reward)
    poses = [
        (0, 0, 0.05),
        (0, 0, -0.05),
        (0, 0, 2 * np.pi - 0.05),
        (0, 0, 0.07),
        (0, 0, -0.07),
        (0.02, -0.02, 0),
        (0.025, -0.025, 0),
    ]
    assert [float(go(np.float32([1, 1, *pose]))) for pose in poses] == [1, 1, 1, 0, 0, 1, 0]


def test_distances_are_negative_inside_and_normals_lead_in(task):
    go, top = jax.jit(lambda point: _pushing.nearest(task.env.params.body, point)), 0.25 * 19 / 14
    for y in (top - 0.02, top + 0.02):
        q, n, distance = go(np.float32([0.3, y]))
        np.testing.assert_allclose([*q, *n, distance], [0.3, top, 0, -1, y - top], atol=1e-5)
    assert float(go(np.float32([0.3, 0.0]))[2]) == pytest.approx(
        0.25 * 5 / 14, abs=1e-5
    )  # below the bar, beside the stem: outside
