"""Corrective labels exactly as the product makes them, in observations, and what their miss can be at most.

The pendulum is observed as o = (cos theta, sin theta, omega), and BackTrack's label o_G = o* - fhat(o*, a) leaves the
circle. What the plant does from there is F(o) = observe(step(from_obs(o), a)), from_obs projecting on the circle.
With x = from_obs(o), F(o_G) - o* = [F(o_G) - F(o*)] + [o* - o_G] + [F(o*) - o* - fhat(o*, a)], and observe is
1-Lipschitz (a chord is shorter than its arc), so miss <= K_x |x_G - x*| + |o_G - o*| + eps_fit, K_x of the step map.
No constant of the model enters: BackTrack reads it at the demonstrated state only.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import numpy as np

from ilbench.algorithms import ccil
from ilbench.envs import pendulum
from ilbench.exact.mdp import Floats
from ilbench.heads import mse
from ilbench.training import dynamics
from ilbench.training.fit import FitConfig
from ilbench.training.lab import Lab
from ilbench.training.rows import rows

SEEDS, EPISODES = 10, 4


class Observed(NamedTuple):
    """Labels that the filter kept, `[n]` each, in the norm of (1, 1, rad/s)."""

    d: Floats  # |o_G - o*|
    miss: Floats  # |F(o_G) - o*|
    fit: Floats  # eps_fit
    bound: Floats


def observed(task_id: str) -> Observed:
    """Labels of `ccil` with its learned model on `EPISODES` demonstrations per seed; `task_id` of envs/pendulum.py."""
    task = pendulum.make(task_id)
    dyn, params = task.dynamics, task.env.params
    assert dyn is not None
    assert dyn.from_obs is not None
    to_x, step, observe = dyn.from_obs, dyn.step_vec, dyn.observe
    lab = Lab(task, mse.make(task.spec, mse.Config()), tuple(range(SEEDS)), EPISODES * task.horizon, FitConfig())
    demos = lab.demonstrate(EPISODES)
    seen, data = dynamics.transitions(demos, None), rows(demos)
    labels, _ = ccil.corrective_labels(lab, task, ccil.Config(width=64), seen, data)
    kept = np.asarray(labels.weight) > 0
    at, following, start, action = (np.asarray(v)[kept] for v in (seen.obs, seen.next_obs, labels.obs, labels.action))

    def after(o: Any, a: Any) -> Any:
        return observe(params, step(params, to_x(params, o), a))

    states = jax.jit(jax.vmap(lambda o: to_x(params, o)))
    moved = np.asarray(states(start), np.float64) - np.asarray(states(at), np.float64)
    moved[:, 0] = (moved[:, 0] + np.pi) % (2 * np.pi) - np.pi
    reached = np.asarray(jax.jit(jax.vmap(after))(start, action), np.float64)
    o, o_next, o_g = (v.astype(np.float64) for v in (at, following, start))
    d, fit = np.linalg.norm(o_g - o, axis=-1), np.linalg.norm((o_next - o) - (o - o_g), axis=-1)
    bound = fit + d + pendulum.lipschitz(params)[0] * np.linalg.norm(moved, axis=-1)
    return Observed(d, np.linalg.norm(reached - o, axis=-1), fit, bound)
