"""M networks that start apart: one head whose parameters are stacked, and how far its members disagree.

Their minibatches are the same; members that are to draw their own are fitted one by one, `lab.fit(name=...)`, and stacked.
Paper: Menda et al. 2019, EnsembleDAgger, https://arxiv.org/abs/1807.08364 (the spread as doubt)
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp

from ilbench.compute.parallel import per_seed
from ilbench.types import Array, Box, Data, Head, Space


def stacked(members: Sequence[Any]) -> Any:
    """Parameters of M members with leaves `[S, ...]` as those of their ensemble, `[S, M, ...]`."""
    return jax.tree.map(lambda *leaves: jnp.stack([jnp.asarray(x) for x in leaves], axis=1), *members)


@lru_cache(maxsize=256)
def ensemble(head: Head, members: int, action: Space) -> Head:
    """A head of `members` heads, leaves `[M, ...]`: it deploys the mean of their actions, of discrete ones the commonest.

    Raises ValueError for fewer than one member, and for a head that is solved in closed form, whose members would be equal.
    """
    if members < 1:
        raise ValueError(f"an ensemble has at least 1 member, got {members}")
    if head.solve is not None and members > 1:
        raise ValueError("members of a head that is solved in closed form are equal; take one that is trained")

    def init(key: Array) -> Any:
        return jax.vmap(head.init)(jax.random.split(key, members))

    def loss(params: Any, key: Array, row: Data) -> Array:
        return jnp.mean(jax.vmap(head.loss, (0, 0, None))(params, jax.random.split(key, members), row))

    def memory(params: Any, key: Array) -> Any:
        return jax.vmap(head.memory)(params, jax.random.split(key, members))

    def act(params: Any, key: Array, t: Array, memory: Any, obs: Array) -> tuple[Any, Array]:
        keys = jax.random.split(key, members)
        memory, actions = jax.vmap(head.act, (0, 0, None, 0, None))(params, keys, t, memory, obs)
        if isinstance(action, Box):
            return memory, jnp.mean(actions, axis=0)
        return memory, jnp.argmax(jnp.sum(jax.nn.one_hot(actions, action.n), axis=0)).astype(jnp.int32)

    def each(f: Any) -> Any:
        return None if f is None else lambda params, *rest: jax.vmap(f, (0, *[None] * len(rest)))(params, *rest)

    return dataclasses.replace(
        head, init=init, loss=loss, memory=memory, act=act, prepare=each(head.prepare), after=each(head.after),
        sample=None, log_prob=None, dist=None, complete=None,
    )  # fmt: skip


def spread(head: Head, params: Any, key: Array, t: Array, obs: Array) -> Array:
    """How far members `[M, ...]` of a head without memory disagree on an observation, `[]`: the mean over the action of the
    standard deviation over members, of discrete actions the share of members that the commonest does not have."""
    members = jax.tree.leaves(params)[0].shape[0]
    keys = jax.random.split(key, members)
    one = jax.vmap(lambda p, k: head.act(p, k, t, head.memory(p, k), obs)[1])(params, keys)
    if jnp.issubdtype(one.dtype, jnp.floating):
        return jnp.mean(jnp.std(one - one[:1], axis=0))  # from the first, so that equal ones are exactly 0 apart
    return 1.0 - jnp.max(jnp.mean(one[:, None] == one[None, :], axis=0))


def _spreads_one(shared: Any, item: Any, *, head: Head) -> Array:
    params, key, data = item
    keys = jax.random.split(key, data.t.shape[0])
    return jax.vmap(lambda k, t, obs: spread(head, params, k, t, obs))(keys, data.t, data.obs)


def spreads(head: Head, params: Any, keys: Array, data: Data) -> Any:
    """`spread` `[S, R]` of members `[S, M, ...]` on rows `[S, R, ...]`, with keys `[S]`."""
    return per_seed(_spreads_one, head=head)((), (params, keys, data))


def bagged(head: Head, members: int, action: Space) -> Head:
    """`ensemble` for members that were fitted one by one, each on rows of its own: then those in closed form differ too."""
    return ensemble(dataclasses.replace(head, solve=None), members, action)


def variance(head: Head, params: Any, key: Array, t: Array, obs: Array) -> Array:
    """Variance over members `[M, ...]` of each entry of the action, `[*action]`, or of discrete ones the share of members that the
    commonest does not have, `[]`."""
    keys = jax.random.split(key, jax.tree.leaves(params)[0].shape[0])
    one = jax.vmap(lambda p, k: head.act(p, k, t, head.memory(p, k), obs)[1])(params, keys)
    if jnp.issubdtype(one.dtype, jnp.floating):
        return jnp.var(one - one[:1], axis=0)
    return 1.0 - jnp.max(jnp.mean(one[:, None] == one[None, :], axis=0))


def _variances_one(shared: Any, item: Any, *, head: Head) -> Array:
    params, key, t, obs = item
    keys = jax.random.split(key, t.shape[0])
    return jax.vmap(lambda k, t, obs: variance(head, params, k, t, obs))(keys, t, obs)


def variances(head: Head, params: Any, keys: Array, t: Any, obs: Any) -> Any:
    """`variance` `[S, R, *action]` of members `[S, M, ...]` at steps `[S, R]` and observations `[S, R, *obs]`, with keys `[S]`."""
    return per_seed(_variances_one, head=head)((), (params, keys, t, obs))
