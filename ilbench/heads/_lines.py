"""What heads on a straight line from noise to an action share: steps along a velocity, and what is known held on its line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from ilbench.heads._conditional import scaled, unscaled
from ilbench.types import Array

Held = Callable[[Array, Array], Array]  # (y [A], time []) -> y [A], before a step
Made = Callable[[Array, Held], Array]  # (z [A], held) -> y [A]


def euler(velocity: Callable[[Array, Array], Array], z: Array, steps: int, held: Held) -> Array:
    """Where `velocity(y [A], time []) -> [A]` carries `z [A]` from time 0 to 1; `held(y, time)` comes before every step."""

    def step(i: Any, y: Array) -> Array:
        time = jnp.float32(i) / steps
        y = held(y, time)
        return y + velocity(y, time) / steps

    return jax.lax.fori_loop(0, steps, step, z)


def free(y: Array, time: Array) -> Array:
    """Nothing is known."""
    return y


def completed(params: Any, z: Array, prefix: Array, known: Array, made: Made, shape: tuple[int, ...]) -> Array:
    """A chunk `[L, *action]` of which `known [L]` is `prefix [L, *action]`: that is held on its line from noise, the rest flows beside."""
    fixed, mask = scaled(params, prefix), jnp.repeat(known, z.shape[0] // known.shape[0])
    y = made(z, lambda y, time: mask * ((1 - time) * z + time * fixed) + (1 - mask) * y)
    return unscaled(params, mask * fixed + (1 - mask) * y, shape)
