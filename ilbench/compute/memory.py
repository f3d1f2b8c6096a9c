"""Memory of this host and its accelerators: what is free, and the refusal of what will not fit.

What a rollout takes is foreseen in ilbench/rollouts/foresight.py, what a block takes in ilbench/running/foresight.py.
"""

from __future__ import annotations

import pathlib

import jax

SPARE = 0.9  # of what is free may be planned for


class TooLarge(ValueError):
    """A rollout or a block whose arrays do not fit into memory."""


def _number(path: pathlib.Path) -> int | None:
    try:
        text = path.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None


def _containers(root: pathlib.Path = pathlib.Path("/sys/fs/cgroup")) -> list[int]:
    """Bytes left under each memory limit (cgroup v2) of this process; cached files can be dropped and count as free."""
    try:
        own = next(x for x in pathlib.Path("/proc/self/cgroup").read_text().splitlines() if x.startswith("0::"))
    except (OSError, StopIteration):
        return []
    here, left = root / own[3:].lstrip("/"), []
    for folder in (here, *here.parents):
        limit, used = _number(folder / "memory.max"), _number(folder / "memory.current")
        if limit is not None and used is not None:
            stat = (folder / "memory.stat").read_text().split()
            cached = sum(int(stat[stat.index(name) + 1]) for name in ("active_file", "inactive_file") if name in stat)
            left.append(limit - used + cached)
        if folder == root:
            break
    return left


def available() -> int | None:
    """Bytes of the host that are free, under the limits of the container; None where the system does not say."""
    try:
        lines = pathlib.Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    free = [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable")]
    return max(0, min(free + _containers())) if free else None


def on_devices() -> int | None:
    """Bytes that are free on this process's accelerators together; None for CPUs, whose memory is the host's."""
    found = [device.memory_stats() or {} for device in jax.local_devices() if device.platform != "cpu"]
    free = [stats["bytes_limit"] - stats.get("bytes_in_use", 0) for stats in found if "bytes_limit" in stats]
    return sum(free) if free else None


def gib(size: float) -> str:
    """`1.5 GiB`."""
    return f"{size / 2**30:,.1f} GiB"
