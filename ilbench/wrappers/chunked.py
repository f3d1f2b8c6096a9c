"""A head that predicts a chunk of L actions: it is made for `[L, *action]`, and its policy executes some of every chunk.

Open loop: `execute` actions of a chunk, then a new one. Temporal ensemble: a chunk at every step, and the mean of what all of
them say of now, the oldest weighing most. A delay: a chunk comes from the observation of some steps ago, and what has passed of it
is skipped; a head with `complete` is then told what was done meanwhile.
Paper: Zhao et al. 2023, ACT, https://arxiv.org/abs/2304.13705 (chunks and their ensemble, weights exp(-m i), i = 0 the oldest)
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jax.numpy as jnp

from ilbench.types import Array, Box, Head, Spec


@dataclass(frozen=True)
class Execution:
    """How chunks are executed."""

    length: int  # actions of a chunk
    execute: int = 0  # of them before the next one; 0: all that there are
    delay: int = 0  # steps from an observation to its chunk
    ensemble: float | None = None  # decay m of the temporal ensemble, per step; None: open loop

    @property
    def steps(self) -> int:
        """Actions executed of every chunk."""
        return self.execute or self.length - self.delay


def predicted(spec: Spec, how: Execution) -> Spec:
    """The spec that the inner head is made for; raises ValueError where chunks do not fit."""
    if not 1 <= how.length <= spec.horizon:
        raise ValueError(f"a chunk has 1 ... {spec.horizon} actions, as an episode has; got {how.length}")
    if not isinstance(spec.action, Box):
        raise ValueError("a chunk is of continuous actions; these are discrete")
    if how.delay < 0 or how.steps < 1 or how.delay + how.steps > how.length:
        raise ValueError(f"of a chunk of {how.length} actions {how.steps} cannot be executed after a delay of {how.delay}")
    if how.ensemble is not None and (how.execute > 1 or how.delay):
        raise ValueError("a temporal ensemble predicts at every step and without delay; leave execute and delay out")
    return spec._replace(action=dataclasses.replace(spec.action, shape=(how.length, *spec.action.shape)))


@lru_cache(maxsize=256)
def chunked(head: Head, how: Execution, obs: Box, action: Box) -> Head:
    """A head that was made for `predicted(spec, how)` as one for the task itself, with its spaces.

    `sample`, `log_prob` and `dist` speak of whole chunks, as rows have them. Raises ValueError for a head of chunks.
    """
    if head.window[1] != 1:
        raise ValueError(f"this head predicts {head.window[1]} actions already")
    memory, act = (_ensembled if how.ensemble is not None else _open_loop)(head, how, obs, action)
    return dataclasses.replace(head, memory=memory, act=act, window=(head.window[0], how.length))


def _open_loop(head: Head, how: Execution, obs: Box, action: Box) -> tuple[Any, Any]:
    late = how.delay

    def memory(params: Any, key: Array) -> Any:
        plan, seen = jnp.zeros((how.length, *action.shape), jnp.float32), jnp.zeros((late + 1, *obs.shape), obs.dtype)
        return plan, jnp.int32(0), seen, head.memory(params, key)

    def act(params: Any, key: Array, t: Array, memory: Any, obs: Array) -> tuple[Any, Array]:
        plan, at, seen, inner = memory
        seen = jnp.where(t == 0, jnp.broadcast_to(obs, seen.shape), jnp.concatenate([seen[1:], obs[None]]))
        inner, new = head.act(params, key, t, inner, seen[0])
        if late and head.complete is not None:  # its first `delay` actions are those that were done meanwhile
            done = jnp.roll(plan, late - at, axis=0)
            known = (jnp.arange(how.length) < late).astype(jnp.float32)
            new = jnp.where(t == 0, new, head.complete(params, key, t, seen[0], done, known))
        renew = (t == 0) | (at >= late + how.steps)
        plan, at = jnp.where(renew, new, plan), jnp.where(renew, jnp.where(t == 0, 0, late), at)
        return (plan, at + 1, seen, inner), plan[jnp.minimum(at, how.length - 1)]

    return memory, act


def _ensembled(head: Head, how: Execution, obs: Box, action: Box) -> tuple[Any, Any]:
    length, ages = how.length, jnp.arange(how.length)

    def memory(params: Any, key: Array) -> Any:
        return jnp.zeros((length, length, *action.shape), jnp.float32), head.memory(params, key)

    def act(params: Any, key: Array, t: Array, memory: Any, obs: Array) -> tuple[Any, Array]:
        plans, inner = memory
        inner, new = head.act(params, key, t, inner, obs)
        plans = jnp.concatenate([new[None], plans[:-1]])  # the chunk of j steps ago at j
        oldest = jnp.minimum(t, length - 1)
        steps = (oldest - ages).astype(jnp.float32)
        weight = jnp.where(ages <= oldest, jnp.exp(-how.ensemble * steps), 0.0)  # type: ignore[operator]
        said = plans[ages, ages]
        mean = jnp.tensordot(weight / jnp.sum(weight), said, axes=1)
        return (plans, inner), mean

    return memory, act
