"""When would a learner first have done otherwise than the expert? Read off expert rollouts, exactly in law.

Discrete actions: the learner is replayed on the expert's states; a mistake is a different action. Continuous ones
agree exactly with probability 0, so the pair is smoothed: expert and learner both execute N(a, sigma^2 I), in the
rollouts too. Write p = N(a*, sigma^2 I), q = N(ahat, sigma^2 I), da = ahat - a*. Then at a state
    l = TV(p, q) = 2 Phi(|da| / (2 sigma)) - 1 = erf(|da| / (2 sqrt 2 sigma)),   |.| Euclidean,
since p and q differ along da only. Draw the two actions from the maximal coupling, which makes them equal with
probability 1 - l. As long as they have been equal the two rollouts are one, so no mistake up to t has probability
    integral of prod_{i<=t} min(p, q) = E_{a_i ~ p} prod_{i<=t} min(1, q/p (a_i)) = E w_t,
log q/p (a) = (|a - a*|^2 - |a - ahat|^2) / (2 sigma^2) at the action that the expert executed. prod_i (1 - l(s_i)) on
the expert's states is NOT w_t: where it goes next depends on the action that was drawn. Given the states up to t the
last factor may be replaced by its mean, 1 - l(s_t): that is the w_t computed here (less noise, same mean).
    gap: sum_t E_{learner's own states} l(s_t), since a mistake at t has probability l(s_t) given the learner's state.
    A mistake at t needs a first one at or before t: gap <= sum_t (1 - E w_t) = B3, and a first mistake at i has
    probability at most E_{expert} l(s_i) = eps_i: B3 <= B2 = sum_t min(1, sum_{i<=t} eps_i).
    Returns: rewards in [lo, hi] agree until the first mistake, so J* - J <= (hi - lo) B3; sharper, with
    W_t = prod_{i<=t} q/p (a_i) (no minimum), J* - J <= (hi - lo) sum_t TV_t, TV_t = E (1 - W_t)_+ <= 1 - E w_t, the
    total variation of the two laws of the first t steps.
All of it holds for learners with memory, and for random ones with their random numbers shared by both sides.
Source: the coupling argument of Ross & Bagnell 2010, https://proceedings.mlr.press/v9/ross10a.html; derived here for the smoothed pair.
"""

from __future__ import annotations

import dataclasses
import math
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import erf

from ilbench.rollouts.behaviours import mixed, same
from ilbench.rollouts.keys import episode_keys
from ilbench.rollouts.replay import replay
from ilbench.rollouts.rollout import rollout
from ilbench.types import Discrete, Env, Policy, Task

RECORD = ("obs", "action", "label", "reward", "alive")


class Side(NamedTuple):
    """One side's rollouts `[S, N, H]`, float64: of the expert, or of the learner."""

    differs: np.ndarray  # l, the probability that the learner's action differs from the expert's at this state
    log_ratio: np.ndarray  # log q/p of the executed action; -inf for a discrete mistake; 0 on the learner's side
    alive: np.ndarray  # bool, before the step
    reward: np.ndarray


class Paths(NamedTuple):
    """What the ladder is made of, per expert rollout and step, `[..., N, H]`."""

    differs: np.ndarray  # l(s_t): its mean over N is eps_t
    failed: np.ndarray  # 1 - w_t: its mean is the probability of a mistake up to t
    apart: np.ndarray  # (1 - W_t)_+: its mean is the total variation of the first t steps


def variation(distance: Any, sigma: float) -> np.ndarray:
    """Total variation of N(a, sigma^2 I) and N(b, sigma^2 I) at Euclidean distance |a - b|; inf counts as 1."""
    return np.asarray(erf(np.asarray(distance, np.float64) / (2 * math.sqrt(2) * sigma)))


def rolls(
    task: Task, policy: Policy, seeds: tuple[int, ...], episodes: int, stream: str, *, beta: float, sigma: float
) -> Any:
    """Demos `[S, N, H]` (RECORD) of the smoothed expert (beta = 1) or the smoothed learner (beta = 0)."""
    behaviour = same(mixed(task.env.action, task.horizon, beta=beta, noise=sigma), len(seeds))
    keys = episode_keys(stream, seeds, episodes)
    return rollout(
        task.env, task.expert, policy, behaviour, keys, horizon=task.horizon, record=RECORD, block=task.block, seeds=seeds
    )


def side(
    task: Task,
    policy: Policy,
    seeds: tuple[int, ...],
    episodes: int,
    stream: str,
    *,
    who: str,
    sigma: float | None = None,
) -> Side:
    """Rollouts of `who` ("expert" or "learner") with the learner's mistakes; sigma for continuous actions only."""
    smooth = check_sigma(task, sigma)
    demos = rolls(task, policy, seeds, episodes, stream, beta=float(who == "expert"), sigma=smooth)
    reward, alive = np.asarray(demos.reward, np.float64), np.asarray(demos.alive)
    if who == "learner" and smooth == 0:
        differs = np.not_equal(demos.action, demos.label).astype(np.float64)
        return Side(differs, np.zeros_like(differs), alive, reward)
    proposed = replay(policy, demos.obs, episode_keys(f"{stream}/replay", seeds, episodes), seeds)
    if smooth == 0:
        differs = np.not_equal(proposed, demos.label).astype(np.float64)
        return Side(differs, np.where(differs > 0, -np.inf, 0.0), alive, reward)
    differs, log_ratio = smoothed(proposed, demos.label, demos.action, smooth)
    return Side(differs, log_ratio if who == "expert" else np.zeros_like(log_ratio), alive, reward)


def smoothed(proposed: Any, label: Any, executed: Any, sigma: float) -> tuple[np.ndarray, np.ndarray]:
    """`(l, log q/p)` of actions `[..., A]`: the learner's, the expert's, and the executed one."""
    ahat, a, x = (np.asarray(v, np.float64) for v in (proposed, label, executed))
    usable: Any = np.isfinite(ahat).all(-1)
    da = np.where(usable[..., None], ahat, a) - a
    # (|x - a|^2 - |x - a - da|^2) / 2, written without the difference of two large numbers
    log_ratio = ((x - a) * da - da**2 / 2).sum(-1) / sigma**2
    distance = np.where(usable, np.linalg.norm(da, axis=-1), np.inf)
    return variation(distance, sigma), np.where(usable, log_ratio, -np.inf)


@lru_cache
def _noisy(env: Env) -> tuple[Any, Any, Any]:
    """reset, step and expert_obs of an env whose params come with a standard deviation; cached: functions hash by identity."""

    def reset(params: Any, key: Any) -> Any:
        return env.reset(params[0], key)

    def step(params: Any, key: Any, state: Any, action: Any) -> Any:
        k_noise, k_step = jax.random.split(key)
        return env.step(params[0], k_step, state, action + params[1] * jax.random.normal(k_noise, action.shape))

    def expert_obs(params: Any, state: Any, obs: Any) -> Any:
        assert env.expert_obs is not None
        return env.expert_obs(params[0], state, obs)

    return reset, step, expert_obs if env.expert_obs is not None else None


def smoothed_task(task: Task, sigma: float) -> Task:
    """The task as whoever acts with noise sees it: every action is executed with N(0, sigma^2 I) added to it."""
    env = task.env
    reset, step, expert_obs = _noisy(dataclasses.replace(env, params=None, absorbing_reward=0.0))
    noisy = dataclasses.replace(
        env, params=(env.params, np.float32(sigma)), reset=reset, step=step, expert_obs=expert_obs
    )
    return dataclasses.replace(task, env=noisy, mdp=None, dynamics=None)


def check_sigma(task: Task, sigma: float | None) -> float:
    """The noise's standard deviation, 0 for discrete actions; raises ValueError when it does not fit the task."""
    if isinstance(task.env.action, Discrete):
        if sigma is not None:
            raise ValueError(
                f"sigma = {sigma}: {task.name} has discrete actions, which agree or not; leave sigma out (it smooths "
                "continuous actions)"
            )
        return 0.0
    if sigma is None:
        width = task.env.action.high - task.env.action.low
        example = f"{0.1 * width:g}, a tenth of the range of {width:g}" if math.isfinite(width) else "0.1"
        raise ValueError(
            f"{task.name} has continuous actions: two policies never agree exactly, so every bound is vacuous, and "
            f"a tolerance in its place is no theorem. Give sigma, the standard deviation of the noise that expert and "
            f"learner both execute, e.g. {example}"
        )
    if not (math.isfinite(sigma) and sigma > 0):
        raise ValueError(f"sigma must be a positive number, got {sigma}")
    return float(sigma)


def paths(expert: Side, *, falls: bool) -> Paths:
    """The ladder's ingredients from expert rollouts. `falls`: a step after a fall counts as a mistake (0-1 cost,
    where it does for every policy); for returns it does not."""
    dead = ~expert.alive
    differs = np.where(dead, float(falls), expert.differs)
    log_ratio = np.where(dead, -np.inf if falls else 0.0, expert.log_ratio)
    agree = np.cumprod(np.exp(np.minimum(log_ratio, 0.0)), axis=-1)
    before = np.concatenate([np.ones_like(agree[..., :1]), agree[..., :-1]], axis=-1)
    apart = -np.expm1(np.minimum(np.cumsum(log_ratio, axis=-1), 0.0))
    return Paths(differs, 1.0 - before * (1.0 - differs), apart)


def costs(learner: Side) -> np.ndarray:
    """0-1 cost per step `[S, N, H]` on the learner's own states; 1 after a fall."""
    return np.where(learner.alive, learner.differs, 1.0)


def random_expert(task: Task) -> bool:
    """Whether the expert's action depends on its random key: read off the traced program, nothing runs."""
    env, expert = task.env, task.ask()
    functions = (env.reset, env.expert_obs, expert.init, expert.act)  # what a program is, whatever its numbers
    if functions not in _DRAWS:
        _DRAWS[functions] = _draws(env, expert)
    return _DRAWS[functions]


_DRAWS: dict[Any, bool] = {}


def _draws(env: Env, expert: Policy) -> bool:

    def program(key: Any) -> Any:
        state, obs = env.reset(env.params, jax.random.key(0))
        clean = obs if env.expert_obs is None else env.expert_obs(env.params, state, obs)
        memory = expert.init(expert.params, key)
        return expert.act(expert.params, key, jnp.int32(0), memory, clean)[1]

    jaxpr = jax.make_jaxpr(program)(jax.random.key(1))
    return _reaches(jaxpr.jaxpr, [jaxpr.jaxpr.invars[0]])


def _reaches(jaxpr: Any, sources: list[Any]) -> bool:
    """Whether any output is computed from one of the variables."""
    tainted = set(map(id, sources))
    for equation in jaxpr.eqns:
        if any(id(v) in tainted for v in equation.invars):
            tainted |= {id(v) for v in equation.outvars}
    return any(id(v) in tainted for v in jaxpr.outvars)
