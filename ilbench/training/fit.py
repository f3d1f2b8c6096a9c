"""The one supervised loop: minibatch Adam on the loss of a head, or of any other model, one seed, a fixed number of updates.

Data are rows in a fixed-size buffer whose weight says whether they exist, so that a growing data set never
retraces. All seeds run at once through per_seed.
On a CPU most of a step is matrix products at the processor's peak. Within 2 % nothing moved the rest: packed rows, rows gathered in
blocks or in bounds, all weights and Adam in one vector, no loss; an unrolled loop and grouped seeds change bits for at most 10 %.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from ilbench.compute import prng
from ilbench.compute.parallel import per_seed
from ilbench.compute.products import value_and_grad
from ilbench.types import Array, Data, Head, Model, PyTree

AHEAD = 8_000_000  # rows drawn ahead of a fit at most: 32 MB, and six times that while they are made
TOGETHER = 512  # rows that go through a network at once on a CPU where nothing is trained: their layers stay in its cache


@dataclass(frozen=True)
class FitConfig:
    """Optimiser settings, the same for every algorithm of a suite and declared before it runs."""

    updates: int = 2000  # gradient steps of a fit; a method that fits in rounds takes as many in each
    equal_steps: bool = False  # rounds share `updates`: methods at equal gradient steps instead of each to convergence
    batch: int = 256  # rows per step
    learning_rate: float = 1e-3  # Adam; decays to 0 along a cosine within each fit
    weight_decay: float = 0.0  # AdamW, per step and unit of learning rate
    # Decay per step of a running mean of the parameters, which is then what is deployed; 0: the last ones are.
    ema: float = field(default=0.0, metadata={"neutral": True})

    def __post_init__(self) -> None:
        for name in ("updates", "batch", "learning_rate"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"fit.{name} must be positive and finite, got {getattr(self, name)}")
        if not 0 <= self.ema < 1:
            raise ValueError(f"fit.ema must lie in [0, 1), got {self.ema}")
        if not 0 <= self.weight_decay < math.inf:
            raise ValueError(f"fit.weight_decay must be finite and at least 0, got {self.weight_decay}")


def _rows(data: Data) -> tuple[Array, Array]:
    """Indices `[R]` with the existing rows first, and how many exist."""
    missing = data.weight <= 0
    return jnp.argsort(missing, stable=True), jnp.sum(~missing).astype(jnp.int32)


Objective = Callable[[Any, PyTree, PyTree, Array, Data], Array]  # (model, given, params, key, row) -> []


def _loss(model: Any, objective: Objective | None, given: PyTree, params: PyTree, key: Array, data: Data) -> Array:
    one = model.loss if objective is None else partial(objective, model, given)
    # JAX's own generator, which gives the same bits: a loss may draw arrays for every row, and jaxlib 0.12 takes minutes to compile
    # a loop that holds their rounds written out.
    keys = jax.random.split(prng.builtin(key), data.weight.shape[0])
    losses = jax.vmap(one, in_axes=(None, 0, 0))(params, keys, data)
    return _mean(losses, data.weight)


def _mean(losses: Array, weight: Array) -> Array:
    return jnp.sum(losses * weight) / jnp.maximum(jnp.sum(weight), 1e-8)


class Fitted(NamedTuple):
    """What a fit leaves, for S seeds: parameters at its end and half way through, and the training loss."""

    params: PyTree  # leaves `[S, ...]`
    halfway: PyTree  # leaves `[S, ...]`
    losses: Any  # `[S, <=64]`


def _fit_one(
    shared: Any, item: Any, *, model: Any, updates: int, batch: int, averaged: bool, objective: Objective | None
) -> Fitted:
    learning_rate, weight_decay, decay = shared
    key, params, data, given = item
    if model.prepare is not None:
        params = model.prepare(params, data)
    order, count = _rows(data)
    # One flat vector: a handful of fused kernels a step instead of a handful per layer.
    optimiser = optax.flatten(optax.chain(optax.scale_by_adam(), optax.add_decayed_weights(weight_decay)))
    trained = {name: value for name, value in params.items() if name not in model.fixed}
    fixed = {name: value for name, value in params.items() if name in model.fixed}
    half = -(-updates // 2)

    def indices(key: Array) -> Array:
        return order[jax.random.randint(key, (batch,), 0, jnp.maximum(count, 1))]

    # All draws at once, outside of the loop, unless they would fill the memory: inside it they cost a tenth of a step.
    ahead = 2 * half * batch <= AHEAD

    def update(carry: Any, at: Any) -> Any:
        weights, fixed, state, mean = carry
        step, rate, key, drawn = at
        index = drawn if ahead else indices(key)
        rows = jax.tree.map(lambda leaf: leaf[index], data)

        def of(w: PyTree) -> Array:
            return _loss(model, objective, given, {**w, **fixed}, jax.random.fold_in(key, 1), rows)

        value, grads = value_and_grad(of)(weights)
        with jax.numpy_dtype_promotion("standard"):  # optax mixes integer step counts with floats
            direction, state = optimiser.update(grads, state, weights)
        weights = jax.tree.map(lambda w, d: w - rate * d, weights, direction)
        if model.after is not None:
            whole = model.after({**weights, **fixed})
            weights, fixed = ({name: whole[name] for name in part} for part in (weights, fixed))
        if averaged:  # bias-free: the first steps count as in a plain mean
            share = jnp.maximum(1.0 - decay, 1.0 / (step + 1.0))
            mean = jax.tree.map(lambda m, w: m + share * (w - m), mean, weights)
        taken = (weights, fixed, state, mean)
        if updates % 2:  # of two equal halves the last step is none
            taken = jax.tree.map(lambda new, old: jnp.where(step < updates, new, old), taken, carry)
        return taken, value

    def both(carry: Any, at: Any) -> Any:
        carry, values = jax.lax.scan(update, carry, at)
        weights, fixed, _, mean = carry
        return carry, ({**(mean if averaged else weights), **fixed}, values)

    keys = jax.random.split(key, 2 * half)
    step = jnp.arange(2 * half, dtype=jnp.float32)
    # Ahead of the loop, where it is compiled once: inside it would be in every layer's update.
    rate = learning_rate * 0.5 * (1.0 + jnp.cos(jnp.pi * jnp.minimum(step / updates, 1.0)))
    steps = (step, rate, keys, jax.vmap(indices)(keys) if ahead else None)
    halves = jax.tree.map(lambda x: x.reshape(2, half, *x.shape[1:]), steps)
    start = (trained, fixed, optimiser.init(trained), trained if averaged else None)
    _, (params, losses) = jax.lax.scan(both, start, halves)
    halfway, end = jax.tree.map(lambda w: w[0], params), jax.tree.map(lambda w: w[1], params)
    return Fitted(end, halfway, losses.reshape(-1)[:: max(1, updates // 32)])


def _solve_one(shared: Any, item: Any, *, head: Head) -> PyTree:
    assert head.solve is not None
    return head.solve(*item)


def _loss_one(given: Any, item: Any, *, model: Any) -> Array:
    key, params, data = item
    count = data.weight.shape[0]
    even = [n for n in range(128, TOGETHER + 1, 8) if count % n == 0]  # a remainder is compiled apart
    together = max(even, default=TOGETHER) if jax.default_backend() == "cpu" else count
    rows = jax.random.split(prng.builtin(key), count), data
    losses = jax.lax.map(lambda row: model.loss(params, *row), rows, batch_size=together)
    return _mean(losses, data.weight)


def _init_one(shared: Any, key: Array, *, model: Any) -> PyTree:
    # JAX's own generator here too: an initial net of many arrays, its rounds written out, keeps jaxlib 0.12 compiling for an hour.
    return model.init(prng.builtin(key))


def init(model: Head | Model, keys: Array) -> PyTree:
    """Fresh parameters for keys `[S]`: leaves `[S, ...]`."""
    return per_seed(_init_one, model=model)((), keys)


def solve(head: Head, keys: Array, data: Data) -> PyTree:
    """The closed-form fit of heads that have one; data `[S, R, ...]`, parameters `[S, ...]`."""
    return per_seed(_solve_one, head=head)((), (data, keys))


def fit(
    model: Head | Model,
    keys: Array,
    params: PyTree,
    data: Data,
    config: FitConfig,
    updates: int,
    objective: Objective | None = None,
    given: PyTree = (),
) -> Fitted:
    """Takes `updates` gradient steps from `params [S, ...]` on `data [S, R, ...]`.

    `objective(model, given, params, key, row) -> []` takes the place of the model's own loss, `given [S, ...]` being what else
    it reads: a teacher, a critic. It is compiled once for every function: use one of a module.
    """
    rates = jnp.float32(config.learning_rate), jnp.float32(config.weight_decay), jnp.float32(config.ema)
    run = per_seed(
        _fit_one, model=model, updates=updates, batch=config.batch, averaged=config.ema > 0, objective=objective
    )
    return run(rates, (keys, params, data, given))


def loss(model: Head | Model, keys: Array, params: PyTree, data: Data) -> Array:
    """Mean loss `[S]` of parameters `[S, ...]` on data `[S, R, ...]`; `keys [S]` for losses that draw."""
    return per_seed(_loss_one, model=model)((), (keys, params, data))
