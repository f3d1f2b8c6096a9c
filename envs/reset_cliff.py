"""Renewal over rare states: what n demonstrations have not shown is what behaviour cloning pays for.

    good states 0 ... S-2: expert's action -> a fresh good state from rho, reward 1
                           any other       -> b = S-1, reward 0
    reset_cliff:             b is absorbing, reward 0
    reset_cliff_recoverable: in b the expert's action -> a fresh good state, others stay; reward 0 (u = 2)

rho = (1/(n+1), ..., 1/(n+1), rest): each rare state is missing from n draws with probability near 1/e, so a table
with one row per step loses about S H^2 / n; `n` moves the instance with the number of demonstrations.
The expert's action of each state is drawn from 1 ... A-1: the arg-max of an empty row of counts, 0, is never right.

Source: Rajaraman, Yang, Jiao, Ramchandran 2020, https://arxiv.org/abs/2009.05990; the recoverable form is after
Rajaraman, Han, Yang, Liu, Jiao, Ramchandran 2021, "On the Value of Interaction and Function Approximation in
Imitation Learning" (mu-recoverability), NeurIPS.
"""

from __future__ import annotations

import numpy as np

from ilbench.envs._common import known, within
from ilbench.envs._tabular import Model, build
from ilbench.exact.closed_forms import reset_cliff_rho
from ilbench.types import Task

TASKS = {"reset_cliff": {"recoverable": False}, "reset_cliff_recoverable": {"recoverable": True}}
VERSION = 1
HORIZON = 40
TAGS = ("tabular", "instrument")
SUMMARY = {
    "reset_cliff": "Fresh states every step, some rare; an unknown one means a fall for ever (S H^2 / n).",
    "reset_cliff_recoverable": "The same with one action that gets up again, which only a fallen learner can be shown.",
}


def make(
    task_id: str, horizon: int | None = None, *, n: int = 100, states: int = 12, actions: int = 3, seed: int = 0
) -> Task:
    """`n` demonstrations set the rare mass 1/(n+1) of states - 2 good states; `seed` permutes the expert's actions."""
    H = known(TASKS, task_id, horizon, HORIZON)
    within("actions", actions, 2, 2**15)
    good = reset_cliff_rho(states, n)
    expert = np.random.default_rng(seed).integers(1, actions, size=states)
    s, bad = np.arange(states - 1), states - 1
    P, R = np.zeros((states, actions, states)), np.zeros((states, actions))
    P[:, :, bad] = 1.0
    P[s, expert[s], bad] = 0.0
    P[s, expert[s], :bad] = good
    R[s, expert[s]] = 1.0
    if TASKS[task_id]["recoverable"]:
        P[bad, expert[bad]] = np.append(good, 0.0)
    model = Model(P, R, np.zeros(states), np.append(good, 0.0))
    return build(task_id, VERSION, H, TAGS, model, expert, (0.0, 1.0))
