"""Behaviour cloning as it must not be: each way breaks one promise that an algorithm makes.

Source: none.
"""

from __future__ import annotations

from dataclasses import dataclass

import jax
import numpy as np

from ilbench.rollouts.keys import seed_keys
from ilbench.training import fit as fitting
from ilbench.training.lab import Lab
from ilbench.training.rows import rows
from ilbench.types import Trained

TRY = ("scalar_stable", "linear", 300)


@dataclass(frozen=True)
class Config:
    """Which promise."""

    how: str = "none"


def _mixed_up(params, how):
    if how == "neighbour":  # each seed gets the mean over all that run with it
        return jax.tree.map(lambda x: np.broadcast_to(np.asarray(x).mean(0), x.shape).copy(), params)
    if how == "position":  # noise by the place in the batch, not by the seed
        seeds = len(jax.tree.leaves(params)[0])
        noise = np.random.default_rng(0).standard_normal(seeds).astype(np.float32)
        return jax.tree.map(lambda x: np.asarray(x) + noise.reshape(-1, *[1] * (np.ndim(x) - 1)), params)
    return params


def train(lab: Lab, config: Config):
    """Cloning, and what `how` says."""
    if config.how == "idle":
        return Trained({"last": lab.policy(fitting.init(lab.head, seed_keys("init", lab.seeds)))}, "last")
    params, losses = lab.fit(rows(lab.demonstrate(1 if config.how == "miser" else lab.episodes)))
    return Trained({"last": lab.policy(_mixed_up(params, config.how))}, "last", {"loss": losses})
