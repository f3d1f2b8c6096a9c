"""What labels cost: which of an expert's actions were had, what a seed did not pay for, and the sums so far."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from ilbench.types import Demos

EXPERT = 1  # Choice.actor
SPENT = ("labels", "env_steps", "takeovers", "takeover_steps", "switches")


class BudgetExceeded(ValueError):
    """An algorithm asked for more expert labels than its budget."""


@dataclass
class Ledger:
    """What training cost so far, per seed `[S]`."""

    labels: np.ndarray  # expert actions shown or executed on live steps, demonstrations and validation included
    env_steps: np.ndarray  # live env steps
    takeovers: np.ndarray  # times that the expert took over from the learner within an episode
    takeover_steps: np.ndarray  # live steps that the expert then acted, until it handed back or the episode ended
    switches: np.ndarray  # changes of who acts, in either direction
    gradient_steps: int = 0
    model_steps: int = 0  # of whatever else is trained: dynamics, critics


def spent(demos: Demos) -> dict[str, np.ndarray]:
    """What a rollout cost, numbers `[S]` by the names of SPENT.

    A step is one of a takeover once the learner has acted in the episode: what the expert began itself is none.
    """
    alive = np.asarray(demos.alive)
    acts = (np.asarray(demos.actor) == EXPERT) & alive
    both = alive[:, :, 1:] & alive[:, :, :-1]
    began = acts[:, :, 1:] & ~acts[:, :, :-1] & both
    learner = np.cumsum(alive & ~acts, axis=2) > 0
    return {
        "labels": charged(demos).sum((1, 2)),
        "env_steps": alive.sum((1, 2)),
        "takeovers": began.sum((1, 2)),
        "takeover_steps": (acts & learner).sum((1, 2)),
        "switches": ((acts[:, :, 1:] != acts[:, :, :-1]) & both).sum((1, 2)),
    }


def charged(demos: Demos) -> np.ndarray:
    """Where an expert's action was had, `[S, N, H]` bool: shown as a label, or executed, on a live step."""
    return (np.asarray(demos.revealed) | (np.asarray(demos.actor) == EXPERT)) & np.asarray(demos.alive)


def within(demos: Demos, limit: Any) -> Demos:
    """Demos of which every seed has at most `limit [S]` charged actions, the first ones in (episode, step) order.

    What comes after a seed's last one it never had.
    """
    paid = charged(demos)
    seeds = len(paid)
    spent = np.cumsum(paid.reshape(seeds, -1), axis=1, dtype=np.int64).reshape(paid.shape)
    had = np.broadcast_to(np.asarray(limit), (seeds,))[:, None, None]
    return cut(demos, (spent < had) | (paid & (spent == had)))


def hidden(demos: Demos) -> Demos:
    """Demos without what would tell an expert's action that nobody was charged for: its law is zero there, the error NaN."""
    if demos.dist is None and demos.error is None:
        return demos
    had = charged(demos)

    def where(x: Any, otherwise: float) -> np.ndarray:
        array = np.asarray(x)
        return np.where(had.reshape(*had.shape, *[1] * (array.ndim - 3)), array, array.dtype.type(otherwise))

    error = None if demos.error is None else where(demos.error, np.nan)
    return demos._replace(dist=jax.tree.map(lambda x: where(x, 0), demos.dist), error=error)


def cut(demos: Demos, kept: np.ndarray) -> Demos:
    """Demos of which nobody has the steps that are not `kept [S, N, H]`: nothing is alive, revealed, labelled or done there.

    Observations stay: that of the first step that was not paid for is where the last paid one led. Episodes of which no seed kept
    a step are left out.
    """
    if kept.all():
        return demos
    last = 1 + int(np.flatnonzero(kept.any((0, 2))).max(initial=0))
    demos, kept = jax.tree.map(lambda x: np.asarray(x)[:, :last], demos), kept[:, :last]

    def had(x: Any) -> np.ndarray:
        array = np.asarray(x)
        return np.where(kept.reshape(*kept.shape, *[1] * (array.ndim - 3)), array, np.zeros_like(array))

    return demos._replace(**{name: had(getattr(demos, name)) for name in ("alive", "revealed", "label", "action", "actor")})
