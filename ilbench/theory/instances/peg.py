"""Peg in a slot: a one-shot task where success means hitting a thin set of actions, and five ways to train one net on it.

A slot has centre c in [-1, 1]^2 and angle phi in [-pi, pi); the learner sees (c, phi / pi). An action is an approach point
and an insertion point, `[4]`; the expert puts them .5 and .1 from the centre along the slot's axis, on a side that it picks
at random (`sides` = 2) or always the same (1), with a jitter of .02 along the axis and none across it. Success: both
points within TOLERANCE of the axis, on the same side, .3 to .7 and 0 to .2 from the centre.

All methods share net, initial weights, data, noise draws and minibatches; they differ in five numbers:
    w1 |pi(o, s z1, 0) - a|^2 + w2 |pi(o, c a + n z2, t*) - a|^2,   z ~ N(0, I), t* = .9
and act by a0 = pi(o, 0, 0), then pi(o, c a0, t*) where w2 > 0.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import jax.numpy as jnp
import numpy as np

from ilbench.types import Array, Data, Head

T_STAR = 0.9
# (w1, w2, s, c, n); C2 = noise in training, C3 = supervised second pass
METHODS = {
    "regression": (1.0, 0.0, 0.0, 0.0, 0.0),
    "straight flow (C2)": (1.0, 0.0, 1.0, 0.0, 0.0),
    "residual regression (C3)": (1.0, 1.0, 0.0, T_STAR, 0.0),
    "MIP, paper (C2+C3)": (1.0, 1.0, 0.0, T_STAR, 1 - T_STAR),
    # The released code does not scale a by t* and divides residuals by t* and 1 - t* inside the square.
    "MIP, released (C2+C3)": (1 / T_STAR**2, 1 / (1 - T_STAR) ** 2, 0.0, 1.0, 1 - T_STAR),
}
# Declared before the first run and not tuned.
DEMOS, COPIES, TEST, TOLERANCE = 512, 16, 512, 0.05
WIDTH, UPDATES, BATCH = 64, 1500, 128
POSE, ACTION = 3, 4


def poses(rng: np.random.Generator, n: int, sides: int) -> tuple[np.ndarray, np.ndarray]:
    """Observations `[n, 3]` and expert actions `[n, 4]`."""
    pose = rng.uniform(-1, 1, (n, POSE))
    side = rng.choice([-1.0, 1.0], n) if sides == 2 else np.ones(n)
    along = side[:, None] * (np.array([0.5, 0.1]) + 0.02 * rng.standard_normal((n, 2)))
    axis = np.stack([np.cos(np.pi * pose[:, 2]), np.sin(np.pi * pose[:, 2])], -1)
    points = pose[:, None, :2] + along[:, :, None] * axis[:, None]
    return pose, points.reshape(n, ACTION)


def judged(pose: Any, action: Any) -> tuple[np.ndarray, np.ndarray]:
    """`(success [...] bool, distance from the axis [...])` of actions `[..., 4]` at poses `[..., 3]`."""
    angle = np.pi * pose[..., 2]
    offset = action.reshape(*action.shape[:-1], 2, 2) - pose[..., None, :2]
    along = offset[..., 0] * np.cos(angle)[..., None] + offset[..., 1] * np.sin(angle)[..., None]
    across = offset[..., 1] * np.cos(angle)[..., None] - offset[..., 0] * np.sin(angle)[..., None]
    far, near = along[..., 0], along[..., 1] * np.sign(along[..., 0])
    placed = (np.abs(np.abs(far) - 0.5) <= 0.2) & (near >= 0) & (near <= 0.2)
    return placed & (np.abs(across) <= TOLERANCE).all(-1), np.linalg.norm(across, axis=-1)


@lru_cache
def head(width: int = WIDTH) -> Head:
    """The shared net as a head; an observation row is (pose, z1, z2, five numbers), `[3 + 4 + 4 + 5]`."""
    from ilbench.training.nets import mlp

    init, apply = mlp(POSE + ACTION + 1, (width, width, ACTION))

    def net(params: Any, pose: Array, x: Array, t: float) -> Array:
        return apply(params["net"], jnp.concatenate([pose, x, jnp.full((1,), t, pose.dtype)]))

    def parts(row: Array) -> tuple[Array, Array, Array, Array]:
        return row[:POSE], row[POSE : POSE + ACTION], row[POSE + ACTION : POSE + 2 * ACTION], row[POSE + 2 * ACTION :]

    def loss(params: Any, key: Array, row: Data) -> Array:
        (pose, z1, z2, (w1, w2, s, c, n)), a = parts(row.obs), row.action
        first = net(params, pose, s * z1, 0.0)
        second = net(params, pose, c * a + n * z2, T_STAR)
        return w1 * jnp.sum(jnp.square(first - a)) + w2 * jnp.sum(jnp.square(second - a))

    def act(params: Any, key: Array, t: Array, memory: Any, row: Array) -> tuple[Any, Array]:
        pose, z1, _, (_, w2, _, c, _) = parts(row)
        a0 = net(params, pose, jnp.zeros_like(z1), 0.0)
        return memory, jnp.where(w2 > 0, net(params, pose, c * a0, T_STAR), a0)

    return Head(lambda key: {"net": init(key)}, loss, act)


def _acted(shared: Any, item: Any, *, head: Head) -> Array:
    import jax

    params, rows = item
    return jax.vmap(lambda row: head.act(params, jax.random.key(0), jnp.int32(0), (), row)[1])(rows)


def factorial(seeds: int, stream: int, sides: tuple[int, ...] = (2, 1)) -> dict[int, dict[str, dict[str, np.ndarray]]]:
    """Trains every method on every variant with every seed in one call; per sides and method `[seeds]` of success,
    off_axis and validation (squared error on held-out expert actions)."""
    from ilbench.compute.parallel import per_seed
    from ilbench.rollouts.keys import seed_keys
    from ilbench.training import fit
    from ilbench.types import Data

    train, test = [], []
    for k in sides:
        for seed in range(seeds):
            rng = np.random.default_rng((stream, k, seed))
            pose, action = (np.repeat(x, COPIES, 0) for x in poses(rng, DEMOS, k))
            train.append((np.concatenate([pose, rng.standard_normal((len(pose), 2 * ACTION))], -1), action))
            test.append(poses(rng, TEST, k))
    coefficients = np.array(list(METHODS.values()))

    def rows(x: np.ndarray) -> np.ndarray:  # `[I, R, F]` -> `[I * methods, R, F + 5]`
        tiled = np.broadcast_to(x[:, None], (len(x), len(METHODS), *x.shape[1:]))
        numbers = np.broadcast_to(coefficients[None, :, None], (*tiled.shape[:3], 5))
        return np.concatenate([tiled, numbers], -1).reshape(-1, x.shape[1], x.shape[2] + 5).astype(np.float32)

    def per_item(x: np.ndarray) -> np.ndarray:
        return np.repeat(x, len(METHODS), 0)

    index = np.tile(np.repeat(np.arange(seeds), len(METHODS)), len(sides))
    obs, action = (np.stack(x) for x in zip(*train, strict=True))
    data = Data(
        np.zeros((len(index), obs.shape[1]), np.int32), rows(obs), per_item(action).astype(np.float32),
        np.ones((len(index), obs.shape[1]), np.float32),
    )  # fmt: skip
    params = fit.init(head(), _gathered(seed_keys("t15/init", range(seeds)), index))
    keys = _gathered(seed_keys("t15/fit", range(seeds)), index)
    settings = fit.FitConfig(updates=UPDATES, batch=BATCH)
    params = fit.fit(head(), keys, params, data, settings, UPDATES).params
    pose, wanted = (np.stack(x) for x in zip(*test, strict=True))
    blank = np.concatenate([pose, np.zeros((*pose.shape[:2], 2 * ACTION))], -1)
    done = np.asarray(per_seed(_acted, head=head(), block=16)((), (params, rows(blank))), np.float64)
    success, off = judged(per_item(pose), done)
    loss = np.square(done - per_item(wanted)).sum(-1)
    shape = (len(sides), seeds, len(METHODS))
    table = {
        name: v.mean(-1).reshape(shape) for name, v in (("success", success), ("off_axis", off), ("validation", loss))
    }
    return {
        k: {m: {name: v[i, :, j] for name, v in table.items()} for j, m in enumerate(METHODS)}
        for i, k in enumerate(sides)
    }


def _gathered(keys: Array, index: np.ndarray) -> Array:
    """Keys `[len(index)]` picked from keys `[S]`."""
    import jax

    return jax.random.wrap_key_data(np.asarray(jax.random.key_data(keys))[index], impl=jax.random.key_impl(keys))
