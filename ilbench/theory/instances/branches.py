"""Branch rollouts: a learner that errs up to step t, one kick at t, then the expert; what the kick costs is V_t - Q_t.

The same keys with and without the kick give the advantage at a state that the learner visits, one sample per episode,
without noise where the env is deterministic after its reset.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ilbench.evaluation.evidence import mistakes
from ilbench.rollouts.behaviours import mixed, same
from ilbench.rollouts.keys import episode_keys
from ilbench.rollouts.rollout import rollout
from ilbench.types import EVIDENCE, Array, Policy, Task


@lru_cache
def _functions(init: Any, act: Any) -> tuple[Any, Any]:
    def start(params: Any, key: Array) -> Any:
        return init(params["expert"], key)

    def kicked(params: Any, key: Array, t: Array, memory: Any, obs: Array) -> tuple[Any, Array]:
        memory, action = act(params["expert"], key, t, memory, obs)
        errs = (jax.random.uniform(key) < params["rate"]) & (t < params["step"])
        wrong = jnp.where(action > 0, jnp.float32(-1), jnp.float32(1))
        return memory, jnp.where(errs | ((t == params["step"]) & params["kick"]), wrong, action)

    return start, kicked


def policy(task: Task, rate: float, steps: Any, kick: Any) -> Policy:
    """Policies `[rows, 1]` for actions in [-1, 1]: errs at `rate` (full push the wrong way) before `steps`, then the expert.

    steps `[rows]` int, kick `[rows]` bool: whether the step of that number is such an error too. steps >= H: the learner.
    """
    steps = np.asarray(steps, np.int32)
    rows = len(steps)
    params = {
        "expert": jax.tree.map(lambda x: np.broadcast_to(x, (rows, 1, *np.shape(x))).copy(), task.ask().params),
        "rate": np.full((rows, 1), rate, np.float32),
        "step": steps[:, None],
        "kick": np.asarray(kick, bool)[:, None],
    }
    return Policy(params, *_functions(task.ask().init, task.ask().act))


class Branches(NamedTuple):
    """`[G, n]` per group and episode of the learner; `[B, G, n]` per kicked step of the branches."""

    gap: np.ndarray  # return that the learner loses against the expert from the same start
    mistakes: np.ndarray  # 0-1 cost, every step after a fall included
    live: np.ndarray  # mistakes on live steps
    advantage: np.ndarray  # V_t - Q_t(wrong) at the learner's state of step t; 0 after a fall
    alive: np.ndarray  # whether the learner was alive at t


def run(task: Task, rate: float, steps: Any, groups: int, episodes: int, stream: str) -> Branches:
    """One rollout call: kicked and unkicked branches at `steps [B]`, learner and expert from the same starts."""
    steps, H = np.asarray(steps), task.horizon
    rows = np.concatenate([steps, steps, [H, -1]])
    kick = np.arange(len(rows)) < len(steps)
    keys = episode_keys(f"theory/{stream}", range(1), groups * episodes)
    keys = jnp.broadcast_to(keys, (len(rows), groups * episodes))
    behaviour = same(mixed(task.env.action, H), len(rows))
    demos = rollout(
        task.env, task.expert, policy(task, rate, rows, kick), behaviour, keys,
        horizon=H, record=EVIDENCE, block=task.block,
    )  # fmt: skip
    shape = (len(rows), groups, episodes)
    returns = np.asarray(demos.reward, np.float64).sum(-1).reshape(shape)
    alive = np.asarray(demos.alive)
    wrong = mistakes(np.asarray(demos.error), alive, task.deltas[0])[-2].reshape(groups, episodes, H)
    lived = alive[-2].reshape(groups, episodes, H)
    b = len(steps)
    return Branches(
        returns[-1] - returns[-2], wrong.sum(-1), (wrong & lived).sum(-1), returns[b : 2 * b] - returns[:b],
        np.moveaxis(lived[..., steps], -1, 0),
    )  # fmt: skip
