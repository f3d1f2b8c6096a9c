"""What training and evaluating a block will need of memory, against what is free, before anything is computed."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import NamedTuple

import jax

from ilbench.compute import memory
from ilbench.evaluation import references
from ilbench.rollouts.foresight import PEAK, step_bytes
from ilbench.training import fit as fitting
from ilbench.training.fit import FitConfig
from ilbench.types import COLLECT, EVIDENCE, Env, Head

ROWS = 4  # copies of its labelled rows that a training holds: demonstrations, the aggregate, its padding, the device's
# Held against what a process took above its start, pendulum on two devices: dagger, 4 seeds, 20,000 evaluation episodes, 1.09 GiB
# foreseen and 1.13 taken; 20,000 held-out episodes, 4.59 and 4.27; bc, 2 seeds, batches of 100,000, width 256, .68 and .60.
BACKWARD = 1.5  # what a batch leaves in the layers, forward and back, over what it leaves forward
DRAWS = 6  # copies of the rows drawn ahead while they are made
MOMENTS = 8  # copies of the parameters: Adam's, the gradient, half way, and those of the loop
MEASURED = 4  # float64 copies of one seed's `[N, H]` that measures make
PROCESS = 2**30  # what another process takes by itself: Python, JAX and programs; .3 GiB on chains, 1.0 on hopper


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
    rows, evidence = labels * step_bytes(env, COLLECT), horizon * step_bytes(env, EVIDENCE)
    kept = (2 * held_out + (1 + PEAK + noise) * episodes) * evidence
    return max(ROWS * rows * times, rows + kept)


def work_bytes(env: Env, episodes: int, held_out: int, horizon: int, fit: FitConfig, net: Network, lanes: int) -> float:
    """Bytes that are taken beside the seeds' own, however many there are: `lanes` seeds are worked on at a time.

    The batch of a fit and its draws, the head's loss on all of the held-out steps, what measures make of one seed's episodes,
    and the episodes of the references.
    """
    drawn = fit.updates * fit.batch
    draws = DRAWS * 4 * drawn if drawn <= fitting.AHEAD else 0
    batch = fit.batch * (BACKWARD * 4 * net.width + 2 * step_bytes(env, COLLECT))
    trained = lanes * (draws + batch + MOMENTS * 4 * net.parameters)
    loss = lanes * held_out * horizon * 4 * net.width
    measures = MEASURED * 8 * max(episodes, held_out) * horizon
    scored = PEAK * references.EPISODES * horizon * step_bytes(env, EVIDENCE)
    return max(trained, loss, measures, scored)


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
) -> float:
    """Bytes that a block's seeds need together; TooLarge when they do not fit, with which would.

    With `fit` and `head` their work counts too.
    """
    each, free, work = block_bytes(env, labels, episodes, held_out, horizon, times, noise), memory.available(), 0.0
    if fit is not None and head is not None:
        lanes = min(len(seeds), jax.local_device_count())
        work = work_bytes(env, episodes, held_out, horizon, fit, network(head), lanes)
    need = each * len(seeds) + work
    if free is None or need <= memory.SPARE * free:
        return need
    fits = int((memory.SPARE * free - work) // each)
    less = "--set evaluation.episodes=N, --set evaluation.held_out=N"
    if fits > 0:
        way = f"run them in blocks of at most {fits}: --seeds {','.join(map(str, seeds[:fits]))}, then the others"
    elif work > memory.SPARE * free:
        way = f"lower the batch or the network (--set fit.batch=N), or the evaluation ({less})"
    else:
        way = f"lower the budget (--set block.budget=N) or the evaluation ({less})"
    beside = f", {memory.gib(work)} of it however many seeds there are," if work > 0.1 * need else ""
    raise memory.TooLarge(
        f"{label}: {len(seeds)} seeds of {labels:,} labels and {episodes:,} evaluation episodes of {horizon:,} steps need "
        f"about {memory.gib(need)} of memory{beside} and {memory.gib(free)} are free: {way}"
    )


def at_once(needs: Iterable[float], wanted: int) -> int:
    """How many of the blocks that need so many bytes can run side by side, each in its own process: at most `wanted`, at least 1.

    Any of them may come together, so that the largest count.
    """
    largest, free = sorted(needs, reverse=True)[:wanted], memory.available()
    if free is None:
        return max(1, len(largest))
    together = itertools.accumulate(need + PROCESS for need in largest)
    return max(1, sum(size <= memory.SPARE * free for size in together))
