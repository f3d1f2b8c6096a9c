"""f-divergences: integrals, gradients and optima against SciPy and NumPy; what the expert's law is beside a row; what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys
from scipy import integrate, optimize, special, stats

from ilbench import distributions, registry
from ilbench.distributions import Categorical, Mixture, Normal
from ilbench.running.plan import Block, resolve
from ilbench.training import f_divergences as fd
from ilbench.types import Data, Head

NAMES = tuple(fd.DIVERGENCES)
ALPHA = 0.3
# f of u = p / q as textbooks write it, and f - u f', by which the gradient at q goes: nothing here is shared with what is tested.
F = {
    "forward_kl": (lambda u: special.xlogy(u, u), lambda u: -u),
    "reverse_kl": (lambda u: -np.log(u), lambda u: 1 - np.log(u)),
    "jensen_shannon": (
        lambda u: (special.xlogy(u, u) - (u + 1) * np.log((u + 1) / 2)) / 2,
        lambda u: -np.log((1 + u) / 2) / 2,
    ),
    "total_variation": (lambda u: np.abs(u - 1) / 2, lambda u: -np.sign(u - 1) / 2),
    "chi_squared": (lambda u: u**2 - 1, lambda u: -1 - u**2),
    "alpha": (lambda u: (u**ALPHA - 1) / (ALPHA * (ALPHA - 1)), lambda u: (u**ALPHA * (1 - ALPHA) - 1) / (ALPHA * (ALPHA - 1))),
}


def modes(balance, sd=0.1):
    return lambda x: balance * stats.norm.pdf(x, 1, sd) + (1 - balance) * stats.norm.pdf(x, -1, sd)


def law(balance, sd=0.1):
    weights = np.log([1 - balance, balance]).astype(np.float32)
    return Mixture(jnp.asarray(weights), jnp.float32([[-1], [1]]), jnp.full((2, 1), sd, jnp.float32))


def by_quad(name, p, mean, sd):
    """D(p || N(mean, sd^2)) by SciPy's adaptive quadrature."""

    def integrand(x):
        a, q = p(x), stats.norm.pdf(x, mean, sd)
        return q * F[name][0](max(a, 1e-300) / q) if q > 1e-290 else 0.0

    cuts = np.sort(np.r_[[m + k * s for m, s in ((-1, 0.1), (1, 0.1), (mean, sd)) for k in (-7, -3, -1, 0, 1, 3, 7)]])
    return sum(integrate.quad(integrand, a, b, limit=200)[0] for a, b in zip(cuts, cuts[1:], strict=False))


GAUSSIAN = Head(
    None, None, None,
    sample=lambda v, key, t, obs: v[:1] + jnp.exp(v[1:]) * jax.random.normal(key, (1,)),
    log_prob=lambda v, t, obs, a: stats_logpdf(a[0], v),
    dist=lambda v, t, obs: Normal(v[:1], jnp.exp(v[1:])),
)  # fmt: skip
LOGITS = Head(
    None, None, None,
    sample=lambda v, key, t, obs: jax.random.categorical(key, v).astype(jnp.int32),
    log_prob=lambda v, t, obs, a: jax.nn.log_softmax(v)[a],
    dist=lambda v, t, obs: Categorical(v),
)  # fmt: skip


def stats_logpdf(a, v):
    return jax.scipy.stats.norm.logpdf(a, v[0], jnp.exp(v[1]))


def row(told):
    action = jnp.int32(0) if isinstance(told, Categorical) else jnp.zeros(1)
    return Data(jnp.int32(0), jnp.zeros(1), action, jnp.float32(1), None, told)


def value_and_grad(name, head, at, told, draws=0, keys=None):
    one = lambda v, key: fd.objective(name, draws)(head, jnp.float32(ALPHA), v, key, row(told))  # noqa: E731
    if keys is None:
        return jax.jit(jax.value_and_grad(one))(jnp.float32(at), jax.random.key(0))
    return jax.jit(jax.vmap(jax.value_and_grad(one), (None, 0)))(jnp.float32(at), keys)


# ----------------------------------------------------------------------------------------- integrals and gradients
@pytest.mark.parametrize("name", NAMES)
def test_of_one_number_the_quadrature_is_scipys(name):
    near = 2e-3 if name == "total_variation" else 2e-5
    for balance, mean, sd in ((0.5, 0.0, 1.0), (0.7, 0.4, 0.3), (0.6, 1.02, 0.12), (0.5, -0.3, 3.0)):
        found, slope = value_and_grad(name, GAUSSIAN, (mean, np.log(sd)), law(balance))
        exact = by_quad(name, modes(balance), mean, sd)
        assert float(found) == pytest.approx(exact, rel=near, abs=near)
        if mean == 0.4:
            continue  # where some are 1e6, differences say nothing
        moved = [by_quad(name, modes(balance), mean + h, sd) for h in (1e-4, -1e-4)]
        wide = [by_quad(name, modes(balance), mean, sd * np.exp(h)) for h in (1e-4, -1e-4)]
        want = [(a - b) / 2e-4 for a, b in (moved, wide)]
        np.testing.assert_allclose(slope, want, atol=10 * near * max(1, np.abs(want).max()))


@pytest.mark.parametrize("name", NAMES)
def test_of_a_table_value_and_gradient_are_the_formulas(name):
    """dD / dz_a = q_a (w_a - sum_b q_b w_b), w = f - u f'."""
    p, z = special.softmax([0.3, -1.2, 0.9, -0.4]), np.array([-0.5, 0.4, 0.1, 1.0])
    q = special.softmax(z)
    f, w = (g(p / q) for g in F[name])
    found, slope = value_and_grad(name, LOGITS, z, Categorical(jnp.float32(np.log(p))))
    assert float(found) == pytest.approx(q @ f, rel=1e-5)
    np.testing.assert_allclose(slope, q * (w - q @ w), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_draws_estimate_both_without_bias_and_not_at_all_once_the_laws_are_one(name):
    keys, told = jax.random.split(jax.random.key(1), 30_000), law(0.7, 0.4)
    logits = Categorical(jnp.float32([0.3, -1.2, 0.9]))
    for head, at, p in ((GAUSSIAN, (0.5, -0.5), told), (LOGITS, (0.4, 0.2, -0.3), logits)):
        exact = value_and_grad(name, head, at, p)
        values, slopes = value_and_grad(name, head, at, p, 1, keys)
        near = 2e-3 if name == "total_variation" else 1e-4  # of the quadrature
        for sample, want in ((values, exact[0]), *zip(np.asarray(slopes).T, np.asarray(exact[1]), strict=True)):
            x = np.asarray(sample, np.float64)
            assert abs(x.mean() - float(want)) < 4.5 * x.std() / np.sqrt(len(x)) + near
            assert x.std() > 0.01
    values, slopes = value_and_grad(name, LOGITS, logits.logits, logits, 2, keys[:50])
    np.testing.assert_allclose(values, 0, atol=1e-6)
    if name != "total_variation":  # whose kink is there
        np.testing.assert_allclose(slopes, 0, atol=1e-6)


def test_alpha_joins_the_others():
    p, q = (jnp.log(jnp.float32(x)) for x in ([0.2, 0.5, 0.3], [0.6, 0.1, 0.3]))
    total = lambda name, a=None: float(fd.DIVERGENCES[name](p, q, a).sum())  # noqa: E731
    assert total("alpha", 0.01) == pytest.approx(total("reverse_kl"), rel=0.02)
    assert total("alpha", 0.99) == pytest.approx(total("forward_kl"), rel=0.02)
    assert total("alpha", 2.0) == pytest.approx(total("chi_squared") / 2, rel=1e-5)
    assert total("alpha", 0.5) == pytest.approx(2 * np.square(np.sqrt([0.2, 0.5, 0.3]) - np.sqrt([0.6, 0.1, 0.3])).sum(), rel=1e-4)


def test_where_chi_squared_is_infinite_it_is_large_and_can_be_descended():
    found, slope = value_and_grad("chi_squared", GAUSSIAN, (1.0, np.log(0.02)), law(0.5))
    assert 1e15 < float(found) < np.inf
    assert np.isfinite(slope).all()
    assert slope[1] < 0  # wider is better


@pytest.mark.parametrize("name", ["gaussian", "mixture"])
def test_the_forward_kl_has_in_the_mean_the_gradient_of_behaviour_cloning(name):
    """sum of w_k grad loss(a_k) over Gauss and Hermite's nodes of either mode, where the head's own loss is its likelihood."""
    task, module = registry.task("two_modes", balance=0.7, sd=0.4), registry.load("heads", name)
    settings = {"beta": 0.0} if name == "gaussian" else {"components": 2}
    head = module.make(task.spec, module.Config(width=4, depth=1, **settings))
    params = head.init(jax.random.key(0))
    x, w = np.polynomial.hermite_e.hermegauss(40)
    actions = jnp.float32(np.r_[-1 + 0.4 * x, 1 + 0.4 * x])[:, None]
    weights = jnp.float32(np.r_[0.3 * w, 0.7 * w] / w.sum())

    def cloned(params):
        each = jax.vmap(lambda a: head.loss(params, None, row(law(0.7, 0.4))._replace(action=a)))(actions)
        return weights @ each

    given = task.expert.mixture(task.expert.params, 0, jnp.zeros(1))
    want, keys = jax.grad(cloned)(params), jax.random.split(jax.random.key(3), 20_000)
    one = jax.grad(lambda v, key: fd.objective("forward_kl", 1)(head, 0.0, v, key, row(given)))
    drawn = jax.jit(jax.vmap(one, (None, 0)))(params, keys)
    assert max(float(jnp.abs(x).max()) for x in jax.tree.leaves(want)) > 0.1
    for a, b in zip(jax.tree.leaves(want), jax.tree.leaves(drawn), strict=True):
        assert (np.abs(a - np.mean(b, 0)) < 5 * np.std(b, 0) / np.sqrt(20_000) + 1e-5).all()
    if head.dist is not None:
        exact = jax.grad(lambda v: fd.objective("forward_kl")(head, 0.0, v, None, row(given)))(params)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4), want, exact)


# ---------------------------------------------------------------------------------------------- trained
GRID = np.linspace(-9, 9, 18_001)


def optimum(name, balance):
    """The smallest D(expert || N(mean, sd^2)) by Nelder and Mead on a fine sum, from a wide start and from beside a mode."""
    p = modes(balance)(GRID) + 1e-300

    def value(v):
        q = stats.norm.pdf(GRID, v[0], np.exp(v[1])) + 1e-300
        return float((q * F[name][0](p / q)).sum() * (GRID[1] - GRID[0]))

    found = [optimize.minimize(value, at, method="Nelder-Mead") for at in ((0.2, 0.2), (0.9, -2.0))]
    best = min(found, key=lambda r: r.fun)
    return best.x[0], np.exp(best.x[1]), best.fun


@pytest.mark.parametrize("name", NAMES)
def test_a_trained_gaussian_is_at_scipys_optimum(name):
    task = registry.task("two_modes", 4, balance=0.7)
    config = {"divergence": name, "alpha": ALPHA}
    result, lab = toys.trained(
        task, "f_divergence", "gaussian", 8, (0, 1), config, {"width": 8, "depth": 1}, updates=1000, batch=2, learning_rate=2e-2
    )
    ((_, params),) = lab.of("fit")
    found = jax.vmap(lambda v: lab.head.dist(v, 0, jnp.zeros(1)))(params)
    mean, sd, least = optimum(name, 0.7)
    if name == "total_variation":  # every Gaussian that lies above .7 N(1, .1^2) there is as good
        losses = [by_quad(name, modes(0.7), m, s) for m, s in zip(np.ravel(found.mean), np.ravel(found.std), strict=True)]
        np.testing.assert_allclose(losses, least, atol=2e-3)
        np.testing.assert_allclose(least, 0.3, atol=1e-4)
        return
    np.testing.assert_allclose(np.ravel(found.mean), mean, atol=2e-3)
    np.testing.assert_allclose(np.ravel(found.std), sd, rtol=5e-3)
    np.testing.assert_allclose(result.curve["divergence"][:, -1], least, rtol=1e-3)


def test_rows_are_those_of_behaviour_cloning_and_each_has_the_law_of_its_state():
    task = registry.task("gridworld_soft", 20)
    (a, lab), (_, cloned) = (
        toys.trained(task, name, "linear", 90, (0, 1), {}, updates=1, batch=8) for name in ("f_divergence", "bc")
    )
    ((data, _),), ((other, _),) = lab.of("fit"), cloned.of("fit")
    toys.same_rows(data, other)
    values = np.asarray(task.expert.params.values)
    there = toys.existing(data, 1)
    assert len(there.t) == 90
    np.testing.assert_allclose(special.softmax(there.extra.logits, -1), special.softmax(values[there.obs] / 0.1, -1), atol=1e-5)
    assert lab.ledger.labels.tolist() == [90, 90]
    assert set(a.policies) == {"last", "draws"}


def test_the_forks_law_is_what_its_expert_does_over_many_episodes():
    task = registry.task("fork", 4, balance=0.3)
    _, lab = toys.trained(task, "f_divergence", "gaussian", 1600, (0,), {"smoothing": 0.05}, updates=1)
    there = toys.existing(lab.of("fit")[0][0], 0)
    first = there.t == 0
    assert abs((there.action[first] > 0).mean() - 0.3) < 4 * np.sqrt(0.21 / 400)
    np.testing.assert_allclose(np.exp(there.extra.log_weight), np.broadcast_to([0.7, 0.3], (1600, 2)), atol=1e-6)
    np.testing.assert_allclose(there.extra.mean[first, :, 0], np.broadcast_to([-1, 1], (400, 2)))
    np.testing.assert_allclose(there.extra.mean[~first], np.repeat(there.action[~first][:, None], 2, 1), atol=1e-6)
    np.testing.assert_allclose(there.extra.std, 0.05)


def test_smoothing_of_one_action_and_of_a_law():
    told = fd.smoothed(fd._points(Data(None, None, np.int32([2]), np.ones(1)), registry.task("gridworld").env.action),
                       registry.task("gridworld").env.action, 0.2)  # fmt: skip
    np.testing.assert_allclose(np.exp(told.logits), [[0.05, 0.05, 0.85, 0.05]], rtol=1e-6)
    wide = fd.smoothed(law(0.5), registry.task("two_modes").env.action, 0.05)
    np.testing.assert_allclose(wide.std, np.hypot(0.1, 0.1), rtol=1e-6)  # the range is 4


def test_a_mixture_draws_from_its_density():
    told = Mixture(jnp.log(jnp.float32([0.3, 0.7])), jnp.float32([[-1, 2], [1, 0]]), jnp.float32([[0.1, 1], [0.5, 0.2]]))
    drawn = np.asarray(jax.vmap(lambda k: distributions.sample(told, k))(jax.random.split(jax.random.key(0), 20_000)))
    for i, mean in enumerate((0.4, 0.6)):
        toys.close_to(drawn[:, i], mean)
    toys.close_to(drawn[:, 0] * drawn[:, 1], -0.6)  # numbers of one component go together
    x = np.float32([0.2, 0.5])
    parts = stats.norm.pdf(x, [[-1, 2], [1, 0]], [[0.1, 1], [0.5, 0.2]]).prod(-1)
    assert float(distributions.log_prob(told, x)) == pytest.approx(np.log([0.3, 0.7] @ parts), rel=1e-5)


@pytest.mark.parametrize(
    ("task", "head", "config", "said"),
    [
        ("two_modes", "mse", {}, "needs sample: this head has no `sample`"),
        ("gridworld_soft", "table", {}, "needs sample"),
        ("fork", "gaussian", {}, "smooth it"),
        ("double_integrator", "gaussian", {"divergence": "forward_kl"}, "infinitely far, or equally far"),
        ("gridworld", "linear", {}, "this divergence is infinite"),
        ("gridworld", "linear", {"divergence": "alpha", "alpha": -1.0}, "this divergence is infinite"),
        ("two_modes", "mixture", {"estimator": "exact"}, "no `dist`"),
        ("two_modes", "gaussian", {"divergence": "reverse_lk"}, "reverse_kl"),
        ("two_modes", "gaussian", {"divergence": "alpha", "alpha": 1.0}, "neither 0 nor 1"),
    ],
)
def test_what_cannot_be_is_refused_before_any_compute(task, head, config, said):
    with pytest.raises(ValueError, match=said):
        resolve(Block(task, "f_divergence", head, 400, config={f"f_divergence.{k}": v for k, v in config.items()}))
    resolve(Block("gridworld", "f_divergence", "linear", 400, config={"f_divergence.divergence": "jensen_shannon"}))
