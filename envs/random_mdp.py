"""A random dense MDP with its optimal time-dependent expert: no structure to be lucky with.

    every (s, a) --Dirichlet(concentration)--> s',   reward uniform on [0, 1],   expert = backward induction

For identities that hold in every MDP (performance differences, bound ladders), not for rates.

Source: our own.
"""

from __future__ import annotations

import numpy as np

from ilbench.envs._common import known, within
from ilbench.envs._tabular import Model, build, mdp_of
from ilbench.exact.dp import optimal_policy
from ilbench.types import Task

TASKS: dict[str, dict[str, float]] = {"random_mdp": {}}
VERSION = 1
HORIZON = 50
TAGS = ("tabular",)
SUMMARY = {"random_mdp": "Dirichlet transitions, uniform rewards, optimal time-dependent expert."}


def make(
    task_id: str,
    horizon: int | None = None,
    *,
    seed: int = 0,
    states: int = 20,
    actions: int = 5,
    concentration: float = 1.0,
) -> Task:
    """One draw per `seed`; raises ValueError for sizes below 1 or a concentration that is not positive."""
    H = known(TASKS, task_id, horizon, HORIZON)
    within("states", states, 1, 4000)
    within("actions", actions, 1, 1000)
    within("concentration", concentration, 1e-3, 1e6)
    rng = np.random.default_rng(seed)
    P = rng.dirichlet(np.full(states, concentration), (states, actions))
    R, rho = rng.uniform(size=(states, actions)), rng.dirichlet(np.full(states, concentration))
    model = Model(P, R, np.zeros(states), rho)
    expert, _ = optimal_policy(mdp_of(model), H)
    return build(task_id, VERSION, H, TAGS, model, expert, (0.0, 1.0))
