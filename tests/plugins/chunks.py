"""A chunk as a straight line: two knots, linear in what is seen, and everything between them on the line.

Under policy.chunk it is made for `[L, *action]` and predicts L actions with two actions' worth of weights. A plan whose beginning is
known goes on from there: its line is shifted, less and less, to where the known part ends.
Source: waypoints in the place of actions, as Shi et al. 2023, AWE, https://arxiv.org/abs/2307.14326
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import jax
import jax.numpy as jnp

from ilbench.training.nets import features, fit_norm, identity_norm, width_of
from ilbench.types import Head

NEEDS = ("continuous actions",)
TRY = ("scalar_stable",)


@dataclass(frozen=True)
class Config:
    """Nothing to choose."""


@lru_cache
def _head(obs, action, config):
    length = action.shape[0] if len(action.shape) > 1 else 1  # without policy.chunk: a line of one point
    size = action.dim // length
    share = (jnp.arange(length) / max(length - 1, 1))[:, None]

    def init(key):
        return {"knots": jax.random.normal(key, (2, size, width_of(obs))) / 8, "norm": identity_norm(obs)}

    def line(params, x):
        first, last = params["knots"] @ features(obs, params["norm"], x)
        return (first[None] + share * (last - first)[None]).reshape(action.shape)

    def loss(params, key, row):
        valid = jnp.ones(length) if row.valid is None else row.valid
        error = (line(params, row.obs) - row.action).reshape(length, size)
        return jnp.sum(valid[:, None] * jnp.square(error)) / jnp.maximum(jnp.sum(valid), 1.0)

    def act(params, key, t, memory, x):
        return memory, line(params, x)

    def complete(params, key, t, x, prefix, known):
        plan, done = line(params, x).reshape(length, size), prefix.reshape(length, size)
        end = jnp.maximum(jnp.sum(known).astype(jnp.int32) - 1, 0)
        fade = jnp.clip((length - jnp.arange(length)) / jnp.maximum(length - end, 1), 0, 1)
        shifted = jnp.where(jnp.sum(known) > 0, plan + fade[:, None] * (done[end] - plan[end])[None], plan)
        return jnp.where(known[:, None] > 0, done, shifted).reshape(action.shape)

    def prepare(params, data):
        return {**params, "norm": fit_norm(obs, data.obs, data.weight)}

    return Head(init, loss, act, prepare=prepare, complete=complete)


def make(spec, config):
    """A line `[L, *action]`, or one action."""
    return _head(spec.obs, spec.action, config)
