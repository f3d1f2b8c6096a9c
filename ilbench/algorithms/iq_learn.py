"""IQ-Learn: one soft Q-function, in which the reward is implicit; the policy is its softmax, and no game is played.

Unlike behaviour cloning the likelihood of the expert's actions is not maximised alone: r = Q(s, a) - gamma V(s') is what the expert is
taken to be rewarded with, V = log sum exp Q, and a chi-squared penalty on r makes values of states that follow each other agree.
Offline it reads demonstrations only; online the learner's own steps, which cost env steps and no label, take part.

    max_Q  E_expert[r] - E[V(s) - gamma V(s')] - E[r^2] / (4 alpha)       (chi-squared, alpha)

The head's logits are Q. A fall is worth 0 for ever, as in the paper.
Paper: Garg et al. 2021, IQ-Learn, https://arxiv.org/abs/2106.12142, equation 10 and section 5.2
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ilbench.training.lab import Lab
from ilbench.training.rows import concatenate
from ilbench.training.successors import beside, done, halves, successors
from ilbench.types import Array, Data, Head, Trained

NEEDS = ("demonstrations", "discrete actions", "dist", "sample", "gradients", "one step")
SPACE = {"iq_learn.gamma": (0.9, 0.95, 0.99), "iq_learn.alpha": (0.1, 0.5, 2.0)}  # what `ilbench tune` tries
TRY = ("gridworld", "mlp", 300)  # what the contract test runs: task, head, labels
TRY_AT = {"fit.updates": 50}


@dataclass(frozen=True)
class Config:
    """The objective, and whether the learner acts."""

    online: bool = False  # whether steps of the learner's own take part
    gamma: float = 0.99  # discount per step
    alpha: float = 0.5  # of the chi-squared penalty: r is pulled to [-2 alpha, 2 alpha]
    rounds: int = 5  # online: fits, each after episodes of the last policy
    episodes: int = 8  # online: of each round

    def __post_init__(self) -> None:
        if not 0 <= self.gamma < 1:
            raise ValueError(f"iq_learn.gamma is a discount and must lie in [0, 1), got {self.gamma}")
        for name in ("alpha", "rounds", "episodes"):
            if not getattr(self, name) > 0:
                raise ValueError(f"iq_learn.{name} must be positive, got {getattr(self, name)}")


def objective(head: Head, given: Any, params: Any, key: Array, row: Data) -> Array:
    """Minus IQ-Learn's objective of one row; `given` are gamma and alpha, `row.extra` what follows and whether the expert did it."""
    gamma, alpha = given
    assert head.dist is not None
    q = head.dist(params, row.t, row.obs).logits
    after = row.extra["on"] * jax.nn.logsumexp(head.dist(params, row.t + 1, row.extra["next_obs"]).logits)
    reward = q[row.action] - gamma * after
    value = jax.nn.logsumexp(q) - gamma * after
    return value + jnp.square(reward) / (4.0 * alpha) - row.extra["expert"] * reward


def train(lab: Lab, config: Config) -> Trained:
    """A fit on the demonstrations or, online, rounds of own episodes and a fit on both, each side a half."""
    demos, seeds = lab.demonstrate(), len(lab.seeds)
    given = tuple(np.full(seeds, x, np.float32) for x in (config.gamma, config.alpha))
    theirs = beside(lab.rows(demos), successors(demos, whole=False))
    weight = np.asarray(theirs.weight)
    theirs = theirs._replace(extra={**theirs.extra, "expert": (weight > 0).astype(np.float32)})
    if not config.online:
        params, losses = lab.fit(theirs, objective=objective, given=given)
        return Trained({"last": lab.policy(params)}, "last", {"loss": losses})
    params, losses = lab.fit(theirs, objective=objective, given=given, stages=config.rounds + 1)
    for i in range(config.rounds):
        own = lab.rollout(lab.sampling(params), config.episodes, record=("final_alive",))
        mine = beside(
            lab.rows(done(own)), successors(own, whole=True), expert=np.zeros((seeds, own.alive[0].size), np.float32)
        )
        # Means over both sides: E[V - gamma V'] and the penalty over the mixture, the reward over the expert's half, hence twice.
        half, other = halves(weight, mine.weight)
        both = concatenate(
            [
                theirs._replace(weight=half, extra={**theirs.extra, "expert": 2.0 * theirs.extra["expert"]}),
                mine._replace(weight=other),
            ]
        )
        params, losses = lab.fit(
            both, objective=objective, given=given, start=params, stage=i + 1, stages=config.rounds + 1
        )
    return Trained({"last": lab.policy(params)}, "last", {"loss": losses})
