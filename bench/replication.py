"""Settings that published claims need and no other suite has; `ilbench replicate` reads its records.

    halfcheetah     from six demonstrations, as in the suite compounding: bc with open-loop chunks of 2 and 4 actions beside single ones,
                    and noise injected into all but a share of the demonstrations, at two sizes (claim 01)
    pd_mass         bc of the targets of a position controller, at four pairs of gains: one motion, other labels (claim 12)
    chunks of 8     executed open loop, or averaged with ACT's weights, from the same fits (claim 14)
    distillation    by the exact reverse divergence or one draw of it, the same demonstrations, nets and steps (claim 17)

Paper: Zhang et al. 2025, https://arxiv.org/abs/2507.09061; Seo 2026, https://arxiv.org/abs/2604.14484; Zhao et al. 2023,
https://arxiv.org/abs/2304.13705; Agarwal et al. 2023, https://arxiv.org/abs/2306.13649
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

SMALL: dict[str, Any] = {"fit.updates": 10_000, "fit.batch": 64, "fit.learning_rate": 3e-3}  # as in the suite repairs
GAINS = ((4.0, 8.0), (4.0, 1.0), (64.0, 32.0), (64.0, 4.0))  # stiffness and damping: compliant twice, stiff twice
TARGETS = (5, 15)  # demonstrations of them
Tried = tuple[tuple[str, str, int, int, dict[str, Any]], ...]  # task, head, demonstrations, steps of one, settings
ENSEMBLED: Tried = (
    ("double_integrator", "mse", 5, 200, {}),
    ("pendulum", "mse", 15, 200, {}),
    ("lane", "mse", 10, 200, {}),
    ("peg_easy_one", "mse", 50, 100, {}),
    ("peg_easy", "flow", 50, 100, {"flow.start": "normal"}),
)
HALF = {**SMALL, "fit.updates": 5_000}
LENGTH, DECAY = 8, 0.01  # of a chunk; of the weights of its ensemble, ACT's
OPD = "on_policy_distillation"
DRAWS, ASKED = {f"{OPD}.selected": "draws"}, {f"{OPD}.teacher": "expert"}
DISTILLED: Tried = (
    ("gridworld", "linear", 5, 100, DRAWS),
    ("gridworld_soft", "linear", 10, 100, ASKED),
    ("double_integrator_soft", "gaussian", 5, 200, ASKED),
    ("pendulum", "gaussian", 10, 200, {}),
)
ROUNDS: dict[str, Any] = {"fit.updates": 2_000, "fit.batch": 64, "fit.learning_rate": 3e-3, "fit.equal_steps": True}


def _robot() -> list[Block]:
    """bc by length of its chunks, and noise injection by share and size."""
    protocol = Protocol(episodes=16, held_out=16)

    def block(algorithm: str, config: dict[str, Any]) -> Block:
        labels = TRAJECTORIES * HORIZON
        return Block(ROBOT, algorithm, "mse", labels, horizon=HORIZON, config={**FIT, **config}, protocol=protocol)

    noisy = [{"noise_injection.sigma": s, "noise_injection.clean": c} for s in SIGMA for c in CLEAN]
    return [*(block("bc", {"policy.chunk": n}) for n in CHUNKS), *(block("noise_injection", own) for own in noisy)]


def _gains() -> list[Block]:
    """bc of targets by gains and demonstrations; twenty seeds, since what is lost has a long tail."""
    return [
        Block(
            "pd_mass", "bc", "mse", n * 200, horizon=200, seeds=tuple(range(20)),
            config={**SMALL, "task.stiffness": stiffness, "task.damping": damping},
        )
        for n in TARGETS
        for stiffness, damping in GAINS
    ]  # fmt: skip


def _ensembles() -> list[Block]:
    """Chunks by task and by how they are executed."""
    ways: tuple[dict[str, Any], ...] = ({}, {"policy.decay": DECAY})
    return [
        Block(task, "bc", head, n * horizon, horizon=horizon, config={**HALF, **own, "policy.chunk": LENGTH, **how})
        for task, head, n, horizon, own in ENSEMBLED
        for how in ways
    ]


def _distilled() -> list[Block]:
    """Students by task and by estimator; all fits of one share its steps."""
    return [
        Block(task, OPD, head, n * horizon, horizon=horizon, config={**ROUNDS, **own, f"{OPD}.estimator": estimator})
        for task, head, n, horizon, own in DISTILLED
        for estimator in ("exact", "sampled")
    ]


def suite() -> Suite:
    """By claim."""
    return Suite("replication", 1, (*_robot(), *_gains(), *_ensembles(), *_distilled()))
