"""What fitting means: the optimiser against a second one in NumPy, which rows are drawn, statistics, and every head against its formula."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats as laws
from toys import acts, loss

from ilbench import registry
from ilbench.rollouts.keys import seed_keys
from ilbench.training import dynamics, fit, nets
from ilbench.training.fit import FitConfig
from ilbench.types import Box, Data, Discrete, Head


def _data(t, obs, action, weight=None, seeds=1):
    """Rows of one seed as `[S, R, ...]`."""
    rows = Data(np.asarray(t, np.int32), np.asarray(obs), np.asarray(action), np.ones(len(t), np.float32))
    rows = rows if weight is None else rows._replace(weight=np.asarray(weight, np.float32))
    return jax.tree.map(lambda x: np.repeat(x[None], seeds, axis=0), rows)


def _head(task, name, **config):
    module = registry.load("heads", name)
    return module.make(task.spec, module.Config(**config))


# ------------------------------------------------------------------------------------------------ the optimiser
def _start(key):
    return {"w": jnp.array([1.0, -2.0, 0.5], jnp.float32), "b": jnp.float32(3.0)}


def _quartic(params, key, row):
    return jnp.sum((params["w"] - row.action) ** 2 * jnp.array([1.0, 4.0, 0.1])) + (params["b"] - row.obs[0]) ** 4


def _stay(params, key, t, memory, obs):
    return memory, params["w"]


QUARTIC = Head(_start, _quartic, _stay)


@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_twenty_steps_of_adam_with_cosine_decay_and_decoupled_weight_decay(decay):
    updates, rate = 20, 0.05
    goal, level = np.array([0.3, 1.0, -4.0]), 1.5
    same = _data([0] * 4, [[level]] * 4, [goal] * 4)  # every row is the same, so that draws do not matter
    config = FitConfig(updates=updates, batch=8, learning_rate=rate, weight_decay=decay)
    keys = seed_keys("fit", (0,))
    same = jax.tree.map(lambda x: np.asarray(x, np.float32 if x.dtype == np.float64 else x.dtype), same)
    made = fit.fit(QUARTIC, keys, fit.init(QUARTIC, keys), same, config, updates)

    x, m, v, found, halfway = np.array([1.0, -2.0, 0.5, 3.0]), np.zeros(4), np.zeros(4), [], None
    for k in range(updates):
        halfway = x if k == updates // 2 else halfway
        found.append(((x[:3] - goal) ** 2 * [1, 4, 0.1]).sum() + (x[3] - level) ** 4)
        g = np.append(2 * (x[:3] - goal) * [1, 4, 0.1], 4 * (x[3] - level) ** 3)
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        direction = m / (1 - 0.9 ** (k + 1)) / (np.sqrt(v / (1 - 0.999 ** (k + 1))) + 1e-8)
        x = x - rate * 0.5 * (1 + np.cos(np.pi * k / updates)) * (direction + decay * x)
    for params, want in ((made.params, x), (made.halfway, halfway)):
        np.testing.assert_allclose(np.append(params["w"][0], params["b"][0]), want, atol=2e-5)
    np.testing.assert_allclose(made.losses[0], found, rtol=1e-4)  # the loss before each step


def test_a_running_mean_starts_as_a_plain_one_and_is_what_is_deployed():
    """The goal is far and the rate small, so that every step of Adam is as long as the rate: the path is known."""
    far = jax.tree.map(lambda x: np.asarray(x, np.float32) if x.dtype == np.float64 else x, _data([0] * 4, [[1e6]] * 4, [[1e6] * 3] * 4))
    keys, rate, updates, decay = seed_keys("fit", (0,)), 1e-2, 40, 0.9
    start = fit.init(QUARTIC, keys)
    plain, mean = (
        fit.fit(QUARTIC, keys, start, far, FitConfig(updates=updates, batch=4, learning_rate=rate, ema=ema), updates)
        for ema in (0.0, decay)
    )
    path = -2.0 + np.cumsum(rate * 0.5 * (1 + np.cos(np.pi * np.arange(updates) / updates)))
    want = path[0]
    for k, x in enumerate(path):
        want += max(1 - decay, 1 / (k + 1)) * (x - want)
    np.testing.assert_allclose(plain.params["w"][0, 1], path[-1], atol=1e-3)
    np.testing.assert_allclose(mean.params["w"][0, 1], want, atol=1e-3)
    assert abs(want - path[-1]) > 5e-3


def _count(params):
    return {**params, "steps": params["steps"] + 1}


@pytest.mark.parametrize("updates", [1, 6, 7])
def test_what_follows_every_step_follows_as_many_as_there_are(updates):
    head = Head(lambda key: {**_start(key), "steps": jnp.int32(0)}, _quartic, _stay, after=_count, fixed=("steps",))
    rows, keys = _data(np.zeros(4), np.zeros((4, 1), np.float32), np.zeros((4, 3), np.float32)), seed_keys("fit", (0,))
    made = fit.fit(head, keys, fit.init(head, keys), rows, FitConfig(updates=updates, batch=4), updates)
    assert int(made.params["steps"][0]) == updates
    assert int(made.halfway["steps"][0]) == -(-updates // 2)


def _lot(params, key, row):
    return jax.random.uniform(key) + 0.0 * params["b"]


def test_every_row_of_every_step_draws_by_a_key_of_its_own():
    head = Head(_start, _lot, _stay)
    rows, keys = _data(np.zeros(8), np.zeros((8, 1), np.float32), np.zeros((8, 3), np.float32), seeds=40), seed_keys("fit", np.arange(40))
    for batch in (1, 16):
        drawn = np.asarray(fit.fit(head, keys, fit.init(head, keys), rows, FitConfig(updates=32, batch=batch), 32).losses)
        assert len(np.unique(drawn)) == drawn.size  # no step, no seed draws another's
        assert abs(drawn.std() - np.sqrt(1 / 12 / batch)) < 0.1 * np.sqrt(1 / 12 / batch)  # nor a row
    held = np.asarray(fit.loss(head, keys, fit.init(head, keys), rows))
    assert len(np.unique(held)) == 40


def _cell(params, key, row):
    return row.obs[0] + 0.0 * params["b"]


DRAWN = Head(_start, _cell, _stay)


def test_only_rows_that_exist_are_drawn_all_equally_often():
    there = np.array([0, 1, 0, 1, 1, 0, 1, 1], np.float32)
    obs = np.where(there > 0, np.arange(8.0), np.nan).astype(np.float32)[:, None]
    seeds = 300
    rows = _data(np.zeros(8), obs, np.zeros((8, 3), np.float32), there, seeds)
    keys = seed_keys("fit", np.arange(seeds))
    # One row a step: its loss says which it was.
    config = FitConfig(updates=32, batch=1)
    drawn = np.asarray(fit.fit(DRAWN, keys, fit.init(DRAWN, keys), rows, config, 32).losses)
    assert drawn.shape == (seeds, 32)
    counts = [(drawn == row).sum() for row in np.flatnonzero(there)]
    assert sum(counts) == drawn.size
    assert laws.chisquare(counts).pvalue > 1e-3
    again = (drawn[:, 1:] == drawn[:, :-1]).mean()  # steps draw anew
    assert abs(again - 1 / 5) < 4 * np.sqrt(0.16 / drawn.size)
    assert abs((drawn[1:, 0] == drawn[:-1, 0]).mean() - 1 / 5) < 4 * np.sqrt(0.16 / seeds)


def test_a_batch_is_as_many_rows_as_it_says():
    obs = np.arange(64, dtype=np.float32)[:, None]
    rows, seeds = _data(np.zeros(64), obs, np.zeros((64, 3), np.float32), seeds=100), np.arange(100)
    spread = {}
    for batch in (4, 64):
        config = FitConfig(updates=32, batch=batch)
        keys = seed_keys("fit", seeds)
        losses = fit.fit(DRAWN, keys, fit.init(DRAWN, keys), rows, config, 32).losses
        spread[batch] = np.asarray(losses).std()
        assert abs(spread[batch] - obs.std() / np.sqrt(batch)) < 0.1 * spread[batch]


def test_the_loss_is_the_mean_over_rows_that_exist():
    rows = _data([0, 1, 2, 3], [[1.0], [2.0], [4.0], [np.float32(1e9)]], np.zeros((4, 3)), [1, 1, 1, 0])
    rows = jax.tree.map(lambda x: np.asarray(x, np.float32) if x.dtype == np.float64 else x, rows)
    keys = seed_keys("fit", (0,))
    np.testing.assert_allclose(fit.loss(DRAWN, keys, fit.init(DRAWN, keys), rows), [7 / 3], rtol=1e-6)


@pytest.mark.parametrize("count", [640, 1111])  # in blocks that come out even, and not
def test_the_loss_of_many_rows_is_theirs_in_whatever_blocks_they_come(count):
    obs, there = np.arange(count, dtype=np.float32), np.arange(count) % 3 > 0
    rows = _data(np.zeros(count), obs[:, None], np.zeros((count, 3), np.float32), there)
    keys = seed_keys("fit", (0,))
    np.testing.assert_allclose(fit.loss(DRAWN, keys, fit.init(DRAWN, keys), rows), [obs[there].mean()], rtol=1e-5)


# ------------------------------------------------------------------------------------------------ statistics
def _features(n=200, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3)) * [1.0, 5.0, 0.2] + [0.0, -30.0, 4.0]
    return x.astype(np.float32), (rng.uniform(size=n) < 0.6).astype(np.float32)


def test_the_normaliser_holds_mean_and_standard_deviation_of_the_rows_that_exist():
    x, w = _features()
    there = x[w > 0].astype(np.float64)
    norm = nets.fit_norm(Box(3), x, w)
    np.testing.assert_allclose(norm["mean"], there.mean(0), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(norm["std"], there.std(0), rtol=1e-4)
    one = np.array([0.3, -21.0, 4.5], np.float32)
    np.testing.assert_allclose(
        nets.features(Box(3), norm, one), (one - there.mean(0)) / there.std(0), rtol=1e-3, atol=1e-4
    )
    np.testing.assert_array_equal(
        nets.features(Discrete(4), nets.identity_norm(Discrete(4)), np.int32(2)), [0, 0, 1, 0]
    )


def test_what_hardly_varies_in_the_data_is_left_on_its_own_scale():
    x = np.float32([[0.3, 1.0], [0.3, 3.0], [0.3, 2.0]])
    norm = nets.fit_norm(Box(2), x, np.ones(3, np.float32))
    np.testing.assert_allclose(nets.features(Box(2), norm, np.float32([0.31, 2.0])), [0.01, 0.0], atol=1e-5)


def test_the_normaliser_is_filled_before_the_first_step_and_left_alone():
    x, w = _features()
    rows = _data(np.zeros(200), x, x[:, :1] / 5, w)
    task = registry.task("scalar_stable")
    module = registry.load("heads", "mse")
    head = module._head(Box(3), Box(1), module.Config(width=4, depth=1))
    keys = seed_keys("fit", (0,))
    params, _, losses = fit.fit(
        head, keys, fit.init(head, keys), rows, FitConfig(updates=40, batch=64, learning_rate=0.05), 40
    )
    there = x[w > 0].astype(np.float64)
    np.testing.assert_allclose(params["norm"]["mean"][0], there.mean(0), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(params["norm"]["std"][0], there.std(0), rtol=1e-4)
    # What is deployed is the net at standardised observations: the same forward pass in NumPy.
    net = {name: {k: np.float64(v[0]) for k, v in layer.items()} for name, layer in params["net"].items()}
    z = (np.float64(x[7]) - there.mean(0)) / there.std(0)
    out = np.tanh(z @ net["Dense_0"]["kernel"] + net["Dense_0"]["bias"]) @ net["Dense_1"]["kernel"]
    one = jax.tree.map(lambda leaf: leaf[0], params)
    predicted = np.asarray(acts(head, one, keys[0], np.int32(0), x[7]))
    np.testing.assert_allclose(predicted, out + net["Dense_1"]["bias"], rtol=1e-3, atol=1e-4)
    want = np.array([0.7], np.float32)
    np.testing.assert_allclose(loss(head, one, np.int32(0), x[7], want), (predicted - want) ** 2, rtol=1e-3)
    assert losses[0, -1] < losses[0, 0]
    assert task.env.obs.dim == 1


def test_squared_error_is_the_mean_over_the_action_and_activations_are_what_they_are_called():
    """Bounded actions are learnt in units of half their range, around its middle."""
    module = registry.load("heads", "mse")
    x = np.array([0.2, -1.0, 0.7], np.float32)
    for name, f in (("tanh", np.tanh), ("relu", lambda z: np.maximum(z, 0)), ("silu", lambda z: z / (1 + np.exp(-z)))):
        head = module._head(Box(3), Box(2), module.Config(width=5, depth=2, activation=name))
        params = head.init(seed_keys("fit", (0,))[0])
        h = np.float64(x)
        for layer in ("Dense_0", "Dense_1"):
            h = f(h @ np.float64(params["net"][layer]["kernel"]) + np.float64(params["net"][layer]["bias"]))
        out = h @ np.float64(params["net"]["Dense_2"]["kernel"]) + np.float64(params["net"]["Dense_2"]["bias"])
        np.testing.assert_allclose(acts(head, params, None, None, x), out, rtol=1e-4, atol=1e-6)
        action = np.array([3.0, -1.0], np.float32)
        np.testing.assert_allclose(loss(head, params, None, x, action), ((out - action) ** 2).mean(), rtol=1e-5)
        bounded = module._head(Box(3), Box(2, -3.0, 5.0), module.Config(width=5, depth=2, activation=name))
        np.testing.assert_allclose(acts(bounded, params, None, None, x), 1 + 4 * out, rtol=1e-4, atol=1e-6)
        want = ((1 + 4 * out - action) ** 2).mean() / 16
        np.testing.assert_allclose(loss(bounded, params, None, x, action), want, rtol=1e-4)


# ------------------------------------------------------------------------------------------------ closed forms
@pytest.mark.parametrize(("ridge", "space"), [(0.0, Box(2)), (0.3, Box(2)), (0.3, Box(2, -3.0, 5.0))])
def test_linear_is_least_squares_with_a_ridge_per_row_on_standardised_observations(ridge, space):
    rng = np.random.default_rng(1)
    x, w = _features()
    y = (x @ rng.normal(size=(3, 2)) + 0.3 * rng.normal(size=(200, 2)) + [1.0, -2.0]).astype(np.float32)
    y[w == 0] = 1e6
    module = registry.load("heads", "linear")
    head, (centre, half) = module._head(Box(3), space, module.Config(ridge=ridge)), (1, 4) if space.high < 9 else (0, 1)
    keys = seed_keys("fit", (0,))
    params = jax.tree.map(lambda leaf: leaf[0], fit.solve(head, keys, _data(np.zeros(200), x, y, w)))
    there = x[w > 0].astype(np.float64)
    z = np.column_stack([(there - there.mean(0)) / there.std(0), np.ones(len(there))])
    if ridge:
        weights = np.linalg.solve(z.T @ z + ridge * len(z) * np.eye(4), z.T @ ((y[w > 0] - centre) / half)) * half
    else:
        weights = np.linalg.lstsq(z, y[w > 0], rcond=None)[0]
    for row in (3, 50):
        want = centre + np.append((x[row] - there.mean(0)) / there.std(0), 1) @ weights
        np.testing.assert_allclose(acts(head, params, keys[0], np.int32(0), x[row]), want, rtol=2e-3, atol=2e-3)


# Rows of the table tests: (t, state, action, weight); state 3 is not seen at all, state 2 only without a label.
ROWS = np.array([(0, 0, 1, 1), (1, 0, 1, 1), (2, 0, 2, 1), (0, 1, 2, 1), (5, 1, 0, 1), (1, 2, 1, 0)])


def _table(**config):
    task = registry.task("gridworld", 4)  # 26 states, 4 actions
    head = _head(task, "table", **config)
    keys = seed_keys("fit", np.arange(40))
    params = fit.solve(head, keys, _data(*ROWS.T, seeds=40))
    return task, head, params


def _acts(head, params, t, draws=20):
    """What every seed does in every state at step t, `[S, 26, draws]`."""
    keys = jax.random.split(seed_keys("acts", (0,))[0], (26, draws))
    each = jax.vmap(jax.vmap(partial(acts, head), (None, 0, None, None)), (None, 0, None, 0))
    return np.asarray(jax.jit(jax.vmap(each, (0, None, None, None)))(params, keys, np.int32(t), np.arange(26)))


def test_a_table_takes_the_most_frequent_label_and_the_lower_one_of_equals():
    task, head, params = _table()
    for t in (0, 3):
        assert (_acts(head, params, t)[:, 0] == 1).all()
        assert (_acts(head, params, t)[:, 1] == 0).all()
    one = jax.tree.map(lambda leaf: leaf[0], params)
    for smoothing in (1.0, 0.5):
        smooth = _head(task, "table", smoothing=smoothing)
        for state, counts in ((0, [0, 2, 1, 0]), (1, [1, 0, 1, 0]), (3, [0, 0, 0, 0])):
            law = (np.array(counts) + smoothing) / (sum(counts) + 4 * smoothing)
            for a in range(4):
                found = smooth.log_prob(one, np.int32(1), np.int32(state), np.int32(a))
                np.testing.assert_allclose(found, np.log(law[a]), rtol=1e-5)
                np.testing.assert_allclose(
                    loss(smooth, one, np.int32(1), np.int32(state), np.int32(a)), -np.log(law[a]), rtol=1e-5
                )


def test_a_table_per_step_counts_each_step_by_itself():
    task, head, params = _table(per_step=True, unseen="wrong")
    experts = np.asarray(task.expert.params)
    found = np.stack([_acts(head, params, t) for t in range(4)])
    assert [int(x) for x in found[:3, 0, 0, 0]] == [1, 1, 2]
    assert (found[3, :, 0] != experts[0]).all()
    assert (found[3, :, 1] == 0).all()  # what lies beyond the last step counts as the last


def test_three_rules_for_states_that_nobody_labelled():
    task, head, params = _table(unseen="uniform")
    drawn = _acts(head, params, 1, 200)[0, 2:]
    assert laws.chisquare(np.bincount(drawn.ravel(), minlength=4)).pvalue > 1e-3
    experts = np.asarray(task.expert.params)
    task, head, params = _table(unseen="wrong")
    drawn = _acts(head, params, 1)
    assert (drawn == drawn[:1, :, :1]).all()
    assert (drawn[0, 2:, 0] != experts[2:]).all()
    _, head, params = _table(unseen="fixed")
    drawn = _acts(head, params, 1)[:, 2:]
    assert (drawn == drawn[:, :, :1]).all()
    assert laws.chisquare(np.bincount(drawn[:, :, 0].ravel(), minlength=4)).pvalue > 1e-3
    assert (drawn[1:, :, 0] != drawn[:-1, :, 0]).any(1).all()  # each seed has its own


# ------------------------------------------------------------------------------------------------ densities
def test_softmax_heads_are_trained_by_cross_entropy_and_deploy_the_likeliest():
    """On one-hot states a linear map can say every law: cross-entropy ends at the labels' frequencies."""
    task = registry.task("recoverable", 4, actions=3)
    head = _head(task, "linear")
    labels = {0: [0] * 6 + [1] * 3 + [2], 1: [1] * 2 + [2] * 8}
    obs, action = np.array([(s, a) for s, given in labels.items() for a in given], np.int32).T
    keys = seed_keys("fit", (0,))
    config = FitConfig(updates=600, batch=256, learning_rate=0.05)
    rows = _data(np.zeros(len(obs)), obs, action)
    params = fit.fit(head, keys, fit.init(head, keys), rows, config, 600).params
    one = jax.tree.map(lambda leaf: leaf[0], params)
    many = jax.random.split(keys[0], 4000)
    entropy = 0.0
    for s, given in labels.items():
        law = np.exp([float(head.log_prob(one, np.int32(0), np.int32(s), np.int32(a))) for a in range(3)])
        assert law.sum() == pytest.approx(1, abs=1e-5)
        np.testing.assert_allclose(law, np.bincount(given, minlength=3) / len(given), atol=0.03)
        drawn = jax.vmap(lambda k, s=s: head.sample(one, k, np.int32(0), np.int32(s)))(many)
        np.testing.assert_allclose(np.bincount(drawn, minlength=3) / 4000, law, atol=0.04)
        assert int(acts(head, one, keys[0], np.int32(0), np.int32(s))) == law.argmax()
        entropy -= np.log(law[np.array(given)]).sum()
        for a in range(3):
            np.testing.assert_allclose(
                loss(head, one, np.int32(0), np.int32(s), np.int32(a)), -np.log(law[a]), rtol=1e-4
            )
    np.testing.assert_allclose(fit.loss(head, keys, params, rows), [entropy / len(obs)], rtol=1e-4)


@pytest.mark.parametrize("space", [Box(2), Box(2, -5.0, 3.0)])
def test_gaussian_is_a_normal_density_around_the_deployed_action(space):
    module = registry.load("heads", "gaussian")
    head, plain, squares = (
        module._head(Box(3), space, module.Config(width=8, depth=1, **c)) for c in ({}, {"beta": 0.0}, {"beta": 1.0})
    )
    keys, half = seed_keys("fit", np.arange(3)), 1.0 if space.high > 1e6 else 4.0
    for s, x in enumerate(np.array([[0.1, -0.4, 2.0], [1.0, 1.0, 1.0], [-2.0, 0.3, 0.0]], np.float32)):
        params = head.init(keys[s])
        mean = np.asarray(acts(head, params, keys[s], np.int32(0), x))
        many = jax.random.split(keys[s], 4000)
        drawn = np.asarray(jax.vmap(lambda k, p=params, x=x: head.sample(p, k, np.int32(0), x))(many))

        def log_prob(a, p=params, x=x):
            return float(head.log_prob(p, np.int32(0), x, np.asarray(a, np.float32)))

        # The widths from one point each; everything else must follow.
        sd = np.array([half / np.sqrt(2 * (log_prob(mean) - log_prob(mean + half * step))) for step in np.eye(2)])
        for i in range(2):
            assert laws.kstest(drawn[:, i], laws.norm(mean[i], sd[i]).cdf).pvalue > 1e-3
        for a in np.float32([[0.0, 0.0], [1.5, -0.5], [-3.0, 2.0]]):
            each = laws.norm(mean, sd).logpdf(a)
            np.testing.assert_allclose(log_prob(a), each.sum(), rtol=1e-3)
            # Per entry in units of half the range, weighted by the variance to the power of beta.
            unit = each + np.log(half)
            for tried, beta in ((head, 0.5), (plain, 0.0), (squares, 1.0)):
                want = -(unit * (sd / half) ** (2 * beta)).sum()
                np.testing.assert_allclose(loss(tried, params, np.int32(0), x, a), want, rtol=2e-3, atol=1e-3)
            # The variance is a weight, not learnt by: at beta = 1 the mean then learns as by squared error.
            one, none = (
                jax.grad(lambda p, a=a, x=x, h=h: loss(h, p, np.int32(0), x, a))(params)["net"]["Dense_1"]["bias"]
                for h in (squares, plain)
            )
            np.testing.assert_allclose(one[:2], (mean - a) / half, rtol=1e-3, atol=1e-4)
            np.testing.assert_allclose(one, none * np.tile(sd / half, 2) ** 2, rtol=2e-3, atol=1e-4)


# ------------------------------------------------------------------------------------------------ models of the dynamics
def test_a_residual_model_is_normalised_limited_and_fits_what_follows():
    rng = np.random.default_rng(0)
    obs = rng.normal(size=(1, 300, 2)) * [1.0, 4.0] + [3.0, 0.0]
    action = rng.normal(size=(1, 300, 1))
    change = np.concatenate([0.3 * obs[..., 1:] - 0.1 * obs[..., :1], 0.5 * action], -1)
    weight = (np.arange(300) < 240).astype(np.float32)[None]
    following = np.where(weight[..., None] > 0, obs + change, 1e5)
    seen = dynamics.Transitions(*(np.asarray(x, np.float32) for x in (obs, action, following, weight)))
    model = dynamics.model(2, 1, (32, 32))
    keys, there = seed_keys("fit", (0,)), weight[0] > 0
    inputs = np.concatenate([obs, action], -1)[0, there]
    norms = {}
    for limit in (None, 0.7):
        rows, config = dynamics.data(seen, limit), FitConfig(updates=300, batch=64, learning_rate=1e-2)
        fitted = fit.fit(model, keys, fit.init(model, keys), rows, config, 300)
        params, losses = dynamics.settled(fitted.params), fitted.losses
        for part, x in (("in", inputs), ("out", change[0, there])):
            np.testing.assert_allclose(params[part]["mean"][0], x.mean(0), rtol=1e-3, atol=1e-3)
            np.testing.assert_allclose(params[part]["mad"][0], np.abs(x - x.mean(0)).mean(0), rtol=1e-3)
        norms[limit] = [np.linalg.norm(np.float64(layer["kernel"][0]), 2) for layer in params["net"].values()]
        if limit is None:
            one = jax.tree.map(lambda leaf: leaf[0], params)
            found = jax.vmap(lambda o, a, p=one: dynamics.residual(p, o, a, (32, 32)))(seen.obs[0], seen.action[0])
            off = np.abs(np.asarray(found) - change[0])[there].mean(0)
            assert (off < 0.2 * np.abs(change[0] - change[0].mean(0)).mean(0)).all()
            assert losses[0, -1] < losses[0, 0] / 20
    assert max(norms[0.7]) <= 0.7 * (1 + 1e-5)
    assert max(norms[None]) > 1
