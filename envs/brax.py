"""Brax robots under one adapter: any registered environment, any physics backend.

    action in [-1, 1]^A --> [ brax physics, a few substeps ] --> obs, reward, terminated (fell over)

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
- `humanoid`, `humanoidstandup`, `pusher` have settings, and no expert that ships.

The observation is not the state (x-position is hidden, velocities are clipped), so there is no `Dynamics` here.
Source: Brax, Freeman et al. 2021, https://arxiv.org/abs/2106.13281
"""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import functools
import io
import sys
import warnings
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ilbench.experts import weights
from ilbench.lanes_last import last
from ilbench.types import Array, Box, Env, PyTree, Step, Task

VERSION = 1
VERSIONS: dict[str, int] = {}  # of single tasks whose numbers changed since; weights are valid for one version only
HORIZON = 1000  # unless a robot's settings say otherwise
TAGS = ("brax",)
# Every robot of Brax. `absorbing_reward` is earned on every step after a fall: 0 for the robots that earn about +1 (or
# +5, +10) a step for staying up, so that falling is not better than living. Those that cannot fall get about the worst
# reward of a step, should their physics blow up: reacher distance 0.41 (arm 0.21 + target 0.2) and action cost 2, pusher
# 0.9 m off with action cost 2.8, halfcheetah and swimmer a step backwards at 5 m/s and 1 m/s.
# An expert costs millions of steps, so the backend is the fastest on CPU, `spring`: hopper takes 2.3 times as long with
# positional, 5 to 8 times with generalized, 7 to 12 times with mjx; halfcheetah makes 11.6 thousand steps per CPU second
# with spring, 3.9 with generalized; pusher 3.2 and 2.1. Swimmer exists for generalized only (its drag).
# `block` lanes of one device keep their state in cache. Thousand steps per CPU second with 32, 64, 128, 256 lanes, random
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
}
SUMMARY = {
    "inverted_pendulum": "balance a pole on a cart (brax, spring): short memory, falls are final",
    "reacher": "two-link arm reaches a random target and holds (brax, spring): errors heal, nothing terminates",
    "hopper": "one-legged robot hops forward (brax, spring): contacts, a slip is a fall",
    "inverted_double_pendulum": "balance two poles on a cart (brax, spring): short memory, falls are final",
    "halfcheetah": "planar runner (brax, spring): fast contacts, nothing terminates",
    "walker2d": "two-legged robot walks slowly (brax, spring): contacts, falls are final",
    "swimmer": "three links crawl through a viscous fluid (brax, generalized): smooth dynamics, nothing terminates",
    "ant": "four-legged robot runs forward (brax, spring): eight joints, rarely falls",
}

BACKENDS = ("spring", "positional", "generalized", "mjx")
DELTAS = (0.1, 0.05, 0.2, 0.5)  # of an action range of 2: 5, 2.5, 10 and 25 per cent; the first is the headline
BLOCK = 128  # lanes whose state stays in cache: 122k steps/s against 47k for 1,024 (hopper, one core)


@functools.cache
def _brax() -> ModuleType:
    """`brax.envs`, imported with stdout caught: without warp, mjx prints there and would corrupt `--json`.

    What it prints goes to stderr, but for the complaint about warp, an accelerator that is not used here.
    """
    chatter = io.StringIO()
    try:
        with contextlib.redirect_stdout(chatter), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from brax import envs, fluid
    finally:
        lines = chatter.getvalue().splitlines(keepends=True)
        sys.stderr.writelines(line for line in lines if "warp" not in line)
    # brax 0.14.2's drag calls jnp.clip(x, a_min=...), a spelling that JAX dropped in 0.10: without this nothing swims.
    mended = ModuleType("jax.numpy")
    mended.__dict__.update(vars(jnp), clip=lambda x, a_min: jnp.maximum(x, a_min))
    fluid.jp = mended
    return envs


@contextlib.contextmanager
def _brax_rules() -> Iterator[None]:
    """Brax mixes dtypes and ranks freely: inside it, and only there, the strict promotion rules are lifted."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


def names() -> tuple[str, ...]:
    """Names of all environments registered with Brax, others' included (`fast` is a test double of Brax, no robot)."""
    return tuple(sorted(set(_brax()._envs) - {"fast"}))


def _known(kind: str, given: str, allowed: tuple[str, ...]) -> None:
    """Raise ValueError naming what was given, what is allowed and the closest match, if `given` is not allowed."""
    if given in allowed:
        return
    close = difflib.get_close_matches(given, allowed, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    raise ValueError(f"unknown {kind} {given!r}; supported: {', '.join(allowed)}.{hint}")


def _strong(tree: PyTree) -> PyTree:
    """Same values without weak types, so that reset and step have one type and can share a scan's carry."""
    return jax.tree.map(lambda x: jnp.asarray(x, dtype=jnp.result_type(x)), tree)


def _build(name: str, backend: str) -> Any:
    """Brax's own object, proven able to reset on this backend."""
    with _brax_rules(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        env = _brax().get_environment(name, backend=backend)
        return env, jax.eval_shape(env.reset, jax.random.key(0))


_REFUSALS = (ValueError, NotImplementedError, AssertionError, AttributeError, TypeError, KeyError)


def _backends(name: str) -> tuple[str, ...]:
    """The backends that an environment runs on: found by building it on each, which takes seconds."""
    found = []
    for backend in BACKENDS:
        with contextlib.suppress(*_REFUSALS):
            _build(name, backend)
            found.append(backend)
    return tuple(found)


def _known_backend(name: str, backend: str) -> None:
    """ValueError naming the backends that `name` runs on, if `backend` is no backend at all."""
    if backend not in BACKENDS:
        _known(f"backend of brax environment {name!r}", backend, _backends(name))


@functools.cache
def _functions(name: str, backend: str, absorbing_reward: float) -> tuple[Callable, Callable, int, int]:
    """`(reset, step, obs dim, action dim)`, cached: functions hash by identity, and `sys` stays a baked constant.

    As a pytree leaf `sys` costs 8 % of the speed. Of Brax's own robots only `pipeline_state` is carried: no step reads
    more. Of environments that others registered the whole state is.
    """
    try:
        env, first = _build(name, backend)
    except _REFUSALS as error:
        found = ", ".join(_backends(name)) or "none of them"
        raise ValueError(
            f"brax cannot build {name!r} on backend {backend!r} ({error}); {name!r} runs on: {found}"
        ) from error
    whole = name not in ROBOTS  # somebody else's step may read anything of Brax's state; Brax's own read less
    shape = first.obs.shape

    def reset(params: PyTree, key: Array) -> tuple[PyTree, Array]:
        del params
        with _brax_rules():
            state = env.reset(key)
            return _strong((state if whole else state.pipeline_state, state.obs.astype(jnp.float32)))

    def step(params: PyTree, key: Array, state: PyTree, action: Array) -> Step:
        del params, key
        with _brax_rules():
            zero = jnp.zeros((), jnp.float32)
            if whole:  # fresh dicts: brax writes into them in place
                now = state.replace(metrics=dict(state.metrics), info=dict(state.info))
            else:
                now = _brax().State(state, jnp.zeros(shape, jnp.float32), zero, zero, {}, {})
            new = env.step(now, jnp.clip(action, -1.0, 1.0))
            obs, reward = new.obs.astype(jnp.float32), jnp.asarray(new.reward, jnp.float32)
            # Physics that blew up is a fall: it ends the episode and no NaN reaches anybody.
            broken = ~(jnp.isfinite(obs).all() & jnp.isfinite(reward))
            obs = jnp.where(jnp.isfinite(obs), obs, 0.0)
            reward = jnp.where(broken, jnp.float32(absorbing_reward), reward)
            terminated = (jnp.asarray(new.done, jnp.float32) > 0.5) | broken
            if whole:  # resets and steps must have one type
                new = jax.tree.map(lambda x, like: jnp.asarray(x, like.dtype), new, first)
            return Step(*_strong((new if whole else new.pipeline_state, obs, reward, terminated)))

    # Jitted, so that Brax's Python is traced once per process and not once per shape of a rollout (3 s on hopper).
    return jax.jit(reset), last(jax.jit(step)), int(np.prod(shape)), int(env.action_size)


def robot(name: str, backend: str = "spring") -> Any:
    """Brax's own environment object, for what is no part of a task: its model (`sys`) and its `dt` in seconds."""
    _known("brax environment", name, names())
    _known("brax backend", backend, BACKENDS)
    with _brax_rules(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _brax().get_environment(name, backend=backend)


def make_env(name: str, backend: str = "spring", absorbing_reward: float = 0.0) -> Env:
    """The environment alone, as training an expert needs it; ValueError for an unknown name or backend."""
    _known("brax environment", name, names())
    _known_backend(name, backend)
    reset, step, obs_dim, action_dim = _functions(name, backend, float(absorbing_reward))
    return Env(
        params=(),
        reset=reset,
        step=step,
        obs=Box(obs_dim),
        action=Box(action_dim, -1.0, 1.0),
        absorbing_reward=np.float32(absorbing_reward),
    )


def parse(task_id: str) -> tuple[str, str, dict[str, Any]]:
    """`(task id, brax name, kwargs)`: "hopper" and "brax:hopper/spring" are one task, called "hopper".

    "brax:ant/mjx" becomes the id "brax-ant-mjx", which is safe in records and as a file name, and is read back too.
    """
    if task_id in ROBOTS:
        return task_id, task_id, dict(ROBOTS[task_id])
    if not task_id.startswith(("brax:", "brax-")):
        _known("brax task", task_id, (*ROBOTS, *(f"brax:{name}/spring" for name in names() if name not in ROBOTS)))
    mark = "/" if task_id.startswith("brax:") else "-"
    name, found, backend = task_id[5:].rpartition(mark)
    if not found or (mark == "-" and backend not in BACKENDS):  # names of others may have dashes
        name, backend = task_id[5:], ""
    backend = backend or ROBOTS.get(name, {}).get("backend", "spring")
    _known("brax environment", name, names())
    _known_backend(name, backend)
    return _named(name, backend)


def _named(name: str, backend: str) -> tuple[str, str, dict[str, Any]]:
    if name in ROBOTS and ROBOTS[name]["backend"] == backend:
        return name, name, dict(ROBOTS[name])
    return f"brax-{name}-{backend}", name, {"backend": backend}


def untrained(task_id: str, horizon: int | None = None, **kwargs: Any) -> Task:
    """The task with an all-zero policy in the expert's place: what `ilbench expert train` starts from."""
    task_id, name, spec = parse(task_id)
    if unknown := set(kwargs) - {"backend", "absorbing_reward"}:
        raise ValueError(f"task {task_id!r} has no option {sorted(unknown)}; allowed: absorbing_reward, backend")
    if "backend" in kwargs:  # another backend is another task: its weights are not this one's
        _known_backend(name, kwargs["backend"])
        task_id, name, spec = _named(name, kwargs["backend"])
    spec |= kwargs
    horizon = spec.get("horizon", HORIZON) if horizon is None else horizon
    if not isinstance(horizon, int) or horizon < 1:
        raise ValueError(f"horizon {horizon!r} of task {task_id!r} must be a whole number of steps, at least 1")
    env = make_env(name, spec["backend"], spec.get("absorbing_reward", 0.0))
    return Task(
        id=task_id,
        version=VERSIONS.get(task_id, VERSION),
        env=env,
        expert=weights.policy(weights.zeros(env.obs.shape[0], env.action.shape[0])),
        horizon=horizon,
        deltas=DELTAS,
        reward_range=(0.0, 1.0) if name == "inverted_pendulum" else None,  # the only one known exactly
        block=spec.get("block", BLOCK),
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
