"""How much a row's gradient varies: what an estimator of an objective costs in noise, as one number.

    data, objective -> g_r, the gradient of row r with the row's own key -> mean |g_r|^2 - |mean g_r|^2

A step's gradient is the mean of a batch, and its covariance has this trace over the size of the batch. An objective that draws has the
variance of its exact counterpart, from row to row, and beside it the mean over rows of what the draws add.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from ilbench.compute import prng
from ilbench.compute.parallel import per_seed
from ilbench.training.fit import Objective
from ilbench.types import Array, Data, Head, PyTree

TOGETHER = 64  # rows whose gradients are held at once


def _blocks(x: Array) -> Array:
    """Rows `[R, ...]` as `[blocks, TOGETHER, ...]`, zeros where there are none."""
    missing = -x.shape[0] % TOGETHER
    return jnp.pad(x, [(0, missing)] + [(0, 0)] * (x.ndim - 1)).reshape(-1, TOGETHER, *x.shape[1:])


def _variance_one(shared: Any, item: Any, *, head: Head, objective: Objective, draws: int) -> Array:
    key, params, data = item
    data = jax.tree.map(lambda x: jnp.repeat(x, draws, axis=0), data)
    trained = {name: value for name, value in params.items() if name not in head.fixed}
    fixed = {name: value for name, value in params.items() if name in head.fixed}

    def squared(tree: PyTree) -> Array:
        return sum((jnp.sum(jnp.square(leaf)) for leaf in jax.tree.leaves(tree)), jnp.float32(0))

    def of(weights: PyTree, number: Array, row: Data) -> Array:
        return objective(head, (), {**weights, **fixed}, jax.random.fold_in(prng.builtin(key), number), row)

    def add(carry: Any, block: Any) -> Any:
        number, rows = block
        there = (rows.weight > 0).astype(jnp.float32)
        each = jax.vmap(jax.grad(of), (None, 0, 0))(trained, number, rows)
        norms = jax.vmap(squared)(each)
        total, norm, count = carry
        total = jax.tree.map(lambda a, g: a + jnp.tensordot(there, g, axes=1), total, each)
        return (total, norm + jnp.sum(there * norms), count + jnp.sum(there)), None

    numbers = jnp.arange(data.weight.shape[0], dtype=jnp.int32)
    start = jax.tree.map(jnp.zeros_like, trained), jnp.float32(0), jnp.float32(0)
    (total, norm, count), _ = jax.lax.scan(add, start, jax.tree.map(_blocks, (numbers, data)))
    count = jnp.maximum(count, 1.0)
    return norm / count - squared(total) / count**2


def variance(head: Head, objective: Objective, keys: Array, params: PyTree, data: Data, draws: int = 1) -> Array:
    """`[S]` trace of the covariance of a row's gradient at parameters `[S, ...]`, over the rows of data `[S, R, ...]` that exist.

    Each is taken with `draws` keys, for an objective that draws: a few rows may have most of the variance.
    """
    return per_seed(_variance_one, head=head, objective=objective, draws=draws)((), (keys, params, data))
