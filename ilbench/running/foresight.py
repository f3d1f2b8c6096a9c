"""What training and evaluating a block will need of memory, against what is free, before anything is computed."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, NamedTuple

import jax

from ilbench.compute import memory, programs
from ilbench.evaluation import references
from ilbench.rollouts.foresight import PEAK, step_bytes
from ilbench.rollouts.replay import BLOCK
from ilbench.rollouts.rollout import chunks_of
from ilbench.running.execute import LOSS_ROWS
from ilbench.training import fit as fitting
from ilbench.training import shapes
from ilbench.training.fit import FitConfig
from ilbench.types import COLLECT, EVIDENCE, Env, Head, Space

ROWS = 4  # copies of its labelled rows that a training holds: demonstrations, the aggregate, its padding, the device's
# Held against what a process took above its start, pendulum on two devices: dagger, 4 seeds, 20,000 evaluation episodes, 1.09 GiB
# foreseen and 1.13 taken; 20,000 held-out episodes, 1.37 and 1.26; bc, 2 seeds, batches of 100,000, width 256, .68 and .60.
# Energy on scalar_stable, two devices: 4,096 negatives, 2.02 GiB foreseen and 2.01 taken; 2,048 candidates, .25 and .24.
BACKWARD = 1.5  # what a batch leaves in the layers, forward and back, over what it leaves forward
DRAWS = 6  # copies of the rows drawn ahead while they are made
MOMENTS = 8  # copies of the parameters: Adam's, the gradient, half way, and those of the loop
MEASURED = 4  # float64 copies of one seed's `[N, H]` that measures make
PROCESS = 2**30  # what another process takes by itself: Python, JAX and programs; .3 GiB on chains, 1.0 on hopper


class Network(NamedTuple):
    """What a head's functions say of the memory that it takes."""

    parameters: int
    width: int  # numbers that a row leaves on its way through the loss
    acting: int  # and one action, of those that an episode takes


def _left(jaxpr: Any, kept: bool) -> int:
    """Numbers that the products and convolutions of a program leave: of every turn of every loop where they are `kept` for a gradient,
    else the most of what it does one after the other."""
    own, inner = 0, [0]
    for eqn in jaxpr.eqns:
        if eqn.primitive.name in ("dot_general", "conv_general_dilated"):
            own += math.prod(eqn.outvars[0].aval.shape)
        inner += [_left(one, kept) * (eqn.params.get("length", 1) if kept else 1) for one in programs.inner(eqn)]
    return own + sum(inner) if kept else max(own, *inner)


@lru_cache(maxsize=512)
def network(head: Head, obs: Space, action: Space) -> Network:
    """Sizes of a head's parameters of one seed, and of what its loss and its action leave; nothing is computed."""
    params, key = jax.eval_shape(head.init, jax.random.key(0)), shapes.key()
    memory, seen = jax.eval_shape(head.memory, params, key), shapes.one(obs)
    leaves = jax.tree.leaves(params)
    lost = _left(jax.make_jaxpr(head.loss)(params, key, shapes.row_of(head, obs, action)).jaxpr, True)
    acted = _left(jax.make_jaxpr(head.act)(params, key, shapes.STEP, memory, seen).jaxpr, False)
    layers = sum(leaf.shape[1] for leaf in leaves if leaf.ndim == 2)
    return Network(sum(leaf.size for leaf in leaves), max(layers, lost), acted)


def block_bytes(
    env: Env, labels: int, episodes: int, held_out: int, horizon: int, times: int = 1, noise: bool = False
) -> float:
    """Bytes that training on `labels` rows and evaluating its policies take for each seed.

    `times`: rows that the algorithm makes of each label. The scored policy's rollouts stay while another's are made, and under
    `noise` the clean ones as well; the expert's evidence stays, and is copied where the policy is asked about it. What more an
    algorithm keeps is its own; every rollout is checked again when it comes.
    """
    rows, evidence = labels * step_bytes(env, COLLECT), horizon * step_bytes(env, EVIDENCE)
    asked = held_out * horizon * step_bytes(env, COLLECT)  # the expert's steps as rows, for the head's loss on them
    kept = (2 * held_out + (1 + PEAK + noise) * episodes) * evidence + asked
    return max(ROWS * rows * times, rows + kept)


def work_bytes(
    env: Env, episodes: int, held_out: int, horizon: int, fit: FitConfig, net: Network, lanes: int, block: int
) -> dict[str, float]:
    """Bytes by what they are for, of which the largest is taken beside the seeds' own, however many these are.

    `lanes` seeds are worked on at a time: the batch of a fit and its draws, the head's loss on held-out steps; the actions of a `block` of
    episodes, or of the expert's that are replayed; what measures make of one seed's episodes, and the episodes of the references.
    """
    drawn = fit.updates * fit.batch
    draws = DRAWS * 4 * drawn if drawn <= fitting.AHEAD else 0
    batch = fit.batch * (BACKWARD * 4 * net.width + 2 * step_bytes(env, COLLECT))
    together = min(held_out * horizon, fitting.TOGETHER if jax.default_backend() == "cpu" else LOSS_ROWS)
    return {
        "fit": lanes * (draws + batch + MOMENTS * 4 * net.parameters),
        "loss": lanes * together * 4 * net.width,
        "acting": lanes * max(block, BLOCK * chunks_of(held_out)[0]) * 4 * net.acting,
        "measures": MEASURED * 8 * max(episodes, held_out) * horizon,
        "references": PEAK * references.EPISODES * horizon * step_bytes(env, EVIDENCE),
    }


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
    block: int = 128,
) -> float:
    """Bytes that a block's seeds need together; TooLarge when they do not fit, with which would.

    With `fit` and `head` their work counts too.
    """
    each, free = block_bytes(env, labels, episodes, held_out, horizon, times, noise), memory.available()
    works: dict[str, float] = {}
    if fit is not None and head is not None:
        lanes, net = min(len(seeds), jax.local_device_count()), network(head, env.obs, env.action)
        works = work_bytes(env, episodes, held_out, horizon, fit, net, lanes, block)
    work = max(works.values(), default=0.0)
    need = each * len(seeds) + work
    if free is None or need <= memory.SPARE * free:
        return need
    fits = int((memory.SPARE * free - work) // each)
    less = "--set evaluation.episodes=N, --set evaluation.held_out=N"
    if fits > 0:
        way = f"run them in blocks of at most {fits}: --seeds {','.join(map(str, seeds[:fits]))}, then the others"
    elif work > memory.SPARE * free and work == works.get("acting"):
        way = f"lower what the head tries for an action, by its own settings: one action leaves {net.acting:,} numbers"
    elif work > memory.SPARE * free:
        left = f"a row leaves {net.width:,} numbers in its loss"
        way = f"lower the batch or the head's own settings (--set fit.batch=N; {left}), or the evaluation ({less})"
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
