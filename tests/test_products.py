"""Turned products are the same gradients, and none is left to XLA's slow library."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ilbench.compute.products import value_and_grad

SLOW = "lhs_contracting_dims={0}"


@pytest.mark.parametrize("batch", [1, 33, 64])
@pytest.mark.parametrize("sizes", [(11, 64, 64, 3), (87, 64, 2), (5, 1), (1, 16)])
def test_gradients_of_a_network(sizes, batch):
    rng = np.random.default_rng(0)
    weights = [rng.standard_normal(shape).astype(np.float32) for shape in itertools.pairwise(sizes)]
    x, y = (rng.standard_normal((batch, n)).astype(np.float32) for n in (sizes[0], sizes[-1]))

    def loss(weights, scale):
        def one(x, y):
            for w in weights:
                x = jnp.tanh(x @ w)
            return scale * jnp.sum((x - y) ** 2)

        return jax.vmap(one)(x, y).mean()

    plain, turned = (jax.jit(grad(loss)).lower(weights, 2.0).compile() for grad in (jax.value_and_grad, value_and_grad))
    for found, want in zip(jax.tree.leaves(turned(weights, 2.0)), jax.tree.leaves(plain(weights, 2.0)), strict=True):
        np.testing.assert_allclose(found, want, rtol=1e-5, atol=1e-5)
    if min(batch, *sizes) > 1 and jax.default_backend() == "cpu":
        assert SLOW in plain.as_text()  # else XLA has learnt it, and nothing needs turning
        assert SLOW not in turned.as_text()


def test_what_is_no_product_of_two_matrices_is_left_alone():
    table = np.arange(24, dtype=np.float32).reshape(2, 3, 4)

    def f(x):
        return jnp.einsum("abc,adc->", x, table[:, :2]) + jnp.sum(jax.nn.one_hot(jnp.arange(3), 3).T @ x[0]) + x[0, 0] @ x[1, 2]

    for found, want in zip(value_and_grad(f)(table), jax.value_and_grad(f)(table), strict=True):
        np.testing.assert_allclose(found, want, rtol=1e-6)
