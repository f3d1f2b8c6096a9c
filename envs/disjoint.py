"""Mistakes that never overlap: a deterministic learner pays exactly eps H (H+1) / 2, the whole BC bound.

    start --eps--> 1     each stays where it is under the expert's action;
          --eps--> 2     the learner errs once, in state k at step k, and falls:
          ...               k -(other)-> B, absorbing
          --eps--> K     safe: no action falls
          --rest-> safe  cost 1 per step whose successor is B

At every step exactly one state of mass eps is about to err, so eps_t = eps. `first_step` is K = 1: all the error sits
at the first step, the loss is H eps_1 = H^2 mean_t eps_t, and the bound with the mean in place of the maximum,
mean_t eps_t H (H+1) / 2, fails by 2 H / (H+1).

Source: the tightness examples of Ross and Bagnell 2010, https://proceedings.mlr.press/v9/ross10a.html
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ilbench.envs._common import known, within
from ilbench.envs._tabular import Model, build
from ilbench.types import Task

TASKS: dict[str, dict[str, int]] = {"disjoint": {}, "first_step": {"states": 1}}
VERSION = 1
HORIZON = 100
TAGS = ("tabular", "instrument")
SUMMARY = {
    "disjoint": "K start states of mass eps; the learner errs once, in state k at step k: the BC bound is attained.",
    "first_step": "One start state of mass eps errs at the first step: the bound with mean eps fails.",
}


def learner(horizon: int, states: int, expert_action: int = 0, actions: int = 2) -> NDArray[np.int64]:
    """The erring table `[H, K + 2]`: state k (from 0) takes another action at step k only, B always."""
    table = np.full((horizon, states + 2), expert_action)
    wrong = (expert_action + 1) % actions
    k = np.arange(min(horizon, states))
    table[k, k] = wrong
    table[:, -1] = wrong
    return table


def make(
    task_id: str,
    horizon: int | None = None,
    *,
    eps: float = 0.01,
    states: int | None = None,
    actions: int = 2,
    expert_action: int = 0,
) -> Task:
    """`states` K is min(H, 1/eps) unless given; raises ValueError when K eps > 1 or K > 4000 (a dense table)."""
    H = known(TASKS, task_id, horizon, HORIZON)
    within("eps", eps, 1e-12, 1)
    within("actions", actions, 2, 2**15)
    within("expert_action", expert_action, 0, actions - 1)
    most = int(1 / eps * (1 + 1e-12))
    given: Any = TASKS[task_id].get("states") if states is None else states
    K = min(H, most) if given is None else given
    within("states", K, 1, min(4000, most))
    S, safe, bad = K + 2, K, K + 1
    P = np.zeros((S, actions, S))
    P[range(S), :, range(S)] = 1.0
    others = np.delete(np.arange(actions), expert_action)
    P[np.arange(K)[:, None], others, np.arange(K)[:, None]] = 0.0
    P[np.arange(K)[:, None], others, bad] = 1.0
    rho = np.append(np.full(K, eps), [0.0, 0.0])
    rho[safe] = max(0.0, 1 - K * eps)
    arrival = np.zeros(S)
    arrival[bad] = -1.0
    model = Model(P, np.zeros((S, actions)), arrival, rho)
    return build(task_id, VERSION, H, TAGS, model, [expert_action] * S, (-1.0, 0.0))
