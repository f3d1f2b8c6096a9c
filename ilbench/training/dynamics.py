"""A residual model of the dynamics, f(s, a) ~ s' - s, fitted on demonstrations, with or without a Lipschitz limit.

Inputs and residuals are normalised by mean and mean absolute deviation, the loss is the mean squared normalised
residual. With `spectral` every layer's matrix is divided by max(sigma / L, 1), sigma its largest singular value, so
that the normalised net is L^layers-Lipschitz.
Paper: Ke et al. 2024, CCIL, https://arxiv.org/abs/2310.12972; spectral normalisation: Miyato et al. 2018, https://arxiv.org/abs/1802.05957
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ilbench.training.nets import mlp
from ilbench.types import Array, Data, Demos, Model, PyTree

STILL = 1e-4  # mean absolute deviation below which a feature does not move: its scale is 1, lest it be blown up
POWER_STEPS = 2  # power iterations per update; the vector is carried on, so that they add up


class Transitions(NamedTuple):
    """Rows of one seed: what was seen, done, and seen next; rows with weight 0 do not exist."""

    obs: Any  # `[R, o]`
    action: Any  # `[R, a]` float, one-hot for discrete actions
    next_obs: Any  # `[R, o]`
    weight: Any  # `[R]`


def transitions(demos: Demos, actions: int | None) -> Transitions:
    """Rows `[S, N*H, ...]` of Demos; `actions` is n for discrete actions, None for continuous ones."""
    obs, final, action = (np.asarray(x) for x in (demos.obs, demos.final_obs, demos.action))
    following = np.concatenate([obs[:, :, 1:], final[:, :, None]], axis=2)
    vectors = np.eye(actions, dtype=np.float32)[action] if actions else action.astype(np.float32)
    alive = np.asarray(demos.alive, np.float32)
    rows = (x.reshape(x.shape[0], -1, *x.shape[3:]) for x in (obs, vectors, following, alive))
    return Transitions(*rows)


def data(seen: Transitions, lipschitz: float | None) -> Data:
    """What the supervised loop fits: (obs, action) `[S, R, o + a]` to the change of obs `[S, R, o]`; no limit for None."""
    obs, action, following, weight = (np.asarray(x) for x in seen)
    limit = np.full(weight.shape, np.inf if lipschitz is None else lipschitz, np.float32)
    return Data(
        np.zeros(weight.shape, np.int32), np.concatenate([obs, action], axis=-1), following - obs, weight, extra=limit
    )


def _scale(x: Array, weight: Array) -> dict[str, Array]:
    total = jnp.maximum(jnp.sum(weight), 1.0)
    mean = weight @ x / total
    mad = weight @ jnp.abs(x - mean[None, :]) / total
    return {"mean": mean, "mad": jnp.where(mad < STILL, 1.0, mad)}


def _layers(net: PyTree) -> list[str]:
    return sorted(net)


def _turned(net: PyTree, vectors: PyTree) -> PyTree:
    """Every matrix's right singular vector of the largest value, a few power iterations nearer."""
    carried = {}
    for name in _layers(net):
        w, v = net[name]["kernel"], vectors[name]
        for _ in range(POWER_STEPS):
            u = w @ v
            v = w.T @ (u / (jnp.linalg.norm(u) + 1e-12))
            v = v / (jnp.linalg.norm(v) + 1e-12)
        carried[name] = v
    return carried


def limited(net: PyTree, vectors: PyTree, constant: Array) -> PyTree:
    """The net with every matrix divided by max(sigma / constant, 1), sigma its largest singular value along `vectors`."""
    out = {}
    for name in _layers(net):
        sigma = jnp.linalg.norm(net[name]["kernel"] @ vectors[name])
        out[name] = {**net[name], "kernel": net[name]["kernel"] / jnp.maximum(sigma / constant, 1.0)}
    return out


def normalised(obs: int, action: int, sizes: tuple[int, ...]) -> Any:
    """`(init, apply)` of the net alone: normalised (obs, action) `[o + a]` to the normalised residual `[o]`."""
    return mlp(obs + action, (*sizes, obs), "relu")


@lru_cache(maxsize=64)
def model(obs: int, action: int, sizes: tuple[int, ...]) -> Model:
    """The model for the supervised loop; its limit, a number, comes with the rows (`data`)."""
    init_net, apply = normalised(obs, action, sizes)

    def init(key: Array) -> PyTree:
        k_net, k_vectors = jax.random.split(key)
        net = init_net(k_net)
        vectors = {
            name: jax.random.normal(jax.random.fold_in(k_vectors, i), (net[name]["kernel"].shape[1],))
            for i, name in enumerate(_layers(net))
        }
        unit = {size: {"mean": jnp.zeros(n), "mad": jnp.ones(n)} for size, n in (("in", obs + action), ("out", obs))}
        return {"net": net, "vectors": vectors, "limit": jnp.float32(jnp.inf), **unit}

    def prepare(params: PyTree, rows: Data) -> PyTree:
        scales = {"in": _scale(rows.obs, rows.weight), "out": _scale(rows.action, rows.weight)}
        return {**params, **scales, "limit": jnp.max(rows.extra), "vectors": _turned(params["net"], params["vectors"])}

    def loss(params: PyTree, key: Array, row: Data) -> Array:
        net = limited(params["net"], params["vectors"], params["limit"])
        wanted = (row.action - params["out"]["mean"]) / params["out"]["mad"]
        return jnp.mean(jnp.square(apply(net, (row.obs - params["in"]["mean"]) / params["in"]["mad"]) - wanted))

    def after(params: PyTree) -> PyTree:
        return {**params, "vectors": _turned(params["net"], params["vectors"])}

    return Model(init, loss, prepare, after, fixed=("vectors", "limit", "in", "out"))


@jax.jit
def settled(params: PyTree) -> PyTree:
    """Trained parameters `[S, ...]` that hold their limit: by singular values, not nearly."""

    def one(params: PyTree) -> PyTree:
        def hold(w: Array) -> Array:
            return w / jnp.maximum(jnp.linalg.norm(w, 2) / params["limit"], 1.0)

        return {**params, "net": {n: {**layer, "kernel": hold(layer["kernel"])} for n, layer in params["net"].items()}}

    return jax.vmap(one)(params)


def residual(params: PyTree, obs: Array, action: Array, sizes: tuple[int, ...]) -> Array:
    """f(s, a) `[o]` for one `obs [o]`, `action [a]`."""
    _, apply = normalised(obs.shape[0], action.shape[0], sizes)
    inputs = jnp.concatenate([obs, action])
    out = apply(params["net"], (inputs - params["in"]["mean"]) / params["in"]["mad"])
    return params["out"]["mean"] + params["out"]["mad"] * out
