"""What `ilbench evaluate` judges: a policy from outside, a stored one, or one trained now; on which task, and under which protocol.

A stored policy has the protocol of its record, so that at its own seed its record's numbers come out; any other that of the first suite
which judges the task in one way.
"""

from __future__ import annotations

import dataclasses
import pathlib
import re
from typing import Any, NamedTuple

import jax
import numpy as np

from ilbench import registry
from ilbench.configs import build_config
from ilbench.evaluation.evidence import Protocol
from ilbench.records.schema import Record
from ilbench.running import outside, policies, trained_now
from ilbench.running.plan import Plan, load_suite, resolve
from ilbench.types import Policy, Task

SEEDS = (0, 1, 2, 3, 4)  # of a policy from outside, unless told otherwise


class Subject(NamedTuple):
    """Who is judged where; `apart` where each seed has a policy of its own, `iterates` those of a mixture."""

    task: Task
    policy: Policy
    protocol: Protocol
    seeds: tuple[int, ...]
    label: str
    apart: bool
    iterates: int
    told: tuple[str, ...]
    watched: outside.Watched | None = None  # the function of a policy from outside


def bare(protocol: Protocol) -> Protocol:
    """What of a protocol any policy can be judged by: no 0-1 deployment, and nothing read off along the way."""
    return dataclasses.replace(protocol, prefixes=(), snap=(), push=0.0)


def declared(task: str, horizon: int | None, suite: str | None) -> tuple[Protocol, int | None, str]:
    """The protocol and the horizon of `suite`, by default of the first (quick, then by name) that judges the task in one way.

    Raises ValueError for a suite that does not run the task, or at several horizons of which none is asked for.
    """
    order = sorted(registry.entries("suites"), key=lambda name: (name != "quick", name))
    own = registry.task(task).horizon
    for name in [suite] if suite is not None else order:
        found = load_suite(name)
        ways = {(b.horizon or own, bare(b.protocol)) for b in found.blocks if b.task == task}
        ways = {way for way in ways if way[0] == horizon} or ways
        if len(ways) == 1:
            ((steps, protocol),) = ways
            return protocol, horizon or steps, f"protocol of {found.name}@{found.version}"
        if suite is not None and ways:
            steps = ", ".join(map(str, sorted({h for h, _ in ways})))
            raise ValueError(f"suite {suite} judges {task} in {len(ways)} ways; choose with --horizon: {steps}")
    if suite is not None:
        has = [n for n in order if any(b.task == task for b in load_suite(n).blocks)]
        raise registry.UnknownName(f"suite {suite} does not run {task}; suites that do: {', '.join(has) or 'none'}")
    return Protocol(), horizon, "the library's own protocol: no suite judges the task in one way"


def of_record(record: Record) -> Protocol:
    """The protocol that a record was judged by; ValueError for one that this ilbench has not."""
    fields = {f.name for f in dataclasses.fields(Protocol)}
    given = {k: v for k, v in record.cell.evaluation.items() if k in fields}
    name = given.pop("name", Protocol().name)
    if name != Protocol().name:
        raise ValueError(f"record {record.id[:8]} was judged by {name!r}; this ilbench judges by {Protocol().name!r}")
    found: Protocol = build_config("evaluation", Protocol, given)
    return found


def subject(
    task: str,
    text: str,
    *,
    seeds: tuple[int, ...] | None = None,
    episodes: int | None = None,
    horizon: int | None = None,
    suite: str | None = None,
    results: str | None = None,
    demos: str | None = None,
) -> Subject:
    """Reads `text` as `module:function`, `folder/NAME.py:function`, or what `policies.find` takes; ValueError says what else to give.

    A stored policy's seed, and the first of a policy's that is trained now, are the only seeds by default.
    What is trained now learns from the file `demos`, where one is given; judged it is on the task as it is, by its expert.
    """
    registry.task(task, horizon)
    if demos is not None and not policies.TRAINED.fullmatch(text):
        raise ValueError(f"--demos is what a policy trained now learns from, and {text!r} is none; give ALGORITHM:EPISODES, e.g. bc:20")
    if outside.named(text):
        protocol, steps, told = declared(task, horizon, suite)
        made, chosen = registry.task(task, steps), SEEDS if seeds is None else seeds
        found = outside.load(text)
        policy, watched = outside.policy(found, made, chosen)
        return Subject(made, policy, _longer(protocol, episodes), chosen, text, found.seeded, 1, (told,), watched)
    if text.endswith(".py"):
        raise ValueError(f"{text!r} names a file and no function in it; give {text}:FUNCTION")
    first = 0 if seeds is None else seeds[0]
    try:
        changes = {} if demos is None else {"task.demonstrations": demos}
        known: Any = policies.find(text, task, results=results, seed=first, horizon=horizon, suite=suite, changes=changes)
    except ValueError as error:
        if re.fullmatch(r"[\w-]+", text) and not re.fullmatch(r"[0-9a-f]{6,32}", text):
            raise type(error)(f"{error}; a policy of your own is ./NAME.py:FUNCTION or MODULE:FUNCTION") from error
        raise
    if isinstance(known, trained_now.Training):
        protocol, own, told = bare(known.plan.block.protocol), first, f"protocol of {known.suite or 'the library'}"
    else:
        protocol, own, told = bare(of_record(known[0])), known[0].cell.seed, f"protocol of the record, {known[0].suite}"
    judged, learnt = (policies.task_of(known), ()) if demos is None else _learnt(known.plan, demos)
    loaded = policies.build(known)
    chosen = (own,) if seeds is None else seeds
    iterates = max((np.shape(leaf)[1] for leaf in jax.tree.leaves(loaded.policy.params)), default=1)
    repeated = jax.tree.map(lambda x: np.broadcast_to(x, (len(chosen), *np.shape(x)[1:])).copy(), loaded.policy)
    told_all = (told, *learnt, *loaded.told)
    return Subject(judged, repeated, _longer(protocol, episodes), chosen, loaded.source, False, iterates, told_all)


def _learnt(plan: Plan, demos: str) -> tuple[Task, tuple[str, ...]]:
    """The task that is judged on, its expert in place, and what was learnt from; ValueError for more episodes than the file holds."""
    file, task = pathlib.Path(demos).name, plan.task
    assert task.recorded is not None
    there = np.asarray(task.recorded().alive)[0]
    if (asked := plan.block.budget // task.horizon) > len(there):
        raise ValueError(f"{file} holds {len(there)} demonstrations, and {asked} are asked for; give {plan.block.algorithm}:{len(there)}")
    block = plan.block
    own = {key: value for key, value in block.config.items() if key != "task.demonstrations"}
    known = f"learnt from {file}, {len(there)} episodes of {int(there.sum())} steps, digest {str(task.demonstrator)[:8]}"
    return resolve(dataclasses.replace(block, config=own)).task, (known,)


def _longer(protocol: Protocol, episodes: int | None) -> Protocol:
    """The protocol with so many episodes of policy and expert, where a number is asked for."""
    return protocol if episodes is None else dataclasses.replace(protocol, episodes=episodes, held_out=episodes)
