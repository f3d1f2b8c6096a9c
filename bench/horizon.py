"""The horizon in depth: every chain and schedule of the dialled learner, and trained learners at two gradient budgets.

On robots every fit is run with few and with many gradient steps at the same label budget: with few it underfits, and what
a board then shows is optimisation. About an hour on two cores.
"""

from __future__ import annotations

from ilbench.bench.quick import BATCH, BC, CCIL, CCIL_TRUE, EPS, dagger, reset_cliff, trained
from ilbench.evaluation.evidence import Protocol
from ilbench.running.plan import Block, Suite

HORIZONS = (16, 32, 64, 128, 256, 512)
STEPS = 1_000_000  # env steps per seed and horizon


def chains() -> tuple[Block, ...]:
    """Coverage x schedule on the chains that a closed form speaks about."""
    settings = (
        ("cliff", "expert", "iid"), ("cliff", "own", "iid"), ("recoverable", "expert", "iid"), ("recoverable", "own", "iid"),
        ("stable", "expert", "iid"), ("cliff", "expert", "disjoint"), ("cliff", "expert", "first"), ("recoverable", "own", "copy"),
    )  # fmt: skip
    return tuple(
        Block(
            task, "dialled", "table", 0, horizon=h,
            config={"dialled.eps": EPS, "dialled.coverage": coverage, "dialled.schedule": schedule},
            protocol=Protocol(episodes=STEPS // h, held_out=16),
        )
        for task, coverage, schedule in settings
        for h in HORIZONS
    )  # fmt: skip


def suite() -> Suite:
    """The sweep."""
    prefixes = (10, 30, 100, 300)
    few, many = {**BATCH, "fit.updates": 1000}, {**BATCH, "fit.updates": 20_000}
    linear = tuple(
        block
        for task in ("scalar_stable", "scalar_marginal", "scalar_unstable", "double_integrator")
        for block in trained(task, "mse", 6, 100, (10, 30), (BC, dagger(5), CCIL, CCIL_TRUE), fit={**BATCH, "fit.updates": 5000})
    )
    robots = tuple(
        block
        for task, horizon in (("inverted_pendulum", 1000), ("hopper", 1000))
        for fit in (few, many)
        for block in trained(task, "mse", 6, horizon, prefixes, (BC, dagger(5), CCIL), fit=fit)
    )
    walls = tuple(
        block
        for task in ("pendulum", "pendulum_wall")
        for block in trained(task, "mse", 6, 200, (10, 30, 100), (BC, dagger(5), CCIL, CCIL_TRUE), fit=many)
    )
    return Suite("horizon", 2, (*chains(), *reset_cliff(), *linear, *walls, *robots))
