"""A learner from outside: least squares in NumPy, whose policy is called on the host at every step of every rollout.

So does one in PyTorch: what each seed has learnt goes into `params`, the function that acts is one of the module's.
Source: none; least squares
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ilbench.types import Trained
from ilbench.wrappers.foreign import foreign

NEEDS = ("demonstrations", "continuous observations", "continuous actions", "one step")
TRY = ("scalar_stable", "linear", 200)


@dataclass(frozen=True)
class Config:
    """The fit."""

    ridge: float = 1e-6  # on the diagonal of the normal equations, per row


def act(params, obs, t):
    """Actions `[B, *action]` for `obs [B, *obs]`, `t [B]`, by one seed's `params`: plain NumPy arrays."""
    return obs @ params["weight"] + params["bias"]


def train(lab, config):
    """Demonstrations, and a fit for each seed in a loop of one's own."""
    data, weights, biases = lab.rows(lab.demonstrate(), lab.budget), [], []
    for obs, action, weight in zip(data.obs, data.action, data.weight, strict=True):
        x = np.concatenate([obs, np.ones((len(obs), 1))], axis=1) * weight[:, None]
        gram = x.T @ x + config.ridge * weight.sum() * np.eye(x.shape[1])
        w = np.linalg.solve(gram, x.T @ (action * weight[:, None]))
        weights.append(w[:-1])
        biases.append(w[-1])
    params = {"weight": np.float32(weights)[:, None], "bias": np.float32(biases)[:, None]}  # [S, 1, ...]
    return Trained({"last": foreign(act, lab.task.env.action, params)}, "last")
