"""One rule per kind of primitive on arrays whose last axis are lanes: what `lanes_last` looks up for every operation.

Sums and products of a few terms are written out, because a reduction would be a loop inside the lanes.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

SHORT = 8  # sums and products over at most so many terms are written out: a reduction would be a loop inside the lanes
WEIGHTS = 1024  # a matrix of more numbers that all lanes share is a network's: a real matrix product
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


# ----------------------------------------------------------------------------------- values and shapes
def shape_of(v: Any) -> tuple[int, ...]:
    """The shape of one lane."""
    return tuple(v.x.shape[:-1]) if isinstance(v, Lanes) else tuple(np.shape(v))


def spread(v: Any, shape: tuple[int, ...], lanes: int) -> Any:
    """A value as an array `[*shape, lanes]`: axes of length 1 and scalars are repeated, as are lanes if all share it."""
    x = v.x if isinstance(v, Lanes) else jnp.asarray(v)[..., None]
    if x.shape == (*shape, lanes):
        return x
    axes = (len(shape),) if x.ndim == 1 else tuple(range(len(shape) + 1))
    return lax.broadcast_in_dim(x, (*shape, lanes), axes)


def outputs(eqn: Any, out: Any) -> list[Any]:
    """What an equation's primitive returned, as batched values."""
    return [Lanes(x) for x in (out if eqn.primitive.multiple_results else [out])]


def bind(eqn: Any, *args: Any, **changes: Any) -> Any:
    """The equation's primitive on other arguments, with some of its parameters changed."""
    return eqn.primitive.bind(*args, **(eqn.primitive.get_bind_params(eqn.params) | changes))


# ------------------------------------------------------------------------------------------- the rules
ELEMENTWISE = frozenset(
    (
        "abs",
        "acos",
        "acosh",
        "add",
        "and",
        "asin",
        "asinh",
        "atan",
        "atan2",
        "atanh",
        "cbrt",
        "ceil",
        "clamp",
        "convert_element_type",
        "copy",
        "cos",
        "cosh",
        "div",
        "eq",
        "erf",
        "erf_inv",
        "erfc",
        "exp",
        "exp2",
        "expm1",
        "floor",
        "ge",
        "gt",
        "integer_pow",
        "is_finite",
        "le",
        "log",
        "log1p",
        "logistic",
        "lt",
        "max",
        "min",
        "mul",
        "ne",
        "neg",
        "nextafter",
        "not",
        "or",
        "pow",
        "rem",
        "round",
        "rsqrt",
        "select_n",
        "shift_left",
        "shift_right_arithmetic",
        "shift_right_logical",
        "sign",
        "sin",
        "sinh",
        "sqrt",
        "square",
        "sub",
        "tan",
        "tanh",
        "xor",
    )
)


def elementwise(eqn: Any, values: Sequence[Any], lanes: int) -> list[Any]:
    """The rule of every primitive in ELEMENTWISE."""
    shape = eqn.outvars[0].aval.shape
    return outputs(eqn, bind(eqn, *[spread(v, shape, lanes) for v in values]))


def by_vmap(eqn: Any, values: Sequence[Any], lanes: int) -> list[Any]:
    """Any primitive without a rule: lanes first, JAX's own batching, lanes last again."""
    args = [jnp.moveaxis(v.x, -1, 0) if isinstance(v, Lanes) else v for v in values]
    out = jax.vmap(functools.partial(bind, eqn), [0 if isinstance(v, Lanes) else None for v in values])(*args)
    return outputs(eqn, jax.tree.map(lambda x: jnp.moveaxis(x, 0, -1), out))


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
    return [Lanes(lax.concatenate([spread(v, shape_of(v), lanes) for v in values], eqn.params["dimension"]))]


@rule("pad")
def _pad(eqn: Any, values: Sequence[Any], lanes: int) -> list[Any]:
    x, fill = values
    if isinstance(fill, Lanes):
        return by_vmap(eqn, values, lanes)
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
            x = bind(eqn, x, axes=(axis,))
    return [Lanes(x)]


@rule("dot_general")
def _dot_general(eqn: Any, values: Sequence[Any], lanes: int) -> list[Any]:
    """Products of small matrices as sums of elementwise products, `[batch, left, right, lanes]`."""
    (left_contract, right_contract), (left_batch, right_batch) = eqn.params["dimension_numbers"]
    out = eqn.outvars[0].aval
    shared = [v for v in values if not isinstance(v, Lanes)]
    if shared and np.prod(shape_of(shared[0])) > WEIGHTS:
        return by_vmap(eqn, values, lanes)

    def arrange(v: Any, batch: Any, contract: Any) -> tuple[Any, int]:
        rank = len(shape_of(v))
        free = [axis for axis in range(rank) if axis not in (*batch, *contract)]
        x = lax.transpose(spread(v, shape_of(v), lanes).astype(out.dtype), (*batch, *free, *contract, rank))
        terms = int(np.prod([shape_of(v)[axis] for axis in contract]))
        return x.reshape(*x.shape[: len(batch) + len(free)], terms, lanes), len(free)

    (a, left), (b, right) = (
        arrange(values[0], left_batch, left_contract),
        arrange(values[1], right_batch, right_contract),
    )
    batch = len(left_batch)
    a = lax.expand_dims(a, tuple(range(batch + left, batch + left + right)))
    b = lax.expand_dims(b, tuple(range(batch, batch + left)))
    shape = (*out.shape, a.shape[-2], lanes)
    products = lax.mul(jnp.broadcast_to(a, shape), jnp.broadcast_to(b, shape))
    if not 0 < shape[-2] <= SHORT:
        return [Lanes(products.sum(-2))]
    terms = [lax.index_in_dim(products, i, len(shape) - 2, keepdims=False) for i in range(shape[-2])]
    return [Lanes(functools.reduce(lax.add, terms))]


@rule("gather")
def _gather(eqn: Any, values: Sequence[Any], lanes: int) -> list[Any]:
    x, at = values
    if isinstance(at, Lanes):
        return by_vmap(eqn, values, lanes)
    out, d, sizes = eqn.outvars[0].aval, eqn.params["dimension_numbers"], eqn.params["slice_sizes"]
    # x[rows] with known rows: neighbours are cut out together.
    rest = tuple(range(np.ndim(at) - 1, np.ndim(at) - 2 + len(sizes)))
    by_row = d.start_index_map == (0,) and d.collapsed_slice_dims == (0,) and d.offset_dims == rest
    by_row &= not d.operand_batching_dims and sizes[1:] == shape_of(x)[1:]
    if by_row and not isinstance(at, jax.core.Tracer):
        rows = np.asarray(at)[..., 0].reshape(-1)
        if 0 < rows.size <= ROWS and rows.min() >= 0 and rows.max() < shape_of(x)[0]:
            runs = np.split(rows, np.flatnonzero(np.diff(rows) != 1) + 1)
            parts = [lax.slice_in_dim(x.x, int(run[0]), int(run[-1]) + 1) for run in runs]
            return [Lanes(lax.concatenate(parts, 0).reshape(*out.shape, lanes))]
    d = d._replace(offset_dims=(*d.offset_dims, out.ndim))
    return [Lanes(bind(eqn, x.x, jnp.asarray(at), dimension_numbers=d, slice_sizes=(*sizes, lanes)))]


@rule("scatter", "scatter-add")
def _scatter(eqn: Any, values: Sequence[Any], lanes: int) -> list[Any]:
    x, at, updates = values
    if isinstance(at, Lanes):
        return by_vmap(eqn, values, lanes)
    d = eqn.params["dimension_numbers"]
    d = d._replace(update_window_dims=(*d.update_window_dims, len(shape_of(updates))))
    x, updates = (spread(v, shape_of(v), lanes) for v in (x, updates))
    return [Lanes(bind(eqn, x, jnp.asarray(at), updates, dimension_numbers=d))]
