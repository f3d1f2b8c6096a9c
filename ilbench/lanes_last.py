"""vmap with the batch axis last: `[3, lanes]` instead of `[lanes, 3]`, because that is what a CPU computes fast.

    f of one lane --> jaxpr --> the same operations on arrays [..., lanes], one rule per kind of primitive

Physics is made of thousands of small operations on vectors of 3 and quaternions of 4. `jax.vmap` puts the lanes first,
so the innermost loop of every kernel has 3 or 4 turns and nothing vectorizes. With the lanes last it has 128: hopper
runs 2.0 times as fast on a core, halfcheetah 2.2, ant 3.0, pusher 3.2, humanoid 3.9 (spring, 128 lanes, AVX-512),
for the same compile time. Results differ from vmap's by rounding only: short sums and products are written out.
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

SHORT = 8  # sums and products over at most so many terms are written out: a reduction would be a loop inside the lanes
ROWS = 64  # gathers of at most so many rows known in advance are slices


class Lanes:
    """A batched value: `x [..., lanes]`. Whatever is not wrapped is the same in all lanes."""

    __slots__ = ("x",)

    def __init__(self, x: Any):
        self.x = x


Rule = Callable[[Any, Sequence[Any], int], list[Any]]  # (equation, values, lanes) -> batched outputs
RULES: dict[str, Rule] = {}


def rule(*names: str) -> Callable[[Rule], Rule]:
    """Registers the rule of primitives by their names."""

    def add(f: Rule) -> Rule:
        RULES.update(dict.fromkeys(names, f))
        return f

    return add


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
        found = [jnp.moveaxis(_spread(v, _shape(v), lanes), -1, 0) for v in _run(closed, values, lanes)]
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
            out = (RULES.get(name) or (_elementwise if name in ELEMENTWISE else _by_vmap))(eqn, values, lanes)
        elif name in CALLS:
            out = _run(_body(eqn), values, lanes)
        else:
            out = _shared(eqn, values)
        known.update(zip(eqn.outvars, out, strict=True))
    return [read(v) for v in jaxpr.outvars]


# ----------------------------------------------------------------------------------- values and shapes
def _shape(v: Any) -> tuple[int, ...]:
    return tuple(v.x.shape[:-1]) if isinstance(v, Lanes) else tuple(np.shape(v))


def _spread(v: Any, shape: tuple[int, ...], lanes: int) -> Any:
    """A value as an array `[*shape, lanes]`: axes of length 1 and scalars are repeated, as are lanes if all share it."""
    x = v.x if isinstance(v, Lanes) else jnp.asarray(v)[..., None]
    if x.shape == (*shape, lanes):
        return x
    axes = (len(shape),) if x.ndim == 1 else tuple(range(len(shape) + 1))
    return lax.broadcast_in_dim(x, (*shape, lanes), axes)


def _outputs(eqn: Any, out: Any) -> list[Any]:
    return [Lanes(x) for x in (out if eqn.primitive.multiple_results else [out])]


def _bind(eqn: Any, *args: Any, **changes: Any) -> Any:
    return eqn.primitive.bind(*args, **(eqn.primitive.get_bind_params(eqn.params) | changes))


# --------------------------------------------------------------------------------------- without lanes
def _broadcast(x: Any, p: Any) -> Any:
    """NumPy's way to lax.broadcast_in_dim."""
    at = [1] * len(p["shape"])
    for axis, length in zip(p["broadcast_dimensions"], np.shape(x), strict=True):
        at[axis] = length
    return np.broadcast_to(np.reshape(x, at), p["shape"])


# Indices are worked out while tracing, because a gather with known indices is a few slices.
INDEX_ARITHMETIC: dict[str, Callable[..., Any]] = {
    "add": lambda p, x, y: x + y,
    "sub": lambda p, x, y: x - y,
    "mul": lambda p, x, y: x * y,
    "lt": lambda p, x, y: x < y,
    "ge": lambda p, x, y: x >= y,
    "select_n": lambda p, which, x, y: np.where(which, y, x),
    "convert_element_type": lambda p, x: np.asarray(x).astype(p["new_dtype"]),
    "broadcast_in_dim": lambda p, x: _broadcast(x, p),
    "iota": lambda p: _broadcast(np.arange(p["shape"][p["dimension"]]), {**p, "broadcast_dimensions": (p["dimension"],)}),
    "reshape": lambda p, x: np.reshape(x, p["new_sizes"]),
    "squeeze": lambda p, x: np.squeeze(x, p["dimensions"]),
    "concatenate": lambda p, *xs: np.concatenate(xs, p["dimension"]),
}


def _shared(eqn: Any, values: Sequence[Any]) -> list[Any]:
    """An operation that is the same in all lanes."""
    name, out = eqn.primitive.name, eqn.outvars[0].aval
    if name in INDEX_ARITHMETIC and not any(isinstance(v, jax.core.Tracer) for v in values):
        kind = np.dtype(out.dtype).kind
        if kind in "iub" and out.ndim <= 3:
            return [np.asarray(INDEX_ARITHMETIC[name](eqn.params, *map(np.asarray, values))).astype(out.dtype)]
    found = _bind(eqn, *values)
    return list(found) if eqn.primitive.multiple_results else [found]


# ------------------------------------------------------------------------------------------- the rules
ELEMENTWISE = frozenset(
    (
        "abs", "acos", "acosh", "add", "and", "asin", "asinh", "atan", "atan2", "atanh", "cbrt", "ceil",
        "clamp", "convert_element_type", "copy", "cos", "cosh", "div", "eq", "erf", "erf_inv", "erfc", "exp",
        "exp2", "expm1", "floor", "ge", "gt", "integer_pow", "is_finite", "le", "log", "log1p", "logistic",
        "lt", "max", "min", "mul", "ne", "neg", "nextafter", "not", "or", "pow", "rem", "round", "rsqrt",
        "select_n", "shift_left", "shift_right_arithmetic", "shift_right_logical", "sign", "sin", "sinh",
        "sqrt", "square", "sub", "tan", "tanh", "xor",
    )
)


def _elementwise(eqn: Any, values: Sequence[Any], lanes: int) -> list[Any]:
    shape = eqn.outvars[0].aval.shape
    return _outputs(eqn, _bind(eqn, *[_spread(v, shape, lanes) for v in values]))


def _by_vmap(eqn: Any, values: Sequence[Any], lanes: int) -> list[Any]:
    """Any primitive without a rule: lanes first, JAX's own batching, lanes last again."""
    args = [jnp.moveaxis(v.x, -1, 0) if isinstance(v, Lanes) else v for v in values]
    out = jax.vmap(functools.partial(_bind, eqn), [0 if isinstance(v, Lanes) else None for v in values])(*args)
    return _outputs(eqn, jax.tree.map(lambda x: jnp.moveaxis(x, 0, -1), out))


CALLS = ("jit", "pjit", "closed_call", "core_call", "custom_jvp_call", "custom_vjp_call")


def _body(eqn: Any) -> Any:
    return next(eqn.params[name] for name in ("jaxpr", "call_jaxpr", "fun_jaxpr") if name in eqn.params)


@rule(*CALLS)
def _call(eqn: Any, values: Sequence[Any], lanes: int) -> list[Any]:
    return _run(_body(eqn), values, lanes)


@rule("device_put")
def _same(eqn: Any, values: Sequence[Any], lanes: int) -> list[Any]:
    return list(values)


@rule("broadcast_in_dim")
def _broadcast_in_dim(eqn: Any, values: Sequence[Any], lanes: int) -> list[Any]:
    shape, axes = eqn.params["shape"], eqn.params["broadcast_dimensions"]
    return [Lanes(lax.broadcast_in_dim(values[0].x, (*shape, lanes), (*axes, len(shape))))]


@rule("reshape")
def _reshape(eqn: Any, values: Sequence[Any], lanes: int) -> list[Any]:
    return [Lanes(values[0].x.reshape(*eqn.params["new_sizes"], lanes))]


@rule("squeeze")
def _squeeze(eqn: Any, values: Sequence[Any], lanes: int) -> list[Any]:
    return [Lanes(lax.squeeze(values[0].x, eqn.params["dimensions"]))]


@rule("transpose")
def _transpose(eqn: Any, values: Sequence[Any], lanes: int) -> list[Any]:
    order = eqn.params["permutation"]
    return [Lanes(lax.transpose(values[0].x, (*order, len(order))))]


@rule("slice")
def _slice(eqn: Any, values: Sequence[Any], lanes: int) -> list[Any]:
    p = eqn.params
    strides = p["strides"] and (*p["strides"], 1)
    return [Lanes(lax.slice(values[0].x, (*p["start_indices"], 0), (*p["limit_indices"], lanes), strides))]


@rule("concatenate")
def _concatenate(eqn: Any, values: Sequence[Any], lanes: int) -> list[Any]:
    return [Lanes(lax.concatenate([_spread(v, _shape(v), lanes) for v in values], eqn.params["dimension"]))]


@rule("pad")
def _pad(eqn: Any, values: Sequence[Any], lanes: int) -> list[Any]:
    x, fill = values
    if isinstance(fill, Lanes):
        return _by_vmap(eqn, values, lanes)
    return [Lanes(lax.pad(x.x, fill, (*eqn.params["padding_config"], (0, 0, 0))))]


@rule("rev")
def _rev(eqn: Any, values: Sequence[Any], lanes: int) -> list[Any]:
    return [Lanes(lax.rev(values[0].x, eqn.params["dimensions"]))]


@rule("tile")
def _tile(eqn: Any, values: Sequence[Any], lanes: int) -> list[Any]:
    return [Lanes(jnp.tile(values[0].x, (*eqn.params["reps"], 1)))]


REDUCTIONS: dict[str, Callable[..., Any]] = {
    "reduce_sum": lax.add,
    "reduce_prod": lax.mul,
    "reduce_max": lax.max,
    "reduce_min": lax.min,
    "reduce_and": lax.bitwise_and,
    "reduce_or": lax.bitwise_or,
}


@rule(*REDUCTIONS)
def _reduce(eqn: Any, values: Sequence[Any], lanes: int) -> list[Any]:
    x = values[0].x
    for axis in sorted(eqn.params["axes"], reverse=True):
        if 0 < x.shape[axis] <= SHORT:
            parts = [lax.index_in_dim(x, i, axis, keepdims=False) for i in range(x.shape[axis])]
            x = functools.reduce(REDUCTIONS[eqn.primitive.name], parts)
        else:
            x = _bind(eqn, x, axes=(axis,))
    return [Lanes(x)]


@rule("dot_general")
def _dot_general(eqn: Any, values: Sequence[Any], lanes: int) -> list[Any]:
    """Products of small matrices as sums of elementwise products, `[batch, left, right, lanes]`."""
    (left_contract, right_contract), (left_batch, right_batch) = eqn.params["dimension_numbers"]
    out = eqn.outvars[0].aval
    if not all(isinstance(v, Lanes) for v in values) and max(map(np.size, map(_first, values))) > 16 * SHORT**2:
        return _by_vmap(eqn, values, lanes)  # a network's weights, shared by the lanes: a real matrix product

    def arrange(v: Any, batch: Any, contract: Any) -> tuple[Any, int]:
        rank = len(_shape(v))
        free = [axis for axis in range(rank) if axis not in (*batch, *contract)]
        x = lax.transpose(_spread(v, _shape(v), lanes).astype(out.dtype), (*batch, *free, *contract, rank))
        terms = int(np.prod([_shape(v)[axis] for axis in contract]))
        return x.reshape(*x.shape[: len(batch) + len(free)], terms, lanes), len(free)

    (a, left), (b, right) = arrange(values[0], left_batch, left_contract), arrange(values[1], right_batch, right_contract)
    batch = len(left_batch)
    a = lax.expand_dims(a, tuple(range(batch + left, batch + left + right)))
    b = lax.expand_dims(b, tuple(range(batch, batch + left)))
    shape = (*out.shape, a.shape[-2], lanes)
    products = lax.mul(jnp.broadcast_to(a, shape), jnp.broadcast_to(b, shape))
    if not 0 < shape[-2] <= SHORT:
        return [Lanes(products.sum(-2))]
    terms = [lax.index_in_dim(products, i, len(shape) - 2, keepdims=False) for i in range(shape[-2])]
    return [Lanes(functools.reduce(lax.add, terms))]


def _first(v: Any) -> Any:
    """A value of one lane, for its size."""
    return v.x[..., 0] if isinstance(v, Lanes) else v


@rule("gather")
def _gather(eqn: Any, values: Sequence[Any], lanes: int) -> list[Any]:
    x, at = values
    if isinstance(at, Lanes):
        return _by_vmap(eqn, values, lanes)
    out, d, sizes = eqn.outvars[0].aval, eqn.params["dimension_numbers"], eqn.params["slice_sizes"]
    # x[rows] with known rows: neighbours are cut out together.
    rest = tuple(range(np.ndim(at) - 1, np.ndim(at) - 2 + len(sizes)))
    by_row = d.start_index_map == (0,) and d.collapsed_slice_dims == (0,) and d.offset_dims == rest
    by_row &= not d.operand_batching_dims and sizes[1:] == _shape(x)[1:]
    if by_row and not isinstance(at, jax.core.Tracer):
        rows = np.asarray(at)[..., 0].reshape(-1)
        if 0 < rows.size <= ROWS and rows.min() >= 0 and rows.max() < _shape(x)[0]:
            runs = np.split(rows, np.flatnonzero(np.diff(rows) != 1) + 1)
            parts = [lax.slice_in_dim(x.x, int(run[0]), int(run[-1]) + 1) for run in runs]
            return [Lanes(lax.concatenate(parts, 0).reshape(*out.shape, lanes))]
    d = d._replace(offset_dims=(*d.offset_dims, out.ndim))
    return [Lanes(_bind(eqn, x.x, jnp.asarray(at), dimension_numbers=d, slice_sizes=(*sizes, lanes)))]


@rule("scatter", "scatter-add")
def _scatter(eqn: Any, values: Sequence[Any], lanes: int) -> list[Any]:
    x, at, updates = values
    if isinstance(at, Lanes):
        return _by_vmap(eqn, values, lanes)
    d = eqn.params["dimension_numbers"]
    d = d._replace(update_window_dims=(*d.update_window_dims, len(_shape(updates))))
    x, updates = (_spread(v, _shape(v), lanes) for v in (x, updates))
    return [Lanes(_bind(eqn, x, jnp.asarray(at), updates, dimension_numbers=d))]


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
        pick = [_spread(Lanes(chosen), shape, lanes) for shape in shapes]
        cases = [[_spread(v, shape, lanes) for v, shape in zip(out, shapes, strict=True)] for out in found]
        return [Lanes(lax.select_n(p, *outs)) for p, outs in zip(pick, zip(*cases, strict=True), strict=True)]

    flags = [isinstance(v, Lanes) for v in operands]

    def of(branch: Any) -> Any:
        def run(*leaves: Any) -> list[Any]:
            out = _run(branch, [Lanes(x) if flag else x for x, flag in zip(leaves, flags, strict=True)], lanes)
            return [_spread(v, _shape(v), lanes) for v in out]

        return run

    leaves = [v.x if isinstance(v, Lanes) else v for v in operands]
    return [Lanes(x) for x in lax.switch(which.astype(np.int32), [of(branch) for branch in branches], *leaves)]


@rule("scan")
def _scan(eqn: Any, values: Sequence[Any], lanes: int) -> list[Any]:
    p = eqn.params
    consts, carried = p["num_consts"], p["num_consts"] + p["num_carry"]
    carry = [_spread(v, _shape(v), lanes) for v in values[consts:carried]]  # a carry may become batched on the way
    flags = [isinstance(v, Lanes) for v in values[carried:]]

    def body(carry: Any, xs: Any) -> Any:
        xs = [Lanes(x) if flag else x for x, flag in zip(xs, flags, strict=True)]
        out = _run(p["jaxpr"], [*values[:consts], *map(Lanes, carry), *xs], lanes)
        out = [_spread(v, _shape(v), lanes) for v in out]
        return out[: p["num_carry"]], out[p["num_carry"] :]

    xs = [v.x if isinstance(v, Lanes) else v for v in values[carried:]]
    carry, ys = lax.scan(body, carry, xs, length=p["length"], reverse=p["reverse"], unroll=p["unroll"])
    return [Lanes(x) for x in (*carry, *ys)]
