"""Least squares by gradient, and what an author of heads gets wrong: each fault is one part that does not fit.

Source: none; every fault must be named before anything compiles.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import lru_cache

import jax.numpy as jnp

from ilbench.distributions import Normal
from ilbench.types import Head

NEEDS = ("continuous actions",)
TRY = ("scalar_stable",)


@dataclass(frozen=True)
class Config:
    """Which fault."""

    fault: str = "none"


def _init(key):
    return {"w": jnp.zeros((1, 1)), "norm": jnp.ones(1)}


def _loss(params, key, row):
    return jnp.sum(jnp.square(row.obs * params["norm"] @ params["w"] - row.action))


def _act(params, key, t, memory, obs):
    return memory, obs * params["norm"] @ params["w"]


def _twice(params, key, t, memory, obs):
    return memory, jnp.concatenate([obs, obs])


def _raise(*_):
    raise ZeroDivisionError("a fault of the author's own")


def _same(*given):
    return given[0]


# fault -> (parts in place of the sound ones, what is said)
FAULTS = {
    "none": ({}, None),
    "action": ({"act": _twice}, r"the action of head.act is of shape \[2\] float32; wanted \[1\] float32"),
    "action type": ({"act": lambda p, k, t, m, o: (m, t[None])}, r"of shape \[1\] int32; wanted \[1\] float32"),
    "memory": ({"act": lambda p, k, t, m, o: (o, o)}, r"the memory that head.act gives holds an array, of shape \[1\]"),
    "memory shape": (
        {"memory": lambda p, k: jnp.zeros(3), "act": lambda p, k, t, m, o: (m[:2], o)},
        r"the memory that head.act gives is of shape \[2\] float32; wanted \[3\] float32",
    ),
    "one thing": ({"act": lambda p, k, t, m, o: o}, "head.act gives a .*; wanted \\(memory, action\\)"),
    "act raises": ({"act": _raise}, r"head.act on an observation \[1\]: ZeroDivisionError: a fault of the author's own"),
    "after drops": ({"after": lambda p: {"w": p["w"]}}, r"what head.after gives lacks norm, of shape \[1\] float32"),
    "after adds": ({"after": lambda p: {**p, "step": p["norm"]}}, r"what head.after gives holds step, of shape \[1\]"),
    "prepare": ({"prepare": lambda p, d: [p]}, r"what head.prepare gives lacks norm"),
    "prepare rows": (
        {"prepare": lambda p, d: {**p, "norm": d.weight}},
        r"what head.prepare gives is of shape \[8\] float32 in norm; wanted \[1\] float32",
    ),
    "loss": ({"loss": lambda p, k, r: r.action}, r"what head.loss\(params, key, row\) gives is of shape \[1\] float32; wanted \[\]"),
    "no dict": ({"init": lambda key: jnp.zeros(1)}, "head.init gives a ShapeDtypeStruct; wanted a dict of arrays by name"),
    "integers": (
        {"init": lambda key: _init(key) | {"n": jnp.int32(0)}},
        "head.init gives n, which has no gradient: name its entry in `fixed`",
    ),
    "solve": ({"solve": lambda d, k: {"w": jnp.zeros((1, 1))}}, r"what head.solve gives lacks norm, of shape \[1\]"),
    "window": ({"window": (1, 101)}, "1 observations and 101 actions of an episode of 100 steps"),
    "sample": ({"sample": lambda p, k, t, o: jnp.zeros(3)}, r"what head.sample gives is of shape \[3\] float32; wanted \[1\]"),
    "log_prob": ({"log_prob": lambda p, t, o, a: a}, r"what head.log_prob gives is of shape \[1\] float32; wanted \[\]"),
    "no law": ({"dist": lambda p, t, o: o}, "head.dist gives a ShapeDtypeStruct; wanted a Dist"),
    "law": ({"dist": lambda p, t, o: Normal(jnp.zeros(2), jnp.ones(2))}, r"head.dist is the law of is of shape \[2\]"),
}  # fmt: skip


@lru_cache
def _head(fault):
    return dataclasses.replace(Head(_init, _loss, _act), **FAULTS[fault][0])


def make(spec, config):
    """One action from one number."""
    return _head(config.fault)
