"""Compounding on robots, measured so that the theorem speaks: 0-1 deployment at two error rates, thirty seeds, all robots.

Every learner is deployed snapped: the expert's action wherever its own lies within delta, which makes Ross and Bagnell's
cost what is counted; delta is chosen on other episodes so that it errs at 3e-3, and at 1e-3, of the expert's steps. Methods
share labels and optimiser; noise_bc and ccil run on three robots. The first budget of a robot is where bc was seen to score
between .2 and .95 (swimmer and the single pole are easier than that at any). halfcheetah has a second budget, and fits of 5,000
updates, the setting in which this measurement was first tried. Anchors are tasks whose actions are discrete, where a mistake is
one as it stands, and pendulum. With `horizons()` policies are trained on demonstrations of length H, each its own cell.

Optimiser, budgets and targets were declared before the suite ran. Slow robots are evaluated on fewer episodes; n is in every
record. About an hour and a half on two cores.
"""

from __future__ import annotations

import math
from typing import Any

from ilbench import registry
from ilbench.evaluation.evidence import Protocol
from ilbench.running.plan import Block, Suite

SEEDS = tuple(range(30))
TARGETS = (0.003, 0.001)  # eps_bar, the share of the expert's steps at which the snapped learner errs
EXPECTED = 30  # mistakes in calibration, at the smaller target
PUSH = 1.0  # Euclidean size of a mistake in a random direction; actions lie in [-1, 1] each
FIT: dict[str, Any] = {"fit.updates": 20_000, "fit.batch": 64, "fit.learning_rate": 1e-2}  # as in the suite brax
SHORT: dict[str, Any] = {**FIT, "fit.updates": 5000}
HORIZON = {"pusher": 100, "reacher": 200}  # of these robots; the others have 1,000 steps. Making a robot to ask it takes seconds
PREFIXES = (10, 30, 100, 300)
ROBOTS: dict[str, tuple[tuple[int, ...], int]] = {  # demonstrations, the first budget first, and episodes per seed
    "halfcheetah": ((6, 2), 16),
    "hopper": ((2,), 320),
    "walker2d": ((2,), 64),
    "ant": ((5,), 32),
    "humanoid": ((10,), 16),
    "humanoidstandup": ((5,), 16),
    "inverted_double_pendulum": ((2,), 64),
    "inverted_pendulum": ((2,), 64),
    "pusher": ((2,), 32),
    "reacher": ((5,), 64),
    "swimmer": ((2,), 32),
}
ALL = ("ant", "halfcheetah", "hopper")  # robots on which corrective labels and jittered inputs run too
LENGTHS = (50, 100, 200, 500, 1000)  # of demonstrations, for those that are trained anew for each


def protocol(horizon: int, episodes: int, *, snap: bool = True) -> Protocol:
    """Evaluation at one horizon; enough calibration episodes for the smaller target."""
    plain = Protocol(episodes=episodes, held_out=min(episodes, 64), prefixes=tuple(h for h in PREFIXES if h < horizon))
    if not snap:
        return plain
    calibration = max(32, math.ceil(EXPECTED / (min(TARGETS) * horizon) - 1e-9))
    return Protocol(plain.episodes, plain.held_out, plain.prefixes, snap=TARGETS, calibration=calibration, push=PUSH)


def dagger(rounds: int) -> tuple[str, dict[str, Any]]:
    """DAgger that spends every label on training."""
    return "dagger", {"dagger.rounds": rounds, "dagger.validate": False}


def robot(name: str) -> tuple[Block, ...]:
    """The methods at the first budget of a robot; bc and dagger at a second and, on halfcheetah, after few updates."""
    (first, *more), episodes = ROBOTS[name]
    horizon = HORIZON.get(name, 1000)
    judged = protocol(horizon, episodes)

    def block(method: tuple[str, dict[str, Any]], trajectories: int, fit: dict[str, Any] = FIT) -> Block:
        algorithm, config = method
        return Block(
            name, algorithm, "mse", trajectories * horizon, horizon=horizon, seeds=SEEDS, config={**fit, **config}, protocol=judged
        )

    others: tuple[tuple[str, dict[str, Any]], ...] = (("noise_bc", {}), ("ccil", {"ccil.dynamics": "learned"}))
    repairs = (dagger(min(4, first)), ("noise_injection", {}), *(others if name in ALL else ()))
    out = [block(m, first) for m in (("bc", {}), *repairs)]
    out += [block(m, n) for n in more for m in (("bc", {}), dagger(min(4, n)))]
    if name == "halfcheetah":
        out += [block(m, first, SHORT) for m in (("bc", {}), dagger(4))]
    return tuple(out)


def anchors() -> tuple[Block, ...]:
    """Tasks whose exact answers are known, and pendulum."""
    table: dict[str, Any] = {"table.per_step": True, "table.unseen": "wrong"}
    both: tuple[tuple[str, dict[str, Any]], ...] = (("bc", {}), dagger(5))

    def block(
        task: str, head: str, horizon: int, episodes: int, method: Any, config: dict[str, Any], judged: Protocol
    ) -> Block:
        settings = {**config, **method[1]}
        return Block(task, method[0], head, episodes * horizon, horizon=horizon, seeds=SEEDS, config=settings, protocol=judged)

    cliff, cart = protocol(40, 256, snap=False), {"fit.batch": 32, "fit.learning_rate": 1e-2, "fit.updates": 2500}
    swing = {**cart, "fit.updates": 40_000}
    return (
        *(block("gridworld", "table", 100, 12, m, {}, protocol(100, 64, snap=False)) for m in both),
        *(block(f"reset_cliff{kind}", "table", 40, 100, m, table, cliff) for kind in ("", "_recoverable") for m in both),
        *(block("cartpole", "mlp", 500, 2, m, cart, protocol(500, 64, snap=False)) for m in (("bc", {}), dagger(2))),
        *(block("pendulum", "mse", 200, 6, m, swing, protocol(200, 128)) for m in (("bc", {}), dagger(3))),
    )


def horizons() -> tuple[Block, ...]:
    """bc from five demonstrations of length H, for each H a training of its own, on a robot that can fall."""
    return tuple(
        Block("hopper", "bc", "mse", 5 * h, horizon=h, seeds=SEEDS, config=FIT, protocol=protocol(h, 64, snap=False))
        for h in LENGTHS
    )


def suite() -> Suite:
    """Every robot whose expert ships, the anchors, and the lengths."""
    robots = [name for name, entry in registry.entries("tasks").items() if "brax" in entry.tags]
    return Suite("compounding", 1, (*(b for name in robots for b in robot(name)), *anchors(), *horizons()))
