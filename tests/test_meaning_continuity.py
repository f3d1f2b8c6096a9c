"""Ways to keep ccil's model of the dynamics continuous, by hand on linear nets; which labels are kept; and what a wall does."""

from __future__ import annotations

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys

from ilbench import configs, registry
from ilbench.algorithms import ccil
from ilbench.rollouts.keys import seed_keys
from ilbench.theory.instances import numpy_pendulum
from ilbench.training import continuity, dynamics, fit
from ilbench.training.fit import FitConfig
from ilbench.types import Data

# g(x) = W x + b of 2 observations and 1 action, and what it is normalised by.
IN = {"mean": np.float32([1.0, -2.0, 0.5]), "mad": np.float32([2.0, 0.5, 4.0])}
OUT = {"mean": np.float32([0.5, 0.0]), "mad": np.float32([0.1, 3.0])}
BIAS = np.float32([0.2, -0.1])
ROW, CHANGE = np.float32([2.0, -1.0, 3.0]), np.float32([0.7, 1.0])


def _loss(kind, kernel, soft, key=0, **more):
    model = continuity.model(2, 1, (), kind)
    net = {"Dense_0": {"kernel": np.float32(kernel), "bias": BIAS}}
    params = {**model.init(jax.random.key(0)), "net": net, "in": IN, "out": OUT, **more}
    keys = jax.random.split(jax.random.key(key), 4000)
    row = Data(np.int32(0), ROW, CHANGE, np.float32(1), extra=continuity.Soft(*map(np.float32, soft)))
    return np.float64(jax.vmap(lambda k: model.loss(params, k, row))(keys))


def _error(kernel):
    x = (np.float64(ROW) - IN["mean"]) / IN["mad"]
    return np.mean((x @ kernel + BIAS - (CHANGE - OUT["mean"]) / OUT["mad"]) ** 2)


W = np.array([[1.0, 0.5], [-0.5, 2.0], [0.25, 1.0]])


@pytest.mark.parametrize("constant", [0.5, 1.5, 3.0])
def test_soft_jac_is_the_squared_excess_of_the_spectral_norm(constant):
    norm = np.sqrt(np.linalg.eigvalsh(W.T @ W).max())  # 2.36 of a Frobenius norm of 2.57
    want = _error(W) + 0.7 * max(norm - constant, 0.0) ** 2
    np.testing.assert_allclose(_loss("soft_jac", W, (constant, 0.7, 9.0)), want, rtol=1e-5)


@pytest.mark.parametrize(("constant", "scale"), [(0.0, 2.0), (1.0, 0.1), (3.0, 0.1)])
def test_soft_sampling_is_the_mean_excess_over_scaled_disturbances(constant, scale):
    d = scale * np.random.default_rng(0).standard_normal((100_000, 3))
    excess = np.maximum(np.linalg.norm(d @ W, axis=1) - constant * np.linalg.norm(d, axis=1), 0)
    found = _loss("soft_sampling", W, (constant, 0.7, scale)) - _error(W)
    if constant > 2.4:  # more than the norm of W: nothing is too steep, but for float32
        assert found.max() < 1e-5
    else:
        spread = 0.7 * excess.std() * np.sqrt(1 / len(d) + 1 / (continuity.DRAWS * len(found)))
        assert abs(found.mean() - 0.7 * excess.mean()) < 4.5 * spread + 1e-5
        np.testing.assert_allclose(found.std(), 0.7 * excess.std() / np.sqrt(continuity.DRAWS), rtol=0.1)


def test_soft_sampling_has_a_gradient_where_no_unit_is_active():
    soft = continuity.Soft(*map(np.float32, (1.0, 1.0, 0.1)))

    def excess(w):
        return continuity.steep_between(lambda x: w * jax.nn.relu(x - 9.0), jax.random.key(0), jnp.ones(2), soft)

    assert jax.grad(excess)(jnp.float32(1.0)) == 0


@pytest.mark.parametrize("logit", [-1.0, 2.0])
def test_slack_weighs_the_error_and_is_paid_for_its_trust(logit):
    slope = np.float32([[0.3], [-0.2], [1.0]])
    slack = {"Dense_0": {"kernel": slope, "bias": np.float32([logit])}}
    trust = 1 / (1 + np.exp(-logit - ((np.float64(ROW) - IN["mean"]) / IN["mad"]) @ slope[:, 0]))
    want = trust * _error(W) - 0.3 * trust
    np.testing.assert_allclose(_loss("slack", W, (2.0, 0.3, 9.0), slack=slack), want, rtol=1e-5)


# A step at x = 0, which no constant holds over; `coins`: and beyond x = 1 what follows is a coin's.
FIT = {"batch": 64, "learning_rate": 1e-2}


def _stepping(seeds, coins=False):
    rng = np.random.default_rng(1)
    x, a = rng.uniform(-2, 2, (seeds, 400, 1)), rng.uniform(-1, 1, (seeds, 400, 1))
    coin = np.where(x > 1, 4.0 * rng.choice([-1.0, 1.0], x.shape), 0.0)
    change = np.sign(x) + 0.3 * a + (coin if coins else 0)
    return dynamics.Transitions(*(np.float32(v) for v in (x, a, x + change, np.ones((seeds, 400)))))


def _fitted(kind, weight):
    seen, model = _stepping(1, kind == "slack"), continuity.model(1, 1, (16, 16), kind)
    keys = seed_keys("continuity", (0,))
    rows = continuity.data(seen, 2.0, weight, 0.3)
    done = fit.fit(model, keys, fit.init(model, keys), rows, FitConfig(**FIT), 300)
    params = jax.tree.map(lambda leaf: np.float64(leaf[0]), done.params)
    return params, np.concatenate([seen.obs[0], seen.action[0]], -1)


def _layers(net, x):
    """The net `[n, out]` in NumPy, and its Jacobians `[n, out, in]`."""
    jacobian = np.broadcast_to(np.eye(x.shape[-1]), (len(x), x.shape[-1], x.shape[-1]))
    for i, name in enumerate(sorted(net)):
        x, jacobian = x @ net[name]["kernel"] + net[name]["bias"], net[name]["kernel"].T @ jacobian
        if i < len(net) - 1:
            jacobian = jacobian * (x > 0)[..., None]
            x = np.maximum(x, 0)
    return x, jacobian


def _inputs(params, x):
    return (x - params["in"]["mean"]) / params["in"]["mad"]


def test_a_penalty_makes_the_model_less_steep():
    most = {}
    for weight in (1e-6, 30.0):
        params, x = _fitted("soft_jac", weight)
        most[weight] = np.linalg.norm(_layers(params["net"], _inputs(params, x))[1], 2, axis=(1, 2)).max()
    assert most[1e-6] > 6
    assert most[30.0] < 3


def test_slack_lets_go_of_what_cannot_be_told_and_of_nothing_else():
    params, x = _fitted("slack", 1.0)
    trust = 1 / (1 + np.exp(-_layers(params["slack"], _inputs(params, x))[0][:, 0]))
    assert trust[x[:, 0] > 1.2].mean() < 0.2
    assert trust[x[:, 0] < 0.8].mean() > 0.8


# ------------------------------------------------------------------------------------------------ which labels are kept
def test_the_least_of_every_seed_among_those_that_exist():
    values = np.array([[4.0, 1.0, np.nan, 3.0, 0.0, 2.0], [9.0, 9.0, 9.0, np.inf, 8.0, 7.0]])
    exists = np.array([[1, 1, 1, 1, 0, 1], [1, 1, 1, 1, 1, 0]], bool)
    np.testing.assert_array_equal(
        ccil.least(values, exists, 0.5), [[0, 1, 0, 0, 0, 1], [1, 1, 1, 0, 1, 0]]
    )  # of 1 2 3 4 up to 2.5; of 8 9 9 9 up to 9
    np.testing.assert_array_equal(ccil.least(values, exists, 1.0), exists & np.isfinite(values))
    assert not ccil.least(values, 0 * exists > 0, 0.5).any()


class Keeping(toys.Spy):
    """Keeps what else was trained, too."""

    def train(self, *args, **kwargs):
        out = super().train(*args, **kwargs)
        self.events.append(("train", *out))
        return out


@pytest.mark.parametrize("label", ["backtrack", "disturbed"])
def test_labels_that_the_local_constant_keeps_near(label):
    task, head = registry.task("scalar_stable"), registry.load("heads", "linear")
    lab = Keeping(task, head.make(task.spec, head.Config()), (0, 1), 400, FitConfig())
    config = ccil.Config(
        label=label, lipschitz="soft_jac", penalty=30.0, keep="lipschitz", quantile=0.3, disturbance=0.2, width=16, updates=300,
        weight_decay=0.0, max_distance=1e-9, **FIT,
    )  # fmt: skip
    seen, weight = _stepping(2), np.tile(np.float32(np.arange(400) < 350), (2, 1))
    seen = seen._replace(weight=weight)
    data = Data(np.zeros((2, 400), np.int32), seen.obs, seen.action, weight)
    made, report = ccil.corrective_labels(lab, task, config, seen, data)
    for s in range(2):
        params = jax.tree.map(lambda leaf, s=s: np.float64(leaf[s]), lab.of("train")[0][0])
        there = np.asarray(data.weight)[s] > 0
        start, action = np.asarray(seen.obs[s])[there], np.asarray(seen.action[s])[there]
        pair = _inputs(params, np.concatenate([start, action], -1).astype(np.float64))
        if label == "disturbed":
            start, action = np.asarray(seen.next_obs[s])[there], np.asarray(made.action[s])[there]
        change = _layers(params["net"], _inputs(params, np.concatenate([start, action], -1)))[0]
        generated = start - (params["out"]["mean"] + params["out"]["mad"] * change)
        steep = np.linalg.norm(_layers(params["net"], pair)[1], 2, axis=(1, 2))
        assert steep.max() < 3  # the penalty has come to the model
        off = steep * np.linalg.norm(_inputs(params, np.concatenate([generated, action], -1)) - pair, axis=1)
        keep, limit = np.asarray(made.weight)[s] > 0, np.quantile(off, 0.3)
        assert not keep[~there].any()
        clear = np.abs(off - limit) > 1e-4 * limit  # float32
        assert clear.mean() > 0.95
        np.testing.assert_array_equal(keep[there][clear], (off <= limit)[clear])
        np.testing.assert_allclose(made.obs[s][keep], generated[keep[there]], atol=1e-4)
        np.testing.assert_allclose(report["kept"][s, 0], 0.3, atol=1.5 / there.sum())
        np.testing.assert_allclose(report["foreseen"][s, 0], off[keep[there]].mean(), rtol=1e-3)


@pytest.mark.parametrize(("kind", "weight"), [("soft_sampling", 3.0), ("soft_jac", 3.0), ("slack", 5.0)])
def test_each_kind_reads_its_own_numbers(kind, weight):
    taken = []

    def train(model, rows, **settings):
        taken.append(rows)
        return jax.tree.map(lambda leaf: leaf[None], model.init(jax.random.key(0))), None

    config = ccil.Config(lipschitz=kind, lipschitz_constant=2.0, penalty=3.0, slack_weight=5.0, probe=7.0, width=2)
    seen = dynamics.Transitions(*(np.zeros(n, np.float32) for n in ((1, 4, 2), (1, 4, 1), (1, 4, 2), (1, 4))))
    model, _ = ccil._model(SimpleNamespace(train=train), config, seen, (2, 2))
    np.testing.assert_array_equal(
        np.stack(taken[0].extra), np.tile(np.float32([2.0, weight, 7.0])[:, None, None], (1, 1, 4))
    )
    assert ("slack" in model) == (kind == "slack")


def test_what_needs_a_learned_model_is_refused_without_one_and_old_cells_are_spelled_as_ever():
    for wrong in ({"lipschitz": "slack"}, {"keep": "lipschitz"}):
        with pytest.raises(ValueError, match=rf"ccil.{next(iter(wrong))}=.*dynamics=learned"):
            ccil.Config(dynamics="true", **wrong)
    ccil.Config(dynamics="true", lipschitz="none")
    for wrong in ({"quantile": 0.0}, {"quantile": 1.1}, {"penalty": 0.0}, {"probe": -1.0}, {"keep": "all"}):
        with pytest.raises(ValueError, match=f"ccil.{next(iter(wrong))}"):
            ccil.Config(**wrong)
    assert list(configs.stated(ccil.Config())) == [
        "dynamics", "label", "labels_per_state", "disturbance", "max_distance", "lipschitz", "lipschitz_constant", "width", "updates",
        "batch", "learning_rate", "weight_decay",
    ]  # fmt: skip


# ------------------------------------------------------------------------------------------------ a wall
def _missed(task_id, **config):
    """Labels of a learned model: how far the true outcome `[n]` is from the demonstrated state, and whether a wall is in between."""
    task, head = registry.task(task_id), registry.load("heads", "linear")
    lab = toys.Spy(task, head.make(task.spec, head.Config()), tuple(range(8)), 4 * task.horizon, FitConfig())
    demos = lab.demonstrate()
    seen, data = dynamics.transitions(demos, None), lab.rows(demos)
    made, _ = ccil.corrective_labels(lab, task, ccil.Config(width=32, updates=500, **config), seen, data)
    keep = np.asarray(made.weight) > 0
    obs, action, shown = (np.float64(np.asarray(v)[keep]) for v in (made.obs, made.action, seen.obs))
    true = numpy_pendulum.plant(task.env.params)
    x = np.stack([np.arctan2(obs[:, 1], obs[:, 0]), obs[:, 2]], -1)
    moved, free = (numpy_pendulum.residual(p, x, action[:, 0]) for p in (true, true._replace(wall=None)))
    after = x + moved
    landed = np.stack([np.cos(after[:, 0]), np.sin(after[:, 0]), after[:, 1]], -1)
    return np.linalg.norm(landed - shown, axis=1), (moved != free).any(1)


def test_labels_of_a_smooth_model_miss_across_a_wall_and_nowhere_else():
    far = 0.5
    miss, crossed = _missed("pendulum")
    assert len(miss) > 5000
    assert not crossed.any()
    assert not (miss > far).any()
    beside, crossed = _missed("pendulum_wall")
    assert crossed.sum() >= 5
    np.testing.assert_array_equal(beside > far, crossed)
    assert np.median(beside[crossed]) > 3 * np.quantile(beside[~crossed], 0.999)
