"""Matching laws and occupancies: what env steps buy in the place of an expert's answers, beside cloning and DAgger with the same heads.

All of these need a law of actions, so that heads are a softmax or a Gaussian. Labels are demonstrations, but for dagger; the currency is
env steps, which the boards show. Tabular tasks, pendulum and the lane, at the budgets of the suite repairs, and hopper, where one and
five trajectories are given, up to 1.6 million env steps, and the settings that `ilbench tune` chose (matching+tuning@1). There bc stands
twice: with decay of the weights, which alone is said to go far (Li et al. 2022, https://arxiv.org/abs/2202.02468). Ten seeds.
"""

from __future__ import annotations

from typing import Any

from ilbench.bench.repairs import DAGGER, SMALL, Methods
from ilbench.bench.repairs import blocks as blocks_of
from ilbench.evaluation.evidence import Protocol
from ilbench.running.plan import Block, Suite

WIDE = {"gaussian.min_std": 0.1}  # a law that explores, for all that have it
LAWS: dict[str, Any] = {"fit.updates": 20_000, "fit.batch": 256, "fit.learning_rate": 3e-3, **WIDE}
DECAY = {"fit.weight_decay": 1e-3}
MATCHED: Methods = {
    "bc": {},
    "dagger": DAGGER,
    "on_policy_distillation": {},
    "gail": {"gail.policy_rate": 3e-4},  # of the rates tried on hopper those up to this one kept what was cloned
    "airl": {"airl.policy_rate": 3e-4},
}
CHOSEN: Methods = {**MATCHED, "iq_learn": {}, "sqil": {}}  # and values of discrete actions
ONLINE: Methods = {"iq_learn": {"iq_learn.online": True}}


def _played(name: str, rate: float, **more: float) -> dict[str, Any]:
    """Settings of an adversarial method on a robot."""
    own = {"rounds": 50, "episodes": 32, "policy_updates": 200, "policy_rate": rate, **more}
    return {f"{name}.{key}": value for key, value in own.items()}


TRAJECTORIES: Methods = {
    "bc": {},
    "airl": _played("airl", 3e-4),
    "gail": {**_played("gail", 1e-4, penalty=0.1), **DECAY},
}


def suite() -> Suite:
    """By task: labels in episodes, methods."""
    plain, many = Protocol(episodes=64, held_out=64), Protocol(episodes=256, held_out=256)
    snapped = Protocol(episodes=16, held_out=16, prefixes=(10, 30, 100, 300), snap=(0.003,), calibration=32)
    tables = (
        ("gridworld", (5, 12), plain, 100),
        ("reset_cliff", (10, 100), many, 40),
        ("reset_cliff_recoverable", (10, 100), many, 40),
    )
    found: list[Block] = []
    for methods in (CHOSEN, ONLINE):
        for task, episodes, protocol, horizon in tables:
            found += blocks_of(task, "mlp", episodes, methods, SMALL, protocol, horizon)
    for task, counts in (("pendulum", (5, 15)), ("lane", (5, 10))):
        found += blocks_of(task, "gaussian", counts, MATCHED, {**SMALL, **WIDE}, plain, 200)
    for methods in (TRAJECTORIES, {"bc": DECAY}):
        found += blocks_of("hopper", "gaussian", (1, 5), methods, LAWS, snapped, 1000)
    return Suite("matching", 1, tuple(found))
