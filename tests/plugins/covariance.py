"""Demonstrations under noise of the learner's own size and direction: a covariance for each seed, by maximum likelihood.

Noise like the learner's error leads the expert where the learner will go, and its corrections there are recorded.
Paper: Laskey et al. 2017, DART, https://arxiv.org/abs/1703.09327
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from ilbench.rollouts.behaviours import mixed
from ilbench.rollouts.keys import episode_keys
from ilbench.rollouts.replay import replay
from ilbench.training.rows import concatenate
from ilbench.types import Discrete, Trained

NEEDS = ("expert",)
TRY = ("scalar_stable", "mse", 200)


@dataclass(frozen=True)
class Config:
    """The noise."""

    scale: float = 1.0  # of the noise over the learner's error, in standard deviations


def noise_of(lab, params, demos, config):
    """What the behaviour's noise is, for each seed: a factor `[S, A, A]` of the covariance, or an error rate `[S]`."""
    keys = episode_keys("covariance", lab.seeds, demos.obs.shape[1])
    done, had = replay(lab.policy(params), demos.obs, keys, lab.seeds), np.asarray(demos.revealed)
    if isinstance(lab.task.env.action, Discrete):
        wrong = np.array([(d != a)[w].mean() for d, a, w in zip(done, demos.label, had, strict=True)])
        return np.minimum(config.scale * wrong, 1.0).astype(np.float32)
    factors = []
    for d, a, w in zip(done, demos.label, had, strict=True):
        error = (d - a)[w].astype(np.float64)
        covariance = error.T @ error / len(error) + 1e-12 * np.eye(error.shape[1])
        factors.append(config.scale * np.linalg.cholesky(covariance))
    return np.float32(factors)


def train(lab, config):
    """Half of the labels without noise, a fit, its error, the other half under noise like it, and a fit on both."""
    demos = lab.demonstrate(labels=lab.budget // 2)
    params, _ = lab.fit(lab.rows(demos, lab.budget))
    acting = lab.same(mixed(lab.task.env.action, lab.task.horizon, beta=1.0))
    noise = noise_of(lab, params, demos, config)
    acting = dataclasses.replace(acting, params={**acting.params, "noise": noise})
    new = lab.collect(labels=lab.remaining, behaviour=acting, policy=lab.policy(params))
    params, losses = lab.fit(lab.rows(concatenate([demos, new]), lab.budget), stage=1, start=params)
    size = noise if noise.ndim == 1 else np.linalg.norm(noise, axis=(1, 2))
    return Trained({"last": lab.policy(params)}, "last", {"loss": losses}, {"noise": size})
