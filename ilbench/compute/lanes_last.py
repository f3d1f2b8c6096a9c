"""vmap with the batch axis last: `[3, lanes]` instead of `[lanes, 3]`, because that is what a CPU computes fast.

    f of one lane --> jaxpr --> the same operations on arrays [..., lanes], one rule per kind of primitive

Physics is made of thousands of small operations on vectors of 3 and quaternions of 4. `jax.vmap` puts the lanes first,
so the innermost loop of every kernel has 3 or 4 turns and nothing vectorizes. With the lanes last it has 128; what that is
worth is measured by `ilbench bench speed` (columns `blocks` and `lanes last`). Results differ from vmap's by rounding
only: short sums and products are written out.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend import core

from ilbench.compute.lanes_rules import ELEMENTWISE, RULES, Lanes, bind, by_vmap, elementwise, rule, shape_of, spread


def last(f: Callable[..., Any]) -> Callable[..., Any]:
    """`f` of one lane, which runs with the lanes last when it is vmapped; no reverse-mode derivatives."""
    batchable = jax.custom_batching.custom_vmap(f)

    @batchable.def_vmap
    def on_vmap(size: int, batched: Any, *args: Any) -> tuple[Any, Any]:
        leaves, tree = jax.tree.flatten(args)
        out = _program(f, tree, tuple(jax.tree.leaves(batched)), size)(*leaves)
        return out, jax.tree.map(lambda _: True, out)

    return batchable


@functools.lru_cache(maxsize=256)
def _program(f: Callable[..., Any], tree: Any, flags: tuple[bool, ...], lanes: int) -> Callable[..., Any]:
    """`f` on leaves with a leading axis of lanes where flagged; jitted, so that a process traces it once."""

    def call(*leaves: Any) -> Any:
        one = [jax.ShapeDtypeStruct(x.shape[flag:], x.dtype) for x, flag in zip(leaves, flags, strict=True)]
        closed, out = jax.make_jaxpr(f, return_shape=True)(*jax.tree.unflatten(tree, one))
        values = [Lanes(jnp.moveaxis(x, 0, -1)) if flag else x for x, flag in zip(leaves, flags, strict=True)]
        found = [jnp.moveaxis(spread(v, shape_of(v), lanes), -1, 0) for v in _run(closed, values, lanes)]
        return jax.tree.unflatten(jax.tree.structure(out), found)

    return jax.jit(call)


def _run(closed: Any, args: Iterable[Any], lanes: int) -> list[Any]:
    """Outputs of a closed jaxpr, batched where they depend on a batched argument."""
    jaxpr = closed.jaxpr
    known: dict[Any, Any] = {}
    known.update(zip(jaxpr.constvars, closed.consts, strict=True))
    known.update(zip(jaxpr.invars, args, strict=True))

    def read(v: Any) -> Any:
        return v.val if isinstance(v, core.Literal) else known[v]

    for eqn in jaxpr.eqns:
        values, name = [read(v) for v in eqn.invars], eqn.primitive.name
        if any(isinstance(v, Lanes) for v in values):
            out = (RULES.get(name) or (elementwise if name in ELEMENTWISE else by_vmap))(eqn, values, lanes)
        elif name in CALLS:
            out = _run(_body(eqn), values, lanes)
        else:
            out = _shared(eqn, values)
        known.update(zip(eqn.outvars, out, strict=True))
    return [read(v) for v in jaxpr.outvars]


# --------------------------------------------------------------------------------------- without lanes
def _broadcast(x: Any, p: Any) -> Any:
    """NumPy's way to lax.broadcast_in_dim."""
    at = [1] * len(p["shape"])
    for axis, length in zip(p["broadcast_dimensions"], np.shape(x), strict=True):
        at[axis] = length
    return np.broadcast_to(np.reshape(x, at), p["shape"])


# Whole numbers are worked out while tracing, because a gather with known indices is a few slices.
INDEX_ARITHMETIC: dict[str, Callable[..., Any]] = {
    "add": lambda p, x, y: x + y,
    "sub": lambda p, x, y: x - y,
    "mul": lambda p, x, y: x * y,
    "lt": lambda p, x, y: x < y,
    "ge": lambda p, x, y: x >= y,
    "select_n": lambda p, which, x, y: np.where(which, y, x),
    "convert_element_type": lambda p, x: np.asarray(x).astype(p["new_dtype"]),
    "broadcast_in_dim": lambda p, x: _broadcast(x, p),
    "iota": lambda p: _broadcast(
        np.arange(p["shape"][p["dimension"]]), {**p, "broadcast_dimensions": (p["dimension"],)}
    ),
    "reshape": lambda p, x: np.reshape(x, p["new_sizes"]),
    "squeeze": lambda p, x: np.squeeze(x, p["dimensions"]),
    "concatenate": lambda p, *xs: np.concatenate(xs, p["dimension"]),
}


def _shared(eqn: Any, values: Sequence[Any]) -> list[Any]:
    """An operation that is the same in all lanes."""
    fold = INDEX_ARITHMETIC.get(eqn.primitive.name)
    if fold and not any(isinstance(v, jax.core.Tracer) for v in values):
        dtype = eqn.outvars[0].aval.dtype
        if jnp.issubdtype(dtype, jnp.integer) or jnp.issubdtype(dtype, jnp.bool_):
            return [np.asarray(fold(eqn.params, *map(np.asarray, values))).astype(dtype)]
    found = bind(eqn, *values)
    return list(found) if eqn.primitive.multiple_results else [found]


CALLS = ("jit", "pjit", "closed_call", "core_call", "custom_jvp_call", "custom_vjp_call")


def _body(eqn: Any) -> Any:
    return next(eqn.params[name] for name in ("jaxpr", "call_jaxpr", "fun_jaxpr") if name in eqn.params)


@rule(*CALLS)
def _call(eqn: Any, values: Sequence[Any], lanes: int) -> list[Any]:
    return _run(_body(eqn), values, lanes)


# ---------------------------------------------------------------------------------------- control flow
@rule("cond")
def _cond(eqn: Any, values: Sequence[Any], lanes: int) -> list[Any]:
    which, *operands = values
    branches = eqn.params["branches"]
    if isinstance(which, Lanes):  # every lane its own: all branches, then a choice
        found = [_run(branch, operands, lanes) for branch in branches]
        index = lax.clamp(np.int32(0), which.x.astype(np.int32), np.int32(len(branches) - 1))
        chosen = index > 0 if len(branches) == 2 else index
        shapes = [v.aval.shape for v in eqn.outvars]
        pick = [spread(Lanes(chosen), shape, lanes) for shape in shapes]
        cases = [[spread(v, shape, lanes) for v, shape in zip(out, shapes, strict=True)] for out in found]
        return [Lanes(lax.select_n(p, *outs)) for p, outs in zip(pick, zip(*cases, strict=True), strict=True)]

    flags = [isinstance(v, Lanes) for v in operands]

    def of(branch: Any) -> Any:
        def run(*leaves: Any) -> list[Any]:
            out = _run(branch, [Lanes(x) if flag else x for x, flag in zip(leaves, flags, strict=True)], lanes)
            return [spread(v, shape_of(v), lanes) for v in out]

        return run

    leaves = [v.x if isinstance(v, Lanes) else v for v in operands]
    return [Lanes(x) for x in lax.switch(which.astype(np.int32), [of(branch) for branch in branches], *leaves)]


def _scanned(p: Any) -> tuple[int, int]:
    """How many of a scan's operands are constants, and how many its carry: counts in jax 0.10, trees in 0.12."""
    if "ft_in" in p:
        consts, carry, _ = p["ft_in"].unpack()
        return len(consts), len(carry)
    return p["num_consts"], p["num_carry"]


@rule("scan")
def _scan(eqn: Any, values: Sequence[Any], lanes: int) -> list[Any]:
    p = eqn.params
    consts, count = _scanned(p)
    carried = consts + count
    carry = [spread(v, shape_of(v), lanes) for v in values[consts:carried]]  # a carry may become batched on the way
    flags = [isinstance(v, Lanes) for v in values[carried:]]

    def body(carry: Any, xs: Any) -> Any:
        xs = [Lanes(x) if flag else x for x, flag in zip(xs, flags, strict=True)]
        out = _run(p["jaxpr"], [*values[:consts], *map(Lanes, carry), *xs], lanes)
        out = [spread(v, shape_of(v), lanes) for v in out]
        return out[:count], out[count:]

    xs = [v.x if isinstance(v, Lanes) else v for v in values[carried:]]
    carry, ys = lax.scan(body, carry, xs, length=p["length"], reverse=p["reverse"], unroll=p["unroll"])
    return [Lanes(x) for x in (*carry, *ys)]
