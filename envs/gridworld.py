"""The lecture's 5 x 5 gridworld: a short way beside a ditch, a tempting small prize, a long safe way.

     .    .    .    .    .        # wall; the numbers are exits: any action takes the number and ends in `done`.
     .    #    .    .    .        Actions up, right, down, left; with probability noise = .5 the move goes to one of
     .    #   +1    #  +10        the two sides instead (a quarter each); a blocked move stays.
     .    .    .    .    .        Living reward 0; start uniform over the dots; state = 5 row + column, done = 25.
    -10  -10  -10  -10  -10

The expert maximises the discounted return, gamma = .99; its values are the table on the lecture's slide.

Source: the lecture's table of values; the layout is the classic DiscountGrid of UC Berkeley's CS188.
"""

from __future__ import annotations

import numpy as np

from ilbench.envs._common import known, within
from ilbench.envs._tabular import Model, build, mdp_of
from ilbench.exact.dp import value_iteration
from ilbench.types import Task

TASKS: dict[str, dict[str, float]] = {"gridworld": {}}
VERSION = 1
HORIZON = 100
TAGS = ("tabular",)
SUMMARY = {"gridworld": "The lecture's 5 x 5 grid: half of all moves slip sideways, the bottom row costs 10."}

SIZE = 5
WALLS = ((1, 1), (2, 1), (2, 3))
EXITS = {(2, 2): 1.0, (2, 4): 10.0, (4, 0): -10.0, (4, 1): -10.0, (4, 2): -10.0, (4, 3): -10.0, (4, 4): -10.0}
MOVES = ((-1, 0), (0, 1), (1, 0), (0, -1))  # up, right, down, left: neighbours in this order are the sides


def _cell(row: int, column: int) -> int:
    return SIZE * row + column


def _moved(row: int, column: int, move: tuple[int, int]) -> int:
    to = row + move[0], column + move[1]
    blocked = to in WALLS or min(to) < 0 or max(to) >= SIZE
    return _cell(row, column) if blocked else _cell(*to)


def model(noise: float, living_reward: float) -> Model:
    """The tables of the grid `[26, 4, 26]`; walls are states that nothing enters."""
    done, cells = SIZE**2, [(i, j) for i in range(SIZE) for j in range(SIZE)]
    P, R, rho = np.zeros((done + 1, 4, done + 1)), np.zeros((done + 1, 4)), np.zeros(done + 1)
    P[done, :, done] = 1.0
    for cell in cells:
        s = _cell(*cell)
        if cell in EXITS or cell in WALLS:
            P[s, :, done] = 1.0
            R[s] = EXITS.get(cell, 0.0)
            continue
        rho[s], R[s] = 1.0, living_reward
        for a in range(4):
            for move, p in ((a, 1 - noise), (a - 1, noise / 2), ((a + 1) % 4, noise / 2)):
                P[s, a, _moved(*cell, MOVES[move])] += p
    return Model(P, R, np.zeros(done + 1), rho / rho.sum())


def make(
    task_id: str,
    horizon: int | None = None,
    *,
    noise: float = 0.5,
    living_reward: float = 0.0,
    gamma: float = 0.99,
) -> Task:
    """The grid with its discounted-optimal stationary expert; raises ValueError for numbers out of range."""
    H = known(TASKS, task_id, horizon, HORIZON)
    within("noise", noise, 0, 1)
    within("living_reward", living_reward, -10, 10)
    within("gamma", gamma, 0, 0.9999)
    tables = model(noise, living_reward)
    expert, _ = value_iteration(mdp_of(tables), gamma)
    return build(task_id, VERSION, H, TAGS, tables, expert, (-10.0, 10.0))
