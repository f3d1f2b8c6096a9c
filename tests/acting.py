"""Episodes of whoever acts as a function of an expert's numbers: a few lines of their own beside the product's rollout."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


@partial(jax.jit, static_argnames=("step", "reset", "act", "horizon"))
def _episodes(env: Any, params: Any, keys: Any, *, step: Any, reset: Any, act: Any, horizon: int) -> Any:
    def episode(key: Any) -> Any:
        state, obs = reset(env, jax.random.fold_in(key, horizon))

        def one(carry: Any, t: Any) -> Any:
            state, obs, alive = carry
            k_act, k_step = jax.random.split(jax.random.fold_in(key, t))
            action = act(params, k_act, t, (), obs)[1]
            out = step(env, k_step, state, action)
            row = (obs, action, jnp.where(alive, out.reward, 0.0), alive)
            return (out.state, out.obs, alive & ~out.terminated), row

        return jax.lax.scan(one, (state, obs, jnp.bool_(True)), jnp.arange(horizon, dtype=jnp.int32))[1]

    return jax.vmap(episode)(keys)


def episodes(task: Any, act: Any = None, count: int = 256) -> tuple[np.ndarray, ...]:
    """`(obs [N, H, *obs], action [N, H, *action], reward [N, H], alive [N, H])` of the expert, or of an `act` with its numbers.

    Rewards after the end are 0; the states there go on, and mean nothing.
    """
    keys = jax.random.split(jax.random.key(7), count)
    found = _episodes(
        task.env.params, task.expert.params, keys, step=task.env.step, reset=task.env.reset, act=act or task.expert.act,
        horizon=task.horizon,
    )  # fmt: skip
    return tuple(np.asarray(x) for x in found)
