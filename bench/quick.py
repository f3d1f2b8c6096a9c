"""The default: chains against closed forms, then bc, dagger and ccil on tabular, control and hopper tasks; minutes.

Everything below was declared before the suite ran: the same optimiser settings for every algorithm on a task, label budgets
that count demonstrations, and which policy is scored. Every fit takes all of `fit.updates`, which a doubling no longer
moves (results/quick@2/CONVERGENCE.md), also each of DAgger's rounds.
"""

from __future__ import annotations

from typing import Any

from ilbench.evaluation.evidence import Protocol
from ilbench.running.plan import Block, Suite

EPS = 1e-4  # the dialled error; eps H stays small, so the exponents are those of the theory
STEPS = 400_000  # env steps per seed and horizon: an equal step budget per horizon, so all points are equally sharp
CHAIN_HORIZONS = (16, 32, 64, 128, 256, 512)
BATCH: dict[str, Any] = {"fit.batch": 64, "fit.learning_rate": 1e-2}
FITS: dict[str, dict[str, Any]] = {  # what a doubling of the updates no longer moves, each method alike
    "cartpole": {**BATCH, "fit.updates": 2500, "fit.batch": 32},
    "pendulum": {**BATCH, "fit.updates": 40_000, "fit.batch": 32},
    "hopper": {**BATCH, "fit.updates": 20_000},
}


def chains() -> tuple[Block, ...]:
    """The dialled learner with BC's and DAgger's coverage, independent runs per horizon."""
    return tuple(
        Block(
            task,
            "dialled",
            "table",
            0,
            horizon=h,
            config={"dialled.eps": EPS, "dialled.coverage": coverage},
            protocol=Protocol(episodes=STEPS // h, held_out=16),
        )
        for task in ("cliff", "recoverable")
        for h in CHAIN_HORIZONS
        for coverage in ("expert", "own")
    )


def reset_cliff() -> tuple[Block, ...]:
    """A trained table on the instance of the |S| H^2 / N lower bound: 100 demonstrations per horizon."""
    config = {"table.per_step": True, "table.unseen": "wrong"}
    return tuple(
        Block(
            "reset_cliff",
            "bc",
            "table",
            100 * h,
            horizon=h,
            seeds=tuple(range(30)),
            config=config,
            protocol=Protocol(episodes=256, held_out=64),
        )
        for h in (5, 10, 20, 40)
    )


def trained(
    task: str,
    head: str,
    episodes: int,
    horizon: int,
    prefixes: tuple[int, ...],
    algorithms: tuple[tuple[str, dict[str, Any]], ...],
    *,
    rollouts: int = 64,
    fit: dict[str, Any] | None = None,
    seeds: int = 10,
) -> tuple[Block, ...]:
    """Algorithms at the same label budget on one task, with the 0-1 cost read off at prefix horizons."""
    protocol = Protocol(episodes=rollouts, held_out=rollouts, prefixes=prefixes)
    settings = FITS[task] if fit is None else fit
    return tuple(
        Block(
            task,
            name,
            head,
            episodes * horizon,
            horizon=horizon,
            seeds=tuple(range(seeds)),
            config={**settings, **config},
            protocol=protocol,
        )
        for name, config in algorithms
    )


def dagger(rounds: int) -> tuple[str, dict[str, Any]]:
    """DAgger that spends every label on training: a validation round would buy labels for a choice that is not made."""
    return "dagger", {"dagger.rounds": rounds, "dagger.validate": False, "dagger.selected": "last"}


BC: tuple[str, dict[str, Any]] = ("bc", {})
CCIL: tuple[str, dict[str, Any]] = ("ccil", {"ccil.dynamics": "learned"})
CCIL_TRUE: tuple[str, dict[str, Any]] = ("ccil", {"ccil.dynamics": "true"})


def suite() -> Suite:
    """About 560 cells."""
    return Suite(
        "quick",
        2,
        (
            *chains(),
            *reset_cliff(),
            *trained("gridworld", "table", 12, 100, (10, 30), (BC, dagger(5)), fit={}),
            *trained("cartpole", "mlp", 2, 500, (10, 30, 100, 300), (BC, dagger(2), CCIL)),
            *trained("pendulum", "mse", 6, 200, (10, 30, 100), (BC, dagger(3), CCIL, CCIL_TRUE)),
            *trained("hopper", "mse", 3, 1000, (10, 30, 100, 300), (BC, dagger(2), CCIL), rollouts=32, seeds=30),
        ),
    )
