"""Gradients whose matrix products a CPU computes fast: XLA's quick library takes a product only if its left factor lies by rows.

The gradient of a layer's weights is a sum over the batch, `x.T @ g` with both factors lying by columns, and went to a library
that needs up to ten times as long. Here one factor is turned first. Which one is the quicker choice and, for hidden layers of
64 and batches of at most 256 rows, the one that keeps every bit of `x.T @ g`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend import core

from ilbench.compute.lanes_rules import bind
from ilbench.types import Array

BY_COLUMNS = (((0,), (0,)), ((), ()))  # a product that sums over the first axes: x.T @ y
BY_ROWS = (((1,), (0,)), ((), ()))
TILE = 64  # numbers in a row of a product that the library computes without a remainder


def value_and_grad(f: Callable[..., Any]) -> Callable[..., Any]:
    """`jax.value_and_grad(f)`, for a derivative that nobody takes further."""
    graded = jax.value_and_grad(f)

    def call(*args: Any) -> Any:
        if jax.default_backend() != "cpu":
            return graded(*args)
        closed, out = jax.make_jaxpr(graded, return_shape=True)(*args)
        return jax.tree.unflatten(jax.tree.structure(out), _run(closed, jax.tree.leaves(args)))

    return call


def _run(closed: Any, args: Sequence[Any]) -> list[Any]:
    """Outputs of a closed jaxpr, with products by columns turned."""
    known = dict(zip((*closed.jaxpr.constvars, *closed.jaxpr.invars), (*closed.consts, *args), strict=True))

    def read(v: Any) -> Any:
        return v.val if isinstance(v, core.Literal) else known[v]

    for eqn in closed.jaxpr.eqns:
        values = [read(v) for v in eqn.invars]
        if eqn.primitive.name == "dot_general" and _by_columns(eqn):
            out = [_turned(eqn, *values)]
        else:
            found = bind(eqn, *values)
            out = list(found) if eqn.primitive.multiple_results else [found]
        known.update(zip(eqn.outvars, out, strict=True))
    return [read(v) for v in closed.jaxpr.outvars]


def _by_columns(eqn: Any) -> bool:
    matrices = all(v.aval.ndim == 2 and v.aval.dtype == jnp.float32 for v in eqn.invars)
    return matrices and eqn.params["dimension_numbers"] == BY_COLUMNS


def _turned(eqn: Any, g: Array, x: Array) -> Array:
    """`g.T @ x` of a layer's input x `[B, in]` and what its output is to change by, g `[B, out]`."""
    still = lax.optimization_barrier  # keeps XLA from folding what is turned back into the product
    if g.shape[1] < x.shape[1] and g.shape[1] % TILE:
        return still(bind(eqn, still(g.T), x, dimension_numbers=BY_ROWS))
    return still(bind(eqn, still(x.T), g, dimension_numbers=BY_ROWS)).T
