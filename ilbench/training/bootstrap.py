"""Bootstrap: members of an ensemble that differ in the rows that they are fitted on, drawn with replacement, each seed's own.

So members of a head that is solved in closed form differ too; trained ones have starts and minibatches of their own besides.
Source: Breiman 1996, bagging, https://doi.org/10.1007/BF00058655
"""

from __future__ import annotations

import jax
import numpy as np

from ilbench.rollouts.keys import generators
from ilbench.training.lab import Lab
from ilbench.types import Data, PyTree


def resampled(data: Data, draws: list[np.random.Generator]) -> Data:
    """Rows `[S, R, ...]` of which each of a seed's n existing ones counts as often as n draws with replacement hit it."""
    weight = np.zeros(np.shape(data.weight), np.float32)
    for own, exists, rng in zip(weight, np.asarray(data.weight) > 0, draws, strict=True):
        count = int(exists.sum())
        own[exists] = rng.multinomial(count, np.full(count, 1 / count)) if count else 0
    return data._replace(weight=weight)


def members(
    lab: Lab, data: Data, count: int, *, stage: int, stages: int, start: PyTree | None = None
) -> tuple[list[PyTree], np.ndarray]:
    """`count` fits of the lab's head on rows resampled for each: parameters `[S, ...]` of each, and the mean loss curve `[S, n]`.

    `start` are the parameters `[S, count, ...]` that they go on from. The first member draws like a policy that is fitted alone.
    """
    found, curves = [], []
    for i in range(count):
        name = "policy" if i == 0 else f"member{i}"
        begun = None if start is None else jax.tree.map(lambda x, i=i: x[:, i], start)
        own = resampled(data, generators(lab.keys(f"bootstrap{stage}/{i}")))
        params, losses = lab.fit(own, name=name, stage=stage, stages=stages, start=begun)
        found.append(params)
        curves.append(losses)
    return found, np.mean(curves, axis=0)
