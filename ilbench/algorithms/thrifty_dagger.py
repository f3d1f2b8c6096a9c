"""ThriftyDAgger: the expert is called where the learner is in new territory or likely to fail, as often as one is willing to pay for.

Unlike SafeDAgger's and LazyDAgger's its limits are not set but found: they are quantiles of the doubt and of the chance of success in
episodes of the learner alone, so that about a share `target` of its own steps is above either, whatever the task. Doubt is the variance
of an ensemble, the chance that of a critic which looks ahead. The expert leaves where the learner is as close as on its own data, and
its chance above the median. A seed that has seen no fall gates by doubt alone. The doubt of discrete actions has few values: where
more than the share `target` has the largest one, no step is above it.
Paper: Hoque, Balakrishna, Novoseller, Wilcox, Brown & Goldberg 2021, https://arxiv.org/abs/2109.08273
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from ilbench.rollouts.gates import Rule, apart, gated
from ilbench.training.bootstrap import members
from ilbench.training.deployed import to_policy
from ilbench.training.lab import Lab
from ilbench.training.risk import RiskConfig, chances, check_risk, critic, fell, fitted, transitions
from ilbench.training.rounds import Novice, check_labels, in_rounds, labelled, misses
from ilbench.training.rows import concatenate
from ilbench.types import Array, Behaviour, Data, Demos, Head, PyTree, Task, Trained
from ilbench.wrappers.ensemble import bagged, stacked, variance, variances

NEEDS = ("expert", "one step")
TRY = ("scalar_stable", "linear", 300)  # what the contract test runs: task, head, labels
TRY_AT = {
    "thrifty_dagger.rounds": 2,
    "thrifty_dagger.members": 2,
    "thrifty_dagger.updates": 20,
    "thrifty_dagger.room": 500,
    "thrifty_dagger.width": 8,
}


@dataclass(frozen=True)
class Config(RiskConfig):
    """The limits, the ensemble and the critic."""

    target: float = (
        0.01  # share of the learner's own steps that is to be above the limit of doubt, and of chance (the paper's)
    )
    members: int = 5  # networks of the ensemble (the paper's)

    def __post_init__(self) -> None:
        check_risk("thrifty_dagger", self)
        if not 0 < self.target < 1:
            raise ValueError(
                f"thrifty_dagger.target is a share of the steps and must lie between 0 and 1, got {self.target}"
            )
        if self.members < 2:
            raise ValueError(f"thrifty_dagger.members must be at least 2, got {self.members}; one has no variance")


def check(budget: int, task: Task, head: Head, config: Config) -> None:
    """Raises ValueError for a budget that makes no episode of demonstrations, or no label a round."""
    check_labels("thrifty_dagger", budget, task, config)


class Limits(NamedTuple):
    """When the expert comes, and when it leaves, `[S]` float32 each."""

    doubt: Any  # comes above: the variance's (1 - target) quantile
    risky: Any  # comes below: the chance's target quantile; -inf without a fall
    near: Any  # may leave at most so far from the learner: the mean distance on its own data
    sound: Any  # and above: the chance's median; -inf without a fall


class Known(NamedTuple):
    """What a round has found out."""

    stage: int  # rounds before it
    seen: Data  # transitions of everybody so far
    critic: PyTree  # `[S, ...]`
    limits: Limits


@lru_cache(maxsize=64)
def thrifty(head: Head, task_obs: Any, action: Any, horizon: int, width: int) -> Rule:
    """Called by doubt or by risk, content where the learner is both near and sound."""
    _, success = critic(task_obs, action, horizon, width)

    def rule(params: Any, key: Array, t: Array, obs: Array, proposal: Array, label: Array) -> tuple[Array, Array]:
        found: Limits = params["limits"]
        doubt = jnp.mean(variance(head, params["members"], key, t, obs))
        chance = success(params["critic"], t, obs, proposal)
        near = apart(action, proposal, label) <= found.near
        return (doubt > found.doubt) | (chance < found.risky), near & (chance > found.sound)

    return rule


def limits(doubt: Any, chance: Any, there: Any, miss: Any, weight: Any, feared: Any, target: float) -> Limits:
    """Limits of each seed: from `doubt` and `chance [S, R]` at the steps that are `there` of the learner alone, and from how far it is
    off, `miss [S, R']`, at rows of `weight`; only where a fall is `feared [S]` does chance count."""

    def quantiles(x: Any, share: float) -> np.ndarray:
        return np.array(
            [np.quantile(own[mask], share) for own, mask in zip(np.asarray(x), there, strict=True)], np.float32
        )

    near = np.array([own[mask].mean() for own, mask in zip(miss, np.asarray(weight) > 0, strict=True)], np.float32)
    risky, sound = (np.where(feared, quantiles(chance, share), np.float32(-np.inf)) for share in (target, 0.5))
    return Limits(quantiles(doubt, 1 - target), risky, near, sound)


def alone(lab: Lab, config: Config, novice: Novice, data: Data, new: Demos, before: Known | None) -> Known:
    """Episodes of the learner alone, and what they and the `new` ones tell: the critic, and limits for the next ones."""
    space, horizon, stage = lab.task.env, lab.task.horizon, 0 if before is None else before.stage + 1
    own = transitions(lab.rollout(novice.policy, config.probes, record=("final_alive",)), horizon, cut=False)
    seen = concatenate([*([] if before is None else [before.seen]), transitions(new, horizon, cut=True), own])
    head = bagged(lab.head, config.members, space.action)
    judge = fitted(lab, config, seen, head, novice.params, None if before is None else before.critic, stage)
    doubt = np.asarray(variances(lab.head, novice.params, lab.keys("doubt"), own.t, own.obs))
    _, success = critic(space.obs, space.action, horizon, config.width)
    chance = chances(success, judge, own.t, own.obs, own.action)
    miss = misses(lab, head, novice.params, data, space.action)
    there, feared = np.asarray(own.weight) > 0, fell(seen)
    found = limits(doubt.reshape(*there.shape, -1).mean(-1), chance, there, miss, data.weight, feared, config.target)
    return Known(stage, seen, judge, found)


def learn(lab: Lab, config: Config, parts: list[Demos], before: Novice | None) -> Novice:
    """An ensemble on all labels and what gates it; the last fit, which nobody gates, has what gated the last round."""
    data, stage = labelled(lab, parts), len(parts) - 1
    start = None if before is None else before.params
    fits, losses = members(lab, data, config.members, stage=stage, stages=config.rounds + 1, start=start)
    params = stacked(fits)
    novice = Novice(params, to_policy(bagged(lab.head, config.members, lab.task.env.action), params), losses)
    known: Known | None = None if before is None else before.carried
    if stage < config.rounds:
        known = alone(lab, config, novice, data, parts[-1], known)
    return novice._replace(carried=known)


def gate(lab: Lab, config: Config, novice: Novice) -> Behaviour:
    """Doubt and risk, at the limits of this round."""
    space, known = lab.task.env, novice.carried
    rule = thrifty(lab.head, space.obs, space.action, lab.task.horizon, config.width)
    numbers = {"members": novice.params, "critic": known.critic, "limits": known.limits}
    return gated(space.action, rule, numbers, len(lab.seeds))


def train(lab: Lab, config: Config) -> Trained:
    """Rounds under the gate; `fell` says whether any episode did, without which only doubt gated."""
    novice, trained = in_rounds(lab, config, learn, gate, record=("final_alive",))
    return replace(trained, scalars={**trained.scalars, "fell": fell(novice.carried.seen).astype(np.float32)})
