"""The peg: contacts by hand, a second simulation in NumPy, the law on a grid, and who averages the sides lands on the block."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from ilbench import registry
from ilbench.envs import _modes, peg
from ilbench.evaluation.evaluate import unknown_law
from tests.acting import episodes


def _averages(params, key, t, memory, obs):
    return memory, _modes.average(peg.law(params, obs))


def moved(at, u, tol, depth=0.4, top=1.5):
    """`(point, seated, hit)` after a displacement u of a tip at `(x, y, slot)`, by cases, in float64."""
    x, y, slot = (float(v) for v in at)
    to = [x + u[0], y + u[1]]
    if y < 0:
        wall = abs(to[0] - slot) > tol
        to[0] = min(max(to[0], slot - tol), slot + tol)
        if wall and to[1] < y:
            to[1] = y
    elif to[1] < 0:
        if y == 0:
            to[0] = x
        if abs(to[0] - slot) > tol:
            to[1] = 0.0
    to[1] = max(to[1], -depth)
    return [*to, slot], to[1] <= -depth + 1e-9, abs(to[0]) < 0.3 and 0.5 < to[1] < top


@pytest.fixture(scope="module")
def still():
    """`peg` without drift, and its step."""
    task = registry.task("peg", noise=0.0, tol=0.01)
    return task, jax.jit(lambda state, action: task.env.step(task.env.params, jax.random.key(0), state, action))


def test_contacts_by_hand(still):
    _, step = still
    for at, action, to, reward, hit in (
        ([0.1, 0.03, 0.1], [0.1, -1], [0.105, -0.02, 0.1], 0, False),  # enters, half a clearance off
        ([0.1, 0.03, 0.1], [0.3, -1], [0.115, 0.0, 0.1], 0, False),  # comes down on the rim
        ([0.115, 0.0, 0.1], [-0.3, -1], [0.115, 0.0, 0.1], 0, False),  # and sticks there while it is pressed
        ([0.115, 0.0, 0.1], [-0.3, 1], [0.1, 0.05, 0.1], 0, False),  # lifted, it moves
        ([0.1, -0.2, 0.1], [0.1, -1], [0.105, -0.25, 0.1], 0, False),  # down the slot
        ([0.1, -0.2, 0.1], [-0.3, -1], [0.09, -0.2, 0.1], 0, False),  # into its wall: no deeper
        ([0.1, -0.2, 0.1], [-0.3, 1], [0.09, -0.15, 0.1], 0, False),  # but up
        ([0.1, -0.37, 0.1], [0, -5], [0.1, -0.4, 0.1], 1, False),  # seated; who asks for more is clipped
        ([0.34, 0.7, 0.1], [-1, 0], [0.29, 0.7, 0.1], 0, True),  # into the block's side
        ([0.0, 1.54, 0.1], [0, -1], [0.0, 1.49, 0.1], 0, True),  # on to it
        ([0.0, 0.47, 0.1], [0, 1], [0.0, 0.52, 0.1], 0, True),  # and from below
        ([0.36, 0.7, 0.1], [-1, -1], [0.31, 0.65, 0.1], 0, False),
    ):
        out = step(np.float32(at), np.float32(action))
        np.testing.assert_allclose(out.state, to, atol=1e-6, err_msg=f"{at} {action}")
        assert (float(out.reward), bool(out.terminated)) == (reward, hit), (at, action)
        assert np.array_equal(out.state, out.obs)


def test_a_second_simulation_agrees_wherever_the_tip_may_be(still):
    _, step = still
    rng, n = np.random.default_rng(0), 3000
    slot = rng.uniform(-0.15, 0.15, n)
    where = [np.zeros(n), rng.uniform(-0.4, -0.36, n), rng.uniform(-0.4, 0.1, n), rng.uniform(0, 1.9, n)]
    y = np.choose(rng.integers(4, size=n), where)
    x = np.where(y <= 0, slot + rng.uniform(-0.01, 0.01, n) * np.where(y < 0, 1, 3), rng.uniform(-0.5, 0.5, n))
    state = np.stack([x, y, slot], -1).astype(np.float32)
    action = rng.normal(0, 1, (n, 2)).astype(np.float32) * [0.3, 1]
    out = jax.vmap(step)(state, action.astype(np.float32))
    found = [moved(s, 0.05 * np.clip(a, -1, 1), 0.01) for s, a in zip(state, action, strict=True)]
    np.testing.assert_allclose(out.state, [f[0] for f in found], atol=2e-6)
    np.testing.assert_array_equal(out.reward, [f[1] for f in found])
    np.testing.assert_array_equal(out.terminated, [f[2] for f in found])
    assert np.mean(out.reward) > 0.02
    assert np.mean(out.terminated) > 0.02


@pytest.mark.parametrize("name", ["peg", "peg_one"])
def test_the_expert_seats_the_peg_and_the_drift_is_what_it_is_said_to_be(name):
    task = registry.task(name)
    obs, action, reward, alive = episodes(task, count=512)
    assert alive.all()
    assert reward[:, -1].mean() > 0.99
    right = obs[:, 20, 0] > 0
    np.testing.assert_allclose(np.abs(obs[:, 20, 0]), 0.4, atol=0.01)
    share = 0.5 if name == "peg" else 1.0
    assert abs(right.mean() - share) <= 4 * 0.5 / np.sqrt(512) * (share < 1)
    free = obs[:, 1:30, :2] - obs[:, :29, :2] - 0.05 * np.clip(action[:, :29], -1, 1)  # on the way nothing is met
    np.testing.assert_allclose([free.std(), free.mean()], [0.0005, 0], atol=1e-5)
    assert (obs[..., 2] == obs[:, :1, 2]).all()
    assert np.abs(obs[:, 0, 2]).max() == pytest.approx(0.15, abs=0.002)


def test_whoever_averages_the_sides_lands_on_the_block():
    _, _, reward, alive = episodes(registry.task("peg"), _averages)
    assert reward.sum() == 0
    assert (alive.sum(-1) <= 9).all()  # .3 down at .04 a step


def test_a_peg_beside_its_slot_is_recovered_by_the_expert_and_by_no_one_who_presses_on(still):
    task, step = still
    state = np.float32([0.13, 0.0, 0.1])
    pressed = step(state, np.float32([-0.6, -1])).state
    np.testing.assert_array_equal(pressed, state)
    act = jax.jit(lambda s: _modes.likeliest(peg.law(task.expert.params, s)))
    for _ in range(30):
        state = step(state, act(state)).state
    assert state[1] == pytest.approx(-0.4)


def test_the_law_integrates_to_one_and_only_the_twins_is_told():
    task = registry.task("peg", balance=0.3, spread=0.2)
    grid = np.linspace(-2.5, 2.5, 251, dtype=np.float32)
    a = np.stack(np.meshgrid(grid, grid, indexing="ij"), -1).reshape(-1, 2)
    log_prob = jax.jit(jax.vmap(lambda a, obs: _modes.log_prob(peg.law(task.expert.params, obs), a), (0, None)))
    for obs, mean in (([0.001, 1.8, 0.1], [-0.4, -0.8]), ([0.03, 1.75, 0.1], [1, -0.8]), ([0.12, 0.1, 0.1], [-0.4, 1])):
        p = np.exp(np.asarray(log_prob(a, np.float32(obs)), np.float64)) * 0.02**2
        assert p.sum() == pytest.approx(1, abs=1e-5)
        np.testing.assert_allclose(p @ a, mean, atol=1e-4)
    assert [unknown_law(registry.task(name)) for name in ("peg", "peg_one", "peg_easy", "peg_easy_one")] == [
        True,
        False,
    ] * 2
    easy, hard = registry.task("peg_easy").env.params, registry.task("peg").env.params
    assert easy.tol == pytest.approx(10 * hard.tol)
    assert easy._replace(tol=hard.tol) == hard
