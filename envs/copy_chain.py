"""Predict a constant bit when the previous prediction is in sight: copying it is right until the first flip.

    state (bit, previous prediction)         start: bit uniform, previous = bit
    (b, p) --action a--> (b, a)              cost 1 when a != bit; the expert says the bit

On the expert's states previous = bit, so "copy" and "say the bit" look alike. A learner that copies and flips with
probability eps costs H/2 - (1-(1-2 eps)^(H+1))/(4 eps) + 1/2: eps H (H+1) / 2 at first, half of H in the end.

Source: Kaariainen's example, as cited by Ross and Bagnell 2010, https://proceedings.mlr.press/v9/ross10a.html
"""

from __future__ import annotations

import numpy as np

from ilbench.envs._common import known, within
from ilbench.envs._tabular import Model, build
from ilbench.exact.dp import erring_policy
from ilbench.exact.mdp import Floats
from ilbench.types import Task

TASKS: dict[str, dict[str, float]] = {"copy_chain": {}}
VERSION = 1
HORIZON = 100
TAGS = ("tabular", "instrument")
SUMMARY = {"copy_chain": "Say a constant bit with your last answer in sight: copying flips for ever after one slip."}

BIT, PREVIOUS = np.arange(4) // 2, np.arange(4) % 2


def learner(eps: float) -> Floats:
    """Probabilities `[4, 2]`: copies the previous prediction, flipped with probability eps in [0, 1]."""
    return erring_policy(PREVIOUS, eps, 2)


def make(task_id: str, horizon: int | None = None, *, p_one: float = 0.5) -> Task:
    """The copy chain; `p_one` in [0, 1] is the chance that the bit is 1."""
    H = known(TASKS, task_id, horizon, HORIZON)
    within("p_one", p_one, 0, 1)
    P = np.zeros((4, 2, 4))
    for action in (0, 1):
        P[range(4), action, 2 * BIT + action] = 1.0
    R = -(BIT[:, None] != np.arange(2)).astype(np.float64)
    model = Model(P, R, np.zeros(4), np.array([1 - p_one, 0.0, 0.0, p_one]))
    return build(task_id, VERSION, H, TAGS, model, BIT, (-1.0, 0.0))
