"""The generator behind every key: Threefry-2x32, bit for bit as `jax.random.key`, with its rounds written out.

JAX lowers Threefry to a loop on CPU, so every draw becomes several small kernels inside a rollout's scan. Written
out it fuses with its consumer: rollouts of small envs compile about twice as fast and run about half as fast again.
Keys made here work with every `jax.random` function.
Paper: Salmon et al. 2011, Parallel random numbers: as easy as 1, 2, 3, https://doi.org/10.1145/2063384.2063405
"""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.random import define_prng_impl

from ilbench.types import Array

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = 0x1BD11BDA
_DTYPES = {8: jnp.uint8, 16: jnp.uint16, 32: jnp.uint32, 64: jnp.uint64}


@jax.jit  # its 100 operations are traced once for a shape, not once for a draw; the compiler inlines the call
def _hash(key: Array, high: Array, low: Array) -> tuple[Array, Array]:
    """20 rounds on counters `high`, `low [...]` under `key [2]` uint32."""
    schedule = (key[0], key[1], key[0] ^ key[1] ^ jnp.uint32(_PARITY))
    x, y = high + schedule[0], low + schedule[1]
    for block in range(5):
        for rotation in _ROTATIONS[block % 2]:
            x = x + y
            y = x ^ ((y << jnp.uint32(rotation)) | (y >> jnp.uint32(32 - rotation)))
        x = x + schedule[(block + 1) % 3]
        y = y + schedule[(block + 2) % 3] + jnp.uint32(block + 1)
    return x, y


def _counters(shape: tuple[int, ...]) -> tuple[Array, Array]:
    size = math.prod(shape)
    if size >= 2**32:
        raise ValueError(f"at most 2^32 - 1 numbers in one draw, got shape {shape}")
    return jnp.zeros(shape, jnp.uint32), jnp.arange(size, dtype=jnp.uint32).reshape(shape)


def _seed(seed: Array) -> Array:
    if seed.dtype.itemsize > 4:
        return jnp.stack([(seed >> 32).astype(jnp.uint32), (seed & 0xFFFFFFFF).astype(jnp.uint32)])
    return jnp.stack([jnp.zeros((), jnp.uint32), jax.lax.convert_element_type(seed, jnp.uint32)])


def _split(key: Array, shape: tuple[int, ...]) -> Array:
    return jnp.stack(_hash(key, *_counters(shape)), axis=-1)


def _random_bits(key: Array, bit_width: int, shape: tuple[int, ...]) -> Array:
    high, low = _hash(key, *_counters(shape))
    if bit_width == 64:
        return (high.astype(jnp.uint64) << jnp.uint64(32)) | low.astype(jnp.uint64)
    return (high ^ low).astype(_DTYPES[bit_width])


def _fold_in(key: Array, data: Any) -> Array:
    return jnp.stack(_hash(key, jnp.zeros((), jnp.uint32), jnp.asarray(data, jnp.uint32)))


IMPL = define_prng_impl(
    key_shape=(2,),
    seed=_seed,
    split=_split,
    random_bits=_random_bits,
    fold_in=_fold_in,
    name="threefry2x32u",
    tag="fru",
)


def key(seed: int) -> Array:
    """A typed key `[]` for an integer seed."""
    return jax.random.key(seed, impl=IMPL)


def builtin(key: Array) -> Array:
    """The same key for JAX's own generator, which gives the same bits in one operation.

    For programs that draw many arrays: with the rounds written out, jaxlib 0.12 took more than seven minutes to compile a reinforcement-
    learning loop that takes 20 s with these.
    """
    return jax.random.wrap_key_data(jax.random.key_data(key), impl="threefry2x32")


def uniforms(key: Array, count: int) -> list[Array]:
    """`count` independent uniform numbers in (0, 1) `[]` float32, two to a hash: what a scan on CPU draws fastest.

    Each is an odd multiple of 2^-24, so that neither 0 nor 1 comes out.
    """
    data, zero = jax.random.key_data(key), jnp.zeros((), jnp.uint32)
    words = [word for i in range((count + 1) // 2) for word in _hash(data, zero, jnp.uint32(i))]
    return [
        ((word >> jnp.uint32(9)).astype(jnp.float32) + jnp.float32(0.5)) * jnp.float32(2**-23) for word in words[:count]
    ]
