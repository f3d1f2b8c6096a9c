"""Behaviours: who acts while data is collected, whose label is bought, and what noise is executed."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ilbench.compute import prng
from ilbench.types import Array, Behaviour, Box, Choice, Space, no_memory


# All of a step's uniform numbers are scalars of a few hashes: on CPU a draw of a vector is a loop of its own inside
# the scan, and costs more than a tabular env.
def _choose_box(params: Any, key: Array, t: Array, memory: Any, obs: Array, proposal: Array, label: Array) -> Choice:
    u = prng.uniforms(key, 2 + label.shape[0])
    expert_acts = u[0] < params["beta"][t]
    normal = jnp.float32(2**0.5) * jax.lax.erf_inv(2.0 * jnp.stack(u[2:]) - 1.0)
    action = jnp.where(expert_acts, label, proposal) + params["noise"] @ normal
    return Choice(memory, expert_acts.astype(jnp.int32), action, u[1] < params["reveal"][t])


@lru_cache
def _choose_discrete(n: int) -> Any:
    def choose(params: Any, key: Array, t: Array, memory: Any, obs: Array, proposal: Array, label: Array) -> Choice:
        u = prng.uniforms(key, 4)
        expert_acts = u[0] < params["beta"][t]
        other = jnp.minimum((u[3] * n).astype(jnp.int32), n - 1)
        action = jnp.where(u[2] < params["noise"], other, jnp.where(expert_acts, label, proposal))
        return Choice(memory, expert_acts.astype(jnp.int32), action, u[1] < params["reveal"][t])

    return choose


def same(tree: Any, seeds: int, iterates: bool = False) -> Any:
    """A pytree repeated over seeds, leaves `[S, ...]`, or `[S, 1, ...]` as policies have them: NumPy arrays of their own."""
    axes = (seeds, 1) if iterates else (seeds,)
    return jax.tree.map(lambda leaf: np.broadcast_to(leaf, (*axes, *np.shape(leaf))).copy(), tree)


def mixed(space: Space, horizon: int, *, beta: Any = 0.0, noise: Any = 0.0, reveal: Any = 1.0) -> Behaviour:
    """The expert acts with probability `beta` (scalar or `[H]`) at each step, the learner otherwise.

    `noise` disturbs what is executed: for continuous actions a factor L of the covariance L L^T (scalar or `[A, A]`),
    for discrete ones the probability of a uniformly random action. `reveal` is the probability that a label is bought.
    beta = 1 is demonstration, beta = 0 evaluation (Ross, Gordon & Bagnell 2011, pi_i = beta pi* + (1 - beta) pihat).
    Raises ValueError for a probability outside [0, 1] and for other shapes.
    """
    for name, value in (("beta", beta), ("reveal", reveal)):
        values = np.asarray(value, np.float32)
        if values.shape not in ((), (horizon,)):
            raise ValueError(f"{name} is a number or one per step [{horizon}], got the shape {list(values.shape)}")
        if not np.all((values >= 0) & (values <= 1)):
            raise ValueError(f"{name} is a probability and must lie in [0, 1], got {value}")
    params = {
        name: np.broadcast_to(np.asarray(v, np.float32), (horizon,)).copy()
        for name, v in (("beta", beta), ("reveal", reveal))
    }
    if isinstance(space, Box):
        factor = np.asarray(noise, np.float32)
        # A vector would be read as a factor per column: one per action and one per seed look alike where S = A.
        if factor.shape not in ((), (space.dim, space.dim)):
            raise ValueError(
                f"noise on {space.dim} continuous actions is a number or a factor [{space.dim}, {space.dim}] of their "
                f"covariance, got the shape {list(factor.shape)}; a factor per seed is a behaviour per seed"
            )
        params["noise"] = factor if factor.ndim == 2 else np.eye(space.dim, dtype=np.float32) * factor
        return Behaviour(params, no_memory, _choose_box)
    if not 0 <= float(noise) <= 1:
        raise ValueError(f"noise on discrete actions is a probability and must lie in [0, 1], got {noise}")
    params["noise"] = np.asarray(noise, np.float32)
    return Behaviour(params, no_memory, _choose_discrete(space.n))
