"""Any environment registered with Brax as an Env: physics alone, without tasks or experts.

    action in [-1, 1]^A --> [ brax physics, a few substeps, lanes last ] --> obs, reward, terminated (fell over)

Brax prints on import, mixes dtypes, and writes into its states in place: what it needs is lifted here and only here.
The observation is not the state (x-position is hidden, velocities are clipped), so there is no `Dynamics`.
"""

from __future__ import annotations

import contextlib
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

from ilbench.compute.lanes_last import last
from ilbench.names import meant
from ilbench.types import Array, Box, Env, PyTree, Step

BACKENDS = ("spring", "positional", "generalized", "mjx")


@functools.cache
def envs() -> ModuleType:
    """`brax.envs`, imported with stdout caught: without warp, mjx prints there and would corrupt `--json`.

    What it prints goes to stderr, but for the complaint about warp, an accelerator that is not used here.
    """
    chatter = io.StringIO()
    try:
        with contextlib.redirect_stdout(chatter), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from brax import envs as found
            from brax import fluid
    finally:
        lines = chatter.getvalue().splitlines(keepends=True)
        sys.stderr.writelines(line for line in lines if "warp" not in line)
    # brax 0.14.2's drag calls jnp.clip(x, a_min=...), a spelling that JAX dropped in 0.10: without this nothing swims.
    mended = ModuleType("jax.numpy")
    mended.__dict__.update(vars(jnp), clip=lambda x, a_min: jnp.maximum(x, a_min))
    fluid.jp = mended
    return found


@contextlib.contextmanager
def rules() -> Iterator[None]:
    """Brax mixes dtypes and ranks freely: inside it, and only there, the strict promotion rules are lifted."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Building a model complains about Brax's own XML, on stderr and in a file MUJOCO_LOG.TXT where the user works: not here."""
    import mujoco

    before = mujoco.get_mju_user_warning()
    mujoco.set_mju_user_warning(lambda text: None)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        mujoco.set_mju_user_warning(before)


def names() -> tuple[str, ...]:
    """Names of all environments registered with Brax, others' included (`fast` is a test double of Brax, no robot)."""
    return tuple(sorted(set(envs()._envs) - {"fast"}))


def known(kind: str, given: str, allowed: tuple[str, ...]) -> None:
    """Raise ValueError naming what was given, what is allowed and the closest match, if `given` is not allowed."""
    if given in allowed:
        return
    raise ValueError(f"unknown {kind} {given!r}; supported: {', '.join(allowed)}. {meant(given, allowed)}".rstrip())


def _strong(tree: PyTree) -> PyTree:
    """Same values without weak types, so that reset and step have one type and can share a scan's carry."""
    return jax.tree.map(lambda x: jnp.asarray(x, dtype=jnp.result_type(x)), tree)


def _build(name: str, backend: str) -> Any:
    """Brax's own object, proven able to reset on this backend."""
    with rules(), _quiet():
        env = envs().get_environment(name, backend=backend)
        return env, jax.eval_shape(env.reset, jax.random.key(0))


# How an environment says no to a backend: Brax raises ValueError, other authors assert. Anything else is a bug, and is seen.
_REFUSALS = (ValueError, NotImplementedError, AssertionError)


def _backends(name: str) -> tuple[str, ...]:
    """The backends that an environment runs on: found by building it on each, which takes seconds."""
    found = []
    for backend in BACKENDS:
        with contextlib.suppress(*_REFUSALS):
            _build(name, backend)
            found.append(backend)
    return tuple(found)


def known_backend(name: str, backend: str) -> None:
    """ValueError naming the backends that `name` runs on, if `backend` is no backend at all."""
    if backend not in BACKENDS:
        known(f"backend of brax environment {name!r}", backend, _backends(name))


@functools.cache
def functions(name: str, backend: str, absorbing_reward: float) -> tuple[Callable, Callable, int, int]:
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
    # Somebody else's step may read anything of Brax's state; Brax's own robots read no more than the physics.
    whole = not envs()._envs[name].__module__.startswith("brax.envs.")
    shape = first.obs.shape

    def reset(params: PyTree, key: Array) -> tuple[PyTree, Array]:
        del params
        with rules():
            state = env.reset(key)
            return _strong((state if whole else state.pipeline_state, state.obs.astype(jnp.float32)))

    def step(params: PyTree, key: Array, state: PyTree, action: Array) -> Step:
        del params, key
        with rules():
            zero = jnp.zeros((), jnp.float32)
            if whole:  # fresh dicts: brax writes into them in place
                now = state.replace(metrics=dict(state.metrics), info=dict(state.info))
            else:
                now = envs().State(state, jnp.zeros(shape, jnp.float32), zero, zero, {}, {})
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
    known("brax environment", name, names())
    known("brax backend", backend, BACKENDS)
    with rules(), _quiet():
        return envs().get_environment(name, backend=backend)


def make_env(name: str, backend: str = "spring", absorbing_reward: float = 0.0) -> Env:
    """The environment alone, as training an expert needs it; ValueError for an unknown name or backend."""
    known("brax environment", name, names())
    known_backend(name, backend)
    reset, step, obs_dim, action_dim = functions(name, backend, float(absorbing_reward))
    return Env(
        params=(),
        reset=reset,
        step=step,
        obs=Box(obs_dim),
        action=Box(action_dim, -1.0, 1.0),
        absorbing_reward=np.float32(absorbing_reward),
    )
