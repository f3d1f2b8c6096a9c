"""A learner whose error is an input: errs with probability eps where its training covers, acts worst elsewhere.

Two-state chains are learnt perfectly from one demonstration; this is the learner that the closed forms speak about.
It buys no labels: coverage and errors are dialled, so it is an instrument and never on a board.
Source: the error models of Ross & Bagnell 2010, https://proceedings.mlr.press/v9/ross10a.html, and of Kaariainen 2006 (copy)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ilbench.exact import dp
from ilbench.rollouts.behaviours import same
from ilbench.training.lab import Lab
from ilbench.types import Array, Head, Policy, Task, Trained

INSTRUMENT = True
NEEDS = ("mdp", "expert", "discrete observations")  # whose occupancy and worst actions exact dynamic programming knows
TRY = ("cliff", "table", 0)  # what the contract test runs: task, head, labels
COVERAGES = ("expert", "own")
# iid: at any step; disjoint: exactly one, at a uniformly drawn step; first: all of eps H at step 1;
# copy: the last prediction is repeated and flips with probability eps.
SCHEDULES = ("iid", "disjoint", "first", "copy")


@dataclass(frozen=True)
class Config:
    """The dial."""

    eps: float = 2e-4  # probability of an error per step on covered states, averaged over the episode for `first`
    coverage: str = "expert"  # expert: the states the expert visits, as BC; own: every state, as DAgger
    schedule: str = "iid"  # when errors come: SCHEDULES

    def __post_init__(self) -> None:
        if not 0 <= self.eps <= 1:
            raise ValueError(f"dialled.eps is a probability and must lie in [0, 1], got {self.eps}")
        if self.coverage not in COVERAGES:
            raise ValueError(f"dialled.coverage must be one of {', '.join(COVERAGES)}, got {self.coverage!r}")
        if self.schedule not in SCHEDULES:
            raise ValueError(f"dialled.schedule must be one of {', '.join(SCHEDULES)}, got {self.schedule!r}")


def skip(task: Task, head: Head) -> str | None:
    """Needs an expert whose action is one."""
    return (
        None
        if task.ask().dist is None
        else "the expert draws its actions, so that none of them is the mistake that is dialled"
    )


def _init(params: Any, key: Array) -> Any:
    # The step of the single error of `disjoint`: uniform over 1/eps steps, so that each step errs with probability eps.
    draw = jax.random.uniform(key)
    step = jnp.floor(draw / jnp.maximum(params["eps"], 1e-12)).astype(jnp.int32)
    return {"step": jnp.where(params["eps"] > 0, step, -1), "wrong": jnp.bool_(False)}


def _errs(schedule: str, params: Any, key: Array, t: Array, memory: Any) -> Array:
    flip = jax.random.uniform(key)
    if schedule == "iid":
        return flip < params["eps"]
    if schedule == "disjoint":
        return t == memory["step"]
    if schedule == "first":
        return (t == 0) & (flip < params["eps"] * params["horizon"])
    return jnp.logical_xor(memory["wrong"], flip < params["eps"])


def _act_with(schedule: str) -> Any:
    def act(params: Any, key: Array, t: Array, memory: Any, obs: Array) -> tuple[Any, Array]:
        wrong = _errs(schedule, params, key, t, memory) | ~params["covered"][obs]
        expert, worst = params["expert"][t, obs], params["worst"][t, obs]
        return {"step": memory["step"], "wrong": wrong}, jnp.where(wrong, worst, expert)

    return act


_ACT = {schedule: _act_with(schedule) for schedule in SCHEDULES}


def train(lab: Lab, config: Config) -> Trained:
    """Builds the dialled policy from the exact occupancy of the expert; nothing is learnt and no label is bought."""
    task = lab.task
    assert task.mdp is not None
    mdp, seeds = task.mdp(), len(lab.seeds)
    expert = np.broadcast_to(np.asarray(task.ask().params, np.int32), (task.horizon, mdp.rho.size))
    covered = (
        dp.occupancy(mdp, expert, task.horizon).max(0) > 0
        if config.coverage == "expert"
        else np.ones(mdp.rho.size, bool)
    )
    params = {
        "expert": expert,
        "worst": dp.worst_actions(mdp, expert, task.horizon).astype(np.int32),
        "covered": covered,
        "eps": np.float32(config.eps),
        "horizon": np.float32(task.horizon),
    }
    return Trained({"last": Policy(same(params, seeds, iterates=True), _init, _ACT[config.schedule])}, "last")
