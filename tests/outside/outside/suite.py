"""Fading against cloning, on one small task.

Source: none; a suite as a package of one's own begins
"""

from __future__ import annotations

from ilbench.evaluation.evidence import Protocol
from ilbench.running.plan import Block, Suite


def suite() -> Suite:
    """Two rows of one table."""
    shared = {
        "seeds": (0, 1), "horizon": 20, "protocol": Protocol(episodes=8, held_out=8),
        "config": {"fit.updates": 200, "fit.batch": 32, "fit.learning_rate": 1e-2},
    }  # fmt: skip
    return Suite("outside", 1, tuple(Block("scalar_stable", name, "median", 100, **shared) for name in ("bc", "fading")))
