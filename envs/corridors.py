"""A grid with two safe corridors and a ditch between them: the expert enters either, and the action between the two is the ditch.

    column  -4 -3 -2 | -1  0  1 | 2  3  4      state = start, or column + 5, or fallen; every step leads one row on
      start           :    S    :              actions -3 ... 3 (0 ... 6), columns to the side; walls beyond -4 and 4 stop it
      row 1   .  .  . : ditch   : .  .  .      then wind: with probability `wind` one column more, to either side alike
      row 2   .  .  . : ditch   : .  .  .      reward 1 for every step that ends in a corridor; who is in the ditch has fallen for good

At the start the expert draws its corridor, 3 with probability `balance`, else -3; after that it heads for its corridor's middle, and no
wind can throw it into the ditch: it succeeds for certain. The action 0 between the two falls at the first step, whatever the
wind. Actions are in order, so that one-humped laws of them exist, and a binomial law of the expert's mean falls mostly between: success of
each class of policies is a number of exact dynamic programming (being in a corridor at the end, the mean reward of the last step).

The expert of `corridors` tells its law, a Categorical; what it never does has the probability 1e-12, so that divergences from it are
finite, and large. That of `corridors_one` always takes 3: the twin in which there is nothing to average.
Source: averaging or choosing modes: Ke et al. 2019, https://arxiv.org/abs/1905.12888; the grid is our own
"""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from ilbench import distributions
from ilbench.distributions import Categorical
from ilbench.envs._common import known, within
from ilbench.envs._tabular import Model, build
from ilbench.exact.mdp import Floats
from ilbench.types import Array, Policy, PyTree, Task, no_memory

TASKS = {"corridors": {"one": False}, "corridors_one": {"one": True}}
VERSION = 1
HORIZON = 20
TAGS = ("multimodal",)  # no "tabular": what has that tag has an expert of one action a state
SUMMARY = {
    "corridors": "Two safe corridors beside a ditch: the expert enters either, the action between them falls.",
    "corridors_one": "Two safe corridors beside a ditch: the expert always enters the same.",
}
EDGE, MIDDLE, DITCH = 4, 3, 1  # outermost column, middle of the corridors, outermost column of the ditch
MOVES = np.arange(-3, 4)  # of the actions
START, FALLEN = 0, 2 * EDGE + 2
NEVER = 1e-12  # probability of what the expert does not do


def _walled(column: int) -> int:
    return max(-EDGE, min(EDGE, column))


def model(wind: float) -> Model:
    """The tables `[11, 7, 11]`: start, columns -4 ... 4, fallen. Columns of the ditch are states that nothing enters."""
    P, arrival = np.zeros((FALLEN + 1, len(MOVES), FALLEN + 1)), np.zeros(FALLEN + 1)
    column = np.arange(-EDGE, EDGE + 1)
    arrival[1:FALLEN] = np.abs(column) > DITCH
    P[FALLEN, :, FALLEN] = 1.0
    for state, at in [(START, 0), *enumerate(column.tolist(), 1)]:
        for a, move in enumerate(MOVES.tolist()):
            for gust, p in ((0, 1 - wind), (-1, wind / 2), (1, wind / 2)):
                to = _walled(_walled(at + move) + gust)
                P[state, a, FALLEN if abs(to) <= DITCH else to + EDGE + 1] += p
    return Model(P, np.zeros(P.shape[:2]), arrival, np.eye(FALLEN + 1)[START])


def law(balance: float) -> Floats:
    """What the expert does, probabilities `[11, 7]`, exactly: its law up to 1e-12."""
    column = np.r_[0, np.arange(-EDGE, EDGE + 1), 0]
    inside = np.clip(np.where(column > 0, MIDDLE, -MIDDLE) - column, MOVES[0], MOVES[-1])
    inside[[START, FALLEN]] = 0
    table = np.eye(len(MOVES))[inside - MOVES[0]]
    table[START] = np.where(MOVES == MIDDLE, balance, np.where(MOVES == -MIDDLE, 1 - balance, 0.0))
    return table


class Law(NamedTuple):
    """A table of log-probabilities."""

    logits: Any  # `[S, A]` float32


def dist(params: Law, t: Array, memory: PyTree, obs: Array) -> Categorical:
    """The law of the action in state `obs []`."""
    return Categorical(jnp.asarray(params.logits)[obs])


def act(params: Law, key: Array, t: Array, memory: PyTree, obs: Array) -> tuple[PyTree, Array]:
    """A draw from it."""
    return memory, distributions.sample(dist(params, t, memory, obs), key)


def make(task_id: str, horizon: int | None = None, *, wind: float = 0.3, balance: float = 0.5) -> Task:
    """The grid, and who enters the right corridor with probability `balance`, or always, which `balance` does not touch."""
    H = known(TASKS, task_id, horizon, HORIZON)
    within("wind", wind, 0, 1)
    within("balance", balance, 0, 1)
    table = law(1.0 if TASKS[task_id]["one"] else balance)
    task = build(task_id, VERSION, H, TAGS, model(wind), table.argmax(-1), (0.0, 1.0))
    if TASKS[task_id]["one"]:
        return task
    logits = np.log(np.maximum(table, NEVER)).astype(np.float32)
    return dataclasses.replace(task, expert=Policy(Law(logits), no_memory, act, dist))
