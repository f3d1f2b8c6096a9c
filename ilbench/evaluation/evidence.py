"""Evidence: what a trained policy is judged by. Physics is rolled once, for all measures.

Held-out expert rollouts at the evaluation keys, what the learner would have done there, and the learner's own
rollouts at the same keys; the keys differ from seed to seed, and are the same for every algorithm, so that
differences are paired.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import numpy as np

from ilbench.distributions import total_variation, variation_at
from ilbench.rollouts.behaviours import mixed, same
from ilbench.rollouts.keys import episode_keys
from ilbench.rollouts.replay import replay
from ilbench.rollouts.rollout import rollout
from ilbench.types import EVIDENCE, Demos, Discrete, Policy, Space, Task

CURVE_POINTS = 32  # curves over t are stored at no more than this many log-spaced steps


class Snapped(NamedTuple):
    """0-1 deployment of one seed's learner at one target (evaluation/deployment.py); the same episodes with and without mistakes."""

    target: float  # eps that delta was chosen for, on other episodes
    delta: float
    expert_error: np.ndarray  # `[N, H]` the learner's error at the expert's states
    expert_alive: np.ndarray  # `[N, H]` bool
    error: np.ndarray  # `[N, H]` of what was executed: above delta where the learner erred, else 0
    alive: np.ndarray  # `[N, H]` bool


class Branched(NamedTuple):
    """Episodes `[N, H]` with one deviation of one seed's learner, or a push, and the same ones without it."""

    error: np.ndarray  # of what was executed: 0 but for the deviation
    alive: np.ndarray
    reward: np.ndarray
    straight_alive: np.ndarray
    straight_reward: np.ndarray


class Evidence(NamedTuple):
    """What measures read, for one seed and one policy; N held-out or evaluation episodes, H steps."""

    horizon: int
    deltas: tuple[float | None, ...]  # 0-1 cost is 1{error > delta}; the first is the headline; None: the error is the cost, see `mistakes`
    prefixes: tuple[int, ...]  # horizons at which cumulative costs are read off, K of them
    reward_range: tuple[float, float] | None
    references: dict[str, float]  # mean return of "random" and "expert" at this horizon, and of "noisy_expert" where there is noise
    held_out_error: Any  # `[N, H]` the learner's imitation error at the expert's states; None without an expert, as the next two
    expert_alive: Any  # `[N, H]` bool
    expert_reward: Any  # `[N, H]`
    error: np.ndarray  # `[N, H]` the learner's imitation error at its own states
    alive: np.ndarray  # `[N, H]` bool
    reward: np.ndarray  # `[N, H]`
    noisy_reward: np.ndarray | None = None  # `[N, H]` under the protocol's noise, where it has some
    noisy_alive: np.ndarray | None = None  # `[N, H]` bool
    constant_error: np.ndarray | None = None  # `[N, H]` the error of the best constant action at the expert's states
    obs: np.ndarray | None = None  # `[N, H, *obs]` what the learner saw
    action: np.ndarray | None = None  # `[N, H, *action]` what it did
    held_out_loss: tuple[float, float] | None = None  # the head's loss on them, half way through its last fit and at its end
    snapped: tuple[Snapped, ...] | None = None  # 0-1 deployment, one for each target of the protocol
    branches: Mapping[str, Branched] | None = None  # what one deviation costs: "own" mistakes of the learner, a "push"


def mistakes(error: np.ndarray, alive: np.ndarray, delta: float | None) -> np.ndarray:
    """Imitation cost `[N, H]`: 1{error > delta} while alive, and 1 on every step after a fall.

    Against a stochastic expert delta is None and the error, a total variation, is itself the probability of a mistake.
    """
    return np.where(alive, error > delta, True) if delta is not None else np.where(alive, error, 1.0)


def log_spaced(horizon: int, points: int = CURVE_POINTS) -> np.ndarray:
    """At most `points` distinct steps 1 ... H, log-spaced, both ends included; `[K]` int."""
    return np.unique(np.round(np.geomspace(1, horizon, points)).astype(int))


@dataclass(frozen=True)
class Protocol:
    """How policies are evaluated; part of a cell's identity."""

    episodes: int = 64  # learner rollouts per seed
    held_out: int = 64  # expert rollouts per seed, at the first evaluation keys
    prefixes: tuple[int, ...] = ()  # horizons to read off one rollout, beside H itself
    noise: float = 0.0  # sensor and actuator noise of a second evaluation, a fraction; 0: there is none
    name: str = "fixed-horizon/1"  # absorbing failure, fresh resets, deterministic expert
    # 0-1 deployment at these eps, the expert's rollouts per seed that choose delta for them, and the size of a push; none by default.
    snap: tuple[float, ...] = field(default=(), metadata={"neutral": True})
    calibration: int = field(default=32, metadata={"neutral": True})
    push: float = field(default=0.0, metadata={"neutral": True})

    def __post_init__(self) -> None:
        for name in ("episodes", "held_out", "calibration"):
            if getattr(self, name) < 1:
                raise ValueError(f"evaluation.{name} must be at least 1, got {getattr(self, name)}")
        if not 0 <= self.noise <= 1:
            raise ValueError(f"evaluation.noise is a fraction and must lie in [0, 1], got {self.noise}")
        if not all(0 < eps < 1 for eps in self.snap) or len({f"{eps:g}" for eps in self.snap}) < len(self.snap):
            raise ValueError(f"evaluation.snap are different error rates in (0, 1), such as [0.003, 0.001], got {list(self.snap)}")
        if not self.push >= 0 or (self.push and not self.snap):
            raise ValueError(f"evaluation.push is a size of at least 0, beside evaluation.snap, got {self.push}")
        # One beyond a task's own horizon is no error: a suite reads the same prefixes off tasks of several lengths.
        for h in self.prefixes:
            if not isinstance(h, int) or isinstance(h, bool) or h < 1:
                raise ValueError(f"evaluation.prefixes are horizons, integers of at least 1, got {h!r}")


def roll(task: Task, policy: Policy, seeds: tuple[int, ...], episodes: int, *, beta: float, record: tuple[str, ...] = ()) -> Demos:
    """Evaluation rollouts `[S, N, H]` on the evaluation keys: beta = 0 the learner acts, beta = 1 the expert.

    `record` names fields beside EVIDENCE.
    """
    # One stream per task: algorithms are paired on it, and what chance does on one task says nothing of another.
    keys = episode_keys(f"evaluation/{task.name}", seeds, episodes)
    behaviour = same(mixed(task.env.action, task.horizon, beta=beta), len(seeds))
    return rollout(
        task.env, task.expert, policy, behaviour, keys, horizon=task.horizon, record=(*EVIDENCE, *record), block=task.block, seeds=seeds
    )


def held_out_errors(task: Task, policy: Policy, seeds: tuple[int, ...], expert: Demos) -> np.ndarray:
    """The learner's imitation error `[S, N, H]` at the expert's held-out states; non-finite actions count as inf.

    Against a stochastic expert it is the total variation between what the two would draw.
    """
    assert expert.label is not None
    if expert.dist is not None:
        return _variations(policy, seeds, expert)
    proposed = replay(policy, expert.obs, episode_keys("replay", seeds, expert.label.shape[1]), seeds)
    return errors(task.env.action, proposed, expert.label)


@lru_cache(maxsize=64)
def _telling(act: Any, dist: Any) -> Any:
    """An `act` that gives the law of the action instead of the action."""

    def tells(params: Any, key: Any, t: Any, memory: Any, obs: Any) -> Any:
        return act(params, key, t, memory, obs)[0], dist(params, t, memory, obs)

    return tells


def _variations(policy: Policy, seeds: tuple[int, ...], expert: Demos) -> np.ndarray:
    keys = episode_keys("replay", seeds, expert.label.shape[1])
    if policy.dist is None:
        return np.asarray(variation_at(replay(policy, expert.obs, keys, seeds), jax.tree.map(np.asarray, expert.dist)))
    told = dataclasses.replace(policy, act=_telling(policy.act, policy.dist))
    return np.asarray(total_variation(replay(told, expert.obs, keys, seeds), jax.tree.map(np.asarray, expert.dist)))


def errors(space: Space, action: np.ndarray, label: np.ndarray) -> np.ndarray:
    """`episode.imitation_error` of arrays `[..., *action]` on the host, `[...]`."""
    if isinstance(space, Discrete):
        return (action != label).astype(np.float32)
    gap = np.abs(np.clip(action, space.low, space.high) - np.clip(label, space.low, space.high)).max(-1)
    return np.where(np.isfinite(action).all(-1) & np.isfinite(gap), gap, np.inf).astype(np.float32)


def constant_errors(space: Space, expert: Demos) -> np.ndarray:
    """The error `[S, N, H]` of each seed's best constant action at the expert's states: the commonest, or the mean."""
    label, alive = np.asarray(expert.label), np.asarray(expert.alive)
    best: list[Any] = []
    for actions, mask in zip(label, alive, strict=True):
        seen = actions[mask]
        if isinstance(space, Discrete):
            best.append(np.bincount(seen, minlength=space.n).argmax())
        else:
            best.append(seen.mean(0, dtype=np.float64) if len(seen) else np.zeros(space.dim))
    action = np.asarray(best).reshape(len(best), 1, 1, *space.shape)
    return errors(space, np.broadcast_to(action, label.shape), label)


def split(
    task: Task,
    protocol: Protocol,
    references: dict[str, float],
    expert: Demos | None,
    held_out: np.ndarray | None,
    learner: Demos,
    noisy: Demos | None = None,
    losses: np.ndarray | None = None,
) -> list[Evidence]:
    """One Evidence per seed from seed-batched rollouts; `losses [S, 2]`: held-out, half way and at the end of the last fit."""
    prefixes = tuple(sorted({h for h in protocol.prefixes if h < task.horizon} | {task.horizon}))
    graded = expert is not None and expert.dist is not None
    constant = None if expert is None or graded else constant_errors(task.env.action, expert)
    found = []

    def of(tree: Demos | None, name: str, s: int) -> Any:
        field = None if tree is None else getattr(tree, name)
        return None if field is None else np.asarray(field)[s]

    for s in range(len(learner.alive)):
        seed = Evidence(
            horizon=task.horizon,
            deltas=(None,) if graded else task.deltas,
            prefixes=prefixes,
            reward_range=task.reward_range,
            references=references,
            held_out_error=None if held_out is None else np.asarray(held_out)[s],
            expert_alive=of(expert, "alive", s),
            expert_reward=of(expert, "reward", s),
            error=np.asarray(learner.error)[s],
            alive=np.asarray(learner.alive)[s],
            reward=np.asarray(learner.reward)[s],
            constant_error=None if constant is None else constant[s],
            obs=of(learner, "obs", s),
            action=of(learner, "action", s),
            held_out_loss=None if losses is None else (float(losses[s, 0]), float(losses[s, 1])),
        )
        if noisy is not None:
            seed = seed._replace(noisy_reward=np.asarray(noisy.reward)[s], noisy_alive=np.asarray(noisy.alive)[s])
        found.append(seed)
    return found
