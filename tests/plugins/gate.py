"""Gated takeovers: the expert acts, and is paid, only where the learner is in doubt, above a threshold of each seed's own.

Doubt is the spread of an ensemble (known without asking) or the distance of the learner's action from the expert's. The expert
hands back only once doubt has fallen well below the threshold, so that control does not flicker.
Paper: Menda et al. 2019, EnsembleDAgger, https://arxiv.org/abs/1807.08364; thresholds from quantiles: Hoque et al. 2021, ThriftyDAgger, https://arxiv.org/abs/2109.08273
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import jax.numpy as jnp
import numpy as np

from ilbench.rollouts.keys import episode_keys
from ilbench.rollouts.replay import replay
from ilbench.training.rows import concatenate
from ilbench.types import Behaviour, Choice, Discrete, Trained
from ilbench.wrappers.ensemble import spread, spreads, stacked

NEEDS = ("expert", "one step")
TRY = ("scalar_stable", "mse", 200)


@dataclass(frozen=True)
class Config:
    """When the expert takes over."""

    doubt: str = "spread"  # spread or distance
    members: int = 3  # of the ensemble whose spread it is
    quantile: float = 0.5  # of the doubt on the demonstrations: the threshold
    release: float = 0.5  # share of the threshold below which the expert hands back

    def __post_init__(self) -> None:
        if self.doubt not in ("spread", "distance"):
            raise ValueError(f"gate.doubt must be spread or distance, got {self.doubt!r}")


def skip(task, head):
    """Needs members that start apart."""
    return "members of a head in closed form are equal" if head.solve is not None else None


def far(space, a, b, xp=jnp):
    """How far two actions `[..., *action]` are apart, `[...]`."""
    return (a != b) * xp.float32(1) if isinstance(space, Discrete) else xp.abs(a - b).max(-1)


@lru_cache
def gated(head, space, doubt):
    """`(init, choose)` of a gate; its params are members, threshold and release."""

    def init(params, key):
        return jnp.bool_(False)  # whether the expert is in control

    def choose(params, key, t, engaged, obs, proposal, label):
        unsure = spread(head, params["members"], key, t, obs) if doubt == "spread" else far(space, proposal, label)
        engaged = unsure > params["threshold"] * jnp.where(engaged, params["release"], 1.0)
        return Choice(engaged, engaged.astype(jnp.int32), jnp.where(engaged, label, proposal), engaged)

    return init, choose


def train(lab, config):
    """Half of the labels on demonstrations, the other half where the gate opens, and one fit on both."""
    space, demos = lab.task.env.action, lab.demonstrate(labels=lab.budget // 2)
    data, seeds = lab.rows(demos, lab.budget), len(lab.seeds)
    fits = [lab.fit(data, name="policy" if i == 0 else f"member{i}")[0] for i in range(config.members)]
    policy = lab.policy(fits[0])
    if config.doubt == "spread":
        doubt, exists = spreads(lab.head, stacked(fits), lab.keys("doubt"), data), np.asarray(data.weight) > 0
    else:
        keys = episode_keys("gate", lab.seeds, demos.obs.shape[1])
        doubt, exists = far(space, replay(policy, demos.obs, keys, lab.seeds), demos.label, np), demos.revealed
    threshold = np.float32([np.quantile(d[w], config.quantile) for d, w in zip(doubt, exists, strict=True)])
    leaves = {"members": stacked(fits), "threshold": threshold, "release": np.full(seeds, config.release, np.float32)}
    gate = Behaviour(leaves, *gated(lab.head, space, config.doubt))
    new = lab.collect(labels=lab.remaining, behaviour=gate, policy=policy)
    params, losses = lab.fit(lab.rows(concatenate([demos, new]), lab.budget), stage=1, start=fits[0])
    return Trained({"last": lab.policy(params)}, "last", {"loss": losses}, {"threshold": threshold})
