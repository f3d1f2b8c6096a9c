"""What noise while demonstrating means: dart's covariance, and the expert whose actuator is too weak to correct it."""

import jax
import numpy as np
import pytest
import toys
from scipy import optimize
from scipy import stats as laws

from ilbench import registry
from ilbench.algorithms import dart
from ilbench.envs import limited

NET = {"width": 8, "depth": 1}


# ------------------------------------------------------------------------------------------------ dart
def _sigma(lab, params, demos, held, s):
    """Sigma by a loop: the mean over held-out episodes of the mean over their steps of the error's outer product."""
    one, means = jax.tree.map(lambda leaf: leaf[s], params), []
    act = jax.jit(jax.vmap(lambda t, obs: toys.acts(lab.head, one, jax.random.key(0), t, obs)))
    for n in range(held):
        steps = np.flatnonzero(demos.revealed[s, n])
        error = np.float64(act(steps.astype(np.int32), demos.obs[s, n, steps]) - demos.label[s, n, steps])
        means.append(sum(np.outer(e, e) for e in error) / len(steps))
    return np.mean(means, axis=0)


@pytest.mark.parametrize("variant", ["repository", "paper"])
def test_dart_executes_the_error_of_held_out_episodes_and_fits_all_others(variant):
    task, budget, rounds, alpha = (
        toys.counter(horizon=6, stop=2),
        6002,
        3,
        0.9,
    )  # episodes of 2, 3 and 4 steps: their means differ
    config = {"rounds": rounds, "held_out": 0.25, "variant": variant, "alpha": alpha}
    result, lab = toys.trained(task, "dart", "mse", budget, (0, 3), config, NET, updates=5)
    collected, fits = lab.demos(), lab.of("fit")
    assert [len(collected), len(fits)] == [rounds] * 2
    np.testing.assert_array_equal(lab.ledger.labels, [budget] * 2)
    for s in range(2):
        wanted = np.zeros((2, 2))
        for i, (demos, (data, params)) in enumerate(zip(collected, fits, strict=True)):
            there = demos.revealed[s]
            np.testing.assert_allclose(demos.label[s][there], toys.expert_of_counter(np.nonzero(there)[1]), atol=1e-5)
            pushes = np.float64(demos.action - demos.label)[s][there]
            for a, b in ((0, 0), (1, 1), (0, 1)):
                toys.close_to(pushes[:, a] * pushes[:, b], wanted[a, b])
            np.testing.assert_allclose(result.curve["simulated"][s, i], np.trace(wanted), rtol=1e-4)
            # The first quarter of the round's episodes is held out; those of rounds before are fitted by now.
            held = round(0.25 * there.any(1).sum())
            rest = demos._replace(revealed=demos.revealed & (np.arange(there.shape[0]) >= held)[:, None])
            parts = [*(toys.labelled(d, s) for d in collected[:i]), toys.labelled(rest, s)]
            toys.same_rows(toys.existing(data, s), jax.tree.map(lambda *x: np.concatenate(x), *parts))
            sigma = _sigma(lab, params, demos, held, s)
            np.testing.assert_allclose(result.curve["held_out"][s, i], np.trace(sigma), rtol=1e-4)
            wanted = sigma if variant == "repository" else alpha / (6 * np.trace(sigma)) * sigma
        assert abs(wanted[0, 1]) > 0.02 * np.trace(wanted)  # directions that a diagonal would miss
    assert set(result.scalars) == {"simulated", "held_out"}


def test_dart_on_discrete_actions_executes_others_at_the_rate_of_the_learners_errors():
    task, seeds = registry.task("random_mdp", 12, states=60, actions=3), (0, 1)
    config = {"rounds": 2, "held_out": 0.5}
    result, lab = toys.trained(task, "dart", "table", 480, seeds, config, {"per_step": True, "unseen": "wrong"})
    quiet, noisy = lab.demos()
    table = np.asarray(task.expert.params)
    for s in range(2):
        shown = {(t, o) for n in range(10, 20) for t, o in enumerate(quiet.obs[s, n])}
        wrong = np.mean([(t, o) not in shown for n in range(10) for t, o in enumerate(quiet.obs[s, n])])
        assert 0.1 < wrong < 0.9
        np.testing.assert_allclose(result.scalars["simulated"][s], min(wrong, 2 / 3), rtol=1e-6)
        toys.close_to(np.float64(noisy.action != noisy.label)[s][noisy.revealed[s]], min(wrong, 2 / 3))
    np.testing.assert_array_equal(noisy.label, table[np.broadcast_to(np.arange(12), noisy.label.shape), noisy.obs])


def test_the_size_of_darts_noise():
    task, paper = toys.counter(), dart.Config(variant="paper", alpha=4.0)
    sigma = np.array([[[4.0, 2.0], [2.0, 1.0]], [[0.0, 0.0], [0.0, 0.0]]])  # no error across (2, 1); none at all
    for config, trace in ((dart.Config(), 5.0), (paper, 4.0 / task.horizon)):
        factor, size = dart.noise(sigma, config, task)
        np.testing.assert_allclose(factor @ factor.swapaxes(1, 2), sigma * trace / 5, atol=1e-6)
        np.testing.assert_allclose(size, [trace, 0], rtol=1e-12)
    chance, size = dart.noise(
        np.array([0.2, 0.9]), dart.Config(), registry.task("random_mdp", 12, states=60, actions=3)
    )
    np.testing.assert_allclose(chance, [0.3, 1.0], rtol=1e-6)
    np.testing.assert_allclose(size, [0.2, 2 / 3], rtol=1e-6)


def test_dart_refuses_what_it_cannot_hold_out():
    for wrong in ({"rounds": 1}, {"held_out": 0.0}, {"held_out": 1.0}, {"variant": "half"}, {"alpha": 0.0}):
        with pytest.raises(ValueError, match=f"dart.{next(iter(wrong))}"):
            dart.Config(**wrong)
    task = toys.counter()  # of 8 steps
    dart.check(48, task, None, dart.Config())
    with pytest.raises(ValueError, match="raise the budget to 48"):
        dart.check(47, task, None, dart.Config())


# ------------------------------------------------------------------------------------------------ scalar_limited
def test_from_beyond_the_edge_no_force_brings_it_back():
    task, (low, high), H = registry.task("scalar_limited", noise=0.0), limited.edges(1.1, 0.5, 1.0), 80
    np.testing.assert_allclose([low, high], [-15, 5])
    step = jax.jit(jax.vmap(lambda x, u: task.dynamics.step_vec(task.env.params, x, u)))
    act = jax.jit(jax.vmap(lambda x: task.expert.act(task.expert.params, None, 0, (), x)[1]))
    start = np.float64([high - 0.01, high + 0.01, low + 0.01, low - 0.01])
    x, force = np.float32(start)[:, None], np.float32([-1, -1, 1, 1])[:, None]
    edge = np.float64([high, high, low, low])
    forced = driven = x
    for t in range(1, H + 1):
        forced, driven = step(forced, force), step(driven, act(driven))
        if t <= 40:  # later float32 has the last word
            np.testing.assert_allclose(np.ravel(forced) - edge, (start - edge) * 1.1**t, rtol=0.02)
    np.testing.assert_allclose(np.ravel(driven)[[0, 2]], 0, atol=1e-6)
    assert (np.ravel(driven)[[1, 3]] * [1, -1] > 18).all()


@pytest.mark.parametrize("limit", [1.0, 3.0])
def test_the_force_that_noise_leaves_and_where_it_no_longer_holds_the_load(limit):
    z = laws.norm.ppf((np.arange(200_000) + 0.5) / 200_000)
    for sigma in (0.1, 1.0, 8.0):
        assert limited.pull(sigma, limit) == pytest.approx(-np.clip(-limit + sigma * z, -limit, limit).mean(), abs=1e-4)
    gone = optimize.brentq(lambda sigma: limited.pull(sigma, limit) - 0.5 * limit, 0.1 * limit, 10 * limit)
    assert gone == pytest.approx(1.36 * limit, abs=5e-3 * limit)
    assert limited.edges(1.1, 0.5 * limit, limited.pull(limit, limit))[1] == pytest.approx(
        1.1 * limit, abs=0.05 * limit
    )


def test_noise_helps_while_the_motor_corrects_it_and_harms_beyond():
    def scores(algorithm, **config):
        config = {f"noise_injection.{name}": value for name, value in config.items()}
        config |= {"fit.updates": 1000, "fit.batch": 64, "mse.width": 16, "mse.depth": 2}
        made = toys.ran("scalar_limited", algorithm, "mse", 800, range(10), config=config, episodes=8, held_out=8)
        return np.array([o.scores["score"] for o in made.outcomes])

    clean, corrected, lost = scores("bc"), *(scores("noise_injection", sigma=s, clean=0.0) for s in (0.3, 1.5))
    assert corrected.min() > 0.95
    assert np.mean(clean < 0.6) >= 0.3
    assert np.mean(lost < 0.6) >= 0.8
    assert lost.mean() < clean.mean() < corrected.mean()
