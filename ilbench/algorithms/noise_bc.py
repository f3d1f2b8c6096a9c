"""Behaviour cloning on jittered inputs: half of the rows keep the expert's label but have noise added to the observation.

Unlike behaviour cloning the policy is also fitted beside the demonstrated states, to the same action: smoother, but
without the correction that a label from a model would give. It buys no label and takes no gradient step more.
Paper: the NoiseBC baseline of Ke et al. 2024, CCIL, https://arxiv.org/abs/2310.12972 (there uniform noise of fixed size)
"""

from __future__ import annotations

from dataclasses import dataclass

import jax
import numpy as np

from ilbench.rollouts.keys import generators
from ilbench.training.lab import Lab
from ilbench.types import Array, Data, Trained

RATE = "<= 2"  # upper rate of the cost in H at fixed eps: O(eps H^2); it trains on expert states only
NEEDS = ("demonstrations", "continuous observations")
SPACE = {"noise_bc.sigma": (0.01, 0.05, 0.2, 0.5)}  # what `ilbench tune` tries
TRY = ("scalar_stable", "linear", 300)  # what the contract test runs: task, head, labels


@dataclass(frozen=True)
class Config:
    """How much noise, on how many copies."""

    sigma: float = 0.05  # of the noise, in standard deviations of each feature over the demonstrations
    copies: int = 1  # jittered rows per demonstrated row

    def __post_init__(self) -> None:
        if not self.sigma > 0:
            raise ValueError(f"noise_bc.sigma must be positive, got {self.sigma}")
        if self.copies < 1:
            raise ValueError(f"noise_bc.copies must be at least 1, got {self.copies}")


def jitter(keys: Array, data: Data, sigma: float, copies: int) -> Data:
    """Rows `[S, (1 + copies) R, ...]`: the given ones, and copies whose observations have noise of `sigma` sds added."""
    obs, weight = np.asarray(data.obs), np.asarray(data.weight)
    sd = np.stack([o[w > 0].std(0) if (w > 0).any() else np.ones(o.shape[1:]) for o, w in zip(obs, weight, strict=True)])
    rng = generators(keys)
    repeated: Data = jax.tree.map(lambda x: np.concatenate([np.asarray(x)] * (1 + copies), axis=1), data)
    extra = repeated.obs[:, obs.shape[1] :]
    noise = np.stack([r.standard_normal(extra.shape[1:]) for r in rng]) * (sigma * sd[:, None])
    return repeated._replace(obs=np.concatenate([obs, (extra + noise).astype(np.float32)], axis=1))


def train(lab: Lab, config: Config) -> Trained:
    """Demonstrations and their jittered copies, one fit."""
    data = lab.rows(lab.demonstrate(), lab.budget)
    params, losses = lab.fit(jitter(lab.keys("jitter"), data, config.sigma, config.copies))
    return Trained({"last": lab.policy(params)}, "last", {"loss": losses})
