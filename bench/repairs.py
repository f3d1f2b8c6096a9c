"""Every repair of compounding under one protocol: equal labels, equal gradient steps, what it asks of the expert beside.

Tabular tasks, where exact answers are known; a weak motor, pendulum and the lane, which are quick; hopper and halfcheetah, whose learners
are also deployed 0-1 at 3e-3 of the expert's steps, so that A(H) says who still compounds. All fits of a method together take
`fit.updates` gradient steps (`fit.equal_steps`); members of an ensemble take as many each, and the board shows it. Ten seeds.
Labels are on a coarse logarithmic grid; stagger asks for ten a round on tables, where thousands of rounds of one would take long.

Methods that match laws or occupancies need a law of actions, so that they have a softmax or Gaussian head, and bc and dagger with the
same head beside them: their currency is env steps, and on hopper they are given one and five trajectories and 1.6 million steps at most.
The settings there are those that `ilbench tune` chose (repairs+tuning@1). walker2d and humanoid were run on one GPU, the rest on
two CPU cores: no two rows that are compared differ in that. What a method cannot be run on is left out here; `ilbench list` says why.
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
MATCHED: Methods = {
    "bc": {},
    "dagger": DAGGER,
    "on_policy_distillation": {},
    "gail": {},
    "airl": {},
}  # with a law
CHOSEN: Methods = {**MATCHED, "iq_learn": {}, "sqil": {}}  # and with values of discrete actions
EASY: Methods = {**NETS, "forward": {}, "smile": {}, "stagger": {}, "noise_injection": {"noise_injection.sigma": 0.1}}
ROBOT: dict[str, Any] = {"fit.updates": 20_000, "fit.batch": 64, "fit.learning_rate": 1e-2, "fit.equal_steps": True}
SMALL: dict[str, Any] = {"fit.updates": 10_000, "fit.batch": 64, "fit.learning_rate": 3e-3, "fit.equal_steps": True}
WIDE = {"gaussian.min_std": 0.1}  # a law that explores, for all that have it
LAWS: dict[str, Any] = {"fit.updates": 20_000, "fit.batch": 256, "fit.learning_rate": 3e-3, **WIDE}
DECAY = {"fit.weight_decay": 1e-3}


def _played(name: str, rate: float, **more: float) -> dict[str, Any]:
    """Settings of an adversarial method on a robot."""
    own = {"rounds": 50, "episodes": 32, "policy_updates": 200, "policy_rate": rate, **more}
    return {f"{name}.{key}": value for key, value in own.items()}


TRAJECTORIES: Methods = {
    "bc": {},
    "airl": _played("airl", 3e-4),
    "gail": {**_played("gail", 1e-4, penalty=0.1), **DECAY},
}
WRONG: dict[str, Any] = {"table.per_step": True, "table.unseen": "wrong"}


def _blocks(
    task: str,
    head: str,
    episodes: tuple[int, ...],
    methods: Methods,
    config: dict[str, Any],
    protocol: Protocol,
    horizon: int,
) -> tuple[Block, ...]:
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
            *_blocks("gridworld", "table", (5, 12, 36), TABLES, {}, plain, 100),
            *_blocks("reset_cliff", "table", (10, 30, 100), TABLES, WRONG, many, 40),
            *_blocks("reset_cliff_recoverable", "table", (10, 30, 100), TABLES, WRONG, many, 40),
            *_blocks("scalar_limited", "mse", (5, 16), NETS, SMALL, plain, 200),
            *_blocks("pendulum", "mse", (5, 15), EASY, SMALL, plain, 200),
            *_blocks("lane", "mse", (5, 10), lane, SMALL, plain, 200),
            *_matched(plain, many),
            *_robots(),
        ),
    )


def _matched(plain: Protocol, many: Protocol) -> tuple[Block, ...]:
    """Heads with a law, on what is quick."""
    online: Methods = {"iq_learn": {"iq_learn.online": True}}
    return tuple(
        block
        for methods in (CHOSEN, online)
        for task, episodes, protocol, horizon in (
            ("gridworld", (5, 12, 36), plain, 100),
            ("reset_cliff", (10, 30, 100), many, 40),
            ("reset_cliff_recoverable", (10, 30, 100), many, 40),
        )
        for block in _blocks(task, "mlp", episodes, methods, SMALL, protocol, horizon)
    ) + tuple(
        block
        for task, episodes in (("pendulum", (5, 15)), ("lane", (5, 10)))
        for block in _blocks(task, "gaussian", episodes, MATCHED, {**SMALL, **WIDE}, plain, 200)
    )


def _robots() -> tuple[Block, ...]:
    """Snapped deployments for A(H); the laws' heads at few and many trajectories."""
    snapped = Protocol(episodes=16, held_out=16, prefixes=(10, 30, 100, 300), snap=(0.003,), calibration=32)
    cloned = (
        ("hopper", (5, 10), NETS),
        ("halfcheetah", (6,), NETS),
        ("walker2d", (5,), NETS),
        ("humanoid", (5,), FEWER),
        ("humanoid", (25,), {name: own for name, own in FEWER.items() if name not in GATED}),
    )
    return tuple(
        block
        for robot, episodes, methods in cloned
        for block in _blocks(robot, "mse", episodes, methods, ROBOT, snapped, 1000)
    ) + tuple(
        block
        for methods in (TRAJECTORIES, {"bc": DECAY})  # decay of weights alone is said to go far (Li et al. 2022)
        for block in _blocks("hopper", "gaussian", (1, 5), methods, LAWS, snapped, 1000)
    )
