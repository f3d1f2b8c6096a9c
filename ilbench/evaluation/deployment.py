"""0-1 deployment as an evaluation: how many mistakes a learner makes on its own for one on the expert's states, at a chosen eps.

    expert, calibration keys --> replay the learner --> delta [S], at which it errs at a share eps of the expert's steps
    expert, evaluation keys  --> replay the learner --> eps_t, apart from what chose delta
    snapped, evaluation keys                        --> its mistakes, and its steps after a fall
    one mistake or one push from a drawn step on    --> what a mistake costs, against the same episode without it

All of them run in one program with numbers of its own, so that episodes of the same key are one until the first mistake.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ilbench.evaluation.coupling import random_expert
from ilbench.evaluation.evidence import Branched, Protocol, Snapped, held_out_errors
from ilbench.rollouts.erring import SOMEWHERE, erring
from ilbench.rollouts.keys import episode_keys
from ilbench.rollouts.rollout import rollout
from ilbench.types import Behaviour, Box, Demos, Policy, Task

if TYPE_CHECKING:
    from ilbench.evaluation.evaluate import Session

MISTAKES = 30  # expected in calibration, at least: below that the order statistic says little
FIELDS = ("obs", "label", "error", "reward", "alive")  # of every rollout here, lest there be two programs


def unfit(task: Task) -> str | None:
    """Why a task has no 0-1 deployment of its own, or None."""
    if not isinstance(task.env.action, Box):
        return "actions are discrete, so that a mistake is one as it stands: 0-1 deployment is the identity, and its cost is `cost`"
    if task.expert is None:
        return "there is no expert to ask at every step, only recorded demonstrations"
    if random_expert(task):
        return "the expert draws its actions: two draws of it differ, and no tolerance tells a mistake"
    return None


def check(task: Task, protocol: Protocol) -> None:
    """Raises ValueError, before any compute, where snapping is asked for and cannot be, or no target can be resolved."""
    if not protocol.snap:
        return
    if reason := unfit(task):
        raise ValueError(f"evaluation.snap on {task.name}: {reason}")
    for eps in protocol.snap:
        if eps * protocol.calibration * task.horizon < MISTAKES * (1 - 1e-9):
            needed = math.ceil(MISTAKES / (eps * task.horizon) - 1e-9)
            raise ValueError(
                f"evaluation.snap={eps:g} on {task.name}: {protocol.calibration} calibration episodes of {task.horizon} steps hold "
                f"{eps * protocol.calibration * task.horizon:.3g} expected mistakes, and {MISTAKES} are needed: "
                f"--set evaluation.calibration={needed}, or a larger target"
            )


def tolerances(error: np.ndarray, alive: np.ndarray, eps: float) -> np.ndarray:
    """The delta `[S]` that a share `eps` of all steps exceeds, alive and of an error above it: an order statistic of `[S, N, H]`."""
    found = []
    for e, live in zip(error, alive, strict=True):
        rank = int(eps * e.size)  # so many errors are larger
        sizes = np.sort(e[live])[::-1]
        found.append(sizes[rank] if rank < len(sizes) else 0.0)
    return np.asarray(found, np.float32)


def _roll(task: Task, policy: Policy, behaviour: Behaviour, seeds: tuple[int, ...], episodes: int, stream: str) -> Demos:
    keys = episode_keys(f"{stream}/{task.name}", seeds, episodes)
    return rollout(
        task.env, task.expert, policy, behaviour, keys, horizon=task.horizon, record=FIELDS, block=task.block, seeds=seeds
    )


def _lean(demos: Demos) -> Demos:
    """Without what was recorded for the program's sake."""
    return demos._replace(obs=None, label=None)


def deploy(
    task: Task, policy: Policy, protocol: Protocol, seeds: tuple[int, ...], beside: Policy, cache: Session
) -> list[dict[str, Any]]:
    """What the deployment adds to the Evidence of each seed: `snapped`, one for each target, and `branches`.

    `policy` has leaves `[S, M, ...]`; `beside` is a policy of its kind, whose programs the expert's own episodes share.
    """
    space, H, n = task.env.action, task.horizon, len(seeds)
    assert isinstance(space, Box)
    kind = (beside.init, beside.act, seeds)
    never = np.full(n, np.inf)

    def expert(stream: str, episodes: int) -> Demos:
        def make() -> Demos:
            return _roll(task, beside, erring(space, H, never), seeds, episodes, stream)

        return cache.once(cache.expert, (stream, episodes, *kind), make)

    def pushed() -> Demos:
        push = erring(space, H, never, first=SOMEWHERE, push=protocol.push)
        return _lean(_roll(task, beside, push, seeds, protocol.episodes, "evaluation"))

    calibration, straight = expert("calibration", protocol.calibration), expert("evaluation", protocol.episodes)
    sizes = held_out_errors(task, policy, seeds, calibration)
    deltas = [tolerances(sizes, np.asarray(calibration.alive), eps) for eps in protocol.snap]
    asked = held_out_errors(task, policy, seeds, straight)
    alone = [_lean(_roll(task, policy, erring(space, H, d), seeds, protocol.episodes, "evaluation")) for d in deltas]
    once = erring(space, H, deltas[0], most=1, first=SOMEWHERE)
    branches = {"own": _lean(_roll(task, policy, once, seeds, protocol.episodes, "evaluation"))}
    if protocol.push:
        branches["push"] = cache.once(cache.expert, ("push", protocol.push, protocol.episodes, *kind), pushed)
    return [
        {
            "snapped": tuple(
                Snapped(eps, float(d[s]), asked[s], straight.alive[s], demos.error[s], demos.alive[s])
                for eps, d, demos in zip(protocol.snap, deltas, alone, strict=True)
            ),
            "branches": {
                name: Branched(b.error[s], b.alive[s], b.reward[s], straight.alive[s], straight.reward[s])
                for name, b in branches.items()
            },
        }
        for s in range(n)
    ]

