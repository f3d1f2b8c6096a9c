"""Memory is foreseen: what a rollout or a block will need, against what is free, before anything is computed.

    spaces, episodes, steps, fields --> bytes of the record --> peak --> fits, or TooLarge with what would fit

The physics of a block of lanes is small beside a record: what grows is episodes x steps x fields.
"""

from __future__ import annotations

import pathlib
from typing import TYPE_CHECKING, NamedTuple

import jax

from ilbench.types import Box, Env, Head, Space

if TYPE_CHECKING:
    from ilbench.training.fit import FitConfig

PEAK = 1.6  # peak of a rollout over the size of its record; hopper, 4,096 x 1,000 steps: 1.29 live, up to 1.55 with what malloc keeps
ROWS = 4  # copies of its labelled rows that a training holds: demonstrations, the aggregate, its padding, the device's
SPARE = 0.9  # of what is free may be planned for
# Held against what a process took above its start, pendulum on two devices: dagger, 4 seeds, 20,000 evaluation episodes, 1.09 GiB
# foreseen and 1.13 taken; 20,000 held-out episodes, 4.59 and 4.27; bc, 2 seeds, batches of 100,000, width 256, .68 and .60.
BACKWARD = 1.5  # what a batch leaves in the layers, forward and back, over what it leaves forward
DRAWS = 6  # copies of the rows drawn ahead while they are made
MOMENTS = 8  # copies of the parameters: Adam's, the gradient, half way, and those of the loop
MEASURED = 4  # float64 copies of one seed's `[N, H]` that measures make


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


def foresee_rollout(env: Env, seeds: int, episodes: int, horizon: int, record: tuple[str, ...]) -> None:
    """TooLarge when the record `[S, N, H, ...]` and what making it takes do not fit; says how many episodes would."""
    each = step_bytes(env, record) * horizon * PEAK
    need = each * seeds * episodes
    free = min((size for size in (available(), on_devices()) if size is not None), default=None)
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


class Network(NamedTuple):
    """What a head's parameters say of the memory that it takes."""

    parameters: int
    width: int  # numbers that a row leaves on its way through the layers


def network(head: Head) -> Network:
    """Sizes of a head's parameters of one seed; nothing is computed."""
    leaves = jax.tree.leaves(jax.eval_shape(head.init, jax.random.key(0)))
    return Network(sum(leaf.size for leaf in leaves), sum(leaf.shape[1] for leaf in leaves if leaf.ndim == 2))


def block_bytes(
    env: Env, labels: int, episodes: int, held_out: int, horizon: int, times: int = 1, noise: bool = False
) -> float:
    """Bytes that training on `labels` rows and evaluating its policies take for each seed.

    `times`: rows that the algorithm makes of each label. The scored policy's rollouts stay while another's are made, and under
    `noise` the clean ones as well; the expert's evidence stays, and is copied where the policy is asked about it. What more an
    algorithm keeps is its own; every rollout is checked again when it comes.
    """
    from ilbench.types import COLLECT, EVIDENCE

    rows, evidence = labels * step_bytes(env, COLLECT), horizon * step_bytes(env, EVIDENCE)
    kept = (2 * held_out + (1 + PEAK + noise) * episodes) * evidence
    return max(ROWS * rows * times, rows + kept)


def work_bytes(env: Env, episodes: int, held_out: int, horizon: int, fit: FitConfig, net: Network, lanes: int) -> float:
    """Bytes that are taken beside the seeds' own, however many there are: `lanes` seeds are worked on at a time.

    The batch of a fit and its draws, the head's loss on all of the held-out steps, what measures make of one seed's episodes,
    and the episodes of the references.
    """
    from ilbench.evaluation.references import EPISODES
    from ilbench.training.fit import AHEAD
    from ilbench.types import COLLECT, EVIDENCE

    drawn = fit.updates * fit.batch
    draws = DRAWS * 4 * drawn if drawn <= AHEAD else 0
    batch = fit.batch * (BACKWARD * 4 * net.width + 2 * step_bytes(env, COLLECT))
    fitting = lanes * (draws + batch + MOMENTS * 4 * net.parameters)
    loss = lanes * held_out * horizon * 4 * net.width
    measures = MEASURED * 8 * max(episodes, held_out) * horizon
    references = PEAK * EPISODES * horizon * step_bytes(env, EVIDENCE)
    return max(fitting, loss, measures, references)


def foresee_block(
    label: str,
    env: Env,
    seeds: tuple[int, ...],
    labels: int,
    episodes: int,
    held_out: int,
    horizon: int,
    times: int = 1,
    *,
    noise: bool = False,
    fit: FitConfig | None = None,
    head: Head | None = None,
) -> None:
    """TooLarge when a block's seeds do not fit together; says which would. With `fit` and `head` their work counts too."""
    each, free, work = block_bytes(env, labels, episodes, held_out, horizon, times, noise), available(), 0.0
    if fit is not None and head is not None:
        lanes = min(len(seeds), jax.local_device_count())
        work = work_bytes(env, episodes, held_out, horizon, fit, network(head), lanes)
    need = each * len(seeds) + work
    if free is None or need <= SPARE * free:
        return
    fits = int((SPARE * free - work) // each)
    less = "--set evaluation.episodes=N, --set evaluation.held_out=N"
    if fits > 0:
        way = f"run them in blocks of at most {fits}: --seeds {','.join(map(str, seeds[:fits]))}, then the others"
    elif work > SPARE * free:
        way = f"lower the batch or the network (--set fit.batch=N), or the evaluation ({less})"
    else:
        way = f"lower the budget (--set block.labels=N) or the evaluation ({less})"
    beside = f", {gib(work)} of it however many seeds there are," if work > 0.1 * need else ""
    raise TooLarge(
        f"{label}: {len(seeds)} seeds of {labels:,} labels and {episodes:,} evaluation episodes of {horizon:,} steps need "
        f"about {gib(need)} of memory{beside} and {gib(free)} are free: {way}"
    )
