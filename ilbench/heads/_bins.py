"""What heads that cut every number of an action into bins share: a density of steps, constant within a bin."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp

from ilbench.heads._conditional import check_between, check_one_of, norms, prepare
from ilbench.heads._networks import UNBOUNDED
from ilbench.types import Array, Box, Data, Space

MOST = 4096  # bins of a number


def check_bins(head: str, config: Any) -> None:
    """Raises ValueError for fewer than two bins or more than memory takes, and rules of range and deployment that are not known."""
    check_between(f"{head}.bins", config.bins, 2, MOST)
    check_one_of(f"{head}.over", config.over, ("space", "data"))
    check_one_of(f"{head}.deploy", config.deploy, ("mode", "sample"))


def limited(space: Box, over: str) -> bool:
    """Whether bins divide the action bounds, rather than the range of the rows."""
    return over == "space" and space.high - space.low < UNBOUNDED


@lru_cache
def ranged(obs: Space, action: Box, over: str) -> tuple[Callable[[], Any], Callable[[Any, Data], Any]]:
    """`(norms(), prepare)` with "low" and "high" `[A]` under "range", in the action's own units."""
    bounds = {"low": jnp.full((action.dim,), action.low), "high": jnp.full((action.dim,), action.high)}
    fill = prepare(obs)

    def of(norm: Any) -> Any:
        if limited(action, over):
            return {**norm, "range": {k: jnp.asarray(v, jnp.float32) for k, v in bounds.items()}}
        scale = norm["action"]
        return {**norm, "range": {k: scale["centre"] + scale["unit"] * scale[k] for k in bounds}}

    def start() -> Any:
        return of(norms(obs, action.dim))

    def prepared(params: Any, data: Data) -> Any:
        return {**params, "norm": of(fill(params, data)["norm"])}

    return start, prepared


def width(params: Any, bins: int) -> Array:
    """The width `[A]` of a bin."""
    limits = params["norm"]["range"]
    return (limits["high"] - limits["low"]) / bins


def index(params: Any, bins: int, action: Array) -> Array:
    """The bin `[A]` int32 of every number; beyond the range it is the last one on that side."""
    low = params["norm"]["range"]["low"]
    return jnp.clip(jnp.floor((action.reshape(-1) - low) / width(params, bins)), 0, bins - 1).astype(jnp.int32)


def within(params: Any, action: Array) -> Array:
    """Whether every number lies in the range: outside of it there is no density."""
    limits, flat = params["norm"]["range"], action.reshape(-1)
    return jnp.all((flat >= limits["low"]) & (flat <= limits["high"]))


def placed(params: Any, bins: int, which: Array, share: Any = 0.5) -> Array:
    """Numbers `[A]` at a share of their bins: .5 is the middle."""
    return params["norm"]["range"]["low"] + (which.astype(jnp.float32) + share) * width(params, bins)


def log_density(params: Any, bins: int, log_p: Array, action: Array) -> Array:
    """Log-density `[]` of an action whose bins have the log-probabilities `log_p [A]`."""
    inside = jnp.sum(log_p) - jnp.sum(jnp.log(width(params, bins)))
    return jnp.where(within(params, action), inside, -jnp.inf)


def chosen(logits: Array, which: Array) -> Array:
    """Log-probabilities `[A]` of bins `which [A]` under `logits [A, bins]`."""
    return jnp.take_along_axis(jax.nn.log_softmax(logits), which[:, None], axis=-1)[:, 0]
