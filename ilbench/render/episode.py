"""One episode of the expert and one of the learner from the same start, with a pose recorded at every step.

The keys, their order and the absorbing fall are those of ilbench/rollout.py at the evaluation keys, so that what is
seen is what was scored: episode n of seed s is row `[s, n]` of the evaluation. State k is seen at time k dt, so H steps are
H + 1 states, and a mistake at step k is an action chosen at time k dt.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ilbench.evidence import mistakes
from ilbench.rollout import episode_keys, imitation_error
from ilbench.types import Array, Env, Policy, PyTree, Task


class Played(NamedTuple):
    """Two episodes: leading axis 0 the expert, 1 the learner."""

    pose: PyTree  # leaves `[2, H + 1, ...]`: what `pose(state)` gave, before each step and at the end
    error: np.ndarray  # `[2, H]` imitation error of the executed action
    reward: np.ndarray  # `[2, H]`
    alive: np.ndarray  # `[2, H + 1]` bool: before each step, and at the end


def episode(
    env: Env, expert: Policy, policy: Policy, expert_acts: Array, key: Array, *, horizon: int, pose: Callable
) -> tuple[PyTree, Array, Array, Array]:
    """Fields of Played for one actor; `expert_acts` is a bool `[]`, `pose(state)` any pytree."""
    # As ilbench/rollout.py splits them; the keys of a behaviour have no use here.
    k_reset, k_policy, k_expert, _, k_steps = jax.random.split(key, 5)
    state, obs = env.reset(env.params, k_reset)
    memories = policy.init(policy.params, k_policy), expert.init(expert.params, k_expert)
    streams = tuple(jax.random.split(k, horizon) for k in jax.random.split(k_steps, 4))

    def step(carry: Any, at: Any) -> Any:
        state, obs, alive, m_policy, m_expert = carry
        t, keys = at
        clean = obs if env.expert_obs is None else env.expert_obs(env.params, state, obs)
        m_expert, label = expert.act(expert.params, keys[0], t, m_expert, clean)
        m_policy, proposal = policy.act(policy.params, keys[1], t, m_policy, obs)
        action = jnp.where(expert_acts, label, proposal)
        after = env.step(env.params, keys[3], state, action)
        new = jax.tree.map(lambda new, old: jnp.where(alive, new, old), (after.state, after.obs), (state, obs))
        reward = jnp.where(alive, after.reward, jnp.asarray(env.absorbing_reward, jnp.float32))
        row = (pose(state), imitation_error(env.action, action, label), reward, alive)
        return (*new, alive & ~after.terminated, m_policy, m_expert), row

    start = (state, obs, jnp.bool_(True), *memories)
    last, (poses, error, reward, alive) = jax.lax.scan(step, start, (jnp.arange(horizon, dtype=jnp.int32), streams))

    def close(rows: Array, end: Array) -> Array:
        return jnp.concatenate([rows, jnp.asarray(end)[None]])

    return jax.tree.map(close, poses, pose(last[0])), error, reward, close(alive, last[2])


@lru_cache
def _both(horizon: int, pose: Callable) -> Any:
    def run(env: Env, expert: Policy, policy: Policy, key: Array) -> Any:
        def one(expert_acts: Array) -> Any:
            return episode(env, expert, policy, expert_acts, key, horizon=horizon, pose=pose)

        return jax.vmap(one)(jnp.array([True, False]))

    return jax.jit(run)


def iterate(policy: Policy, number: int) -> Policy:
    """One plain policy out of leaves `[1, M, ...]`: iterate `number` mod M."""
    return jax.tree.map(lambda leaf: np.asarray(leaf)[0, number % np.shape(leaf)[1]], policy)


def play(task: Task, policy: Policy, pose: Callable, *, seed: int = 0, number: int = 0) -> Played:
    """Plays evaluation episode `number` of `seed`; `policy` is a plain one, without leading axes."""
    key = episode_keys(f"evaluation/{task.name}", (seed,), 1, first=number)[0, 0]
    poses, error, reward, alive = _both(task.horizon, pose)(task.env, task.expert, policy, key)
    return Played(jax.tree.map(np.asarray, poses), *(np.asarray(x) for x in (error, reward, alive)))


def first_mistake(task: Task, played: Played) -> int | None:
    """The first step at which the learner errs by more than `task.deltas[0]` or lies fallen; None without one."""
    wrong = mistakes(played.error[1], played.alive[1, :-1], task.deltas[0])
    return int(wrong.argmax()) if wrong.any() else None


def fallen_at(alive: np.ndarray) -> int | None:
    """The first state of `[H + 1]` that is not alive; None where all are."""
    return None if alive.all() else int((~alive).argmax())
