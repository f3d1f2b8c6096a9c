"""Every head that draws, against a law whose quantiles are known; CVAE, energy and shortcut heads where their formulas are closed."""

from __future__ import annotations

from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from ilbench import registry
from ilbench.compute import prng
from ilbench.types import Box, Data, Discrete, Spec
from tests.test_heads import DRAWS, LINE, densities, drawn, fitted, head_of

THREE = Spec(Box(1), Discrete(3), 1)
SHARES = np.array([0.6, 0.3, 0.1])
SD = 0.3


def modes(n, seed):
    """1/2 N(-1, .3^2) + 1/2 N(1, .3^2), at even quantiles of either half: no draw, `[n, 1]`."""
    return np.concatenate([one(n // 2, seed) - 1.5, one(n // 2, seed) + 0.5]).astype(np.float32)


def one(n, seed):
    """N(.5, .3^2) at even quantiles, `[n, 1]`."""
    return (0.5 + SD * stats.norm.ppf((np.arange(n) + 0.5) / n)).astype(np.float32)[:, None]


def three(n, seed):
    """Three actions by their shares, `[n]`."""
    return np.searchsorted(SHARES.cumsum(), (np.arange(n) + 0.5) / n).astype(np.int32)


DENSITY = {
    modes: lambda a: (stats.norm.pdf(a, -1, SD) + stats.norm.pdf(a, 1, SD)) / 2,
    one: lambda a: stats.norm.pdf(a, 0.5, SD),
}
SILU = {"updates": 1000, "activation": "silu"}
# Law, bound of the distance, settings. Of two modes, W1 is 1 where one is lost, .33 of the Gaussian of the same moments, .24 without the
# noise within a mode or with twice of it, .2 where .6 of the mass is on one side; of one, .08 where the width is a third too large.
# Drawing 2000 times moves it by .02. What is learnt through many small steps, or one large one, comes less near.
LAWS = {
    "gaussian": (one, 0.05, {}),
    "tanh_gaussian": (one, 0.05, {}),
    "mixture": (modes, 0.1, {}),
    "bins": (modes, 0.1, {}),
    "autoregressive": (modes, 0.1, {}),
    "energy": (modes, 0.12, {"negatives": 16}),
    "flow": (modes, 0.12, {**SILU, "steps": 32}),
    "cvae": (modes, 0.16, {"updates": 1000}),
    "shortcut": (modes, 0.18, SILU),
    "diffusion": (modes, 0.18, {**SILU, "steps": 30}),
    "mlp": (three, 0.03, {"spec": THREE}),
    "linear": (three, 0.03, {"spec": THREE}),
}


def test_every_head_that_draws_has_a_law_to_be_held_against():
    def draws(name):
        module = registry.load("heads", name)
        needs = getattr(module, "NEEDS", ("discrete actions",))  # linear takes either; of logits it draws
        return (
            "discrete observations" not in needs
            and head_of(name, THREE if "discrete actions" in needs else LINE).sample
        )

    assert {name for name in registry.entries("heads") if draws(name)} == set(LAWS)


@pytest.mark.parametrize("name", LAWS)
def test_what_a_head_draws_is_the_law_that_it_was_shown(name):
    law, bound, settings = LAWS[name]
    head, params, x = fitted(name, law=law, **{"spec": LINE, **settings})
    if law is three:
        told = np.exp(jax.jit(jax.vmap(lambda a: head.log_prob(params, jnp.int32(0), jnp.zeros(1), a)))(jnp.arange(3)))
        assert np.abs(told - SHARES).sum() / 2 < bound
        assert np.abs(np.bincount(x, minlength=3) / DRAWS - told).sum() / 2 < 0.05
        return
    rows = np.sort(law(DRAWS, 0)[:, 0])
    assert np.abs(np.sort(x[:, 0]) - rows).mean() < bound  # 1-Wasserstein: between equal quantiles
    if head.log_prob is not None:
        assert len(np.unique(x)) > 0.9 * DRAWS  # what has a density has no atoms
        a = (np.arange(2000) + 0.5) / 2000 * 6 - 3
        p, true = np.exp(densities(head, params, a[:, None])), DENSITY[law](a)
        assert p.sum() * 6 / 2000 == pytest.approx(1, abs=3e-3)
        assert np.abs(p - true).sum() * 6 / 2000 / 2 < bound  # total variation


# ------------------------------------------------------------------------------------- nets set by hand
def plain(name, spec=LINE, **config):
    """A head without hidden layers, and parameters with weights of zero, of rows of unit spread in [-1, 1]."""
    head = head_of(name, spec, depth=0, **config)
    params = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), jax.eval_shape(head.init, prng.key(0)))
    scale = {"centre": np.zeros(1), "unit": np.ones(1), "low": -np.full(1, 1.0), "high": np.full(1, 1.0)}
    obs = {"mean": np.zeros(1, np.float32), "std": np.ones(1, np.float32)}
    norm = {"obs": obs, "action": {k: v.astype(np.float32) for k, v in scale.items()}}
    return head, {**params, "norm": norm}


def layer(net):
    return net["Dense_0"]


def acted(head, params, n=DRAWS):
    act = jax.jit(jax.vmap(lambda key: head.act(params, key, jnp.int32(0), (), jnp.zeros(1))[1]))
    return np.asarray(act(jax.random.split(jax.random.key(3), n)))[:, 0]


def row(a):
    return Data(jnp.int32(0), jnp.zeros(1), jnp.float32([a]), jnp.float32(1))


# ------------------------------------------------------------------------------------------------- CVAE
def test_the_bound_of_a_linear_cvae_is_its_likelihood_where_the_encoder_is_the_posterior():
    """a = w z + b + s noise is N(b, w^2 + s^2), and z given a is N(v w (a - b) / s^2, v), 1/v = 1 + w^2 / s^2."""
    w, b, s = 0.5, 0.3, 0.5
    v = 1 / (1 + (w / s) ** 2)
    head, params = plain("cvae", latent=1, z="normal")
    params["raw_std"][:] = np.log(np.expm1(s - 0.01))
    layer(params["decoder"])["kernel"][1], layer(params["decoder"])["bias"][0] = w, b  # of the observation, z
    layer(params["encoder"])["kernel"][1, 0] = v * w / s**2  # of the observation, a
    layer(params["encoder"])["bias"][:] = -b * v * w / s**2, np.log(v) / 2
    losses = jax.jit(jax.vmap(head.loss, (None, 0, None)))
    keys = jax.random.split(jax.random.key(0), 20_000)
    for a in (-1.0, 0.7):
        each = np.asarray(losses(params, keys, row(a)), np.float64)
        assert each.mean() == pytest.approx(
            -stats.norm.logpdf(a, b, np.hypot(w, s)), abs=4 * each.std() / len(each) ** 0.5
        )
    # An encoder that has forgotten a gives a worse bound, by KL(q || posterior); beta weighs KL(q || prior) = 0 not at all.
    layer(params["encoder"])["kernel"][:] = layer(params["encoder"])["bias"][:] = 0
    each = np.asarray(losses(params, keys, row(0.7)), np.float64)
    wanted = -stats.norm.logpdf(0.7, b, s) + 0.5 * (w / s) ** 2
    assert each.mean() == pytest.approx(wanted, abs=4 * each.std() / len(each) ** 0.5)
    x = drawn(head, params)[:, 0]
    assert stats.kstest(x, stats.norm(b, np.hypot(w, s)).cdf).pvalue > 1e-3
    assert stats.kstest(acted(head, params), stats.norm(b, w).cdf).pvalue > 1e-3
    np.testing.assert_allclose(acted(head_of("cvae", depth=0, latent=1, z="zero"), params), b, rtol=1e-6)


def test_the_divergence_of_a_latent_is_its_integral():
    from ilbench.heads.cvae import divergence

    z, mean, sd = np.linspace(-8, 8, 4001), 0.7, 0.4
    q = stats.norm.pdf(z, mean, sd)
    wanted = (q * (stats.norm.logpdf(z, mean, sd) - stats.norm.logpdf(z))).sum() * (z[1] - z[0])
    assert float(divergence(jnp.float32([mean]), jnp.log(jnp.float32([sd])))) == pytest.approx(wanted, rel=1e-4)


# ----------------------------------------------------------------------------------------------- energy
def test_an_energy_on_a_slope_is_drawn_from_exponentially_and_searched_to_the_edge():
    """exp(-w u) on [-1, 1], which is [-1.1, 1.1] of the action: 5 % of the range beyond it on either side."""
    w = 1.5
    for search in ("shrink", "langevin"):
        head, params = plain("energy", search=search)
        assert float(jax.jit(head.loss)(params, prng.key(1), row(0.3))) == pytest.approx(
            np.log(65), rel=1e-5
        )  # all alike
        layer(params["net"])["kernel"][1] = w
        np.testing.assert_allclose(acted(head, params, 20), -1.1, rtol=1e-6)
    cdf = stats.truncexpon(2 * w, -1.1, 1.1 / w).cdf
    assert stats.kstest(drawn(head, params)[:, 0], cdf).pvalue > 1e-3
    scale = params["norm"]["action"]
    scale["low"][0], scale["high"][0] = -1.95, 1.95
    np.testing.assert_allclose(acted(head, params, 20), -2)  # but not beyond the bounds of actions


def test_the_loss_of_an_energy_is_the_surprise_at_the_experts_action_among_uniform_ones():
    w, a = 0.8, 0.3
    head, params = plain("energy", negatives=1)
    layer(params["net"])["kernel"][1] = w
    keys = jax.random.split(jax.random.key(0), 20_000)
    losses = np.asarray(jax.jit(jax.vmap(head.loss, (None, 0, None)))(params, keys, row(a)), np.float64)
    u = np.linspace(-1, 1, 20_001)  # the one negative, integrated over
    wanted = np.log1p(np.exp(w * (a / 1.1 - u))).mean()
    assert np.mean(losses) == pytest.approx(wanted, abs=4 * np.std(losses) / 20_000**0.5)


def test_both_searches_find_a_mode_of_a_learnt_energy():
    _, params, _ = fitted("energy", law=modes, negatives=16)
    for search in ("shrink", "langevin"):
        found = acted(head_of("energy", negatives=16, search=search), params, 50)
        assert (np.abs(np.abs(found) - 1) < 0.2).all(), search
        assert found.std() < 0.05 or search == "langevin"  # the same valley, to its floor


# --------------------------------------------------------------------------------------------- shortcut
def test_the_loss_of_a_shortcut_and_its_gradient_are_their_formulas():
    """Against NumPy at the draws that a key gives; the last bias moves an answer by 1, and a target not at all."""
    from ilbench.heads._conditional import conditional

    config = registry.load("heads", "shortcut").Config(width=16, finest=8)
    head, net = head_of("shortcut", width=16, finest=8), conditional(Box(1), config, 1, 1, times=2)
    params = head.init(prng.key(0))
    graded = jax.jit(jax.value_and_grad(lambda p, key: head.loss({**params, "net": p}, key, row(0.7))))

    @jax.jit
    def ask(y, time, length):  # lengths 1/8 ... 1 are levels 0 ... 3 of 3
        return net.out(params["net"], jnp.zeros(1), y[None], time, jnp.log2(8 * length) / 3)[0]

    said = lambda *given: float(ask(*map(jnp.float32, given)))  # noqa: E731
    begun = set()
    for seed in range(12):
        key = jax.random.key(seed)
        k_noise, k_time, k_level, k_step = jax.random.split(key, 4)
        z, time = float(jax.random.normal(k_noise, (1,))[0]), float(jax.random.uniform(k_time))
        d = 2 ** int(jax.random.randint(k_level, (), 1, 4)) / 8
        begin = int(jax.random.randint(k_step, (), 0, round(1 / d))) * d
        begun.add((d, begin))
        short = said((1 - time) * z + time * 0.7, time, 1 / 8) - (0.7 - z)
        y = (1 - begin) * z + begin * 0.7
        first = said(y, begin, d / 2)
        long = said(y, begin, d) - (first + said(y + d / 2 * first, begin + d / 2, d / 2)) / 2
        value, grads = graded(params["net"], key)
        assert float(value) == pytest.approx(0.75 * short**2 + 0.25 * long**2, rel=1e-3)
        last = grads[max(grads)]["bias"][0]
        assert float(last) == pytest.approx(1.5 * short + 0.5 * long, rel=1e-3, abs=1e-4)
    assert {d for d, _ in begun} == {1 / 4, 1 / 2, 1}


def test_one_step_of_a_shortcut_goes_where_many_go():
    """On one Gaussian the exact map is z -> m + s z; a flow's single step would take every z to the mean."""
    _, params, x = fitted("shortcut", law=one, **SILU)
    assert np.abs(np.sort(x[:, 0]) - one(DRAWS, 0)[:, 0]).mean() < 0.06
    few, many = (drawn(head_of("shortcut", activation="silu", steps=n), params) for n in (2, 32))
    assert np.abs(x - few).mean() < 0.06
    assert np.abs(x - many).mean() < 0.06


# --------------------------------------------------------------------------- where a head of noise begins
def test_what_is_deployed_begins_at_nought_at_a_draw_or_is_the_mean_of_sixteen():
    """Of the velocity w y + c, n Euler steps take z to g z + c (g - 1) / w with g = (1 + w / n)^n; straight flow answers w z + c."""
    w, c = 0.6, 0.3
    for name, n in (("flow", 5), ("shortcut", 4), ("straight_flow", None)):
        config = {} if n is None else {"steps": n}
        g = w if n is None else (1 + w / n) ** n
        mean = c if n is None else c * (g - 1) / w
        for start, sd in (("zero", 0.0), ("normal", g), ("mean", g / 4)):
            head, params = plain(name, start=start, **config)
            layer(params["net"])["kernel"][1], layer(params["net"])["bias"][0] = w, c
            x = acted(head, params, 4000)
            assert x.mean() == pytest.approx(mean, abs=5 * sd / 4000**0.5 + 1e-6), (name, start)
            assert x.std() == pytest.approx(sd, rel=0.06, abs=1e-6), (name, start)


@pytest.mark.parametrize(("name", "config"), [("flow", {"steps": 4}), ("shortcut", {"steps": 4, "finest": 8})])
def test_what_is_known_of_a_chunk_is_held_on_its_line_and_the_rest_flows_beside_it(name, config):
    """Against a loop in NumPy, of chunks of three actions of two numbers whose first is known."""
    from ilbench.heads._conditional import conditional

    spec = Spec(Box(1), Box((3, 2)), 8)
    head, times = head_of(name, spec, start="normal", **config), 1 + (name == "shortcut")
    made = registry.load("heads", name).Config(width=32, start="normal", **config)
    net = conditional(Box(1), made, 6, 6, times=times)
    centre, unit = np.arange(6, dtype=np.float32), np.linspace(1, 2, 6).astype(np.float32)
    params = head.init(prng.key(0))
    params["norm"]["action"] |= {"centre": centre, "unit": unit}
    prefix, known, key = np.ones((3, 2), np.float32), np.float32([1, 0, 0]), jax.random.key(4)
    fixed, z = (1 - centre) / unit, np.asarray(jax.random.normal(key, (6,)))
    y, held = z, np.arange(6) < 2
    out = jax.jit(net.out)
    for t in (0, 0.25, 0.5, 0.75):
        y = np.where(held, (1 - t) * z + t * fixed, y)
        y = y + np.asarray(out(params["net"], jnp.zeros(1), y, *np.float32([t, 1 / 3])[:times])) / 4
    wanted = np.where(held, 1, centre + unit * y).reshape(3, 2)
    at = jnp.int32(0), jnp.zeros(1)
    complete = jax.jit(head.complete)
    np.testing.assert_allclose(complete(params, key, *at, prefix, known), wanted, rtol=1e-4, atol=1e-5)
    nothing = complete(params, key, *at, prefix, 0 * known)
    np.testing.assert_allclose(nothing, jax.jit(head.sample)(params, key, *at), rtol=1e-5)


# -------------------------------------------------------------------------------------------- diffusion
@pytest.mark.parametrize("sampler", ["ddpm", "ddim"])
@pytest.mark.parametrize("clipped", [False, True])
def test_samplers_are_conditional_gaussians_step_by_step_and_estimates_are_clipped(sampler, clipped):
    """The exact noise of N(m, s^2), each level by regression on the one above; a second loop, in NumPy."""
    from ilbench.heads.diffusion import Config, schedule, walked

    s, edge, n, visited = 0.3, 0.55, 200, [100, 75, 50, 25, 0]
    bar = schedule(100)
    noise = np.random.default_rng(0).standard_normal((5, n)).astype(np.float32)

    def exact(y, level, where=np):
        left = where.asarray(bar)[level]
        m = where.where(level >= 75, 0.5 + clipped, 0.5)  # clipped: high levels point beyond the edge, low ones do not
        return (1 - left) ** 0.5 * (y - left**0.5 * m) / (left * s**2 + 1 - left)

    def clip(y, where=np):
        return where.clip(y, -edge, edge) if clipped else y

    y, often = noise[-1].astype(np.float64), 0
    for i, (high, low) in enumerate(pairwise(visited)):
        now, then = bar[high], bar[low]
        estimate = (y - (1 - now) ** 0.5 * exact(y, high)) / now**0.5
        often, estimate = often + (np.abs(estimate) > edge).sum(), clip(estimate)
        if sampler == "ddim":  # the noise that the estimate leaves in y, at its new size
            y = then**0.5 * estimate + ((1 - then) / (1 - now)) ** 0.5 * (y - now**0.5 * estimate)
        else:  # (a_low, a_high) given the clean action is Gaussian: covariance sqrt(now / then) (1 - then)
            mean, var, cov = then**0.5 * estimate, 1 - then, (now / then) ** 0.5 * (1 - then)
            y = mean + cov / (1 - now) * (y - now**0.5 * estimate) + (var - cov**2 / (1 - now)) ** 0.5 * noise[i]
    config = Config(sampler=sampler, steps=4)
    net = lambda y, time: exact(y, jnp.round(100 * time).astype(jnp.int32), jnp)  # noqa: E731
    x = walked(net, jnp.asarray(noise[-1]), jnp.asarray(noise), config, lambda y: clip(y, jnp))
    np.testing.assert_allclose(x, y, atol=2e-3)
    assert often > 10  # that the edge was met
    assert (np.abs(y).max() <= edge + 1e-9) == clipped


def test_ddim_from_zero_draws_nothing_and_the_actions_of_a_head_stay_within_its_rows():
    head, params = plain("diffusion", start="zero")
    layer(params["net"])["bias"][0] = -5.0  # noise that puts every estimate far above the rows
    assert acted(head, params, 8).tolist() == [1.0] * 8
    layer(params["net"])["bias"][0] = 0.0
    assert acted(head, params, 8).std() == 0
    assert acted(head_of("diffusion", depth=0), params, 8).std() > 0


# ---------------------------------------------------------------------------------------------- refusals
@pytest.mark.parametrize(
    ("name", "config", "text"),
    [
        ("cvae", {"latent": 10**6}, "cvae.latent must be 1 ... 1024, got 1000000"),
        ("cvae", {"z": "nought"}, "cvae.z must be one of normal, zero, got 'nought'"),
        ("energy", {"negatives": 10**9}, "energy.negatives must be 1 ... 65536"),
        ("energy", {"search": "dfo"}, "one of shrink, langevin"),
        ("shortcut", {"finest": 48}, "finest must be a power of two.* got 48. Did you mean 32"),
        ("shortcut", {"steps": 64}, "shortcut.steps must be 1 ... 32, got 64"),
        ("flow", {"steps": 10**7}, "flow.steps must be 1 ... 1024"),
        ("straight_flow", {"draws": 10**7}, "straight_flow.draws must be 1 ... 1024"),
        ("diffusion", {"levels": 10**9}, "diffusion.levels must be 2 ... 4096"),
        ("autoregressive", {"bins": 10**7}, "autoregressive.bins must be 2 ... 4096"),
        ("mse", {"width": 10**7}, "mse.width must be at most 65536"),
        ("energy", {"depth": 10**4}, "energy.depth must be at most 256"),
    ],
)
def test_absurd_settings_are_refused_by_name(name, config, text):
    with pytest.raises(ValueError, match=text):
        head_of(name, **config)
