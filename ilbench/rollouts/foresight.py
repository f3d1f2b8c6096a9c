"""What a rollout will need of memory, against what is free, before anything is computed.

    spaces, episodes, steps, fields --> bytes of the record --> peak --> fits, or TooLarge with what would fit

The physics of a block of lanes is small beside a record: what grows is episodes x steps x fields.
"""

from __future__ import annotations

import math

import jax
import numpy as np

from ilbench.compute import memory, prng
from ilbench.types import Box, Env, Space

PEAK = 1.6  # peak of a rollout over the size of its record; hopper, 4,096 x 1,000 steps: 1.29 live, up to 1.55 with what malloc keeps


def _bytes(space: Space) -> int:
    return space.dim * np.dtype(space.dtype).itemsize if isinstance(space, Box) else 4


def _views(env: Env) -> int:
    def seen() -> object:
        assert env.views is not None
        return env.views(env.params, *env.reset(env.params, prng.key(0)))

    return sum(math.prod(x.shape) * x.dtype.itemsize for x in jax.tree.leaves(jax.eval_shape(seen)))


def step_bytes(env: Env, record: tuple[str, ...]) -> int:
    """Bytes of one step of one episode in a record with these fields."""
    obs, action = _bytes(env.obs), _bytes(env.action)
    size = {
        "obs": obs,
        "action": action,
        "label": action,
        "actor": 4,
        "revealed": 1,
        "error": 4,
        "reward": 4,
        "alive": 1,
        "views": _views(env) if "views" in record and env.views is not None else 0,
    }
    return sum(size.get(name, 0) for name in record)


def foresee_rollout(env: Env, seeds: int, episodes: int, horizon: int, record: tuple[str, ...]) -> None:
    """TooLarge when the record `[S, N, H, ...]` and what making it takes do not fit; says how many episodes would."""
    each = step_bytes(env, record) * horizon * PEAK
    need = each * seeds * episodes
    free = min((size for size in (memory.available(), memory.on_devices()) if size is not None), default=None)
    if free is None or need <= memory.SPARE * free:
        return
    fits = int(memory.SPARE * free // (each * seeds))
    way = (
        f"roll out in blocks of at most {fits:,} episodes a seed, or record fewer fields than {', '.join(record)}"
        if fits
        else "roll out fewer seeds at a time, a shorter horizon, or fewer fields"
    )
    raise memory.TooLarge(
        f"a rollout of {seeds:,} x {episodes:,} episodes of {horizon:,} steps needs about {memory.gib(need)} of memory "
        f"({step_bytes(env, record)} bytes a step, times {PEAK} while it is made), and {memory.gib(free)} are free: {way}"
    )
