"""A residual model of the dynamics, f(s, a) ~ s' - s, fitted on demonstrations, with or without a Lipschitz limit.

Inputs and residuals are normalised by mean and mean absolute deviation, the loss is the mean squared normalised
residual. With `spectral` every layer's matrix is divided by max(sigma / L, 1), sigma its largest singular value, so
that the normalised net is L^layers-Lipschitz.
Paper: Ke et al. 2024, CCIL, https://arxiv.org/abs/2310.12972; spectral normalisation: Miyato et al. 2018, https://arxiv.org/abs/1802.05957
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from ilbench.compute.parallel import per_seed
from ilbench.training.nets import mlp
from ilbench.types import Array, Demos, PyTree

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


def _scale(x: Array, weight: Array) -> dict[str, Array]:
    total = jnp.maximum(jnp.sum(weight), 1.0)
    mean = weight @ x / total
    mad = weight @ jnp.abs(x - mean[None, :]) / total
    return {"mean": mean, "mad": jnp.where(mad < STILL, 1.0, mad)}


def _layers(net: PyTree) -> list[str]:
    return sorted(net)


def limit(net: PyTree, vectors: PyTree, constant: Array) -> tuple[PyTree, PyTree]:
    """The net with every matrix's largest singular value at most `constant`, and the power iteration's vectors."""
    out, carried = {}, {}
    for name in _layers(net):
        w, v = net[name]["kernel"], vectors[name]
        for _ in range(POWER_STEPS):
            u = w @ v
            v = w.T @ (u / (jnp.linalg.norm(u) + 1e-12))
            v = v / (jnp.linalg.norm(v) + 1e-12)
        v = jax.lax.stop_gradient(v)
        sigma = jnp.linalg.norm(w @ v)
        out[name] = {**net[name], "kernel": w / jnp.maximum(sigma / constant, 1.0)}
        carried[name] = v
    return out, carried


def _limit_exactly(net: PyTree, constant: Array) -> PyTree:
    """As `limit`, by singular values: what is used once training is over must hold the limit, not nearly."""
    return {
        name: {**layer, "kernel": layer["kernel"] / jnp.maximum(jnp.linalg.norm(layer["kernel"], 2) / constant, 1.0)}
        for name, layer in net.items()
    }


def _net(obs: int, action: int, sizes: tuple[int, ...]) -> Any:
    return mlp(obs + action, (*sizes, obs), "relu")


def residual(params: PyTree, obs: Array, action: Array, sizes: tuple[int, ...]) -> Array:
    """f(s, a) `[o]` for one `obs [o]`, `action [a]`."""
    _, apply = _net(obs.shape[0], action.shape[0], sizes)
    inputs = jnp.concatenate([obs, action])
    out = apply(params["net"], (inputs - params["in"]["mean"]) / params["in"]["mad"])
    return params["out"]["mean"] + params["out"]["mad"] * out


def _fit_one(shared: Any, item: Any, *, sizes: tuple[int, ...], updates: int, batch: int, spectral: bool) -> Any:
    rate, decay, constant = shared
    key, rows = item
    k_init, k_vectors, k_steps = jax.random.split(key, 3)
    init, apply = _net(rows.obs.shape[1], rows.action.shape[1], sizes)
    net = init(k_init)
    inputs, change = jnp.concatenate([rows.obs, rows.action], axis=1), rows.next_obs - rows.obs
    scales = {"in": _scale(inputs, rows.weight), "out": _scale(change, rows.weight)}
    x = (inputs - scales["in"]["mean"][None]) / scales["in"]["mad"][None]
    y = (change - scales["out"]["mean"][None]) / scales["out"]["mad"][None]
    order = jnp.argsort(rows.weight <= 0, stable=True)
    count = jnp.maximum(jnp.sum(rows.weight > 0).astype(jnp.int32), 1)
    vectors = {
        name: jax.random.normal(jax.random.fold_in(k_vectors, i), (net[name]["kernel"].shape[1],))
        for i, name in enumerate(_layers(net))
    }
    optimiser = optax.flatten(optax.chain(optax.scale_by_adam(), optax.add_decayed_weights(decay)))

    def loss(net: PyTree, vectors: PyTree, index: Array) -> tuple[Array, PyTree]:
        used, vectors = limit(net, vectors, constant) if spectral else (net, vectors)
        return jnp.mean(jnp.square(jax.vmap(apply, (None, 0))(used, x[index]) - y[index])), vectors

    def update(carry: Any, at: Any) -> Any:
        net, state, vectors = carry
        step, key = at
        index = order[jax.random.randint(key, (batch,), 0, count)]
        (value, vectors), grads = jax.value_and_grad(loss, has_aux=True)(net, vectors, index)
        with jax.numpy_dtype_promotion("standard"):  # optax mixes integer step counts with floats
            direction, state = optimiser.update(grads, state, net)
        eta = rate * 0.5 * (1.0 + jnp.cos(jnp.pi * step / updates))
        return (jax.tree.map(lambda w, d: w - eta * d, net, direction), state, vectors), value

    steps = (jnp.arange(updates, dtype=jnp.float32), jax.random.split(k_steps, updates))
    (net, _, _), losses = jax.lax.scan(update, (net, optimiser.init(net), vectors), steps)
    net = _limit_exactly(net, constant) if spectral else net
    return {"net": net, **scales}, losses[:: max(1, updates // 32)]


def fit(
    keys: Array, rows: Transitions, *, sizes: tuple[int, ...], updates: int, batch: int, rate: float, decay: float,
    lipschitz: float | None,
) -> tuple[PyTree, np.ndarray]:  # fmt: skip
    """Fits a model per seed on rows `[S, R, ...]`; parameters with leaves `[S, ...]` and a loss curve `[S, <=64]`.

    `lipschitz` is L per layer of the normalised net; None leaves the matrices alone.
    """
    shared = jnp.float32(rate), jnp.float32(decay), jnp.float32(1.0 if lipschitz is None else lipschitz)
    run = per_seed(_fit_one, sizes=sizes, updates=updates, batch=batch, spectral=lipschitz is not None)
    params, losses = run(shared, (keys, rows))
    return params, np.asarray(losses)
