"""Evaluation: the one way in which a policy is judged, a learner's or anybody else's.

    task, policy, protocol, seeds --> rollouts of policy and expert, rolled once --> evidence --> all measures
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax
import numpy as np

from ilbench.compute import parallel
from ilbench.evaluation import deployment, references
from ilbench.evaluation.coupling import random_expert
from ilbench.evaluation.evidence import Protocol, held_out_errors, mistakes, roll, split
from ilbench.evaluation.measuring import measure_all
from ilbench.rollouts.behaviours import same
from ilbench.types import Demos, Policy, Task
from ilbench.wrappers.noisy import noisy

NOISY_EXPERT_EPISODES = 256  # of the expert under noise: what a noisy score of 1 is
# Keys of what two draws of one expert, whose law is not known, would say nothing about.
MISTAKES = ("cost", "eps", "bound", "faultless", "held_out_error", "worse_than_constant", "prefix_cost", "prefix_eps", "union")


@dataclass
class Session:
    """What the blocks of a run share while they are about one task: expert rollouts, demonstrations, references."""

    demos: dict[Any, Demos] = field(default_factory=dict)
    expert: dict[Any, Demos] = field(default_factory=dict)
    references: dict[Any, Any] = field(default_factory=dict)
    task: Task | None = None
    shared_s: float = 0.0  # seconds that went into them since they were last asked for, without compiling

    def enter(self, task: Task) -> None:
        """Forgets what belongs to another task, so that memory stays bounded by one."""
        if self.task is not task:
            self.demos.clear()
            self.expert.clear()
            self.references.clear()
            self.task = task
            parallel.spare_mappings()

    def once(self, kept: dict[Any, Any], key: Any, make: Callable[[], Any]) -> Any:
        """What `kept` has under `key`, made the first time; the time that takes is nobody's in particular."""
        if key not in kept:
            started, compiled = time.perf_counter(), parallel.COMPILE_SECONDS[0]
            kept[key] = make()
            self.shared_s += time.perf_counter() - started - (parallel.COMPILE_SECONDS[0] - compiled)
        return kept[key]


class Judged(NamedTuple):
    """What an evaluation says: all measures, a dict per seed, and the policy's own rollouts `[S, N, H]`."""

    values: list[dict[str, Any]]
    learner: Demos
    costs: np.ndarray  # `[S, N]` imitation cost of every episode; NaN where it is not defined
    held_out: np.ndarray | None = None  # `[S, N]` share of wrong steps of every expert's held-out episode; None as costs are NaN


def clean_task(task: Task, protocol: Protocol) -> Task:
    """The task of the clean evaluation: with noise declared, the noisy one at sigma = 0, so that one program serves both."""
    return noisy(task, 0.0) if protocol.noise else task


def expert_rollouts(task: Task, protocol: Protocol, seeds: tuple[int, ...], beside: Policy, cache: Session) -> Demos | None:
    """The expert's held-out rollouts, with the law of its action where it is stochastic; None for a task without an expert.

    `beside` is a policy of the learner's kind: the program that rolls holds one, and another program rounds otherwise.
    """
    if task.expert is None:
        return None
    fields = () if task.expert.dist is None else ("dist",)

    def make() -> Demos:
        return roll(clean_task(task, protocol), beside, seeds, protocol.held_out, beta=1.0, record=fields)

    return cache.once(cache.expert, (seeds, protocol.held_out, bool(protocol.noise), _kind(beside)), make)


def _kind(policy: Policy) -> Any:
    """What of a policy a program is compiled for, but for the shapes of its numbers."""
    return policy.init, policy.act, jax.tree.structure(policy.params)


def reference_returns(task: Task, protocol: Protocol, beside: Policy, cache: Session) -> dict[str, Any]:
    """Returns of random and expert, and of the expert under the protocol's noise, seeing what the learner sees."""
    found: dict[str, Any] = cache.once(cache.references, None, lambda: references.references(task))
    if not protocol.noise or task.expert is None:
        return found

    def make() -> dict[str, Any]:
        shaken, one = noisy(task, protocol.noise, blind=True), jax.tree.map(lambda leaf: np.asarray(leaf)[:1], beside)
        rolled = roll(shaken, one, (references.SEED,), NOISY_EXPERT_EPISODES, beta=1.0)
        return references.mean_of(np.asarray(rolled.reward, np.float64)[0].sum(-1))

    return {**found, "noisy_expert": cache.once(cache.references, (protocol.noise, _kind(beside)), make)}


def evaluate(
    task: Task,
    policy: Policy,
    protocol: Protocol,
    seeds: tuple[int, ...],
    cache: Session | None = None,
    *,
    beside: Policy | None = None,
    losses: np.ndarray | None = None,
    deployed: bool = True,
) -> Judged:
    """Rolls out `policy`, leaves `[S, M, ...]`, and measures it against the task's expert at the evaluation keys.

    A policy without leading axes is judged on every seed. `cache` keeps what policies of one task share; `beside`, a policy of
    the learner's kind (by default itself), is what the expert's programs hold; `losses [S, 2]` are the head's held-out loss half way
    and at the end of its fit. Without `deployed` there is no 0-1 deployment, whatever the protocol says.
    """
    cache = Session() if cache is None else cache
    cache.enter(task)
    plain = [np.ndim(leaf) for leaf in jax.tree.leaves(policy.params)]
    if not plain or min(plain) < 2:
        policy = same(policy, len(seeds), iterates=True)
    beside = policy if beside is None else beside
    refs = reference_returns(task, protocol, beside, cache)
    expert = expert_rollouts(task, protocol, seeds, beside, cache)
    learner = roll(clean_task(task, protocol), policy, seeds, protocol.episodes, beta=0.0)
    shaken = roll(noisy(task, protocol.noise), policy, seeds, protocol.episodes, beta=0.0) if protocol.noise else None
    held_out = None if expert is None else held_out_errors(task, policy, seeds, expert)
    means = {name: ref["mean"] for name, ref in refs.items()}
    evidence = split(task, protocol, means, expert, held_out, learner, shaken, losses)
    if protocol.snap and deployed:
        found = deployment.deploy(task, policy, protocol, seeds, beside, cache)
        evidence = [e._replace(**more) for e, more in zip(evidence, found, strict=True)]
    values = [measure_all(e) for e in evidence]
    costs = np.stack([mistakes(e.error, e.alive, e.deltas[0]).sum(-1) for e in evidence])
    if task.expert is None or unknown_law(task):
        values = [{k: None if k.startswith(MISTAKES) else v for k, v in value.items()} for value in values]
        return Judged(values, learner, np.full(costs.shape, np.nan))
    shares = np.stack([mistakes(e.held_out_error, e.expert_alive, e.deltas[0]).mean(-1) for e in evidence])
    return Judged(values, learner, costs, shares)


def unknown_law(task: Task) -> bool:
    """Whether the expert draws its actions from a law that it does not tell: two draws of it differ, which is no mistake."""
    return task.expert is not None and task.expert.dist is None and random_expert(task)
