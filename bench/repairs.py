"""Every repair of compounding under one protocol: equal labels, equal gradient steps, what it asks of the expert beside.

Tabular tasks, where exact answers are known; a weak motor, pendulum and the lane, which are quick; hopper and halfcheetah, whose learners
are also deployed 0-1 at 3e-3 of the expert's steps, so that A(H) says who still compounds. All fits of a method together take
`fit.updates` gradient steps (`fit.equal_steps`); members of an ensemble take as many each, and the board shows it. Ten seeds.
Labels are on a coarse logarithmic grid; stagger asks for ten a round on tables, where thousands of rounds of one would take long.

walker2d and humanoid were run on one GPU, the rest on two CPU cores: seconds compare within a device only. Methods that match laws or
occupancies, and so need a law of actions, have a suite of their own (matching). What a method cannot be run on is left out here;
`ilbench list` says why.
"""

from __future__ import annotations

from typing import Any

from ilbench.evaluation.evidence import Protocol
from ilbench.running.plan import Block, Suite

Methods = dict[str, dict[str, Any]]
ROUNDS = 4  # of whatever asks in rounds
DAGGER: dict[str, Any] = {"dagger.rounds": ROUNDS, "dagger.validate": False}
GATED: Methods = {
    name: {f"{name}.rounds": ROUNDS}
    for name in ("hg_dagger", "safe_dagger", "lazy_dagger", "ensemble_dagger", "thrifty_dagger")
}
TABLES: Methods = {
    "constant": {},
    "bc": {},
    "forward": {},
    "smile": {},
    "stagger": {"stagger.labels_per_round": 10},
    "dagger": DAGGER,
    "aggrevate": {},
    "noise_injection": {"noise_injection.sigma": 0.1},
    "dart": {"dart.rounds": 2},
    **{name: GATED[name] for name in ("hg_dagger", "ensemble_dagger")},
}
NETS: Methods = {
    "constant": {},
    "bc": {},
    "noise_bc": {},
    "ccil": {},
    "noise_injection": {},
    "dart": {"dart.rounds": 2},
    "dagger": DAGGER,
    **GATED,
}
FEWER: Methods = {
    name: own for name, own in NETS.items() if name not in GATED or name == "hg_dagger"
}  # on a slow robot
EASY: Methods = {**NETS, "forward": {}, "smile": {}, "stagger": {}, "noise_injection": {"noise_injection.sigma": 0.1}}
ROBOT: dict[str, Any] = {"fit.updates": 20_000, "fit.batch": 64, "fit.learning_rate": 1e-2, "fit.equal_steps": True}
SMALL: dict[str, Any] = {"fit.updates": 10_000, "fit.batch": 64, "fit.learning_rate": 3e-3, "fit.equal_steps": True}
WRONG: dict[str, Any] = {"table.per_step": True, "table.unseen": "wrong"}


def blocks(
    task: str,
    head: str,
    episodes: tuple[int, ...],
    methods: Methods,
    config: dict[str, Any],
    protocol: Protocol,
    horizon: int,
) -> tuple[Block, ...]:
    """Every method at every number of episodes."""
    return tuple(
        Block(task, name, head, n * horizon, horizon=horizon, config={**config, **own}, protocol=protocol)
        for n in episodes
        for name, own in methods.items()
    )


def suite() -> Suite:
    """By task: labels in episodes, methods."""
    plain, many = Protocol(episodes=64, held_out=64), Protocol(episodes=256, held_out=256)
    lane = {**EASY, "side_view": {}, "noise_injection": {"noise_injection.sigma": 0.05}}
    return Suite(
        "repairs",
        1,
        (
            *blocks("gridworld", "table", (5, 12, 36), TABLES, {}, plain, 100),
            *blocks("reset_cliff", "table", (10, 30, 100), TABLES, WRONG, many, 40),
            *blocks("reset_cliff_recoverable", "table", (10, 30, 100), TABLES, WRONG, many, 40),
            *blocks("scalar_limited", "mse", (5, 16), NETS, SMALL, plain, 200),
            *blocks("pendulum", "mse", (5, 15), EASY, SMALL, plain, 200),
            *blocks("lane", "mse", (5, 10), lane, SMALL, plain, 200),
            *_robots(),
        ),
    )


def _robots() -> tuple[Block, ...]:
    """Learners are also snapped, for A(H)."""
    snapped = Protocol(episodes=16, held_out=16, prefixes=(10, 30, 100, 300), snap=(0.003,), calibration=32)
    cloned = (
        ("hopper", (5, 10), NETS),
        ("halfcheetah", (6,), FEWER),
        ("walker2d", (5,), NETS),
        ("humanoid", (5,), FEWER),
        ("humanoid", (25,), {name: own for name, own in FEWER.items() if name not in GATED}),  # takeovers: 23 GB for ten seeds
    )
    return tuple(
        block
        for robot, episodes, methods in cloned
        for block in blocks(robot, "mse", episodes, methods, ROBOT, snapped, 1000)
    )
