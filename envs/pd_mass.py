"""A mass under a position controller: an action is where the mass is to be, and two gains say how it is driven there.

    f = stiffness (a - p) - damping v       v' = v + dt f + noise,  p' = p + dt v + dt^2/2 f       unit mass, dt = 0.02 s, f held for a step

    stiffness   damping   damping / (2 sqrt stiffness)                   position p and target a in m, velocity v in m/s,
        4          8      2      compliant, overdamped (default)         stiffness in N/m, damping in N s/m
        4          1      0.25   compliant, underdamped                  reward -min(1, p^2), start uniform with |p|, |v| <= 1,
       64         32      2      stiff, overdamped                       failure when |p| or |v| > 10
       64          4      0.25   stiff, underdamped

The expert's force is that of one linear-quadratic regulator, f* = -K x, whatever the gains; what it says is the target that gives this
force, a* = p + (damping v - K x) / stiffness. So demonstrations under all gains are one motion with different labels, and returns compare.
An error e of the target is a force, stiffness x e. Where targets are functions of time and their errors independent, the position has the
variance of `position_variance` in ilbench/exact/linear_errors.py; a policy that sees the state, as the expert, answers its own errors.

Paper: Seo 2026, Behavior cloning under PD control, https://arxiv.org/abs/2604.14484 (targets, gains and their order; the instance is our
own); that such a policy closes the loop too: Bronars, Park & Agrawal 2026, https://arxiv.org/abs/2604.02523
"""

from __future__ import annotations

import numpy as np

from ilbench.envs._common import known, within
from ilbench.envs._control import lqr
from ilbench.envs._linear import Params, build
from ilbench.exact.linear_errors import position_controlled
from ilbench.types import Task

TASKS: dict[str, dict[str, float]] = {"pd_mass": {}}
VERSION = 1
HORIZON = 200
TAGS = ("control", "linear", "instrument")
SUMMARY = {"pd_mass": "A mass that is told where to be: a stiffness and a damping drive it there."}


def make(
    task_id: str,
    horizon: int | None = None,
    *,
    stiffness: float = 4.0,
    damping: float = 8.0,
    dt: float = 0.02,
    noise: float = 0.02,
    start: float = 1.0,
    reach: float = 10.0,
) -> Task:
    """`dt` in s, `noise` the standard deviation of v per step, `start` the half-width of the start box, targets in +-`reach`.

    Raises ValueError for numbers out of range, for gains under which the mass, left to its controller, swings ever wider, and where
    the expert would ask for targets out of reach: its motion would no longer be the same.
    """
    H = known(TASKS, task_id, horizon, HORIZON)
    within("stiffness", stiffness, 1e-3, 1e4)
    within("damping", damping, 0, 1e3)
    within("dt", dt, 1e-4, 1)
    within("noise", noise, 0, 1)
    within("start", start, 0, reach)
    A, B = position_controlled(stiffness, damping, dt)
    free, push = position_controlled(0.0, 0.0, dt)[0], B / stiffness
    K, _ = lqr(free, push, np.diag([1.0, 0.0]), [0.01])
    gain = (K - [[stiffness, damping]]) / stiffness
    if (farthest := float(np.abs(gain).sum() * start)) > reach:
        raise ValueError(
            f"under stiffness {stiffness:g} and damping {damping:g} the expert starts with targets at {farthest:.3g}, "
            f"out of reach {reach:g}: raise reach or stiffness, or lower start"
        )
    exact = Params(A, B, [0.0, noise], [start] * 2, [1.0, 0.0], [0.0], reach, 10.0)
    return build(task_id, VERSION, H, TAGS, exact, gain)
