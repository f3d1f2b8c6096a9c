"""Heads of continuous actions against laws whose every number is known: two modes, a correlated plane, and their own formulas."""

from __future__ import annotations

from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from ilbench import registry
from ilbench.compute import prng
from ilbench.training import fit
from ilbench.types import Box, Data, Spec

LINE, PLANE = Spec(Box(1), Box(1, -2.0, 2.0), 1), Spec(Box(1), Box(2, -2.0, 2.0), 1)
DRAWS, ROWS = 2000, 1024
EDGES = np.linspace(-2, 2, 41)


def two_modes(n, seed):
    """1/2 N(-1, .1^2) + 1/2 N(1, .1^2), `[n, 1]`."""
    rng = np.random.default_rng(seed)
    return (rng.choice([-1.0, 1.0], (n, 1)) + 0.1 * rng.standard_normal((n, 1))).astype(np.float32)


def diagonal(n, seed):
    """Both numbers near 1/2, or both near -1/2: each alone is on either side half of the time, `[n, 2]`."""
    rng = np.random.default_rng(seed)
    return (rng.choice([-0.5, 0.5], (n, 1)) + 0.1 * rng.standard_normal((n, 2))).astype(np.float32)


def head_of(name, spec=LINE, **config):
    module = registry.load("heads", name)
    return module.make(spec, module.Config(**({"width": 32} if hasattr(module.Config, "width") else {}) | config))


def rows_of(actions):
    n = len(actions)
    return Data(np.zeros((1, n), np.int32), np.zeros((1, n, 1), np.float32), actions[None], np.ones((1, n), np.float32))


@lru_cache(maxsize=64)
def fitted(name, spec=LINE, law=two_modes, updates=400, **config):
    """`(head, params, draws [DRAWS, A])` after a small fit to draws of `law` at one observation."""
    head, keys = head_of(name, spec, **config), jax.random.split(prng.key(0), 1)
    settings = fit.FitConfig(updates=updates, batch=128, learning_rate=1e-2)
    params = fit.fit(head, keys, fit.init(head, keys), rows_of(law(ROWS, 0)), settings, updates).params
    one = jax.tree.map(lambda x: jnp.asarray(np.asarray(x)[0]), params)
    if head.sample is None:
        return head, one, None
    return head, one, drawn(head, one)


def drawn(head, params):
    draw = jax.jit(jax.vmap(lambda key: head.sample(params, key, jnp.int32(0), jnp.zeros(1))))
    return np.asarray(draw(jax.random.split(jax.random.key(1), DRAWS)))


def done(head, params, seed=0):
    return np.asarray(head.act(params, jax.random.key(seed), jnp.int32(0), (), jnp.zeros(1))[1])


def densities(head, params, actions):
    of = jax.jit(jax.vmap(lambda a: head.log_prob(params, jnp.int32(0), jnp.zeros(1), a)))
    return np.asarray(of(jnp.asarray(actions, jnp.float32)), np.float64)


def histogram(x):
    return np.histogram(x, EDGES)[0] / len(x)


def variation(x):
    """Total variation between a histogram of draws `[n, 1]` and the two modes', whose bins are integrated."""
    cdf = sum(stats.norm.cdf(EDGES, m, 0.1) / 2 for m in (-1, 1))
    return np.abs(histogram(x) - np.diff(cdf)).sum() / 2 + np.mean(np.abs(x) > 2) / 2


def near_a_mode(x):
    return (np.abs(np.abs(x) - 1) < 0.3).mean()


# ------------------------------------------------------------------------------------------- densities
@pytest.mark.parametrize(("name", "apart"), [("mixture", 0.1), ("bins", 0.15), ("autoregressive", 0.15)])
def test_a_density_of_two_modes_is_learnt_and_integrates_to_one(name, apart):
    head, params, x = fitted(name)
    grid = (np.arange(4000)[:, None] + 0.5) / 4000 * 8 - 4
    law = np.exp(densities(head, params, grid))
    assert law.sum() * 8 / 4000 == pytest.approx(1, abs=2e-3)
    assert variation(x) < apart
    assert near_a_mode(x) > 0.97
    assert near_a_mode(done(head, params)) == 1
    # Samples come as the density says: the distribution functions agree on the grid, up to 5 standard errors.
    assert (
        np.abs(np.interp(np.sort(x[:, 0]), grid[:, 0], law.cumsum() * 8 / 4000) - np.arange(DRAWS) / DRAWS).max() < 0.05
    )


def test_a_mixture_comes_near_the_true_likelihood_which_one_gaussian_cannot():
    a = two_modes(4000, 1)
    true = np.log(sum(stats.norm.pdf(a, m, 0.1) / 2 for m in (-1, 1))).mean()
    head, params, _ = fitted("mixture")
    assert true - densities(head, params, a).mean() < 0.05
    head, params, x = fitted("gaussian")
    assert true - densities(head, params, a).mean() > 0.7  # by moments: 1.42 + .11 nats against 1.42 - 1.38 + ...
    assert near_a_mode(x) == pytest.approx(0.29, abs=0.05)


def test_a_mixture_deploys_the_highest_or_the_weightiest_component():
    """.7 of weight wide at -1, .3 narrow at 1: densities of .7 / .5 and .3 / .05, up to a factor."""
    acts = {}
    for deploy in ("density", "component"):
        head = head_of("mixture", components=2, deploy=deploy)
        params = head.init(prng.key(0))
        net = jax.tree.map(jnp.zeros_like, params["net"])
        raw = np.log(np.expm1(np.float32([0.5, 0.05]) - 0.01))
        last = sorted(net)[-1]
        net[last]["bias"] = jnp.concatenate([jnp.log(jnp.float32([0.7, 0.3])), jnp.zeros(2), jnp.asarray(raw)])
        params = {**params, "net": net, "apart": jnp.float32([[-1], [1]])}
        acts[deploy] = done(head, params).item()
        by_hand = 0.7 * stats.norm.pdf(0.2, -1, 0.5) + 0.3 * stats.norm.pdf(0.2, 1, 0.05)
        assert np.exp(densities(head, params, [[0.2]])[0]) == pytest.approx(by_hand, rel=1e-4)
    assert acts == {"density": 1, "component": -1}


def test_a_squashed_gaussian_has_the_density_of_its_own_draws():
    """By the formula of the transformed law, at several means and widths, bounds of another centre."""
    head = head_of("tanh_gaussian", Spec(Box(1), Box(1, -1.0, 3.0), 1), depth=0)
    params = head.init(prng.key(0))
    a = np.linspace(-0.95, 2.95, 40)
    for mean, std in ((0.0, 0.5), (1.2, 0.3), (-0.4, 1.5)):
        raw = np.log(np.expm1(std - 0.01))
        net = jax.tree.map(lambda x, m=mean, r=raw: jnp.float32([m, r]) if x.ndim == 1 else 0 * x, params["net"])
        y = (a - 1) / 2
        wanted = stats.norm.logpdf(np.arctanh(y), mean, std) - np.log(1 - y**2) - np.log(2)
        given = {**params, "net": net}
        np.testing.assert_allclose(densities(head, given, a[:, None]), wanted, rtol=1e-3, atol=1e-3)
        assert done(head, given).item() == pytest.approx(1 + 2 * np.tanh(mean), rel=1e-5)
        assert np.median(drawn(head, given)) == pytest.approx(1 + 2 * np.tanh(mean), abs=0.1)
    assert densities(head, given, [[3.5]])[0] == -np.inf
    assert "have none" in registry.load("heads", "tanh_gaussian").skip(Spec(Box(1), Box(1), 1))


@pytest.mark.parametrize("network", ["lstm", "transformer"])
def test_bins_in_order_know_a_correlation_that_independent_bins_cannot(network):
    _, _, apart = fitted("bins", PLANE, diagonal, bins=16)
    head, params, x = fitted("autoregressive", PLANE, diagonal, bins=16, network=network)
    assert (apart.prod(1) > 0).mean() == pytest.approx(0.5, abs=0.07)
    assert (x.prod(1) > 0).mean() > 0.95
    assert (x[:, 0] > 0).mean() == pytest.approx(0.5, abs=0.07)
    a = diagonal(2000, 1)  # log-loss of the second number given the first: the density tells it too
    gain = densities(head, params, a).mean() - densities(*fitted("bins", PLANE, diagonal, bins=16)[:2], a).mean()
    assert gain == pytest.approx(np.log(2), abs=0.12)


@pytest.mark.parametrize("network", ["lstm", "transformer"])
def test_numbers_see_those_before_them_alone(network):
    from ilbench.heads._sequence import NETWORKS

    net = NETWORKS[network](4, 8, 5)
    weights, context = net.init(prng.key(0)), jnp.ones(8)
    base = np.asarray(net.logits(weights, context, jnp.int32([0, 1, 2, 3])))
    for i in range(4):
        tokens = jnp.int32([0, 1, 2, 3]).at[i].set(4)
        moved = np.abs(np.asarray(net.logits(weights, context, tokens)) - base).max(1)
        assert (moved[: i + 1] == 0).all()
        assert (moved[i + 1 :] > 1e-4).all()


def test_bins_take_the_range_of_the_rows_where_actions_have_no_bounds():
    head = head_of("bins", Spec(Box(1), Box(1), 1), bins=4)
    data = Data(
        np.zeros(3, np.int32), np.zeros((3, 1), np.float32), np.float32([[10], [12], [99]]), np.float32([1, 1, 0])
    )
    limits = head.prepare(head.init(prng.key(0)), data)["norm"]["range"]
    np.testing.assert_allclose([limits["low"][0], limits["high"][0]], [10, 12], rtol=1e-5)


# ------------------------------------------------------------------------------------------- refusals
REFUSED = [
    ("mixture", {"components": 17}, r"components must be 1 ... 16, got 17"),
    ("mixture", {"deploy": "mode"}, "one of density, component, sample"),
    ("mixture", {"width": 0}, "mixture.width must be at least 1"),
    ("tanh_gaussian", {"min_std": 0.0}, "min_std must be positive"),
    ("bins", {"bins": 1}, "bins must be 2 ... 4096, got 1"),
    ("bins", {"over": "rows"}, "one of space, data"),
    ("autoregressive", {"network": "gru"}, "one of lstm, transformer"),
]


@pytest.mark.parametrize(("name", "config", "text"), REFUSED)
def test_what_does_not_fit_is_refused(name, config, text):
    with pytest.raises(ValueError, match=text):
        head_of(name, **config)


# -------------------------------------------------------------------------------------- flow and its parts
def loose(y, time):
    return y


@pytest.mark.parametrize(("m", "s"), [(0.0, 1.0), (1.5, 0.4)])
def test_euler_steps_on_the_exact_velocity_of_a_gaussian_reach_it(m, s):
    """y_t ~ N(t m, (1 - t)^2 + t^2 s^2); E[a - z | y_t] by conditioning; the exact flow is z -> m + s z."""
    from ilbench.heads._lines import euler

    def velocity(y, t):
        return m + (t * s**2 - (1 - t)) / ((1 - t) ** 2 + (t * s) ** 2) * (y - t * m)

    z = jnp.float32([-2.0, 0.0, 1.0])
    off = [np.abs(np.asarray(euler(velocity, z, n, loose)) - (m + s * np.asarray(z))).max() for n in (8, 16, 512)]
    assert off[2] < 0.01
    assert off[1] < 0.7 * off[0] + 1e-6  # of first order


def test_a_trained_velocity_is_the_closed_form_of_its_gaussian():
    from ilbench.heads._conditional import seen

    def gaussian(n, seed):
        return (0.5 + 0.3 * np.random.default_rng(seed).standard_normal((n, 1))).astype(np.float32)

    head, params, x = fitted("flow", LINE, gaussian)
    assert x.mean() == pytest.approx(0.5, abs=0.06)
    assert x.std() == pytest.approx(0.3, abs=0.06)
    assert done(head, params).item() == pytest.approx(0.5, abs=0.08)  # z = 0 goes to the mean
    rest = registry.load("heads", "flow")
    from ilbench.heads._conditional import conditional

    net = conditional(Box(1), rest.Config(width=32), 1, 1, times=1)
    for t in (0.2, 0.5, 0.8):  # in units of the rows the target is N(0, 1)
        for y in (-0.7, 0.0, 0.7):
            found = net.out(params["net"], seen(Box(1), params, jnp.zeros(1)), jnp.float32([y]), jnp.float32(t))
            assert found[0] == pytest.approx((t - (1 - t)) / ((1 - t) ** 2 + t**2) * y, abs=0.2)


def test_two_modes_are_drawn_by_a_flow_and_by_diffusion():
    for name, config in (("flow", {"steps": 32}), ("diffusion", {"steps": 30})):
        _, _, x = fitted(name, updates=1000, activation="silu", **config)
        assert near_a_mode(x) > 0.85, name
        assert variation(x) < 0.25, name


def test_losses_of_two_passes_are_their_formulas():
    """Against NumPy, from the net's answers at the draws that a key gives; one number, of weight 1."""
    from ilbench.heads._conditional import conditional

    t, a, o = 0.9, np.float32(0.7), jnp.zeros(1)
    key, row = prng.key(5), Data(jnp.int32(0), jnp.zeros(1), jnp.float32([0.7]), jnp.float32(1))
    z1, z2 = np.asarray(jax.random.normal(key, (2, 1), jnp.float32))[:, 0]
    for name, form in (
        ("residual", None),
        ("tsd", "paper"),
        ("tsd", "released"),
        ("mip", "paper"),
        ("mip", "released"),
    ):
        config = registry.load("heads", name).Config(width=32, **({} if form is None else {"form": form}))
        head = registry.load("heads", name).make(LINE, config)
        params = head.init(prng.key(0))
        net = conditional(Box(1), config, 1, 1, times=1)

        def pi(y, time, net=net, params=params):
            return float(net.out(params["net"], o, jnp.float32([y]), jnp.float32(time))[0])

        middle = {"paper": t * a + (1 - t) * (z1 if name == "tsd" else z2), "released": a + (1 - t) * z2, None: t * a}[
            form
        ]
        shown, aim = (z1 if name == "tsd" else 0.0), (a if name == "mip" else middle)
        w = (1 / 0.81, 100.0) if form == "released" else (1.0, 1.0)
        wanted = w[0] * (pi(shown, 0) - aim) ** 2 + w[1] * (pi(middle, t) - a) ** 2
        assert float(head.loss(params, key, row)) == pytest.approx(wanted, rel=1e-4), (name, form)
        feed = t if (name, form) == ("mip", "paper") else 1.0
        assert done(head, params).item() == pytest.approx(pi(feed * pi(0, 0), t), rel=1e-4), (name, form)


@pytest.mark.parametrize("name", ["straight_flow", "residual", "mip"])
def test_what_is_no_density_answers_the_mean_of_two_modes(name):
    """And has no `sample`: THEORY's mean policy, whatever its passes."""
    head, params, _ = fitted(name)
    assert head.sample is None
    assert abs(done(head, params).item()) < 0.35


# ------------------------------------------------------------------------------------------ diffusion
def test_the_posterior_is_that_of_jointly_gaussian_levels():
    from ilbench.heads.diffusion import posterior, schedule

    bar = schedule(100)
    f = np.cos((np.arange(101) / 100 + 0.008) / 1.008 * np.pi / 2) ** 2
    np.testing.assert_allclose(bar[:95], (f / f[0])[:95], rtol=1e-9)
    for high, low in ((60, 59), (80, 30)):
        for a0, y in ((0.3, -1.0), (-1.2, 0.4)):
            mean, var, ratio = bar[low] ** 0.5 * a0, 1 - bar[low], bar[high] / bar[low]
            gain = var * ratio**0.5 / (ratio * var + 1 - ratio)  # regression of the lower level on the higher one
            wanted = mean + gain * (y - ratio**0.5 * mean), var - gain * ratio**0.5 * var
            np.testing.assert_allclose(posterior(a0, y, bar[high], bar[low]), wanted, rtol=1e-9)


@pytest.mark.parametrize(("sampler", "steps"), [("ddpm", 100), ("ddim", 50)])
def test_samplers_with_the_exact_noise_of_a_gaussian_reach_it(sampler, steps):
    from ilbench.heads.diffusion import Config, schedule, walked

    m, s, n = 0.5, 0.3, 4000
    bar = jnp.asarray(schedule(100), jnp.float32)
    config = Config(sampler=sampler, steps=steps)

    def exact(y, time):
        left = bar[jnp.round(time * 100).astype(jnp.int32)]
        return jnp.sqrt(1 - left) * (y - jnp.sqrt(left) * m) / (left * s**2 + 1 - left)

    noise = jax.random.normal(jax.random.key(0), (steps + 1, n), jnp.float32)
    x = np.asarray(walked(exact, noise[-1], noise, config, lambda y: y))
    assert x.mean() == pytest.approx(m, abs=0.02)
    assert x.std() == pytest.approx(s, rel=0.06)


@pytest.mark.parametrize(
    ("name", "config", "text"),
    [
        ("diffusion", {"steps": 101}, "steps must be 1 ... levels = 100, got 101"),
        ("flow", {"steps": 0}, "flow.steps must be 1 ... 1024, got 0"),
        ("flow", {"start": "noise"}, "one of zero, normal, mean"),
        ("mip", {"at": 1.0}, "must lie in"),
        ("tsd", {"form": "code"}, "one of paper, released"),
    ],
)
def test_steps_and_forms_that_do_not_fit_are_refused(name, config, text):
    with pytest.raises(ValueError, match=text):
        head_of(name, **config)
