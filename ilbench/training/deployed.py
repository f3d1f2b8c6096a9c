"""Deployed: the policies that parameters of a head stand for, alone, mixed, by turns or drawn from, and fresh ones."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ilbench.compute import prng
from ilbench.rollouts.behaviours import same
from ilbench.rollouts.keys import seed_keys
from ilbench.training import fit as fitting
from ilbench.types import Array, Head, Policy, PyTree


@lru_cache(maxsize=512)
def _law(head: Head) -> Any:
    if head.dist is None:
        return None
    law = head.dist

    def dist(params: PyTree, t: Array, memory: Any, obs: Array) -> Any:
        return law(params, t, obs)

    return dist


@lru_cache(maxsize=512)
def _sampling(head: Head) -> Any:
    if head.sample is None:
        raise ValueError("this head has no `sample`: it is no density, and nothing can be drawn from it")
    if head.window != (1, 1):
        raise ValueError("a head with a history or chunks is deployed by its own `act`; nothing is drawn from it step by step")
    sample = head.sample

    def act(params: PyTree, key: Array, t: Array, memory: Any, obs: Array) -> tuple[Any, Array]:
        return memory, sample(params, key, t, obs)

    return act


@jax.jit
def _one_iterate(params: PyTree) -> PyTree:
    return jax.tree.map(lambda leaf: leaf[:, None], params)


def to_policy(head: Head, params: PyTree) -> Policy:
    """The deployed policy of a head: leaves `[S, ...]` become `[S, 1, ...]`.

    It tells no law: what a head that is a density deploys is its mode, not a draw from it.
    """
    return Policy(_one_iterate(params), head.memory, head.act)


def mixture(head: Head, iterates: Sequence[PyTree]) -> Policy:
    """The uniform mixture of M parameter sets with leaves `[S, ...]`: one is drawn per episode; leaves `[S, M, ...]`."""
    stacked = jax.tree.map(lambda *leaves: np.stack([np.asarray(leaf) for leaf in leaves], axis=1), *iterates)
    return Policy(stacked, head.memory, head.act)


@lru_cache(maxsize=512)
def _in_turn(head: Head) -> tuple[Any, Any]:
    def of(params: PyTree, t: Any) -> PyTree:
        return jax.tree.map(lambda leaf: leaf[params["turn"][t]], params["iterates"])

    def init(params: PyTree, key: Array) -> Any:
        return head.memory(of(params, 0), key)

    def act(params: PyTree, key: Array, t: Array, memory: Any, obs: Array) -> tuple[Any, Array]:
        return head.act(of(params, t), key, t, memory, obs)

    return init, act


def in_turn(head: Head, iterates: Sequence[PyTree], turn: np.ndarray) -> Policy:
    """The non-stationary policy whose step t is iterate `turn[t]`, `turn [H]`; parameter sets have leaves `[S, ...]`."""
    return _together(iterates, {"turn": np.asarray(turn, np.int32)}, _in_turn(head))


@lru_cache(maxsize=512)
def _by_lot(head: Head) -> tuple[Any, Any]:
    def init(params: PyTree, key: Array) -> Any:
        return head.memory(jax.tree.map(lambda leaf: leaf[0], params["iterates"]), key)

    def act(params: PyTree, key: Array, t: Array, memory: Any, obs: Array) -> tuple[Any, Array]:
        lot, own = jax.random.split(key)
        drawn = jnp.sum(prng.uniforms(lot, 1)[0] >= params["upto"])
        return head.act(jax.tree.map(lambda leaf: leaf[drawn], params["iterates"]), own, t, memory, obs)

    return init, act


def by_lot(head: Head, iterates: Sequence[PyTree], weights: Any) -> Policy:
    """The stochastic policy that draws an iterate anew at every step, with chances proportional to `weights [M] >= 0`.

    Unlike `mixture`, which draws one for an episode. A weight of 0 is never drawn, so that one program serves a list that fills up.
    """
    chance = np.asarray(weights, np.float64)
    if chance.shape != (len(iterates),) or not (chance >= 0).all() or not chance.sum() > 0:
        raise ValueError(f"weights are one for each of {len(iterates)} iterates, not negative and not all 0; got {weights}")
    upto = np.cumsum(chance) / chance.sum()
    upto[np.flatnonzero(chance)[-1] :] = 2.0  # no rounding leads beyond the last one
    return _together(iterates, {"upto": upto.astype(np.float32)}, _by_lot(head))


def _together(iterates: Sequence[PyTree], shared: dict[str, np.ndarray], functions: tuple[Any, Any]) -> Policy:
    """A policy of all iterates at once, leaves `[S, 1, M, ...]`, and of numbers that all seeds share."""
    stacked = jax.tree.map(lambda *leaves: np.stack([np.asarray(leaf) for leaf in leaves], axis=1)[:, None], *iterates)
    seeds = len(jax.tree.leaves(stacked)[0])
    return Policy({"iterates": stacked, **same(shared, seeds, iterates=True)}, *functions)


def choose(iterates: Sequence[PyTree], which: np.ndarray) -> PyTree:
    """Per seed s, the parameters of iterate `which[s]`: leaves `[S, ...]`."""
    seeds = np.arange(len(which))
    return jax.tree.map(
        lambda *leaves: np.stack([np.asarray(leaf) for leaf in leaves], axis=1)[seeds, which], *iterates
    )


def sampling(head: Head, params: PyTree) -> Policy:
    """The policy that draws from a head that is a density: leaves `[S, ...]` become `[S, 1, ...]`; ValueError without `sample`."""
    return Policy(_one_iterate(params), head.memory, _sampling(head), _law(head))


def untrained(head: Head, seeds: tuple[int, ...]) -> Policy:
    """A head's policy with fresh parameters, leaves `[S, 1, ...]`: what a trained one looks like."""
    return to_policy(head, fitting.init(head, seed_keys("init", seeds)))


def finite(params: PyTree) -> np.ndarray:
    """Which seeds `[S]` have only finite parameters in leaves `[S, ...]`."""
    flags = [
        np.isfinite(np.asarray(leaf, np.float64)).reshape(leaf.shape[0], -1).all(1) for leaf in jax.tree.leaves(params)
    ]
    return np.all(flags, axis=0) if flags else np.ones((), bool)
