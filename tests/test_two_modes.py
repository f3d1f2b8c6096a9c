"""Tasks where averaging modes is fatal: success rates by quadrature, a second simulation in NumPy, and heads through the product."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ilbench import registry
from ilbench.evaluation.evaluate import unknown_law
from ilbench.rollouts.behaviours import mixed
from ilbench.running.plan import Block, resolve
from ilbench.types import Policy, no_memory
from tests.toys import constant, ran, rolled

GRID = np.linspace(-2, 2, 400_001)


def success(density, half, tol):
    """The mass of a density, zero beyond the bounds, within tol of -half or half: a sum over a fine grid."""
    right = np.minimum(np.abs(GRID - half), np.abs(GRID + half)) <= tol
    return (density(GRID) * right).sum() * (GRID[1] - GRID[0])


def normal(mean, sd):
    return lambda x: np.exp(-0.5 * ((x - mean) / sd) ** 2) / (sd * np.sqrt(2 * np.pi))


def near(rate, p, n):
    """Within four standard errors of a binomial share of n draws."""
    return abs(rate - p) <= 4 * np.sqrt(p * (1 - p) / n)


def done(task, who, episodes):
    """Episodes `[1, N, H]` of the expert, or of a policy."""
    behaviour = mixed(task.env.action, task.horizon, beta=float(who is None))
    return rolled(task, constant(np.zeros((1, 1, 1), np.float32)) if who is None else who, behaviour, episodes=episodes)


# --------------------------------------------------------------------------------------------------- two modes
@pytest.mark.parametrize(("half", "sd", "tol", "balance"), [(1.0, 0.1, 0.3, 0.5), (0.8, 0.25, 0.2, 0.7)])
def test_the_expert_of_two_modes_succeeds_as_often_as_its_law_says(half, sd, tol, balance):
    task = registry.task("two_modes", half=half, sd=sd, tol=tol, balance=balance)
    demos = done(task, None, 256)
    n = demos.reward.size
    law = lambda x: balance * normal(half, sd)(x) + (1 - balance) * normal(-half, sd)(x)  # noqa: E731
    assert near(demos.reward.mean(), success(law, half, tol), n)
    assert near((demos.label > 0).mean(), balance, n)
    sides = demos.label[0, :, :, 0] > 0
    assert near((sides[:, 1:] & sides[:, :-1]).mean(), balance**2, n)  # a fresh draw at every step
    for action in (
        (2 * balance - 1) * half,
        half,
        -half,
        half + 1.05 * tol,
        -half - 0.95 * tol,
    ):  # the mean, a mode, edges
        reward = done(task, constant(np.float32([[[action]]])), 8).reward
        assert reward.mean() == (abs(abs(action) - half) <= tol)
        assert reward.std() == 0
    assert success(law, half, tol) == pytest.approx(0.9973 if sd == 0.1 else 0.5763, abs=1e-4)  # 2 Phi(tol / sd) - 1


def _draws(params, key, t, memory, obs):
    return memory, params[0] + params[1] * jax.random.normal(key, (1,))


def test_a_gaussian_of_the_experts_moments_mostly_falls_between_the_modes():
    sd = np.hypot(1, 0.1)
    task = registry.task("two_modes")
    demos = done(task, Policy(np.float32([[[0, sd]]]), no_memory, _draws), 256)
    exact = success(normal(0, sd), 1, 0.3)
    assert exact == pytest.approx(0.290, abs=5e-4)
    assert near(demos.reward.mean(), exact, demos.reward.size)


@pytest.mark.parametrize(
    ("head", "sample", "rate", "within"),
    # Three seeds of 64 episodes of 20 steps are 3840 draws: four standard errors are .029 at .29 and .0034 at .9973, beside which a
    # fit moves the Gaussian's rate by some .01, and a mixture's components are wider than the expert's.
    [("mse", False, 0.0, 0.0), ("gaussian", True, 0.290, 0.04), ("mixture", True, 0.9973, 0.01)],
)
def test_the_mode_table_through_the_product(head, sample, rate, within):
    config = {f"{head}.width": 16, f"{head}.depth": 1, "fit.updates": 400, "fit.batch": 256, "fit.learning_rate": 1e-2}
    found = ran(
        "two_modes", "bc", head, 2000, (0, 1, 2), config=config | {"policy.sample": sample}, episodes=64, held_out=8
    ).outcomes
    assert np.mean([o.scores["return"] / 20 for o in found]) == pytest.approx(rate, abs=within)
    for o in found:  # two draws of the expert differ, which is no mistake: nothing is said of mistakes
        told = {k for k, v in o.scores.items() if v is not None}
        assert told == {"return", "score", "gap", "survived", "held_out_loss", "held_out_loss_half"}
        assert np.isnan(o.costs).all()


# --------------------------------------------------------------------------------------------------------- fork
def driven(task, y, actions):
    """A second simulation: where actions `[..., H]` lead from y `[...]`, points `[..., H, 2]`, and whether the disc is hit `[...]`."""
    p = task.env.params
    x = float(p.speed) * np.arange(1, actions.shape[-1] + 1)
    ys = np.asarray(y)[..., None] + float(p.turn) * np.cumsum(np.clip(actions, -1, 1), -1)
    hit = (x - float(p.centre)) ** 2 + ys**2 <= float(p.radius) ** 2
    return np.stack([np.broadcast_to(x, ys.shape), ys], -1), hit.any(-1)


def test_the_expert_of_the_fork_never_hits_and_takes_either_side():
    task = registry.task("fork", balance=0.3)
    demos = done(task, None, 512)
    assert demos.alive.all()
    assert (demos.reward.sum(-1) == 6).all()  # steps 11 ... 16 end beyond x = 1.09
    up = demos.final_obs[0, :, 1] > 0
    assert near(up.mean(), 0.3, 512)
    np.testing.assert_allclose(np.abs(demos.final_obs[..., 1]), 0.5, atol=1e-5)
    points, hit = driven(task, demos.obs[0, :, 0, 1], np.asarray(demos.action[0, :, :, 0], np.float64))
    assert not hit.any()
    np.testing.assert_allclose(points[:, :-1], demos.obs[0, :, 1:], atol=1e-5)
    np.testing.assert_array_equal(demos.action[0, :, 0, 0], np.where(up, 1, -1))  # at the first step, whatever y is
    one = registry.task("fork_one")
    assert (done(one, None, 64).final_obs[..., 1] > 0).all()


def _delayed(params, key, t, memory, obs):
    return memory, jnp.where(t == 0, params, jnp.ones(1))


def test_whoever_averages_the_ways_hits_the_disc():
    task = registry.task("fork")
    p = jax.tree.map(float, task.env.params)
    straight = done(task, constant(np.zeros((1, 1, 1), np.float32)), 64)
    assert not straight.alive[..., -1].any()
    assert straight.reward.sum() == 0
    assert (straight.alive.sum(-1) == 3).all()  # x = .3 is the first point within .44 of .65
    late = done(task, Policy(np.zeros((1, 1, 1), np.float32), no_memory, _delayed), 64)
    assert not late.alive[..., -1].any()
    # No turn that begins with |a| <= .35 clears: at some step all that can be reached is in the disc.
    t = np.arange(1, 17)
    most = p.start + p.turn * (t - 0.65)
    chord = np.sqrt(np.maximum(0, p.radius**2 - (p.speed * t - p.centre) ** 2))
    assert (most < chord).any()
    # And one full turn at once does, from wherever it starts; to ask for more turns no faster.
    ends = [done(task, constant(np.float32([[[a]]])), 8).obs[..., -1, 1] for a in (1, 5)]
    np.testing.assert_array_equal(*ends)
    for y in np.linspace(-p.start, p.start, 9):
        assert not driven(task, y, np.r_[np.ones(5), np.zeros(11)])[1]


def test_off_the_strip_the_expert_keeps_to_the_side_that_it_is_on():
    expert = registry.task("fork").expert
    said = [
        float(expert.act(expert.params, None, 0, jnp.float32(side), jnp.float32([0.1, y]))[1][0])
        for side in (1, -1)
        for y in (0.01, 0.1, -0.1, 0.6)
    ]
    assert said == [1, 1, -1, -1, -1, 1, -1, -1]


def test_only_the_experts_that_draw_have_no_imitation_cost():
    names = ("two_modes", "two_modes_one", "fork", "fork_one")
    assert [unknown_law(registry.task(name)) for name in names] == [True, False, True, False]
    with pytest.raises(ValueError, match="the expert comes within"):
        registry.task("fork", radius=0.46)


# ------------------------------------------------------------------------------------------------ policy.sample
@pytest.mark.parametrize(
    ("task", "head", "config", "why"),
    [
        ("two_modes", "mse", {}, "policy.sample: this head has no `sample`"),
        ("two_modes", "gaussian", {"policy.members": 3}, "the mean of several"),
        ("two_modes", "gaussian", {"policy.chunk": 2, "policy.decay": 0.1}, "the mean of several"),
        ("gridworld_soft", "linear", {}, "its expert tells its law"),
    ],
)
def test_where_nothing_is_drawn_it_is_said(task, head, config, why):
    with pytest.raises(ValueError, match=why):
        resolve(Block(task, "bc", head, 2000, config={**config, "policy.sample": True}))


def test_a_cell_states_draws_and_nothing_else_is_spelled():
    plain, drawn = (
        resolve(Block("two_modes", "bc", "gaussian", 2000, config={"policy.sample": sample}))
        for sample in (False, True)
    )
    assert set(drawn.resolved) - set(plain.resolved) == {"policy.sample"}
    again = resolve(Block("two_modes", "bc", "gaussian", 2000, config={"policy.sample": True}))
    assert again.head is drawn.head  # nothing retraces
