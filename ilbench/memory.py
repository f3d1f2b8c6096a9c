"""Memory is foreseen: what a rollout or a block will need, against what is free, before anything is computed.

    spaces, episodes, steps, fields --> bytes of the record --> peak --> fits, or TooLarge with what would fit

The physics of a block of lanes is small beside a record: what grows is episodes x steps x fields.
"""

from __future__ import annotations

import pathlib

import jax

from ilbench.types import Box, Env, Space

PEAK = 1.5  # peak of a rollout over the size of its record; hopper, 4,096 x 1,000 steps with all fields: 1.44
ROWS = 4  # copies of its labelled rows that a training holds: demonstrations, the aggregate, its padding, the device's
SPARE = 0.9  # of what is free may be planned for


class TooLarge(ValueError):
    """A rollout or a block whose arrays do not fit into memory."""


def _width(space: Space) -> int:
    return space.dim if isinstance(space, Box) else 1


def step_bytes(env: Env, record: tuple[str, ...]) -> int:
    """Bytes of one step of one episode in a record with these fields."""
    obs, action = 4 * _width(env.obs), 4 * _width(env.action)
    size = {
        "obs": obs,
        "action": action,
        "label": action,
        "actor": 4,
        "revealed": 1,
        "error": 4,
        "reward": 4,
        "alive": 1,
    }
    return sum(size.get(name, 0) for name in record)


def _read(path: str) -> int | None:
    try:
        text = pathlib.Path(path).read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None


def available() -> int | None:
    """Bytes that are free on all devices together, limits of the container included; None where nobody says."""
    devices = jax.devices()
    if devices[0].platform != "cpu":
        found = [device.memory_stats() or {} for device in devices]
        free = [s["bytes_limit"] - s.get("bytes_in_use", 0) for s in found if "bytes_limit" in s]
        return sum(free) if len(free) == len(devices) else None
    try:
        lines = pathlib.Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    free = [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable")]
    for limit, used in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        bound, now = _read(f"/sys/fs/cgroup/{limit}"), _read(f"/sys/fs/cgroup/{used}")
        if bound is not None and now is not None:
            free.append(bound - now)
    return max(0, min(free)) if free else None


def gib(size: float) -> str:
    """`1.5 GiB`."""
    return f"{size / 2**30:,.1f} GiB"


def foresee_rollout(env: Env, seeds: int, episodes: int, horizon: int, record: tuple[str, ...]) -> None:
    """TooLarge when the record `[S, N, H, ...]` and what making it takes do not fit; says how many episodes would."""
    each = step_bytes(env, record) * horizon * PEAK
    need, free = each * seeds * episodes, available()
    if free is None or need <= SPARE * free:
        return
    fits = int(SPARE * free // (each * seeds))
    way = (
        f"roll out in blocks of at most {fits:,} episodes a seed, or record fewer fields than {', '.join(record)}"
        if fits
        else "roll out fewer seeds at a time, a shorter horizon, or fewer fields"
    )
    raise TooLarge(
        f"a rollout of {seeds:,} x {episodes:,} episodes of {horizon:,} steps needs about {gib(need)} of memory "
        f"({step_bytes(env, record)} bytes a step, times {PEAK} while it is made), and {gib(free)} are free: {way}"
    )


def block_bytes(env: Env, labels: int, episodes: int, held_out: int, horizon: int) -> float:
    """Bytes that training on `labels` rows and an evaluation take for one seed."""
    from ilbench.rollout import COLLECT, EVIDENCE

    rows = labels * step_bytes(env, COLLECT)
    kept = (held_out + episodes * PEAK) * horizon * step_bytes(env, EVIDENCE)  # the expert's evidence stays
    return max(ROWS * rows, rows + kept)


def foresee_block(label: str, env: Env, seeds: int, labels: int, episodes: int, held_out: int, horizon: int) -> None:
    """TooLarge when a block's seeds do not fit together; says how many would."""
    each, free = block_bytes(env, labels, episodes, held_out, horizon), available()
    need = each * seeds
    if free is None or need <= SPARE * free:
        return
    fits = int(SPARE * free // each)
    way = (
        f"run its seeds in blocks of at most {fits} (--seeds 0-{fits - 1}, then the next)"
        if fits
        else "lower the budget (--set block.labels=N) or the evaluation (--set evaluation.episodes=N)"
    )
    raise TooLarge(
        f"{label}: {seeds} seeds of {labels:,} labels and {episodes:,} evaluation episodes of {horizon:,} steps need about "
        f"{gib(need)} of memory, and {gib(free)} are free: {way}"
    )
