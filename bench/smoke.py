"""Seconds: one task of each kind that needs no physics engine, two seeds; for checking an installation or a plug-in."""

from __future__ import annotations

from ilbench.evaluation.evidence import Protocol
from ilbench.running.plan import Block, Suite


def suite() -> Suite:
    """Chains with the dialled learner, a gridworld with tables, a linear system with nets."""
    small = (0, 1)
    return Suite(
        "smoke",
        1,
        (
            Block(
                "cliff",
                "dialled",
                "table",
                0,
                horizon=32,
                config={"dialled.eps": 1e-2},
                protocol=Protocol(episodes=256, held_out=16),
                seeds=small,
            ),
            Block("gridworld", "bc", "table", 500, protocol=Protocol(episodes=32, held_out=32), seeds=small),
            Block("gridworld", "dagger", "table", 600, protocol=Protocol(episodes=32, held_out=32), seeds=small),
            Block(
                "scalar_unstable",
                "bc",
                "mse",
                300,
                config={"fit.updates": 300},
                protocol=Protocol(episodes=32, held_out=32),
                seeds=small,
            ),
        ),
    )
