"""One episode of the expert and one of the learner from the same start, with a pose recorded at every step.

Beside them some more of the expert, poses unseen: the states that it visits, which say where the learner leaves them.

The keys, their order and the absorbing fall are those of ilbench/rollouts/rollout.py at the evaluation keys, so that what is
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

from ilbench.evaluation.evidence import mistakes
from ilbench.rollouts.episode import imitation_error
from ilbench.rollouts.keys import episode_keys
from ilbench.types import Array, Env, Policy, PyTree, Task

SEEN = 16  # episodes of the expert whose states count as its own, the shown one included
FAR = 0.5  # root mean square distance over features, in units of the expert's standard deviations


class Played(NamedTuple):
    """Two episodes: leading axis 0 the expert, 1 the learner."""

    pose: PyTree  # leaves `[2, H + 1, ...]`: what `pose(state)` gave, before each step and at the end
    error: np.ndarray  # `[2, H]` imitation error of the executed action
    reward: np.ndarray  # `[2, H]`
    alive: np.ndarray  # `[2, H + 1]` bool: before each step, and at the end
    obs: np.ndarray  # `[2, H + 1, *obs]` what the expert sees of each state
    seen: np.ndarray  # `[n, *obs]` the states of SEEN episodes of the expert while it is alive


def episode(
    env: Env, expert: Policy, policy: Policy, expert_acts: Array, key: Array, *, horizon: int, pose: Callable
) -> tuple[PyTree, Array, Array, Array, Array]:
    """Pose, error, reward, alive and obs of Played for one actor; `expert_acts` is a bool `[]`, `pose(state)` any pytree."""
    # As ilbench/rollouts/rollout.py splits them; the keys of a behaviour have no use here.
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
        row = (pose(state), clean, imitation_error(env.action, action, label), reward, alive)
        return (*new, alive & ~after.terminated, m_policy, m_expert), row

    start = (state, obs, jnp.bool_(True), *memories)
    last, (poses, seen, error, reward, alive) = jax.lax.scan(
        step, start, (jnp.arange(horizon, dtype=jnp.int32), streams)
    )

    def close(rows: Array, end: Array) -> Array:
        return jnp.concatenate([rows, jnp.asarray(end)[None]])

    end = last[1] if env.expert_obs is None else env.expert_obs(env.params, *last[:2])
    return jax.tree.map(close, poses, pose(last[0])), error, reward, close(alive, last[2]), close(seen, end)


@lru_cache
def _both(horizon: int, pose: Callable) -> Any:
    def run(env: Env, expert: Policy, policy: Policy, keys: Array, expert_acts: Array) -> Any:
        def one(key: Array, acts: Array) -> Any:
            return episode(env, expert, policy, acts, key, horizon=horizon, pose=pose)

        poses, *rest = jax.vmap(one)(keys, expert_acts)
        return jax.tree.map(lambda leaf: leaf[:2], poses), *rest

    return jax.jit(run)


def iterate(policy: Policy, number: int) -> Policy:
    """One plain policy out of leaves `[1, M, ...]`: iterate `number` mod M."""
    return jax.tree.map(lambda leaf: np.asarray(leaf)[0, number % np.shape(leaf)[1]], policy)


def play(task: Task, policy: Policy, pose: Callable, *, seed: int = 0, number: int = 0) -> Played:
    """Plays evaluation episode `number` of `seed`; `policy` is a plain one, without leading axes."""
    stream, others = f"evaluation/{task.name}", [n for n in range(SEEN) if n != number][: SEEN - 1]
    keys = jnp.stack([episode_keys(stream, (seed,), 1, first=n)[0, 0] for n in (number, number, *others)])
    acts = jnp.arange(len(others) + 2) != 1
    poses, *rest = _both(task.horizon, pose)(task.env, task.expert, policy, keys, acts)
    error, reward, alive, obs = (np.asarray(x) for x in rest)
    experts = np.asarray(acts)
    seen = obs[experts][alive[experts]]
    return Played(jax.tree.map(np.asarray, poses), error[:2], reward[:2], alive[:2], obs[:2], seen)


def first_mistake(task: Task, played: Played) -> int | None:
    """The first step at which the learner errs by more than `task.deltas[0]` or lies fallen; None without one."""
    wrong = mistakes(played.error[1], played.alive[1, :-1], task.deltas[0])
    return int(wrong.argmax()) if wrong.any() else None


def distances(played: Played) -> np.ndarray:
    """How far each of the learner's states is from the nearest one of the expert's, `[H + 1]`: root mean square over
    features in the expert's standard deviations; a feature that never varies for the expert counts in its own unit."""
    seen, own = (x.reshape(len(x), -1).astype(np.float64) for x in (played.seen, played.obs[1]))
    sd = seen.std(0)
    scale = np.where(sd > 1e-3, sd, 1.0)
    seen, own = ((x - seen.mean(0)) / scale / np.sqrt(seen.shape[1]) for x in (seen, own))
    own = np.where(np.isfinite(own), own, np.inf)
    inner = (seen**2).sum(1)
    out = np.full(len(own), np.inf)
    for first in range(0, len(own), 64):  # blocks: all pairs at once would fill the memory
        x = own[first : first + 64]
        good = np.isfinite(x).all(1)
        squared = (x[good] ** 2).sum(1)[:, None] - 2 * x[good] @ seen.T + inner
        out[first : first + 64][good] = np.sqrt(np.maximum(squared.min(1, initial=np.inf), 0.0))
    return out


def left_at(played: Played) -> int | None:
    """The first state at which the learner is farther than FAR from every state of the expert's, or lies fallen; None
    where it stays among them."""
    gone = (distances(played) > FAR) | ~played.alive[1]
    return int(gone.argmax()) if gone.any() else None


def fallen_at(alive: np.ndarray) -> int | None:
    """The first state of `[H + 1]` that is not alive; None where all are."""
    return None if alive.all() else int((~alive).argmax())
