"""The one reinforcement-learning loop: whole in one jit, lanes sharded over devices.

Experts are trained with it, and adversarial methods pass their own `reward`. What sets it apart from common loops:
resets draw fresh random starts with explicit keys (not cached first states), the time limit is not a termination
(its value is bootstrapped), and a termination is worth `absorbing_reward` for ever, so that dying is never a way out
of negative rewards. What is learnt from each batch is PPO (ppo.py).

Letters: L lanes (parallel episodes), U steps of an unroll.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from ilbench.compute import prng
from ilbench.compute.parallel import mesh
from ilbench.training import nets, ppo
from ilbench.training.ppo import Config, Learner, Rows, Stats
from ilbench.types import Array, Env, PyTree

Reward = Callable[[PyTree, Array, Array, Array, Array], Array]  # (params, obs, action, next_obs, env reward) -> []


class Lanes(NamedTuple):
    """Episodes in flight, leading axis L."""

    state: PyTree
    obs: Array
    age: Array  # `[L]` int32 steps since the reset


def start(env: Env, lanes: int, horizon: int, key: Array) -> Lanes:
    """`lanes` fresh episodes; their ages are spread over the horizon, lest they all run out of time at once."""
    k_reset, k_age = jax.random.split(key)
    state, obs = jax.vmap(partial(env.reset, env.params))(jax.random.split(k_reset, lanes))
    return Lanes(state, obs, jax.random.randint(k_age, (lanes,), 0, horizon, jnp.int32))


def unroll(
    env: Env,
    config: Config,
    learner: Learner,
    lanes: Lanes,
    key: Array,
    *,
    horizon: int,
    reward: Reward | None = None,
    reward_params: PyTree = (),
) -> tuple[Lanes, Rows]:
    """`config.unroll` steps in every lane; lanes that end start anew from a reset with a fresh key."""
    (_, policy), _ = ppo.networks(env, config)
    norm, count = ppo.norm_of(learner), lanes.age.shape[0]
    log_std = learner.params["log_std"]

    def act(key: Array, obs: Array) -> tuple[Array, Array]:
        out = policy(learner.params["policy"], nets.features(env.obs, norm, obs))
        action = ppo.sample(env.action, key, out, log_std)
        return action, ppo.density(env.action)(out, log_std, action)[0]

    def step(lanes: Lanes, key: Array) -> tuple[Lanes, Rows]:
        k_act, k_env, k_reset = (jax.random.split(k, count) for k in jax.random.split(key, 3))
        action, log_prob = jax.vmap(act)(k_act, lanes.obs)
        after = jax.vmap(env.step, (None, 0, 0, 0))(env.params, k_env, lanes.state, action)
        earned = after.reward
        if reward is not None:
            earned = jax.vmap(reward, (None, 0, 0, 0, 0))(reward_params, lanes.obs, action, after.obs, after.reward)
        age = lanes.age + 1
        done = after.terminated | (age >= horizon)

        def renew() -> Lanes:
            state, obs = jax.vmap(partial(env.reset, env.params))(k_reset)
            keep = Lanes(after.state, after.obs, age)
            return jax.tree.map(
                lambda new, old: jnp.where(done.reshape((-1,) + (1,) * (new.ndim - 1)), new, old),
                Lanes(state, obs, jnp.zeros_like(age)),
                keep,
            )

        # Most steps end no episode once the policy is good: then nothing is reset, and nothing is paid for.
        lanes_next = jax.lax.cond(jnp.any(done), renew, lambda: Lanes(after.state, after.obs, age))
        rows = Rows(lanes.obs, action, log_prob, earned * config.reward_scale, after.obs, after.terminated, done)
        return lanes_next, rows

    return jax.lax.scan(step, lanes, jax.random.split(key, config.unroll))


def iterate(
    env: Env,
    config: Config,
    learner: Learner,
    lanes: Lanes,
    key: Array,
    *,
    horizon: int,
    iterations: int,
    reward: Reward | None = None,
    reward_params: PyTree = (),
    axis: str | None = None,
) -> tuple[Learner, Lanes, Stats]:
    """`iterations` rounds of unroll and improve: the loop, as a pure function of one learner (Stats `[iterations]`)."""

    def one(carry: tuple[Learner, Lanes], key: Array) -> tuple[tuple[Learner, Lanes], Stats]:
        learner, lanes = carry
        k_unroll, k_improve = jax.random.split(key)
        lanes, rows = unroll(
            env, config, learner, lanes, k_unroll, horizon=horizon, reward=reward, reward_params=reward_params
        )
        learner, stats = ppo.improve(env, config, learner, rows, k_improve, axis=axis)
        return (learner, lanes), stats

    (learner, lanes), stats = jax.lax.scan(one, (learner, lanes), jax.random.split(key, iterations))
    return learner, lanes, stats


# ---------------------------------------------------------------------------------- over the devices
@lru_cache
def _sharded(horizon: int, iterations: int, reward: Reward | None) -> Any:
    """`iterate` with lanes spread over all devices and one learner for all; compiled once per shape."""

    def on_device(env: Env, config: Config, learner: Learner, lanes: Lanes, key: Array, reward_params: PyTree) -> Any:
        key = jax.random.fold_in(key, jax.lax.axis_index("item"))
        loop = partial(iterate, horizon=horizon, iterations=iterations, reward=reward, axis="item")
        return loop(env, config, learner, lanes, key, reward_params=reward_params)

    specs = (P(), P(), P(), P("item"), P(), P())
    return jax.jit(
        jax.shard_map(on_device, mesh=mesh(), in_specs=specs, out_specs=(P(), P("item"), P()), check_vma=False)
    )


def check(config: Config) -> None:
    """ValueError for a configuration whose batch does not divide over devices and minibatches."""
    devices = mesh().size
    rows = config.lanes // devices * config.unroll
    if config.lanes % devices or rows % config.minibatches:
        raise ValueError(
            f"{config.lanes} lanes x {config.unroll} steps do not divide over {devices} devices x "
            f"{config.minibatches} minibatches; choose lanes a multiple of {devices * config.minibatches}"
        )


def begin(env: Env, config: Config, key: Array, *, horizon: int) -> tuple[Learner, Lanes]:
    """A fresh learner and its lanes, laid out over the devices."""
    check(config)
    k_learner, k_lanes = jax.random.split(key)
    return everywhere(ppo.init(env, config, k_learner)), restart(env, config, k_lanes, horizon=horizon)


def restart(env: Env, config: Config, key: Array, *, horizon: int) -> Lanes:
    """Fresh lanes, laid out over the devices: where a resumed training goes on."""
    spread = NamedSharding(mesh(), P("item"))
    return jax.jit(start, static_argnums=(1, 2), out_shardings=spread)(env, config.lanes, horizon, key)


def everywhere(learner: Learner) -> Learner:
    """The learner on every device; its leaves may be NumPy arrays."""
    return jax.device_put(learner, NamedSharding(mesh(), P()))


def advance(
    env: Env,
    config: Config,
    learner: Learner,
    lanes: Lanes,
    key: Array,
    *,
    horizon: int,
    iterations: int,
    reward: Reward | None = None,
    reward_params: PyTree = (),
) -> tuple[Learner, Lanes, Stats]:
    """`iterations` rounds on all devices; new numbers in `config` compile nothing. Stats are NumPy `[iterations]`.

    `reward(reward_params, obs, action, next_obs, env reward) -> []` replaces the env's; a module-level function.
    """
    run = _sharded(horizon, iterations, reward)
    learner, lanes, stats = run(env, config, learner, lanes, prng.builtin(key), reward_params)
    return learner, lanes, jax.tree.map(np.asarray, stats)
