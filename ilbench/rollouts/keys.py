"""Keys: where randomness comes from. A key depends on (stream, seed, episode) alone; streams are disjoint, folded in by name."""

from __future__ import annotations

import zlib
from typing import Any

import jax
import numpy as np

from ilbench.compute import prng
from ilbench.types import Array

SEEDS = 2**32  # a seed is one word of a key


@jax.jit
def _seed_keys(stream: Array, seeds: Array) -> Array:
    root = jax.random.fold_in(prng.key(0), stream)
    return jax.vmap(lambda seed: jax.random.fold_in(root, seed))(seeds)


def seed_keys(stream: str, seeds: Any) -> Array:
    """Keys `[S]` of a named stream; streams are disjoint, and a key depends on (stream, seed) alone.

    Raises ValueError for a seed outside 0 ... 2**32 - 1.
    """
    given = np.asarray(seeds)
    for seed in (given.min(), given.max()) if given.size else ():
        if not 0 <= seed < SEEDS:
            raise ValueError(f"seeds must lie in 0 ... {SEEDS - 1}, got {seed}")
    return _seed_keys(np.uint32(zlib.crc32(stream.encode())), given.astype(np.uint32))


@jax.jit
def _fold(keys: Array, numbers: Array) -> Array:
    return jax.vmap(lambda key: jax.vmap(lambda n: jax.random.fold_in(key, n))(numbers))(keys)


def episode_keys(stream: str, seeds: Any, episodes: int, first: int = 0) -> Array:
    """Keys `[S, N]` of episodes first ... first+N-1: a key depends on (stream, seed, episode) alone."""
    return _fold(seed_keys(stream, seeds), np.arange(first, first + episodes, dtype=np.uint32))


def generators(keys: Array) -> list[np.random.Generator]:
    """A NumPy generator for each of keys `[S]`: draws on the host, each seed's own."""
    return [np.random.default_rng(np.asarray(jax.random.key_data(key))) for key in keys]


def raw(keys: Array) -> tuple[np.ndarray, Any]:
    """Keys as uint32 `[..., 2]` on the host, where cutting and padding compile nothing, and their generator."""
    return np.asarray(jax.random.key_data(keys)), jax.random.key_impl(keys)
