"""Rows: what is fitted, cut out of what a rollout returned; windows of observations and chunks of actions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from ilbench.types import Data, Demos


def rows(demos: Demos, capacity: int | None = None, window: tuple[int, int] = (1, 1)) -> Data:
    """Labelled rows of Demos: `[S, N*H, ...]`, with weight 0 where no label was revealed.

    With `capacity`: `[S, capacity, ...]`, the labelled rows first, in (episode, step) order, so that a growing data set has
    one shape. Under a `window` (K, L) a row holds K observations and L labels, see Data. Raises ValueError for more labels than
    the capacity and for a window longer than an episode.
    """
    obs, label, revealed = demos.obs, demos.label, demos.revealed
    assert obs is not None
    assert label is not None
    assert revealed is not None
    seeds, count, horizon = revealed.shape
    t = np.broadcast_to(np.arange(horizon, dtype=np.int32), (seeds, count, horizon))
    valid = None
    if window != (1, 1):
        obs, label, valid = _windows(np.asarray(obs), np.asarray(label), np.asarray(revealed), window)

    def flat(x: Any) -> Any:
        return np.asarray(x).reshape(seeds, count * horizon, *np.shape(x)[3:])

    data = Data(flat(t).copy(), flat(obs), flat(label), flat(revealed).astype(np.float32))
    data = data if valid is None else data._replace(valid=flat(valid))
    return data if capacity is None else compact(data, capacity)


def _windows(obs: np.ndarray, label: np.ndarray, had: np.ndarray, window: tuple[int, int]) -> tuple[Any, Any, Any]:
    """`[S, N, H, K, *obs]` up to each step, `[S, N, H, L, *action]` from it on, and which of the latter there are.

    Before the first step the first observation is repeated. Labels are those of steps in a row: where one is missing, the last
    one before it is repeated, for a plan that is not known further is held.
    """
    (back, ahead), horizon = window, had.shape[2]
    if max(window) > horizon:
        raise ValueError(f"a window of {back} observations and {ahead} actions is longer than an episode of {horizon} steps")
    steps = np.arange(horizon)
    past = np.maximum(steps[:, None] - np.arange(back - 1, -1, -1), 0)
    after = steps[:, None] + np.arange(ahead)
    there = (after < horizon) & had[:, :, np.minimum(after, horizon - 1)]
    valid = np.logical_and.accumulate(there, axis=-1)
    reach = steps + np.maximum(valid.sum(-1) - 1, 0)  # the last step of each row's run of labels
    index = np.minimum(after, reach[..., None])
    seeds, episodes = np.arange(len(had))[:, None, None, None], np.arange(had.shape[1])[:, None, None]
    seen, done = obs, label
    if back > 1:
        seen = obs[:, :, past]
    if ahead > 1:
        done = label[seeds, episodes, index]
    return seen, done, valid.astype(np.float32)


def compact(data: Any, capacity: int, weight: Any = None) -> Any:
    """A NamedTuple of rows `[S, R, ...]` with those of positive `weight` (its own) first, in order, cut or filled to `capacity`.

    Rows beyond are zero. Raises ValueError for a seed with more than `capacity` of them.
    """
    exists = np.asarray(data.weight if weight is None else weight) > 0
    most = int(exists.sum(1).max(initial=0))
    if most > capacity:
        raise ValueError(f"{most} rows of one seed do not fit into {capacity}")

    def first(x: Any) -> np.ndarray:
        x = np.asarray(x)
        out = np.zeros((len(exists), capacity, *x.shape[2:]), x.dtype)
        for into, one, mask in zip(out, x, exists, strict=True):
            into[: mask.sum()] = one[mask]
        return out

    return jax.tree.map(first, data)


def concatenate(parts: Sequence[Any]) -> Any:
    """Demos of several collections along the episode axis, or Data of several along the row axis."""
    return jax.tree.map(lambda *leaves: np.concatenate([np.asarray(x) for x in leaves], axis=1), *parts)
