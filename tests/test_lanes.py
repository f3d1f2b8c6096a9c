"""Flat lanes and lanes last are vmap in another order: same numbers, whatever the nesting."""

from __future__ import annotations

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from ilbench.compute.lanes import flat
from ilbench.compute.lanes_last import last
from ilbench.compute.lanes_rules import RULES

CLOSE = {"rtol": 2e-5, "atol": 2e-6}
ROWS = np.array([2, 0, 1, 3])
FUNCTIONS = {
    "elementwise": lambda x, y: jnp.where(x[0] > 0, jnp.sin(x) * 2.0, x[:, :1] + jnp.arctan2(x, 1.5)),
    "shapes": lambda x, y: jnp.concatenate([x.T.reshape(-1), jnp.tile(y, 2), jnp.pad(y, (1, 2)), y[::-1], y[::2]]),
    "constants": lambda x, y: jnp.concatenate([jnp.arange(3.0), y[None].squeeze(0), jnp.eye(2).reshape(-1)]),
    "reduce": lambda x, y: jnp.stack([x.sum(), x.max(), x.min(), jnp.prod(y), (x > 0).all(), (x > 0).any()]),
    "long reduce": lambda x, y: jnp.outer(y, jnp.arange(12.0)).sum(1),
    "dot": lambda x, y: (x @ x.T @ y, x.T @ x, jnp.einsum("ij,ik->ijk", x, x), jnp.vdot(y, y)),
    "dot, weights": lambda x, y: y @ jnp.linspace(-1.0, 1.0, 4 * 400).reshape(4, 400),
    "gather, known": lambda x, y: (x[ROWS], x[np.array([[1, 2], [3, 3]])], y[3]),
    "gather, traced": lambda x, y: jnp.take(x, (y * 2).astype(jnp.int32), axis=0, mode="clip"),
    "scatter": lambda x, y: (x.at[ROWS[:2]].add(x[1:3]), y.at[1].set(x[0, 0]), jnp.zeros(4).at[2].add(y[0])),
    "scan": lambda x, y: lax.scan(lambda c, row: (c + row.sum(), c * row), 0.0, x, reverse=True),
    "cond, own": lambda x, y: lax.cond(y[0] > 0, lambda z: z * 2, lambda z: z - 1, y),
    "switch, own": lambda x, y: lax.switch((y[0] * 3).astype(int), [lambda z: z, lambda z: -z, lambda z: z * z], y),
    "while": lambda x, y: lax.while_loop(lambda c: c < 3, lambda c: c + jnp.abs(y[0]) + 0.5, y[1]),
    "constant keys": lambda x, y: y + jax.random.normal(jax.random.split(jax.random.key(0), 4)[0], (4,)),
    "sort": lambda x, y: jnp.sort(y),
}


def _args(*batch: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.standard_normal((*batch, 4, 3)).astype(np.float32), rng.standard_normal((*batch, 4)).astype(np.float32)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_lanes_last_is_vmap(name: str) -> None:
    def f(x: jax.Array, y: jax.Array) -> object:
        with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
            return FUNCTIONS[name](jnp.asarray(x), jnp.asarray(y))

    x, y = _args(5)
    chex.assert_trees_all_close(jax.vmap(last(f))(x, y), jax.vmap(f)(x, y), **CLOSE)
    chex.assert_trees_all_close(jax.vmap(last(f), (None, 0))(x[0], y), jax.vmap(f, (None, 0))(x[0], y), **CLOSE)
    chex.assert_trees_all_close(last(f)(x[0], y[0]), f(x[0], y[0]), **CLOSE)


def test_every_rule_is_exercised() -> None:
    seen: set[str] = set()

    def walk(jaxpr: object) -> None:
        for eqn in jaxpr.eqns:  # type: ignore[attr-defined]
            seen.add(eqn.primitive.name)
            for value in jax.tree.leaves(eqn.params, is_leaf=lambda v: hasattr(v, "eqns") or hasattr(v, "jaxpr")):
                inner = getattr(value, "jaxpr", value)
                if hasattr(inner, "eqns"):
                    walk(inner)

    x, y = _args()
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        for f in FUNCTIONS.values():
            walk(jax.make_jaxpr(f)(x, y).jaxpr)
    other_names = {"pjit", "closed_call", "core_call", "custom_jvp_call", "custom_vjp_call", "device_put"}
    assert set(RULES) - seen <= other_names, "a rule that no function above reaches"


@pytest.mark.parametrize("wrap", [flat, lambda f: flat(last(f))], ids=["flat", "flat, lanes last"])
def test_flat_lanes_are_nested_vmaps(wrap: object) -> None:
    def f(scale: jax.Array, x: jax.Array, y: jax.Array) -> tuple[jax.Array, jax.Array]:
        return scale * jnp.tanh(x).sum(0), y * 2.0

    x, y = _args(3, 5)
    scale = np.arange(3, dtype=np.float32)
    axes = [((0, 0, 0), (None, 0, 0)), ((None, 0, 0), (None, 0, 0)), ((0, 0, None), (None, 0, 0))]
    for outer, inner in axes:
        args = (scale if outer[0] == 0 else scale[0], x, y if outer[2] == 0 else y[0])
        nested = lambda g, i=inner, o=outer: jax.vmap(jax.vmap(g, i), o)  # noqa: E731
        chex.assert_trees_all_close(nested(wrap(f))(*args), nested(f)(*args), **CLOSE)  # type: ignore[operator]
