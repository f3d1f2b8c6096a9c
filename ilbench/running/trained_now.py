"""A policy named on the command line, `bc:6`: trained now, with the settings of a suite.

The suite is the one asked for, or the first of quick and all others that runs the algorithm on the task; of its blocks the
one with the nearest budget. Without any the library's defaults; either is said.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from ilbench import plugins, registry
from ilbench.evaluation.coupling import smoothed_task
from ilbench.running import plan, select
from ilbench.running.plan import Block, Plan, Suite
from ilbench.training.deployed import finite
from ilbench.training.lab import Lab
from ilbench.types import Discrete, Policy


class Training(NamedTuple):
    """A policy to train now."""

    plan: Plan
    suite: str | None  # name@version of the suite whose settings it has; None: the library's defaults
    settings: str  # the same in words


def training(
    algorithm: str,
    head: str | None,
    episodes: int,
    task_name: str,
    seed: int,
    horizon: int | None,
    changes: Mapping[str, Any],
    suite: str | None,
) -> Training:
    """A policy to be trained with the settings of a suite; raises ValueError (UnknownName) before any compute."""
    registry.entry("algorithms", algorithm)
    registry.task(task_name, horizon)
    if episodes < 1:
        raise ValueError(f"{algorithm}:{episodes}: give at least 1 demonstration")
    # An instrument's settings are its dial, which is the caller's to turn.
    dialled = plugins.algorithm(algorithm).instrument
    declared = None if dialled and suite is None else _declared(suite, task_name, algorithm)
    if declared is None:
        name, block, settings = (
            None,
            Block(task_name, algorithm, head or plainest_head(task_name), 0, horizon=horizon),
            "default settings",
        )
        settings += "" if dialled else f" of the library: no suite runs {algorithm} on {task_name}"
    else:
        name, block, settings = _of_suite(*declared, head, episodes, horizon)
    steps = registry.task(task_name, block.horizon).horizon
    config = {**block.config, **changes}
    block = dataclasses.replace(block, budget=episodes * steps, seeds=(seed,), config=config)
    resolved = plan.resolve(block)
    if said := [f"{key}={value}" for key, value in changes.items() if key != "task.demonstrations"]:
        settings += f", changed: {', '.join(said)}"
    if not dialled and resolved.head.solve is None:
        fit = resolved.fit
        settings += f"; {fit.updates:,} updates of {fit.batch} at {fit.learning_rate:g}"
    return Training(resolved, name, settings)


def plainest_head(task_name: str) -> str:
    """The plainest head that a task takes."""
    env = registry.task(task_name).env
    discrete = isinstance(env.action, Discrete)
    return "table" if discrete and isinstance(env.obs, Discrete) else "mlp" if discrete else "mse"


def _declared(suite: str | None, task: str, algorithm: str) -> tuple[Suite, list[Block]] | None:
    """The suite asked for, else the first of quick and all others, and its blocks of the algorithm on the task; None without.

    Raises UnknownName where the suite that was asked for has none.
    """
    order = sorted(registry.entries("suites"), key=lambda name: (name != "quick", name))
    for name in [suite] if suite is not None else order:
        found = plan.load_suite(name)
        if blocks := [b for b in found.blocks if (b.task, b.algorithm) == (task, algorithm)]:
            return found, blocks
    if suite is None:
        return None
    others = [n for n in order if any((b.task, b.algorithm) == (task, algorithm) for b in plan.load_suite(n).blocks)]
    there = (
        f"suites that do: {', '.join(others)}"
        if others
        else "no suite does; leave --suite out for the library's defaults"
    )
    raise registry.UnknownName(f"suite {suite} does not run {algorithm} on {task}; {there}")


def _of_suite(
    suite: Suite, blocks: list[Block], head: str | None, episodes: int, horizon: int | None
) -> tuple[str, Block, str]:
    """`(name@version, block, settings in words)`: of the blocks with this head, else of all, the one with the nearest budget."""
    own = {b.horizon for b in blocks}

    def demonstrations(b: Block) -> float:
        return b.budget / registry.task(b.task, b.horizon).horizon

    fitting = [b for b in blocks if head in (None, b.head)] or blocks
    nearest = min(fitting, key=lambda b: abs(np.log(max(demonstrations(b), 1e-9) / episodes)))
    name, count = f"{suite.name}@{suite.version}", demonstrations(nearest)
    settings = f"settings of {name}"
    if count != episodes:
        settings += f", declared there for {count:g} demonstration{'' if count == 1 else 's'}"
    if head not in (None, nearest.head):
        settings += f", whose head there is {nearest.head}"
        (nearest,) = select.override([nearest], {"block.head": head})
    # Where a suite sweeps the horizon over runs of their own, none of its horizons is the task's.
    steps = horizon or (nearest.horizon if len(own) == 1 else None)
    return name, dataclasses.replace(nearest, horizon=steps), settings


def train(of: Training, sigma: float | None) -> tuple[Policy, str, tuple[str, ...]]:
    """The policy of one seed, leaves `[1, M, ...]`, what to call it, and how it was trained; ValueError if it diverged."""
    found, block = of.plan, of.plan.block
    task = found.task if sigma is None else smoothed_task(found.task, sigma)
    lab = Lab(task, found.head, block.seeds, block.budget, found.fit)
    result = found.algorithm.train(lab, found.config)
    policy = result.policies[result.selected]
    if not np.all(finite(policy.params)):
        raise ValueError(f"{found.label}: training diverged (non-finite parameters); there is nothing to certify")
    kind = f"{block.budget // task.horizon} demonstrations{'' if sigma is None else ' with the noise'}"
    if found.algorithm.instrument:
        kind = "dialled"
    how = "trained now" if of.suite is None else f"trained as in {of.suite}"
    source = f"{block.algorithm}/{block.head}, {kind}, seed {block.seeds[0]}, {how}"
    return policy, source, (of.settings,)
