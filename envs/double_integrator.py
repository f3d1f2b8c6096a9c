"""Park a point mass at the origin: position and velocity, one bounded force.

    p' = p + dt v + dt^2/2 u,  v' = v + dt u  (+ noise)      u in [-1, 1], dt = 0.1 s
    reward -min(1, (p^2 + v^2)/4 + 0.05 u^2), start uniform in [-1, 1]^2, failure when |p| or |v| > 10

The expert is the saturated linear-quadratic regulator of the same cost. The open loop is marginal (errors of the
action drift quadratically), the closed loop is stable.

Source: textbook; e.g. Rao and Bernstein 2001, "Naive control of the double integrator",
https://doi.org/10.1109/37.954521
"""

from __future__ import annotations

import numpy as np

from ilbench.envs._common import known, within
from ilbench.envs._control import lqr
from ilbench.envs._linear import Params, build
from ilbench.types import Task

TASKS: dict[str, dict[str, float]] = {"double_integrator": {}}
VERSION = 1
HORIZON = 200
TAGS = ("control", "linear")
SUMMARY = {"double_integrator": "A point mass and a bounded force: reach the origin and stay."}


def make(
    task_id: str,
    horizon: int | None = None,
    *,
    dt: float = 0.1,
    noise: float = 0.005,
    start: float = 1.0,
    bound: float = 10.0,
) -> Task:
    """`dt` in s, `noise` a standard deviation per step, `start` the half-width of the start box."""
    H = known(TASKS, task_id, horizon, HORIZON)
    within("dt", dt, 1e-3, 1)
    within("noise", noise, 0, 1)
    within("start", start, 0, bound)
    A, B = np.array([[1.0, dt], [0.0, 1.0]]), np.array([[dt**2 / 2], [dt]])
    Q, R = np.array([0.25, 0.25]), np.array([0.05])
    gain, _ = lqr(A, B, np.diag(Q), R)
    exact = Params(A, B, [noise] * 2, [start] * 2, Q, R, 1.0, bound)
    return build(task_id, VERSION, H, TAGS, exact, gain)
