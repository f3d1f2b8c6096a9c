"""An algorithm that clones, and then hands back what its author got wrong.

Source: none; every fault is one that somebody who writes an algorithm makes.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import jax
import numpy as np

from ilbench.training.lab import Lab
from ilbench.training.rows import rows
from ilbench.types import Policy, Trained


@dataclass(frozen=True)
class Config:
    """Which fault."""

    fault: str = "none"


def _without_m(policy):
    return Policy(jax.tree.map(lambda leaf: np.asarray(leaf)[:, 0], policy.params), policy.init, policy.act)


def _first(policy, change):
    leaves, tree = jax.tree.flatten(policy.params)
    return dataclasses.replace(policy, params=jax.tree.unflatten(tree, [change(np.asarray(leaves[0])), *leaves[1:]]))


# fault -> (what is returned in place of a sound Trained, what the message says); None: it is no error
FAULTS = {
    "none": (lambda t, p: t, None),
    "diverged": (
        lambda t, p: dataclasses.replace(t, policies={"last": _first(p, lambda x: x + np.float32(np.nan))}),
        None,
    ),
    "nothing": (lambda t, p: None, "returned nothing"),
    "a policy": (lambda t, p: p, "returned a Policy"),
    "a dict": (lambda t, p: {"last": p}, "returned a dict"),
    "no policies": (lambda t, p: dataclasses.replace(t, policies={}), "at least one policy"),
    "selected": (lambda t, p: dataclasses.replace(t, selected="lst"), "Did you mean last?"),
    "selected none": (lambda t, p: dataclasses.replace(t, selected=None), "There are: last"),
    "params": (lambda t, p: dataclasses.replace(t, policies={"last": p.params}), "lab.policy(params)"),
    "no M": (lambda t, p: dataclasses.replace(t, policies={"last": _without_m(p)}), "[S, M, ...]"),
    "one seed": (lambda t, p: dataclasses.replace(t, policies={"last": _first(p, lambda x: x[:1])}), "of shape [1, "),
    "two M": (
        lambda t, p: dataclasses.replace(t, policies={"last": _first(p, lambda x: np.repeat(x, 2, 1))}),
        "with one M",
    ),
    "strings": (lambda t, p: dataclasses.replace(t, policies={"last": _first(p, lambda x: x.astype(str))}), "<U"),
    "slash": (lambda t, p: dataclasses.replace(t, policies={"last": p, "a/b": p}), "'a/b'"),
    "many": (lambda t, p: dataclasses.replace(t, policies={"last": p} | {f"v{i}": p for i in range(59)}), "at most 16"),
    "scalar curve": (lambda t, p: dataclasses.replace(t, curve={"loss": 1.0}), "'loss' has the shape []"),
    "flat curve": (lambda t, p: dataclasses.replace(t, curve={"loss": np.zeros(2)}), "[S, k]"),
    "string curve": (
        lambda t, p: dataclasses.replace(t, curve={"loss": np.full((2, 3), "x")}),
        "'loss' is of type <U1",
    ),
    "ragged curve": (lambda t, p: dataclasses.replace(t, curve={"loss": [[1.0], [1.0, 2.0]]}), "different lengths"),
    "curve": (lambda t, p: dataclasses.replace(t, curve=np.zeros((2, 3))), "dict of arrays"),
    "nan curve": (lambda t, p: dataclasses.replace(t, curve={"loss": np.full((2, 3), np.nan)}), None),
}


def train(lab: Lab, config: Config):
    """Behaviour cloning, and the fault."""
    if config.fault == "raises":
        raise ZeroDivisionError("a fault of the author's own")
    params, losses = lab.fit(rows(lab.demonstrate(lab.episodes)))
    policy = lab.policy(params)
    return FAULTS[config.fault][0](Trained({"last": policy}, "last", {"loss": losses}), policy)
