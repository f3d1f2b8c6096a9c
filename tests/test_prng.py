"""Keys made by ilbench.compute.prng give the same numbers as JAX's own Threefry."""

import jax
import numpy as np
import pytest
from scipy import stats

from ilbench.compute import prng

DRAWS = {
    "uniform": lambda k: jax.random.uniform(k, (3, 5)),
    "normal": lambda k: jax.random.normal(k, (7,)),
    "randint": lambda k: jax.random.randint(k, (11,), 0, 1000),
    "bits8": lambda k: jax.random.bits(k, (4,), "uint8"),
    "split": lambda k: jax.random.key_data(jax.random.split(k, (2, 3))),
    "fold_in": lambda k: jax.random.key_data(jax.random.fold_in(k, 2**31 + 5)),
    "permutation": lambda k: jax.random.permutation(k, 20),
    "categorical": lambda k: jax.random.categorical(k, np.zeros(5, np.float32), shape=(6,)),
}


@pytest.mark.parametrize("name", DRAWS)
@pytest.mark.parametrize("seed", [0, 1, 2**31 - 1])
def test_same_numbers_as_jax(name, seed):
    own, theirs = prng.key(seed), jax.random.key(seed, impl="threefry2x32")
    np.testing.assert_array_equal(DRAWS[name](own), DRAWS[name](theirs))
    batch = jax.vmap(DRAWS[name])(jax.random.split(own, 3))
    looped = [DRAWS[name](k) for k in jax.random.split(theirs, 3)]
    np.testing.assert_array_equal(batch, np.stack(looped))


def test_uniforms_are_uniform_independent_and_never_zero_or_one():
    keys = jax.random.split(prng.key(3), 40_000)
    u = np.stack(jax.vmap(lambda k: prng.uniforms(k, 5))(keys))
    assert u.shape == (5, 40_000)
    assert u.min() > 0
    assert u.max() < 1
    assert all(stats.kstest(row, "uniform").pvalue > 1e-3 for row in u)
    assert np.abs(np.corrcoef(u) - np.eye(5)).max() < 4 / 40_000**0.5


def test_a_key_of_jaxs_own_gives_the_same_numbers():
    key = jax.random.fold_in(prng.key(7), 3)
    for draw in (lambda k: jax.random.uniform(k, (5,)), lambda k: jax.random.permutation(jax.random.split(k, 3)[1], 20)):
        np.testing.assert_array_equal(draw(prng.builtin(key)), draw(key))
