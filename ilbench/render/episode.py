"""One episode of the expert and one of the learner from the same start, with a pose recorded at every step.

Beside them some more of the expert, poses unseen: the states that it visits, which say where the learner leaves them.

The episodes are those of the one rollout at the evaluation keys, so that what is seen is what was scored: episode n of seed s
is row `[s, n]` of the evaluation. State k is seen at time k dt, so H steps are H + 1 states, and a mistake at step k is an action
chosen at time k dt.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ilbench.evaluation.evidence import mistakes
from ilbench.rollouts.behaviours import mixed, same
from ilbench.rollouts.keys import episode_keys
from ilbench.rollouts.rollout import LANES, rollout
from ilbench.types import Array, Policy, PyTree, Task

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


@lru_cache(maxsize=64)
def _views(pose: Callable, expert_obs: Any) -> Any:
    """What is recorded of a state: its pose, and what the expert sees of it."""

    def views(params: PyTree, state: PyTree, obs: Array) -> Any:
        return pose(state), obs if expert_obs is None else expert_obs(params, state, obs)

    return views


def iterate(policy: Policy, number: int) -> Policy:
    """One plain policy out of leaves `[1, M, ...]`: iterate `number` mod M."""
    return jax.tree.map(lambda leaf: np.asarray(leaf)[0, number % np.shape(leaf)[1]], policy)


def play(task: Task, policy: Policy, pose: Callable, *, seed: int = 0, number: int = 0) -> Played:
    """Plays evaluation episode `number` of `seed`; `policy` is a plain one, without leading axes."""
    others = [n for n in range(SEEN) if n != number][: SEEN - 1]
    stream = f"evaluation/{task.name}"
    keys = jnp.concatenate([episode_keys(stream, (seed,), 1, first=n) for n in (number, *others)], axis=1)
    expert_acts = [mixed(task.env.action, task.horizon, beta=beta) for beta in (1.0, 0.0)]
    demos = rollout(
        dataclasses.replace(task.env, views=_views(pose, task.env.expert_obs)), task.expert, same(policy, 2, iterates=True),
        jax.tree.map(lambda *leaves: np.stack(leaves), *expert_acts), jnp.broadcast_to(keys, (2, keys.shape[1])),
        horizon=task.horizon, record=("views", "final_views", "error", "reward", "alive", "final_alive"), block=LANES,
    )  # fmt: skip

    def whole(rows: Any, end: Any) -> np.ndarray:
        return np.concatenate([rows, np.asarray(end)[:, :, None]], axis=2)

    poses, obs = jax.tree.map(whole, demos.views, demos.final_views)
    alive = whole(demos.alive, demos.final_alive)
    one = (slice(None), 0)
    return Played(jax.tree.map(lambda x: x[one], poses), demos.error[one], demos.reward[one], alive[one], obs[one], obs[0][alive[0]])


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
