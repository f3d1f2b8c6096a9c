"""Laws of actions against SciPy and numerical integration: densities, draws, divergences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special, stats

from ilbench.distributions import (
    Categorical,
    Normal,
    jensen_shannon,
    kl,
    log_prob,
    mode,
    sample,
    total_variation,
    variation_at,
)

P, Q = (np.float32([0.2, -1.0, 1.5]), np.float32([1.0, 0.3, -0.7]))
GRID = np.linspace(-40, 40, 400_001)


def normal(mean, std):
    return Normal(jnp.float32(mean), jnp.float32(std))


def test_categorical_laws_are_their_sums():
    p, q = (np.exp(x - np.logaddexp.reduce(x)) for x in (np.float64(P), np.float64(Q)))
    a, b = Categorical(jnp.asarray(P)), Categorical(jnp.asarray(Q))
    np.testing.assert_allclose(kl(a, b), (p * np.log(p / q)).sum(), rtol=1e-5)
    np.testing.assert_allclose(total_variation(a, b), np.abs(p - q).sum() / 2, rtol=1e-5)
    np.testing.assert_allclose(variation_at(jnp.int32(2), a), 1 - p[2], rtol=1e-5)
    assert int(mode(a)) == 2
    drawn = jax.vmap(lambda k: sample(a, k))(jax.random.split(jax.random.key(0), 4000))
    np.testing.assert_allclose(np.bincount(drawn, minlength=3) / 4000, p, atol=0.03)


@pytest.mark.parametrize(
    ("m", "s", "tolerance"), [(0.4, 1.5, 1e-5), (3.0, 1.5, 1e-5), (0.4, 0.5, 0.02), (2.0, 4.0, 0.02)]
)
def test_gaussian_laws_are_their_integrals(m, s, tolerance):
    p, q = stats.norm(0.1, 1.5), stats.norm(m, s)
    a, b = normal([0.1], [1.5]), normal([m], [s])
    step = GRID[1] - GRID[0]
    np.testing.assert_allclose(kl(a, b), (p.pdf(GRID) * (p.logpdf(GRID) - q.logpdf(GRID))).sum() * step, rtol=1e-4)
    # Of equal widths exactly, of others from fixed draws.
    np.testing.assert_allclose(
        total_variation(a, b), np.abs(p.pdf(GRID) - q.pdf(GRID)).sum() * step / 2, atol=tolerance
    )
    np.testing.assert_allclose(log_prob(b, jnp.float32([0.7])), q.logpdf(0.7), rtol=1e-5)
    assert float(variation_at(jnp.float32([m]), b)) == 1.0  # a density gives no action any weight


def test_in_several_dimensions_kl_adds_up_and_equal_widths_differ_along_one_line():
    a, b = normal([0.0, 1.0], [1.0, 2.0]), normal([0.5, -1.0], [1.0, 2.0])
    parts = [kl(normal(*(x[i : i + 1] for x in a)), normal(*(x[i : i + 1] for x in b))) for i in range(2)]
    np.testing.assert_allclose(kl(a, b), sum(parts), rtol=1e-5)
    apart = np.hypot(0.5 / 1.0, 2.0 / 2.0)
    np.testing.assert_allclose(total_variation(a, b), 2 * stats.norm.cdf(apart / 2) - 1, rtol=1e-4)


@pytest.mark.parametrize(("m", "s"), [(0.4, 1.5), (3.0, 0.7), (0.1, 0.15), (-20.0, 1.0)])
def test_jensen_shannon_is_its_sum_or_its_integral(m, s):
    p, q = (np.exp(x - np.logaddexp.reduce(x)) for x in (np.float64(P), np.float64(Q) * s))
    exact = (special.rel_entr(p, (p + q) / 2) + special.rel_entr(q, (p + q) / 2)).sum() / 2
    np.testing.assert_allclose(
        jensen_shannon(Categorical(jnp.asarray(P)), Categorical(jnp.asarray(Q * np.float32(s)))), exact, rtol=1e-4
    )
    p, q = (law.pdf(GRID) for law in (stats.norm(0.1, 1.5), stats.norm(m, s)))
    exact = (special.rel_entr(p, (p + q) / 2) + special.rel_entr(q, (p + q) / 2)).sum() / 2 * (GRID[1] - GRID[0])
    np.testing.assert_allclose(jensen_shannon(normal([0.1], [1.5]), normal([m], [s])), exact, atol=2e-3)
    with pytest.raises(ValueError, match="Gaussians of 2 dimensions"):
        jensen_shannon(normal([0.0, m], [1.0, s]), normal([0.0, m], [1.0, s]))


def test_laws_of_two_kinds_have_no_divergence():
    with pytest.raises(TypeError, match="Categorical and a Normal"):
        kl(Categorical(jnp.asarray(P)), normal([0.0], [1.0]))
