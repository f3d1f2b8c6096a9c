"""The one rollout: many episodes of many seeds at once, in chunks that fill a block.

Demonstrations, DAgger rounds, noise injection and evaluation are this function with other numbers, so they share
one compiled program per (env, horizon, lanes, policy structure, behaviour structure, record selection).
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import numpy as np

from ilbench.compute.parallel import device_count, per_seed
from ilbench.rollouts import foresight
from ilbench.rollouts.episode import episode
from ilbench.rollouts.keys import raw
from ilbench.types import COLLECT, Array, Behaviour, Demos, Env, Policy


def _chunk(shared: Any, item: Any, *, horizon: int, record: tuple[str, ...], impl: Any) -> Demos:
    env, expert = shared
    policy, behaviour, words = item
    keys = jax.random.wrap_key_data(words, impl=impl)
    one = partial(episode, horizon=horizon, record=record)
    return jax.vmap(one, in_axes=(None, None, None, None, 0))(env, expert, policy, behaviour, keys)


def rollout(
    env: Env,
    expert: Policy | None,
    policy: Policy,
    behaviour: Behaviour,
    keys: Array,
    *,
    horizon: int,
    record: tuple[str, ...] = COLLECT,
    block: int = 128,
    seeds: Any = None,
) -> Demos:
    """Rolls out `keys [S, N]` episodes of policies with leaves `[S, M, ...]` under behaviours with leaves `[S, ...]`.

    Returns Demos `[S, N, H, ...]` of NumPy arrays. The item of work is a chunk of episodes of one seed: its lanes share their weights,
    and items fill a block. With M > 1, chunk c of seed s runs iterate (s + c) mod M, `seeds [S]` being the values s: a uniform
    mixture, balanced over seeds, in the same compiled program as a plain policy's evaluation. An episode depends on its key,
    its policy and its behaviour alone, whatever else is rolled beside it. Raises ValueError for mixtures without `seeds`, and
    TooLarge, before anything is computed, for a record that will not fit into memory.
    """
    count, episodes = keys.shape
    _check(env, policy, behaviour, count, record)
    foresight.foresee_rollout(env, count, episodes, horizon, record)
    lanes, chunks = chunks_of(episodes)
    words, impl = raw(keys)
    words = words[:, np.arange(chunks * lanes) % episodes]  # padded by repetition, cut off below
    acting = per_item(policy, count, chunks, seeds)
    items = (acting, _per_seed_item(behaviour, chunks), words.reshape(count * chunks, lanes, 2))
    items_of_block = max(1, block // lanes)
    # Where one seed alone fills many blocks a call takes them all: calls by the hundred cost more than chains do.
    loops = max(1, chunks // (items_of_block * device_count()))
    run = per_seed(_chunk, block=items_of_block, loops=loops, horizon=horizon, record=record, impl=impl)
    out = run((env, expert), items)
    return jax.tree.map(lambda leaf: leaf.reshape(count, chunks * lanes, *leaf.shape[2:])[:, :episodes], out)


def _check(env: Env, policy: Policy, behaviour: Behaviour, seeds: int, record: tuple[str, ...]) -> None:
    """Raises ValueError, before anything is compiled, for leaves that are not one per seed and fields that cannot be recorded."""
    iterates = mixture_size(policy)
    for what, tree, wanted in (("policy", policy, (seeds, iterates)), ("behaviour", behaviour, (seeds,))):
        for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]:
            if np.shape(leaf)[: len(wanted)] != wanted:
                name, form = jax.tree_util.keystr(path, simple=True, separator="/"), "[S, M, ...]" if len(wanted) > 1 else "[S, ...]"
                raise ValueError(
                    f"the {what}'s {name} has the shape {list(np.shape(leaf))}; leaves are {form}, here {list(wanted)} and more "
                    f"({'behaviours.same repeats one over seeds' if what == 'behaviour' else 'lab.policy(params) adds the axis M'})"
                )
    if unknown := [name for name in record if name not in Demos._fields]:
        raise ValueError(f"record holds {unknown[0]!r}, which is no field of Demos: {', '.join(Demos._fields)}")
    if env.views is None and {"views", "final_views"} & set(record):
        raise ValueError("record holds 'views', and this env has none: give Env(views=...)")


LANES = 8  # of an item are a multiple of these: a vector register's worth, so that no lane is computed by other code


def chunks_of(episodes: int) -> tuple[int, int]:
    """Lanes of an item and items of a seed.

    Lanes of an item share their weights, which is what makes a network's products fast (128 lanes: 0.95 of the speed
    of bare physics, 16: 0.85), and a mixture needs items to deal its iterates to: about 16 of them, with at least 8
    lanes and at most 128 until there are 64.
    """
    lanes = max(LANES, min(128, -(-episodes // 16)), -(-episodes // 64))
    lanes = -(-lanes // LANES) * LANES
    return lanes, -(-episodes // lanes)


def mixture_size(policy: Policy) -> int:
    """M of a policy with leaves `[S, M, ...]`; 1 for a policy without numbers."""
    leaves = jax.tree.leaves(policy)
    return leaves[0].shape[1] if leaves else 1


def per_item(policy: Policy, count: int, chunks: int, seeds: Any) -> Policy:
    """A policy with leaves `[S, M, ...]` as one policy per item, leaves `[S * C, ...]`.

    Done on the host, so that a mixture of M iterates runs in the very program of a plain policy.
    """
    mixture = mixture_size(policy)
    if mixture > 1 and seeds is None:
        raise ValueError(f"a mixture of {mixture} iterates is dealt by the seeds' values; give rollout(..., seeds=)")
    values = np.zeros(count, np.int64) if seeds is None else np.asarray(seeds, np.int64)
    iterate = ((values[:, None] + np.arange(chunks)[None, :]) % mixture).reshape(-1)
    position = np.repeat(np.arange(count), chunks)
    return jax.tree.map(lambda leaf: np.asarray(leaf)[position, iterate], policy)


def _per_seed_item(behaviour: Behaviour, chunks: int) -> Behaviour:
    return jax.tree.map(lambda leaf: np.repeat(np.asarray(leaf), chunks, axis=0), behaviour)
