"""Causal nets over a few tokens in order: the logits of each see the context and the tokens before it, and nothing else.

`NETWORKS[name](count, width, classes)` gives `init(key) -> weights` and `logits(weights, context [width], tokens [count]) -> [count,
classes]`. A handful of matrix products without a loop where there is one token.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ilbench.types import Array


class Causal(NamedTuple):
    """Two functions; the same arguments of the factory give the same ones."""

    init: Callable[[Array], Any]
    logits: Callable[[Any, Array, Array], Array]


def _matrix(key: Array, rows: int, columns: int) -> Array:
    """Weights `[rows, columns]` of variance 1 / rows (LeCun)."""
    return jax.random.normal(key, (rows, columns), jnp.float32) / jnp.sqrt(jnp.float32(rows))


def _tokens(weights: Any, context: Array, tokens: Array) -> Array:
    """What each place is given, `[count, width]`: the token before it (none at the first), its place, the context."""
    before = jnp.concatenate([weights["first"][None], weights["token"][tokens[:-1]]])
    return before + weights["place"] + context[None]


def _shared(key: Array, count: int, width: int, classes: int) -> dict[str, Array]:
    k_first, k_token, k_place, k_out = jax.random.split(key, 4)
    return {
        "first": jax.random.normal(k_first, (width,), jnp.float32),
        "token": jax.random.normal(k_token, (classes, width), jnp.float32),
        "place": jax.random.normal(k_place, (count, width), jnp.float32),
        "out": _matrix(k_out, width, classes),
        "bias": jnp.zeros((classes,), jnp.float32),
    }


@lru_cache
def lstm(count: int, width: int, classes: int) -> Causal:
    """Hochreiter & Schmidhuber 1997, with a forget gate whose bias begins at 1."""

    def init(key: Array) -> Any:
        k_shared, k_in, k_back = jax.random.split(key, 3)
        gates = {"in": _matrix(k_in, width, 4 * width), "back": _matrix(k_back, width, 4 * width)}
        bias = jnp.zeros((4, width), jnp.float32).at[1].set(1.0).reshape(-1)
        return {**_shared(k_shared, count, width, classes), **gates, "gate_bias": bias}

    def logits(weights: Any, context: Array, tokens: Array) -> Array:
        hidden = cell = jnp.zeros((width,), jnp.float32)
        seen = []
        for given in _tokens(weights, context, tokens) @ weights["in"]:
            gates = given + hidden @ weights["back"] + weights["gate_bias"]
            put, keep, new, show = gates.reshape(4, width)
            cell = jax.nn.sigmoid(keep) * cell + jax.nn.sigmoid(put) * jnp.tanh(new)
            hidden = jax.nn.sigmoid(show) * jnp.tanh(cell)
            seen.append(hidden)
        return jnp.stack(seen) @ weights["out"] + weights["bias"][None]

    return Causal(init, logits)


@lru_cache
def transformer(count: int, width: int, classes: int) -> Causal:
    """One layer of causal self-attention and a perceptron of one hidden layer, both residual (Vaswani et al. 2017), without norms."""

    def init(key: Array) -> Any:
        k_shared, *keys = jax.random.split(key, 6)
        square = dict(zip(("query", "key", "value"), (_matrix(k, width, width) for k in keys), strict=False))
        wide = {"up": _matrix(keys[3], width, 2 * width), "down": _matrix(keys[4], 2 * width, width)}
        return {**_shared(k_shared, count, width, classes), **square, **wide}

    def logits(weights: Any, context: Array, tokens: Array) -> Array:
        x = _tokens(weights, context, tokens)
        query, key, value = (x @ weights[name] for name in ("query", "key", "value"))
        score = query @ key.T / jnp.sqrt(jnp.float32(width))
        earlier = jnp.tril(jnp.ones((count, count), bool))
        x = x + jax.nn.softmax(jnp.where(earlier, score, -jnp.inf), axis=-1) @ value
        x = x + jnp.tanh(x @ weights["up"]) @ weights["down"]
        return x @ weights["out"] + weights["bias"][None]

    return Causal(init, logits)


NETWORKS: dict[str, Callable[[int, int, int], Causal]] = {"lstm": lstm, "transformer": transformer}
