"""Rounds of takeovers: demonstrate, fit, then (collect under a gate, aggregate, refit) for every round, and what is said of it.

Every round gets its share of the labels that are left, to the last one, as long as its gate opens: where it never does, 64 episodes
for every one's worth of labels are rolled, and what is then unspent stays so, which `driven` = 0 says in the record.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import numpy as np

from ilbench.compute.parallel import per_seed
from ilbench.rollouts.gates import apart
from ilbench.training.lab import Lab
from ilbench.training.ledger import EXPERT
from ilbench.training.rows import concatenate
from ilbench.types import Array, Behaviour, Data, Demos, Head, Policy, PyTree, Space, Task, Trained


@dataclass(frozen=True)
class RoundsConfig:
    """How the labels are spread."""

    rounds: int = 4  # gated collections, each followed by a fit
    demonstrated: float = (
        0.5  # share of the labels that is demonstrated first, before anybody gates (HG-DAgger: half of 20,000)
    )


class Novice(NamedTuple):
    """What is learnt in a round."""

    params: PyTree  # `[S, ...]`, or `[S, members, ...]`
    policy: Policy  # that drives, leaves `[S, 1, ...]`
    losses: Any  # `[S, n]` training loss of the fit
    carried: Any = None  # whatever else the method knows: a classifier, thresholds, `[S, ...]`


Learn = Callable[[Lab, Any, list[Demos], "Novice | None"], Novice]  # (lab, config, parts so far, the last novice)
Gate = Callable[[Lab, Any, Novice], Behaviour]


def check_rounds(name: str, config: Any) -> None:
    """Raises ValueError, as settings of the algorithm `name`, for no rounds and for a share that is none."""
    if config.rounds < 1:
        raise ValueError(f"{name}.rounds must be at least 1, got {config.rounds}; without a round it is bc")
    if not 0 < config.demonstrated < 1:
        raise ValueError(
            f"{name}.demonstrated is a share of the labels and must lie between 0 and 1, got {config.demonstrated}"
        )


def check_labels(name: str, budget: int, task: Task, config: Any) -> None:
    """Raises ValueError for a budget that makes no episode of demonstrations, or no label a round."""
    first = int(config.demonstrated * budget)
    if first < task.horizon or budget - first < config.rounds:
        raise ValueError(
            f"{name}: of {budget} labels {first} are demonstrated, {budget - first} are for {config.rounds} rounds; {task.name} needs "
            f"an episode of {task.horizon} first, and a label a round: raise the budget, or change {name}.demonstrated or {name}.rounds"
        )


def in_rounds(lab: Lab, config: Any, learn: Learn, gate: Gate, record: tuple[str, ...] = ()) -> tuple[Novice, Trained]:
    """The last novice, and what an algorithm returns; `record` names fields of Demos that `learn` reads beside COLLECT.

    Reported are `driven`, the share of gated steps at which the expert drove, by round and over all, and the mean length of its
    takeovers in steps; how many there were the ledger counts.
    """
    parts = [lab.demonstrate(labels=int(config.demonstrated * lab.budget), record=record)]
    novice, shares, losses = learn(lab, config, parts, None), [], []
    for left in range(config.rounds, 0, -1):
        parts.append(
            lab.collect(
                labels=lab.remaining // left, behaviour=gate(lab, config, novice), policy=novice.policy, record=record
            )
        )
        shares.append(driven(parts[-1:]))
        losses.append(novice.losses)
        novice = learn(lab, config, parts, novice)
    ledger = lab.ledger
    length = np.divide(
        ledger.takeover_steps, ledger.takeovers, out=np.full(len(lab.seeds), np.nan), where=ledger.takeovers > 0
    )
    curve = {"loss": novice.losses, "driven": np.stack(shares, axis=1)}
    return novice, Trained(
        {"last": novice.policy}, "last", curve, {"driven": driven(parts[1:]), "takeover_length": length}
    )


def driven(parts: Sequence[Demos]) -> np.ndarray:
    """Share of the live steps at which the expert drove, `[S]`."""
    acts = sum(((np.asarray(d.actor) == EXPERT) & d.alive).sum((1, 2)) for d in parts)
    return np.asarray(acts / np.maximum(sum(np.asarray(d.alive).sum((1, 2)) for d in parts), 1))


def labelled(lab: Lab, parts: Sequence[Demos]) -> Data:
    """All labels so far, rows `[S, budget, ...]` in the order in which they were bought."""
    return lab.rows(concatenate(parts), lab.budget)


def _answer(shared: Any, item: Any, *, head: Head) -> Array:
    params, key, t, obs = item

    def one(key: Array, t: Array, obs: Array) -> Array:
        return head.act(params, key, t, head.memory(params, key), obs)[1]

    return jax.vmap(one)(jax.random.split(key, t.shape[0]), t, obs)


def answers(head: Head, params: PyTree, keys: Array, t: Any, obs: Any) -> Any:
    """What a head without memory does at rows: steps `[S, R]`, observations `[S, R, *obs]` -> actions `[S, R, *action]`."""
    return per_seed(_answer, head=head)((), (params, keys, t, obs))


def misses(lab: Lab, head: Head, params: PyTree, data: Data, space: Space) -> np.ndarray:
    """How far the learner is from the label on rows, `[S, R]`, as `gates.apart` measures it; 0 where there is no row."""
    done = answers(head, params, lab.keys("answers"), data.t, data.obs)
    return np.where(np.asarray(data.weight) > 0, apart(space, done, np.asarray(data.action), np), 0).astype(np.float32)
