"""Laws beside rows: a teacher's distribution of the action at every row, and the divergences from it that a fit minimises.

Rows are data: no gradient goes through the law of the states that they were visited with.
"""

from __future__ import annotations

import dataclasses
from functools import lru_cache
from typing import Any

import jax
import numpy as np

from ilbench import distributions
from ilbench.compute.parallel import per_seed
from ilbench.distributions import Dist
from ilbench.training.fit import Objective
from ilbench.types import Array, Data, Head, PyTree


# ------------------------------------------------------------------------------------------- rows
def beside(data: Data, law: Any) -> Data:
    """Rows `[S, N*H, ...]` with the law that a rollout recorded, leaves `[S, N, H, ...]`, as their `extra`."""
    return data._replace(extra=jax.tree.map(lambda x: np.asarray(x).reshape(x.shape[0], -1, *x.shape[3:]), law))


def _told_one(shared: Any, item: Any, *, head: Head) -> Any:
    assert head.dist is not None
    params, data = item
    return jax.vmap(head.dist, (None, 0, 0))(params, data.t, data.obs)


def told(head: Head, params: PyTree, data: Data) -> Data:
    """Rows `[S, R, ...]` with what a head of parameters `[S, ...]` would draw from at each as their `extra`."""
    return data._replace(extra=jax.tree.map(np.asarray, per_seed(_told_one, head=head)((), (params, data))))


# ------------------------------------------------------------------------------------- objectives
def _both(head: Head, params: PyTree, row: Data) -> tuple[Dist, Dist]:
    """What the head draws from at a row, and the law beside it; where there is no row, twice the former."""
    assert head.dist is not None
    mine: Dist = head.dist(params, row.t, row.obs)
    theirs = jax.tree.map(lambda a, b: jax.numpy.where(row.weight > 0, a, jax.lax.stop_gradient(b)), row.extra, mine)
    return mine, theirs


def reverse_kl(head: Head, given: PyTree, params: PyTree, key: Array, row: Data) -> Array:
    """KL(head || law) `[]`: a mode is sought, what cannot be covered is given up."""
    return distributions.kl(*_both(head, params, row))


def forward_kl(head: Head, given: PyTree, params: PyTree, key: Array, row: Data) -> Array:
    """KL(law || head) `[]`: everything is covered; its gradient is that of the likelihood, averaged over the law."""
    mine, theirs = _both(head, params, row)
    return distributions.kl(theirs, mine)


def jensen_shannon(head: Head, given: PyTree, params: PyTree, key: Array, row: Data) -> Array:
    """The Jensen-Shannon divergence `[]` between the two."""
    return distributions.jensen_shannon(*_both(head, params, row))


def sampled_reverse_kl(head: Head, given: PyTree, params: PyTree, key: Array, row: Data) -> Array:
    """`[]` whose mean over one action drawn from the head is KL(head || law), and whose gradient's mean is its gradient.

    The score function's: (log head - log law) grad log head at that action; no gradient goes through the draw.
    """
    mine, theirs = _both(head, params, row)
    action = distributions.sample(jax.lax.stop_gradient(mine), key)
    log_prob = distributions.log_prob(mine, action)
    ratio = jax.lax.stop_gradient(log_prob - distributions.log_prob(theirs, action))
    return ratio * (1.0 + log_prob - jax.lax.stop_gradient(log_prob))


@lru_cache(maxsize=512)
def judged_by(head: Head, objective: Objective) -> Head:
    """The head with an objective that reads nothing beside the row in the place of its loss, for losses on rows."""

    def loss(params: PyTree, key: Array, row: Data) -> Array:
        return objective(head, (), params, key, row)

    return dataclasses.replace(head, loss=loss)
