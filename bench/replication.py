"""Settings that published claims need and no other suite has: chunks on a robot under torques, and shares of clean demonstrations.

On halfcheetah from six demonstrations, as in the suite compounding: bc with open-loop chunks of 2 and 4 actions beside single ones, and
noise injected into all but a share of the demonstrations, at two sizes. `ilbench replicate` reads it.
Paper: Zhang et al. 2025, https://arxiv.org/abs/2507.09061
"""

from __future__ import annotations

from typing import Any

from ilbench.evaluation.evidence import Protocol
from ilbench.running.plan import Block, Suite

FIT: dict[str, Any] = {"fit.updates": 20_000, "fit.batch": 64, "fit.learning_rate": 1e-2}  # as in the suite compounding
ROBOT, HORIZON, TRAJECTORIES = "halfcheetah", 1000, 6
CHUNKS = (1, 2, 4)
CLEAN = (0.0, 0.2, 0.5, 0.8)  # share of the labels that is demonstrated without noise
SIGMA = (0.5, 1.0)  # of the noise, actions lying in [-1, 1]


def suite() -> Suite:
    """bc by length of its chunks, and noise injection by share and size."""
    protocol = Protocol(episodes=16, held_out=16)

    def block(algorithm: str, config: dict[str, Any]) -> Block:
        labels = TRAJECTORIES * HORIZON
        return Block(ROBOT, algorithm, "mse", labels, horizon=HORIZON, config={**FIT, **config}, protocol=protocol)

    return Suite(
        "replication",
        1,
        (
            *(block("bc", {"policy.chunk": n}) for n in CHUNKS),
            *(
                block("noise_injection", {"noise_injection.sigma": s, "noise_injection.clean": c})
                for s in SIGMA
                for c in CLEAN
            ),
        ),
    )
