"""One number to hold at zero: errors shrink, add up or explode with the open-loop factor lam.

    x' = lam x + u + noise         u in [-1, 1], start uniform in [-1, 1], failure at |x| > 10
    reward -min(1, x^2 + 0.1 u^2)

    scalar_stable lam = .9, scalar_marginal lam = 1, scalar_unstable lam = 1.1 (beyond |x| = 10 no action can return)

The expert is linear, u = -gain x: the regulator unless `gain` is given. A learner that is off by eps at every step
follows e' = (lam - gain) e + eps; gain = 0 leaves e' = lam e + eps: sum |e| -> eps H / (1 - lam) for lam < 1,
eps H (H+1) / 2 for lam = 1, growth rate log lam for lam > 1.

Source: textbook linear systems; the regimes are those of Pfrommer, Zhang, Tu, Matni 2022 (TaSIL),
https://arxiv.org/abs/2205.14812
"""

from __future__ import annotations

from ilbench.envs._common import known, within
from ilbench.envs._control import lqr
from ilbench.envs._linear import Params, build
from ilbench.types import Task

TASKS = {"scalar_stable": {"lam": 0.9}, "scalar_marginal": {"lam": 1.0}, "scalar_unstable": {"lam": 1.1}}
VERSION = 1
HORIZON = 100
TAGS = ("control", "linear")
SUMMARY = {
    "scalar_stable": "x' = .9 x + u: errors die out.",
    "scalar_marginal": "x' = x + u: errors add up.",
    "scalar_unstable": "x' = 1.1 x + u: errors explode.",
}


def make(
    task_id: str,
    horizon: int | None = None,
    *,
    lam: float | None = None,
    gain: float | None = None,
    noise: float = 0.01,
    start: float = 1.0,
    bound: float = 10.0,
) -> Task:
    """`lam` and `gain` override the task's factor and the expert's gain; `noise` is a standard deviation per step."""
    H = known(TASKS, task_id, horizon, HORIZON)
    factor = TASKS[task_id]["lam"] if lam is None else lam
    within("lam", factor, -2, 2)
    within("noise", noise, 0, 1)
    within("start", start, 0, bound)
    k = lqr(factor, 1.0, 1.0, 0.1)[0][0, 0] if gain is None else gain
    exact = Params([[factor]], [[1.0]], [noise], [start], [1.0], [0.1], 1.0, bound)
    return build(task_id, VERSION, H, TAGS, exact, k)
