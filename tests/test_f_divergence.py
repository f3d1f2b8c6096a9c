"""f-divergences: integrals, gradients and optima against SciPy and NumPy; what the expert's law is beside a row; what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys
from scipy import optimize, special, stats

from ilbench import distributions, registry
from ilbench.distributions import Categorical, Mixture, Normal
from ilbench.running.plan import Block, resolve
from ilbench.training import f_divergences as fd
from ilbench.types import Data, Head

NAMES = tuple(fd.DIVERGENCES)
GRID = np.linspace(-30, 30, 12_001)
ALPHA = 0.3
# f of log u = log p / q as textbooks write it, and f - u f', by which the gradient at q goes: nothing is shared with what is tested.
F = {
    "forward_kl": (lambda r: r * np.exp(r), lambda r: -np.exp(r)),
    "reverse_kl": (lambda r: -r, lambda r: 1 - r),
    "jensen_shannon": (
        lambda r: (r * np.exp(r) - (np.exp(r) + 1) * np.log((np.exp(r) + 1) / 2)) / 2,
        lambda r: -np.log((1 + np.exp(r)) / 2) / 2,
    ),
    "total_variation": (lambda r: np.abs(np.exp(r) - 1) / 2, lambda r: -np.sign(r) / 2),
    "chi_squared": (lambda r: np.exp(np.minimum(2 * r, 700)) - 1, lambda r: -1 - np.exp(2 * r)),
    "alpha": (
        lambda r: (np.exp(ALPHA * r) - 1) / (ALPHA * (ALPHA - 1)),
        lambda r: (np.exp(ALPHA * r) * (1 - ALPHA) - 1) / (ALPHA * (ALPHA - 1)),
    ),
}


def modes(balance, sd=0.1):
    """The log-density of the expert's law."""
    return lambda x: np.logaddexp(
        np.log(balance) + stats.norm.logpdf(x, 1, sd), np.log(1 - balance) + stats.norm.logpdf(x, -1, sd)
    )


def law(balance, sd=0.1):
    weights = np.log([1 - balance, balance]).astype(np.float32)
    return Mixture(jnp.asarray(weights), jnp.float32([[-1], [1]]), jnp.full((2, 1), sd, jnp.float32))


def summed(name, balance, mean, sd):
    """D(expert || N(mean, sd^2)) as a sum over a fine grid, in float64; q f is 0 where q is."""
    log_q = stats.norm.logpdf(GRID, mean, sd)
    r = np.minimum(modes(balance)(GRID) - log_q, 700)  # to e^700 of float64: where q is less, p still is
    return float((np.exp(log_q) * F[name][0](np.where(log_q > -700, r, 0))).sum() * (GRID[1] - GRID[0]))


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


def value_and_grad(head, at, told, draws=0, keys=None):
    """Values and gradients of all six in one program, by name."""

    def every(v, key):
        loss = {n: lambda v, n=n: fd.objective(n, draws)(head, jnp.float32(ALPHA), v, key, row(told)) for n in NAMES}
        return {n: jax.value_and_grad(one)(v) for n, one in loss.items()}

    many = jax.jit(every if keys is None else jax.vmap(every, (None, 0)))
    return many(jnp.float32(at), jax.random.key(0) if keys is None else keys)


# ----------------------------------------------------------------------------------------- integrals and gradients
@pytest.mark.parametrize(
    ("balance", "mean", "sd"), [(0.5, 0.0, 1.0), (0.7, 0.4, 0.9), (0.6, 1.02, 0.12), (0.5, -0.3, 3.0)]
)
def test_of_one_number_the_quadrature_is_a_fine_sum(balance, mean, sd):
    found = value_and_grad(GAUSSIAN, (mean, np.log(sd)), law(balance))
    for name, (value, slope) in found.items():
        if name == "chi_squared" and sd < 0.5:
            continue  # beyond e^40
        near = 2e-3 if name == "total_variation" else 1e-4
        assert float(value) == pytest.approx(summed(name, balance, mean, sd), rel=near, abs=near), name
        moved = [summed(name, balance, mean + h, sd) for h in (1e-4, -1e-4)]
        wide = [summed(name, balance, mean, sd * np.exp(h)) for h in (1e-4, -1e-4)]
        want = [(a - b) / 2e-4 for a, b in (moved, wide)]
        np.testing.assert_allclose(slope, want, atol=5 * near * max(1, np.abs(want).max()), err_msg=name)


def test_of_a_table_value_and_gradient_are_the_formulas():
    """dD / dz_a = q_a (w_a - sum_b q_b w_b), w = f - u f'."""
    p, z = special.softmax([0.3, -1.2, 0.9, -0.4]), np.array([-0.5, 0.4, 0.1, 1.0])
    q = special.softmax(z)
    for name, (value, slope) in value_and_grad(LOGITS, z, Categorical(jnp.float32(np.log(p)))).items():
        f, w = (g(np.log(p / q)) for g in F[name])
        assert float(value) == pytest.approx(q @ f, rel=1e-5), name
        np.testing.assert_allclose(slope, q * (w - q @ w), rtol=1e-4, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("kind", ["gaussian", "table"])
def test_draws_estimate_both_without_bias_and_not_at_all_once_the_laws_are_one(kind):
    keys, logits = jax.random.split(jax.random.key(1), 20_000), jnp.float32([0.3, -1.2, 0.9])
    head, at, told = (
        (GAUSSIAN, (0.5, -0.5), law(0.7, 0.4))
        if kind == "gaussian"
        else (LOGITS, (0.4, 0.2, -0.3), Categorical(logits))
    )
    exact, drawn = value_and_grad(head, at, told), value_and_grad(head, at, told, 1, keys)
    for name, (values, slopes) in drawn.items():
        near = 2e-3 if name == "total_variation" else 1e-4  # of the quadrature
        for sample, want in ((values, exact[name][0]), *zip(np.asarray(slopes).T, exact[name][1], strict=True)):
            x = np.asarray(sample, np.float64)
            assert abs(x.mean() - float(want)) < 4.5 * x.std() / np.sqrt(len(x)) + near, name
            assert x.std() > 0.01
    if kind == "table":
        for name, (values, slopes) in value_and_grad(head, logits, told, 1, keys[:4]).items():
            np.testing.assert_allclose(values, 0, atol=1e-6)
            if name != "total_variation":  # whose kink is there
                np.testing.assert_allclose(slopes, 0, atol=2e-6)


def test_alpha_joins_the_others():
    p, q = (jnp.log(jnp.float32(x)) for x in ([0.2, 0.5, 0.3], [0.6, 0.1, 0.3]))
    total = lambda name, a=None: float(fd.DIVERGENCES[name](p, q, a).sum())  # noqa: E731
    assert total("alpha", 0.01) == pytest.approx(total("reverse_kl"), rel=0.02)
    assert total("alpha", 0.99) == pytest.approx(total("forward_kl"), rel=0.02)
    assert total("alpha", 2.0) == pytest.approx(total("chi_squared") / 2, rel=1e-5)
    assert total("alpha", 0.5) == pytest.approx(
        2 * np.square(np.sqrt([0.2, 0.5, 0.3]) - np.sqrt([0.6, 0.1, 0.3])).sum(), rel=1e-4
    )


def test_where_chi_squared_is_infinite_it_is_large_and_can_be_descended():
    found, slope = value_and_grad(GAUSSIAN, (1.0, np.log(0.02)), law(0.5))["chi_squared"]
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

    def moving(tree):
        return jax.tree.leaves({k: v for k, v in tree.items() if k != "norm"})  # statistics have no gradient in a fit

    want = moving(jax.jit(jax.grad(cloned))(params))
    assert max(float(jnp.abs(x).max()) for x in want) > 0.1
    if head.dist is not None:
        exact = jax.grad(lambda v: fd.objective("forward_kl")(head, jnp.float32(0), v, None, row(given)))
        for a, b in zip(want, moving(jax.jit(exact)(params)), strict=True):
            np.testing.assert_allclose(a, b, atol=1e-3)
        return
    one = jax.grad(lambda v, key: fd.objective("forward_kl", 1)(head, jnp.float32(0), v, key, row(given)))
    drawn = jax.jit(jax.vmap(one, (None, 0)))(params, jax.random.split(jax.random.key(3), 4000))
    for a, b in zip(want, moving(drawn), strict=True):
        assert (np.abs(a - np.mean(b, 0)) < 5 * np.std(b, 0) / np.sqrt(4000) + 1e-5).all()


# ---------------------------------------------------------------------------------------------- trained
def optimum(name, balance):
    """The smallest D(expert || N(mean, sd^2)) by Nelder and Mead on a fine sum, from a wide start and from beside a mode."""
    found = [
        optimize.minimize(lambda v: summed(name, balance, v[0], np.exp(v[1])), at, method="Nelder-Mead")
        for at in ((0.2, 0.2), (0.9, -2.0))
    ]
    best = min(found, key=lambda r: r.fun)
    return best.x[0], np.exp(best.x[1]), best.fun


def near_optimum(name, mean, sd):
    want = optimum(name, 0.7)
    if name == "total_variation":  # every Gaussian that lies above .7 N(1, .1^2) there is as good
        assert want[2] == pytest.approx(0.3, abs=1e-4)
        assert summed(name, 0.7, mean, sd) == pytest.approx(want[2], abs=2e-3)
    else:
        assert (mean, sd) == pytest.approx(want[:2], abs=3e-3), name


def test_trained_gaussians_are_at_the_optima_that_nelder_and_mead_find():
    """All six side by side, by Adam: those that cover from between the modes, those that seek from beside one.

    From between them Jensen-Shannon stays at a worse minimum that covers both.
    """
    told, steps = law(0.7), 1000

    def total(v):
        return sum(fd.objective(n)(GAUSSIAN, jnp.float32(ALPHA), v[i], None, row(told)) for i, n in enumerate(NAMES))

    def step(i, carry):
        v, mean, square = carry
        slope, t = jax.vmap(jax.grad(total))(v), i.astype(jnp.float32)
        mean, square = 0.9 * mean + 0.1 * slope, 0.99 * square + 0.01 * slope**2
        unit = mean / (1 - 0.9 ** (t + 1)) / (jnp.sqrt(square / (1 - 0.99 ** (t + 1))) + 1e-8)
        return v - 1e-2 * (1 + jnp.cos(jnp.pi * t / steps)) * unit, mean, square

    start = jnp.tile(jnp.float32([[[0.5, np.log(0.4)]], [[0.0, np.log(1.4)]]]), (1, len(NAMES), 1))
    zero = jnp.zeros_like(start)
    beside, between = np.float64(jax.jit(lambda: jax.lax.fori_loop(0, steps, step, (start, zero, zero))[0])())
    for name, on_mode, wide in zip(NAMES, beside, between, strict=True):
        mean, log_sd = (
            wide if name in ("forward_kl", "chi_squared") else on_mode
        )  # whose slopes are next to infinite where it is narrow
        near_optimum(name, mean, np.exp(log_sd))
    mean, log_sd = between[NAMES.index("jensen_shannon")]
    assert (mean, np.exp(log_sd)) == pytest.approx((0.480, 0.880), abs=2e-3)
    assert summed("jensen_shannon", 0.7, mean, np.exp(log_sd)) > 3 * optimum("jensen_shannon", 0.7)[2]


@pytest.mark.parametrize("name", ["reverse_kl"])
def test_so_is_the_heads_network_through_the_product(name):
    task, fit = registry.task("two_modes", 4, balance=0.7), {"updates": 1000, "batch": 2, "learning_rate": 2e-2}
    small = {"width": 8, "depth": 1}
    result, lab = toys.trained(task, "f_divergence", "gaussian", 8, (0, 1), {"divergence": name}, small, **fit)
    ((_, params),) = lab.of("fit")
    found = jax.vmap(lambda v: lab.head.dist(v, 0, jnp.zeros(1)))(params)
    for mean, sd in zip(np.ravel(found.mean), np.ravel(found.std), strict=True):
        near_optimum(name, float(mean), float(sd))
    np.testing.assert_allclose(result.curve["divergence"][:, -1], -np.log(0.7), rtol=1e-3)


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
    np.testing.assert_allclose(
        special.softmax(there.extra.logits, -1), special.softmax(values[there.obs] / 0.1, -1), atol=1e-5
    )
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
    told = Mixture(
        jnp.log(jnp.float32([0.3, 0.7])), jnp.float32([[-1, 2], [1, 0]]), jnp.float32([[0.1, 1], [0.5, 0.2]])
    )
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
