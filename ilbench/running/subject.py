"""What `ilbench evaluate` judges: a policy from outside, a stored one, or one trained now; on which task, and under which protocol.

A stored policy has the protocol of its record, so that at its own seed its record's numbers come out; any other that of the first suite
which judges the task in one way.
"""

from __future__ import annotations

import dataclasses
import re
from typing import Any, NamedTuple

import jax
import numpy as np

from ilbench import registry
from ilbench.configs import build_config
from ilbench.evaluation.evidence import Protocol
from ilbench.records.schema import Record
from ilbench.running import outside, policies, trained_now
from ilbench.running.plan import load_suite
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


def _bare(protocol: Protocol) -> Protocol:
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
        ways = {(b.horizon or own, _bare(b.protocol)) for b in found.blocks if b.task == task}
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


def _of_record(record: Record) -> Protocol:
    fields = {f.name for f in dataclasses.fields(Protocol)}
    given = {k: v for k, v in record.cell.evaluation.items() if k in fields}
    name = given.pop("name", Protocol().name)
    if name != Protocol().name:
        raise ValueError(f"record {record.id[:8]} was judged by {name!r}; this ilbench judges by {Protocol().name!r}")
    found: Protocol = build_config("evaluation", Protocol, given)
    return _bare(found)


def subject(
    task: str,
    text: str,
    *,
    seeds: tuple[int, ...] | None = None,
    episodes: int | None = None,
    horizon: int | None = None,
    suite: str | None = None,
    results: str | None = None,
) -> Subject:
    """Reads `text` as `module:function`, `folder/NAME.py:function`, or what `policies.find` takes; ValueError says what else to give.

    A stored policy's seed, and the first of a policy's that is trained now, are the only seeds by default.
    """
    registry.task(task, horizon)
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
        known: Any = policies.find(text, task, results=results, seed=first, horizon=horizon, suite=suite)
    except ValueError as error:
        if re.fullmatch(r"[\w-]+", text) and not re.fullmatch(r"[0-9a-f]{6,32}", text):
            raise type(error)(f"{error}; a policy of your own is ./NAME.py:FUNCTION or MODULE:FUNCTION") from error
        raise
    if isinstance(known, trained_now.Training):
        protocol, own, told = _bare(known.plan.block.protocol), first, f"protocol of {known.suite or 'the library'}"
    else:
        protocol, own, told = _of_record(known[0]), known[0].cell.seed, f"protocol of the record, {known[0].suite}"
    loaded = policies.build(known)
    chosen = (own,) if seeds is None else seeds
    iterates = max((np.shape(leaf)[1] for leaf in jax.tree.leaves(loaded.policy.params)), default=1)
    repeated = jax.tree.map(lambda x: np.broadcast_to(x, (len(chosen), *np.shape(x)[1:])).copy(), loaded.policy)
    told_all = (told, *loaded.told)
    return Subject(loaded.task, repeated, _longer(protocol, episodes), chosen, loaded.source, False, iterates, told_all)


def _longer(protocol: Protocol, episodes: int | None) -> Protocol:
    """The protocol with so many episodes of policy and expert, where a number is asked for."""
    return protocol if episodes is None else dataclasses.replace(protocol, episodes=episodes, held_out=episodes)
