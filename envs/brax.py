"""Brax robots as tasks with trained experts; physics is in _brax.py.

Shipped tasks use the `spring` backend, the fastest on CPU. `brax:NAME/BACKEND` names any other combination.

- `inverted_pendulum`: balance a pole on a cart; +1 a step, terminates when the pole leans beyond 0.2 rad.
- `reacher`: bring a two-link arm's fingertip to a random target and keep it there; reward is minus the distance
  minus the squared action; never terminates. One decision every 0.02 s with no action repeat, because
  a repeat would hide errors between decisions; H = 200 is 4 s, of which a reach takes about one, so that the
  episode measures both reaching and holding.
- `hopper`, `walker2d`, `ant`: go forward on one, two, four legs; 1 + speed - a small action cost, terminate when they
  fall.
- `inverted_double_pendulum`: balance two poles; about 9.3 a step upright, terminates when the tip sinks below 1 m.
- `halfcheetah`, `swimmer`: go forward; speed - a small action cost, never terminate.
- `humanoid`: go forward on two legs; 5 + 1.25 speed - an action cost, terminates when the torso sinks below 1 m or rises above 2 m. The
  observation holds the last torques, from which a clone can copy.
- `humanoidstandup`: raise the torso from lying down; its height divided by the time step (0.015 s), never terminates.
- `pusher`: push an object towards a goal on a table; minus the object's distance, half the hand's distance to the object and a
  tenth of the squared action, never terminates. H = 100 is 5 s.

Source: Brax, Freeman et al. 2021, https://arxiv.org/abs/2106.13281
"""

from __future__ import annotations

import dataclasses
from typing import Any

from ilbench.envs._brax import BACKENDS, known, known_backend, make_env, names
from ilbench.experts import weights
from ilbench.types import Task

VERSION = 1
VERSIONS: dict[str, int] = {}  # of single tasks whose numbers changed since; weights are valid for one version only
HORIZON = 1000  # unless a robot's settings say otherwise
TAGS = ("brax",)
FAMILY = "brax"  # `brax:NAME/BACKEND` is made by `make_any`
# Every robot of Brax. `absorbing_reward` is earned on every step after a fall: 0 for the robots that earn about +1 (or
# +5, +10) a step for staying up, so that falling is not better than living. Those that cannot fall get about the worst
# reward of a step, should their physics blow up: reacher distance 0.41 (arm 0.21 + target 0.2) and action cost 2, pusher
# 0.9 m off with action cost 2.8, halfcheetah and swimmer a step backwards at 5 m/s and 1 m/s.
# An expert costs millions of steps, so the backend is the fastest on CPU, `spring`: hopper takes 2.3 times as long with
# positional, 5 to 8 times with generalized, 7 to 12 times with mjx; halfcheetah makes 11.6 thousand steps per CPU second
# with spring, 3.9 with generalized; pusher 3.2 and 2.1. Swimmer exists for generalized only (its drag).
# `block` lanes of one device keep their state in cache. Thousand steps per CPU second, lanes first, with 32, 64, 128, 256 lanes, random
# actions, one core: inverted_double_pendulum 162, 189, 213, 206; walker2d 50, 57, 49, 43; ant 20.8, 20.6, 20.2, 13.2;
# halfcheetah 11.2, 11.6, 11.5, 10.0; swimmer 13.3, 12.9, 14.0, 14.0; humanoid -, 16.4, 15.1, -.
ROBOTS: dict[str, dict[str, Any]] = {
    "inverted_pendulum": {"backend": "spring"},
    "inverted_double_pendulum": {"backend": "spring"},
    "reacher": {"backend": "spring", "horizon": 200, "absorbing_reward": -2.41},
    "pusher": {"backend": "spring", "horizon": 100, "absorbing_reward": -3.7},
    "hopper": {"backend": "spring"},
    "walker2d": {"backend": "spring", "block": 64},
    "halfcheetah": {"backend": "spring", "absorbing_reward": -5.0, "block": 64},
    "swimmer": {"backend": "generalized", "absorbing_reward": -1.0},
    "ant": {"backend": "spring"},
    "humanoid": {"backend": "spring", "block": 64},
    "humanoidstandup": {"backend": "spring", "block": 64},
}
# Tasks are the robots whose trained expert ships; the others are reached, and trained, as `brax:NAME/BACKEND`.
TASKS: dict[str, dict[str, Any]] = {
    "inverted_pendulum": {},
    "reacher": {},
    "hopper": {},
    "ant": {},
    "halfcheetah": {},
    "walker2d": {},
    "swimmer": {},
    "inverted_double_pendulum": {},
    "humanoid": {},
    "humanoidstandup": {},
    "pusher": {},
}
SUMMARY = {
    "inverted_pendulum": "balance a pole on a cart (brax, spring): short memory, falls are final",
    "reacher": "two-link arm reaches a random target and holds (brax, spring): errors heal, nothing terminates",
    "hopper": "one-legged robot hops forward (brax, spring): contacts, a slip is a fall",
    "inverted_double_pendulum": "balance two poles on a cart (brax, spring): short memory, falls are final",
    "halfcheetah": "planar runner (brax, spring): fast contacts, nothing terminates",
    "walker2d": "two-legged robot walks forward (brax, spring): contacts, falls are final",
    "swimmer": "three links crawl through a viscous fluid (brax, generalized): smooth dynamics, nothing terminates",
    "ant": "four-legged robot runs forward (brax, spring): eight joints, rarely falls",
    "humanoid": "a humanoid runs forward (brax, spring): 17 joints, and the observation holds its last torques",
    "humanoidstandup": "a humanoid gets up from lying; its expert sits up (brax, spring): 17 joints, nothing terminates",
    "pusher": "a seven-joint arm pushes an object to a goal (brax, spring): contacts, nothing terminates",
}

DELTAS = (0.1, 0.05, 0.2, 0.5)  # of an action range of 2: 5, 2.5, 10 and 25 per cent; the first is the headline
OPTIONS = frozenset({"backend", "absorbing_reward", "block"})  # --set task.block=256 is another cell, and so recorded
BLOCK = 128  # lanes whose state stays in cache: 122k steps/s against 47k for 1,024 (hopper, one core)


def parse(task_id: str) -> tuple[str, str, dict[str, Any]]:
    """`(task id, brax name, kwargs)`: "hopper" and "brax:hopper/spring" are one task, called "hopper".

    "brax:ant/mjx" becomes the id "brax-ant-mjx", which is safe in records and as a file name, and is read back too.
    """
    if task_id in ROBOTS:
        return task_id, task_id, dict(ROBOTS[task_id])
    if not task_id.startswith(("brax:", "brax-")):
        known("brax task", task_id, (*ROBOTS, *(f"brax:{name}/spring" for name in names() if name not in ROBOTS)))
    mark = "/" if task_id.startswith("brax:") else "-"
    name, found, backend = task_id[5:].rpartition(mark)
    if not found or (mark == "-" and backend not in BACKENDS):  # names of others may have dashes
        name, backend = task_id[5:], ""
    backend = backend or ROBOTS.get(name, {}).get("backend", "spring")
    known("brax environment", name, names())
    known_backend(name, backend)
    return _named(name, backend)


def _named(name: str, backend: str) -> tuple[str, str, dict[str, Any]]:
    if name in ROBOTS and ROBOTS[name]["backend"] == backend:
        return name, name, dict(ROBOTS[name])
    return f"brax-{name}-{backend}", name, {"backend": backend}


def untrained(task_id: str, horizon: int | None = None, **kwargs: Any) -> Task:
    """The task with an all-zero policy in the expert's place: what `ilbench expert train` starts from."""
    task_id, name, spec = parse(task_id)
    if unknown := set(kwargs) - OPTIONS:
        raise ValueError(f"task {task_id!r} has no option {sorted(unknown)}; allowed: {', '.join(sorted(OPTIONS))}")
    if "backend" in kwargs:  # another backend is another task: its weights are not this one's
        known_backend(name, kwargs["backend"])
        task_id, name, spec = _named(name, kwargs["backend"])
    spec |= kwargs
    horizon = spec.get("horizon", HORIZON) if horizon is None else horizon
    if not isinstance(horizon, int) or horizon < 1:
        raise ValueError(f"horizon {horizon!r} of task {task_id!r} must be a whole number of steps, at least 1")
    block = spec.get("block", BLOCK)
    if not isinstance(block, int) or isinstance(block, bool) or block < 1:
        raise ValueError(f"block {block!r} of task {task_id!r} must be a whole number of lanes, at least 1")
    env = make_env(name, spec["backend"], spec.get("absorbing_reward", 0.0))
    return Task(
        id=task_id,
        version=VERSIONS.get(task_id, VERSION),
        env=env,
        expert=weights.policy(weights.zeros(env.obs.shape[0], env.action.shape[0])),
        horizon=horizon,
        deltas=DELTAS,
        reward_range=(0.0, 1.0) if name == "inverted_pendulum" else None,  # the only one known exactly
        block=block,
        tags=TAGS,
    )


def make(task_id: str, horizon: int | None = None, **kwargs: Any) -> Task:
    """A task with its trained, deterministic expert; ValueError for unknown ids, FileNotFoundError without weights."""
    task = untrained(task_id, horizon, **kwargs)
    params = weights.load(task.name, obs_dim=task.env.obs.shape[0], action_dim=task.env.action.shape[0])
    return dataclasses.replace(task, expert=weights.policy(params))


def make_any(task_id: str, horizon: int | None = None, **kwargs: Any) -> Task:
    """Any combination, `make_any("brax:walker2d/positional", 500)`; experts that do not ship must be trained first."""
    return make(task_id, horizon, **kwargs)
