"""Other ways than a limit on every layer to keep a model of the dynamics continuous, and how far it may be off at a label.

All speak of the normalised residual net g (ilbench/training/dynamics.py), so that a constant L is one of the same map as under the
spectral limit. A penalty bounds nothing by itself: it trades the fit against steepness. With d ~ scale * N(0, I) and J the Jacobian of g,

    soft_sampling   squared error + weight * mean over d of relu(|g(x + d) - g(x)| - L |d|)
    soft_jac        squared error + weight * relu(|J(x)|_2 - L)^2, the spectral norm, which is the local Lipschitz constant
    slack           trust * squared error - weight * trust, trust = sigmoid(lambda(x)), lambda a net of its own

Slack knows no L: it lets go of the rows whose error stays above its weight, those of a jump, which a smooth net would smear.
The authors' code differs: its penalties are on the map to the next state, the one of sampling measures |d| before it is scaled, the
one of the Jacobian is not squared, and slack weighs the norm of the features' squared errors where this weighs their mean.
Paper: Ke et al. 2024, CCIL, https://arxiv.org/abs/2310.12972
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ilbench.training import dynamics
from ilbench.training.nets import mlp
from ilbench.types import Array, Data, Model, PyTree

KINDS = ("soft_sampling", "soft_jac", "slack")
DRAWS = 5  # disturbances d per row and step, the authors' number
STEADY = 1e-24  # least square under a root: where no unit is active nothing moves, and the root of 0 has no gradient


class Soft(NamedTuple):
    """What a kind reads, as numbers of every row, `[S, R]` each."""

    constant: Any  # L
    weight: Any  # of the penalty, or of the trust
    scale: Any  # standard deviation of d, in mean absolute deviations of the inputs


def data(seen: dynamics.Transitions, constant: float, weight: float, scale: float) -> Data:
    """The rows of `dynamics.data` with the numbers of a kind beside them."""
    rows = dynamics.data(seen, None)
    return rows._replace(extra=Soft(*(np.full(rows.weight.shape, x, np.float32) for x in (constant, weight, scale))))


Net = Callable[[Array], Array]


def steep_between(net: Net, key: Array, x: Array, soft: Soft) -> Array:
    """mean over d of relu(|g(x + d) - g(x)| - L |d|) `[]` at one x `[n]`."""
    d = soft.scale * jax.random.normal(key, (DRAWS, *x.shape))
    squares = jax.vmap(lambda one: jnp.sum(jnp.square(net(x + one) - net(x))))(d)
    moved = jnp.sqrt(jnp.maximum(squares, STEADY))
    return jnp.mean(jax.nn.relu(moved - soft.constant * jnp.linalg.norm(d, axis=-1)))


def local_constant(net: Net, x: Array) -> Array:
    """The spectral norm `[]` of the Jacobian of g at x `[n]`."""
    return jnp.linalg.norm(jax.jacrev(net)(x), 2)


def steep_at(net: Net, key: Array, x: Array, soft: Soft) -> Array:
    """relu(|J(x)|_2 - L)^2 `[]`; draws nothing."""
    return jnp.square(jax.nn.relu(local_constant(net, x) - soft.constant))


STEEP = {"soft_sampling": steep_between, "soft_jac": steep_at}


def _inputs(params: PyTree, x: Array) -> Array:
    return (x - params["in"]["mean"]) / params["in"]["mad"]


@lru_cache(maxsize=64)
def model(obs: int, action: int, sizes: tuple[int, ...], kind: str) -> Model:
    """The model of `dynamics.model`, without its limit, under one of KINDS; its rows are those of `data`."""
    free = dynamics.model(obs, action, sizes)
    _, apply = dynamics.normalised(obs, action, sizes)
    init_slack, slack = mlp(obs + action, (*sizes, 1), "relu")

    def init(key: Array) -> PyTree:
        params = free.init(key)
        return {**params, "slack": init_slack(jax.random.fold_in(key, 1))} if kind == "slack" else params

    def prepare(params: PyTree, rows: Data) -> PyTree:
        assert free.prepare is not None
        return free.prepare(params, rows._replace(extra=jnp.full_like(rows.weight, jnp.inf)))

    def loss(params: PyTree, key: Array, row: Data) -> Array:
        error, x = free.loss(params, key, row), _inputs(params, row.obs)
        if kind == "slack":
            trust = jax.nn.sigmoid(slack(params["slack"], x)[0])
            return trust * (error - row.extra.weight)
        return error + row.extra.weight * STEEP[kind](lambda z: apply(params["net"], z), key, x, row.extra)

    return Model(init, loss, prepare, fixed=free.fixed)


def foreseen(params: PyTree, at: Array, label: Array, obs: int, sizes: tuple[int, ...]) -> Array:
    """local_L(x) |x_G - x| `[]` of a label x_G `[o + a]` made from the pair x `[o + a]`, both normalised.

    How far g may have moved from where it was fitted to the label: in mean absolute deviations of the change, to first order.
    """
    _, apply = dynamics.normalised(obs, at.shape[0] - obs, sizes)
    x, there = _inputs(params, at), _inputs(params, label)
    return local_constant(lambda z: apply(params["net"], z), x) * jnp.linalg.norm(there - x)
