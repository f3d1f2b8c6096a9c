"""An ensemble whose members are fitted one by one, each from its own start on its own draws; it says how far they disagree.

Paper: Lakshminarayanan et al. 2017, deep ensembles, https://arxiv.org/abs/1612.01474; the spread as doubt: Menda et al. 2019
"""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from ilbench.training.deployed import to_policy
from ilbench.types import Trained
from ilbench.wrappers.ensemble import ensemble, spreads, stacked

NEEDS = ("demonstrations", "one step")
TRY = ("scalar_stable", "mse", 200)


@dataclass(frozen=True)
class Config:
    """How many."""

    members: int = 3  # networks


def skip(task, head):
    """Needs members that start apart."""
    return "members of a head in closed form are equal" if head.solve is not None else None


def train(lab, config):
    """Demonstrations once, a fit for every member, and their mean is deployed."""
    data = lab.rows(lab.demonstrate(), lab.budget)
    fits = [lab.fit(data, name="policy" if i == 0 else f"member{i}") for i in range(config.members)]
    params = stacked([p for p, _ in fits])
    doubt, exists = spreads(lab.head, params, lab.keys("doubt"), data), np.asarray(data.weight) > 0
    mean = np.array([d[w].mean() for d, w in zip(doubt, exists, strict=True)])
    policy = to_policy(ensemble(lab.head, config.members, lab.task.env.action), jax.tree.map(jnp.asarray, params))
    return Trained({"last": policy}, "last", {"loss": fits[0][1]}, {"spread": mean})
