"""The one supervised loop: minibatch Adam on a head's loss, one seed, a fixed number of updates.

Data are rows in a fixed-size buffer whose weight says whether they exist, so that a growing data set never
retraces. All seeds run at once through per_seed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from ilbench.compute.parallel import per_seed
from ilbench.training.nets import fit_norm
from ilbench.types import Array, Data, Head, PyTree, Space

AHEAD = 8_000_000  # rows drawn ahead of a fit at most: 32 MB, and six times that while they are made


@dataclass(frozen=True)
class FitConfig:
    """Optimiser settings, the same for every algorithm of a suite and declared before it runs."""

    updates: int = 2000  # gradient steps of a fit; a method that fits in rounds takes as many in each
    equal_steps: bool = False  # rounds share `updates`: methods at equal gradient steps instead of each to convergence
    batch: int = 256  # rows per step
    learning_rate: float = 1e-3  # Adam; decays to 0 along a cosine within each fit
    weight_decay: float = 0.0  # AdamW, per step and unit of learning rate

    def __post_init__(self) -> None:
        for name in ("updates", "batch", "learning_rate"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"fit.{name} must be positive and finite, got {getattr(self, name)}")
        if not 0 <= self.weight_decay < math.inf:
            raise ValueError(f"fit.weight_decay must be finite and at least 0, got {self.weight_decay}")


def _rows(data: Data) -> tuple[Array, Array]:
    """Indices `[R]` with the existing rows first, and how many exist."""
    missing = data.weight <= 0
    return jnp.argsort(missing, stable=True), jnp.sum(~missing).astype(jnp.int32)


def _loss(head: Head, params: PyTree, data: Data) -> Array:
    losses = jax.vmap(head.loss, in_axes=(None, 0, 0, 0))(params, data.t, data.obs, data.action)
    return jnp.sum(losses * data.weight) / jnp.maximum(jnp.sum(data.weight), 1e-8)


class Fitted(NamedTuple):
    """What a fit leaves, for S seeds: parameters at its end and half way through, and the training loss."""

    params: PyTree  # leaves `[S, ...]`
    halfway: PyTree  # leaves `[S, ...]`
    losses: Any  # `[S, <=64]`


def _fit_one(shared: Any, item: Any, *, head: Head, obs: Space, updates: int, batch: int) -> Fitted:
    learning_rate, weight_decay = shared
    key, params, data = item
    if head.normalise:
        params = {**params, "norm": fit_norm(obs, data.obs, data.weight)}
    order, count = _rows(data)
    # One flat vector: a handful of fused kernels a step instead of a handful per layer.
    optimiser = optax.flatten(optax.chain(optax.scale_by_adam(), optax.add_decayed_weights(weight_decay)))
    trained = {name: value for name, value in params.items() if name != "norm"}
    fixed = {name: value for name, value in params.items() if name == "norm"}
    half = -(-updates // 2)  # of an odd number the last step has a rate of 0

    def indices(key: Array) -> Array:
        return order[jax.random.randint(key, (batch,), 0, jnp.maximum(count, 1))]

    # All draws at once, outside of the loop, unless they would fill the memory: inside it they cost a tenth of a step.
    ahead = 2 * half * batch <= AHEAD

    def update(carry: Any, at: Any) -> Any:
        weights, state = carry
        step, drawn = at
        index = drawn if ahead else indices(drawn)
        rows = jax.tree.map(lambda leaf: leaf[index], data)
        value, grads = jax.value_and_grad(lambda w: _loss(head, {**w, **fixed}, rows))(weights)
        with jax.numpy_dtype_promotion("standard"):  # optax mixes integer step counts with floats
            direction, state = optimiser.update(grads, state, weights)
        rate = learning_rate * 0.5 * (1.0 + jnp.cos(jnp.pi * jnp.minimum(step / updates, 1.0)))
        return (jax.tree.map(lambda w, d: w - rate * d, weights, direction), state), value

    def both(carry: Any, at: Any) -> Any:
        carry, values = jax.lax.scan(update, carry, at)
        return carry, (carry[0], values)

    keys = jax.random.split(key, 2 * half)
    steps = (jnp.arange(2 * half, dtype=jnp.float32), jax.vmap(indices)(keys) if ahead else keys)
    halves = jax.tree.map(lambda x: x.reshape(2, half, *x.shape[1:]), steps)
    _, (weights, losses) = jax.lax.scan(both, (trained, optimiser.init(trained)), halves)
    halfway, end = jax.tree.map(lambda w: w[0], weights), jax.tree.map(lambda w: w[1], weights)
    return Fitted({**end, **fixed}, {**halfway, **fixed}, losses.reshape(-1)[:: max(1, updates // 32)])


def _solve_one(shared: Any, item: Any, *, head: Head) -> PyTree:
    assert head.solve is not None
    return head.solve(*item)


def _loss_one(shared: Any, item: Any, *, head: Head) -> Array:
    params, data = item
    return _loss(head, params, data)


def _init_one(shared: Any, key: Array, *, head: Head) -> PyTree:
    return head.init(key)


def init(head: Head, keys: Array) -> PyTree:
    """Fresh parameters for keys `[S]`: leaves `[S, ...]`."""
    return per_seed(_init_one, head=head)((), keys)


def solve(head: Head, keys: Array, data: Data) -> PyTree:
    """The closed-form fit of heads that have one; data `[S, R, ...]`, parameters `[S, ...]`."""
    return per_seed(_solve_one, head=head)((), (data, keys))


def fit(
    head: Head, obs: Space, keys: Array, params: PyTree, data: Data, config: FitConfig, updates: int
) -> Fitted:
    """Takes `updates` gradient steps from `params [S, ...]` on `data [S, R, ...]`."""
    rates = jnp.float32(config.learning_rate), jnp.float32(config.weight_decay)
    run = per_seed(_fit_one, head=head, obs=obs, updates=updates, batch=config.batch)
    return run(rates, (keys, params, data))


def loss(head: Head, params: PyTree, data: Data) -> Array:
    """Mean loss `[S]` of parameters `[S, ...]` on data `[S, R, ...]`."""
    return per_seed(_loss_one, head=head)((), (params, data))
