"""Holes in a ring: a second simulation in NumPy, the law on a grid, and who averages the ways flies into the plate."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from ilbench import registry
from ilbench.envs import _modes, ways
from ilbench.evaluation.evaluate import unknown_law
from tests.acting import episodes


def _averages(params, key, t, memory, obs):
    return memory, _modes.average(ways.law(params, obs))


def _likeliest(params, key, t, memory, obs):
    return memory, _modes.likeliest(ways.law(params, obs))


def flown(start, actions, centres, hole=0.03, plate=0.55):
    """Where `actions [N, H, 2]` lead from `start [N, 3]`, points `[N, H, 3]`, and whether each passed `[N]`: float64."""
    out, at, passed = [], np.array(start, np.float64), np.zeros(len(start), bool)
    for a in np.moveaxis(np.clip(np.asarray(actions, np.float64), -1, 1), 1, 0):
        before = at[:, 0].copy()
        at = at + 0.1 * np.c_[np.ones(len(a)), a / np.maximum(1, np.linalg.norm(a, axis=-1))[:, None]]
        through = (np.linalg.norm(at[:, None, 1:] - centres, axis=-1) <= hole).any(-1)
        passed |= (before < plate) & (at[:, 0] >= plate) & through
        out.append(at)
    return np.stack(out, 1), passed


@pytest.mark.parametrize("count", [2, 3])
def test_the_expert_passes_by_every_way_and_a_second_simulation_agrees(count):
    task = registry.task(f"ways_{count}", balance=2.0)
    obs, action, reward, alive = episodes(task)
    points, passed = flown(obs[:, 0], action, np.asarray(task.env.params.centres[:count], np.float64))
    np.testing.assert_allclose(points[:, :-1], obs[:, 1:], atol=1e-5)
    assert passed.all()
    assert alive.all()
    assert (reward == (np.arange(10) >= 5)).all()  # x = .6 is the first point at the plate or beyond
    way = np.round(np.arctan2(obs[:, -1, 2], obs[:, -1, 1]) / (2 * np.pi / count)).astype(int) % count
    share, p = np.bincount(way, minlength=count) / len(way), np.r_[2.0, np.ones(count - 1)] / (count + 1)
    assert (np.abs(share - p) <= 4 * np.sqrt(p * (1 - p) / len(way))).all()
    radius = np.linalg.norm(obs[:, 0, 1:], axis=-1)
    assert 0.0048 < radius.max() <= 0.005
    assert np.mean(radius) == pytest.approx(0.005 * 2 / 3, abs=4e-4)  # uniform in a disc


def test_whoever_averages_or_waits_a_step_hits_the_plate():
    task = registry.task("ways_3")
    _, _, reward, alive = episodes(task, _averages)
    assert reward.sum() == 0
    assert (alive.sum(-1) == 6).all()
    assert (episodes(task, _likeliest)[2].sum(-1) == 5).all()
    # Of any number of ways: after one straight step nobody gets there, for those that remain lead less far aside than the hole's rim.
    assert 5 * 0.1 + 0.005 < 0.575 - 0.03
    for count in (2, 3, 8):
        p = registry.task(f"ways_{count}").env.params
        straight = np.zeros((1, 10, 2))
        late = np.repeat(np.asarray(p.centres[None, count - 1 : count] / 0.575), 10, 1)
        late[:, 0] = 0
        start, centres = np.zeros((1, 3)), np.asarray(p.centres[:count], np.float64)
        np.testing.assert_allclose(np.linalg.norm(centres, axis=-1), 0.575, rtol=1e-6)
        assert not flown(start, straight, centres)[1].any()
        assert not flown(start, late, centres)[1].any()
    # Where the ways are nearer than what is tolerated, averaging them is through.
    assert (episodes(registry.task("ways_3", separation=0.02), _averages)[2].sum(-1) == 5).all()


def test_beyond_the_plate_nothing_is_hit():
    task = registry.task("ways_3")
    out = task.env.step(task.env.params, jax.random.key(0), np.float32([0.6, 0.2, 0.0]), np.float32([0, 1]))
    assert (float(out.reward), bool(out.terminated)) == (1, False)


def test_the_law_integrates_to_one_and_is_what_is_drawn():
    task = registry.task("ways_3", balance=2.0, noise=0.2)
    params, grid = task.expert.params, np.linspace(-3, 3, 301, dtype=np.float32)
    a = np.stack(np.meshgrid(grid, grid, indexing="ij"), -1).reshape(-1, 2)
    for obs in ([0.0, 0.001, -0.002], [0.2, 0.1, 0.15]):  # nothing is taken; the second way is
        law = ways.law(params, np.float32(obs))
        p = np.exp(np.asarray(jax.jit(jax.vmap(lambda x, law=law: _modes.log_prob(law, x)))(a), np.float64)) * 0.02**2
        assert p.sum() == pytest.approx(1, abs=1e-5)
        np.testing.assert_allclose(p @ a, _modes.average(law), atol=1e-5)
        keys = jax.random.split(jax.random.key(0), 4000)
        drawn = np.asarray(
            jax.jit(jax.vmap(lambda k, o=obs: task.expert.act(params, k, 0, (), np.float32(o))[1]))(keys)
        )
        for inside in (lambda x: x[:, 0] > 0.3, lambda x: x[:, 1] > 0.6, lambda x: x[:, 0] + x[:, 1] < 0):
            share, exact = inside(drawn).mean(), (p * inside(a)).sum()
            assert abs(share - exact) <= 4 * np.sqrt(exact * (1 - exact) / 4000) + 0.01  # the grid's cells at an edge
    np.testing.assert_allclose(_modes.average(ways.law(params, np.float32([0, 0, 0]))), [0.25, 0], atol=1e-6)


def test_the_twin_draws_nothing_and_takes_the_first():
    task = registry.task("ways_8_one")
    assert not unknown_law(task)
    assert unknown_law(registry.task("ways_8"))
    keys = jax.random.split(jax.random.key(0), 8)
    said = jax.vmap(lambda k: task.expert.act(task.expert.params, k, 0, (), np.float32([0, 0.001, 0.002]))[1])(keys)
    np.testing.assert_allclose(said, np.tile([1, 0], (8, 1)), atol=1e-2)
    aside = task.expert.act(task.expert.params, keys[0], 0, (), np.float32([0.1, 0.0, 0.1]))[1]
    np.testing.assert_allclose(aside, [0, 1], atol=1e-6)  # off the axis the nearest, here the third
    with pytest.raises(ValueError, match="out of reach"):
        registry.task("ways_3", separation=0.7)
