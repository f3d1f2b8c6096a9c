"""The one reinforcement-learning loop: PPO on pure-function envs, whole in one jit, sharded over devices.

Experts are trained with it, and adversarial methods pass their own `reward`. What sets it apart from common loops:
resets draw fresh random starts with explicit keys (not cached first states), the time limit is not a termination
(its value is bootstrapped), and a termination is worth `absorbing_reward` for ever, so that dying is never a way out
of negative rewards. Paper: Schulman et al. 2017, https://arxiv.org/abs/1707.06347; advantages: Schulman et al. 2016,
https://arxiv.org/abs/1506.02438.

Letters: L lanes (parallel episodes), U steps of an unroll, R = L * U rows of a batch, A action dimension.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from ilbench import nets
from ilbench.parallel import mesh
from ilbench.types import Array, Discrete, Env, PyTree, Space

Reward = Callable[[PyTree, Array, Array, Array, Array], Array]  # (params, obs, action, next_obs, env reward) -> []


@dataclass(frozen=True)
class Config:
    """Settings of PPO; numbers are pytree leaves (changing them compiles nothing), shapes are static."""

    lanes: int = 512  # parallel episodes over all devices
    unroll: int = 20  # steps per lane between updates
    epochs: int = 8  # passes over each batch
    minibatches: int = 16  # gradient steps per pass
    hidden: tuple[int, ...] = (64, 64)  # policy widths, tanh
    value_hidden: tuple[int, ...] = (128, 128)  # value widths, relu
    gamma: float = 0.997  # discount per step
    lam: float = 0.95  # of generalised advantage estimation
    lr: float = 3e-4  # Adam, decays linearly to `lr_floor` of itself over `decay_steps`
    lr_floor: float = 0.1
    decay_steps: float = 1e7  # env steps
    clip: float = 0.2  # of the probability ratio
    entropy: float = 1e-2  # bonus, decays as the learning rate does
    value_weight: float = 0.5
    reward_scale: float = 1.0
    max_kl: float = 0.03  # an update stops when the policy has moved this far (nats per row)
    max_grad: float = 1.0  # global norm
    smooth: float = 0.0  # penalty on (mode(s') - mode(s))^2: experts are there to be cloned
    initial_std: float = 0.5  # of actions in [-1, 1]


_NUMBERS = ("gamma", "lam", "lr", "lr_floor", "decay_steps", "clip", "entropy", "value_weight")
_NUMBERS += ("reward_scale", "max_kl", "max_grad", "smooth", "initial_std")
_SHAPES = ("lanes", "unroll", "epochs", "minibatches", "hidden", "value_hidden")
jax.tree_util.register_dataclass(Config, data_fields=list(_NUMBERS), meta_fields=list(_SHAPES))


class Moments(NamedTuple):
    """Running statistics of observations."""

    count: Array  # `[]` rows seen
    mean: Array  # `[features]`
    var: Array  # `[features]`


class Learner(NamedTuple):
    """All that learns; the same on every device."""

    params: PyTree  # {"policy": net, "log_std": [A], "value": net}
    opt: PyTree
    norm: Moments
    steps: Array  # `[]` float32, env steps taken


class Lanes(NamedTuple):
    """Episodes in flight, leading axis L."""

    state: PyTree
    obs: Array
    age: Array  # `[L]` int32 steps since the reset


class Rows(NamedTuple):
    """What an unroll leaves behind, leading axes `[U, L]`."""

    obs: Array
    action: Array
    log_prob: Array  # under the policy that acted
    reward: Array  # scaled
    next_obs: Array  # before any reset
    terminated: Array  # bool
    done: Array  # bool, terminated or out of time


class Stats(NamedTuple):
    """One iteration in scalars."""

    reward: Array  # mean unscaled env reward per step
    kl: Array
    entropy: Array
    done: Array  # fraction of steps that ended an episode
    skipped: Array  # fraction of gradient steps refused by the KL guard


# ---------------------------------------------------------------------------------------- the policy
def norm_of(learner: Learner) -> dict[str, Array]:
    """The normaliser as nets.features reads it, `{"mean", "std"}` of `[features]`."""
    return {"mean": learner.norm.mean, "std": jnp.maximum(jnp.sqrt(learner.norm.var), nets.STD_FLOOR)}


def expert_params(learner: Learner) -> PyTree:
    """What experts.weights stores and acts with: the mode's network and its normaliser."""
    return {"net": learner.params["policy"], "norm": norm_of(learner)}


def _width(action: Space) -> int:
    return action.n if isinstance(action, Discrete) else action.dim


def _networks(env: Env, config: Config) -> tuple[Any, Any]:
    """`((init, apply) of the policy, (init, apply) of the value)`; cached by shape."""
    inputs = nets.width_of(env.obs)
    policy = nets.mlp(inputs, (*config.hidden, _width(env.action)))
    return policy, nets.mlp(inputs, (*config.value_hidden, 1), "relu")


def _gaussian(out: Array, log_std: Array, action: Array) -> tuple[Array, Array]:
    """(log density, entropy) `[]` of actions `[A]` around the mode tanh(out); the env clips, the density does not."""
    z = (action - jnp.tanh(out)) * jnp.exp(-log_std)
    constant = 0.5 * math.log(2 * math.pi)
    return jnp.sum(-0.5 * z**2 - log_std - constant), jnp.sum(log_std + 0.5 + constant)


def _categorical(out: Array, log_std: Array, action: Array) -> tuple[Array, Array]:
    """(log probability, entropy) `[]` of an action index under logits `[n]`."""
    logits = jax.nn.log_softmax(out)
    return logits[action], -jnp.sum(jnp.exp(logits) * logits)


def _density(space: Space) -> Callable[[Array, Array, Array], tuple[Array, Array]]:
    return _categorical if isinstance(space, Discrete) else _gaussian


def _sample(space: Space, key: Array, out: Array, log_std: Array) -> Array:
    if isinstance(space, Discrete):
        return jax.random.categorical(key, out).astype(jnp.int32)
    return jnp.tanh(out) + jnp.exp(log_std) * jax.random.normal(key, out.shape, out.dtype)


# ---------------------------------------------------------------------------------------- acting
def init(env: Env, config: Config, key: Array) -> Learner:
    """A fresh learner; its policy starts near the middle of the action range."""
    k_policy, k_value = jax.random.split(key)
    (policy_init, _), (value_init, _) = _networks(env, config)
    policy = policy_init(k_policy)
    last = f"Dense_{len(config.hidden)}"
    policy = {**policy, last: jax.tree.map(lambda w: 0.1 * w, policy[last])}
    log_std = jnp.full((_width(env.action),), jnp.log(jnp.float32(config.initial_std)))
    params = {"policy": policy, "log_std": log_std, "value": value_init(k_value)}
    width = nets.width_of(env.obs)
    norm = Moments(jnp.float32(0.0), jnp.zeros((width,)), jnp.ones((width,)))
    return Learner(params, optax.scale_by_adam().init(params), norm, jnp.float32(0.0))


def start(env: Env, lanes: int, horizon: int, key: Array) -> Lanes:
    """`lanes` fresh episodes whose ages are spread over the horizon, so that they do not all run out of time at once."""
    k_reset, k_age = jax.random.split(key)
    state, obs = jax.vmap(partial(env.reset, env.params))(jax.random.split(k_reset, lanes))
    return Lanes(state, obs, jax.random.randint(k_age, (lanes,), 0, horizon, jnp.int32))


def unroll(
    env: Env, config: Config, learner: Learner, lanes: Lanes, key: Array,
    *, horizon: int, reward: Reward | None = None, reward_params: PyTree = (),
) -> tuple[Lanes, Rows]:
    """`config.unroll` steps in every lane; lanes that end start anew from a reset with a fresh key."""
    (_, policy), _ = _networks(env, config)
    norm, count = norm_of(learner), lanes.age.shape[0]
    log_std = learner.params["log_std"]

    def act(key: Array, obs: Array) -> tuple[Array, Array]:
        out = policy(learner.params["policy"], nets.features(env.obs, norm, obs))
        action = _sample(env.action, key, out, log_std)
        return action, _density(env.action)(out, log_std, action)[0]

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


# --------------------------------------------------------------------------------------- learning
def advantages(
    rows: Rows, value: Array, next_value: Array, terminal_value: Array, gamma: Array | float, lam: Array | float
) -> Array:
    """Generalised advantage estimates `[U, L]`: a terminated step is worth `terminal_value`, one out of time V(next)."""
    follow = jnp.where(rows.terminated, terminal_value, next_value)
    delta = rows.reward + gamma * follow - value

    def back(later: Array, at: tuple[Array, Array]) -> tuple[Array, Array]:
        delta, done = at
        now = delta + gamma * lam * jnp.where(done, 0.0, later)
        return now, now

    return jax.lax.scan(back, jnp.zeros_like(delta[0]), (delta, rows.done), reverse=True)[1]


def _observe(norm: Moments, space: Space, obs: Array, mean_over: Callable[[PyTree], PyTree], devices: int) -> Moments:
    """Running moments with `obs [R, features]` added (parallel form, Chan et al. 1979); one-hots are left alone."""
    if isinstance(space, Discrete):
        return norm
    mean = mean_over(jnp.mean(obs, axis=0))
    var = mean_over(jnp.mean(jnp.square(obs - mean[None, :]), axis=0))
    rows = jnp.float32(obs.shape[0] * devices)
    total = norm.count + rows
    shift = mean - norm.mean
    merged = (norm.var * norm.count + var * rows) / total + jnp.square(shift) * norm.count * rows / total**2
    return Moments(total, norm.mean + shift * rows / total, merged)


def _loss(
    env: Env, config: Config, norm: PyTree, fade: Array, params: PyTree, rows: Rows, advantage: Array, target: Array
) -> tuple[Array, tuple[Array, Array]]:
    """PPO's clipped loss of a minibatch `[B]`, and (kl, entropy)."""
    (_, policy), (_, value) = _networks(env, config)

    def one(row: Rows, advantage: Array, target: Array) -> tuple[Array, Array, Array]:
        x = nets.features(env.obs, norm, row.obs)
        out = policy(params["policy"], x)
        log_prob, entropy = _density(env.action)(out, params["log_std"], row.action)
        log_ratio = log_prob - row.log_prob
        ratio = jnp.exp(log_ratio)
        gain = jnp.minimum(ratio * advantage, jnp.clip(ratio, 1 - config.clip, 1 + config.clip) * advantage)
        miss = 0.5 * jnp.square(value(params["value"], x)[0] - target)
        loss = config.value_weight * miss - gain - config.entropy * fade * entropy
        if not isinstance(env.action, Discrete):
            later = policy(params["policy"], nets.features(env.obs, norm, row.next_obs))
            loss += config.smooth * jnp.sum(jnp.square(jnp.tanh(later) - jnp.tanh(out)))
        return loss, ratio - 1 - log_ratio, entropy

    loss, kl, entropy = jax.tree.map(jnp.mean, jax.vmap(one)(rows, advantage, target))
    return loss, (kl, entropy)


def improve(
    env: Env, config: Config, learner: Learner, rows: Rows, key: Array, *, axis: str | None = None
) -> tuple[Learner, Stats]:
    """Epochs of minibatch steps on one unroll; gradients are averaged over the mesh axis `axis`, if there is one."""
    mean_over = partial(jax.lax.pmean, axis_name=axis) if axis else lambda tree: tree
    devices = jax.lax.axis_size(axis) if axis else 1
    _, (_, value) = _networks(env, config)
    norm = norm_of(learner)
    values = jax.vmap(jax.vmap(lambda obs: value(learner.params["value"], nets.features(env.obs, norm, obs))[0]))
    terminal = env.absorbing_reward * config.reward_scale / (1 - config.gamma)
    now = values(rows.obs)
    advantage = advantages(rows, now, values(rows.next_obs), terminal, config.gamma, config.lam)
    data = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), (rows, advantage, now + advantage))
    centre = mean_over(jnp.mean(advantage))
    spread = jnp.sqrt(mean_over(jnp.mean(jnp.square(advantage - centre)))) + 1e-6
    data = (data[0], (data[1] - centre) / spread, data[2])
    fade = jnp.maximum(1 - learner.steps / config.decay_steps, config.lr_floor)
    loss = jax.value_and_grad(partial(_loss, env, config, norm, fade), has_aux=True)
    adam = optax.scale_by_adam()

    def minibatch(carry: Any, index: Array) -> tuple[Any, tuple[Array, Array, Array]]:
        params, opt, stopped = carry
        batch = jax.tree.map(lambda x: x[index], data)
        (_, (kl, entropy)), grad = loss(params, *batch)
        kl, entropy, grad = mean_over((kl, entropy, grad))
        # The guard: a policy that has already moved too far on this batch stays where it is.
        stopped = stopped | (kl > config.max_kl) | ~jnp.isfinite(optax.global_norm(grad))
        grad, _ = optax.clip_by_global_norm(config.max_grad).update(grad, optax.EmptyState())
        update, new_opt = adam.update(grad, opt)
        new = optax.apply_updates(params, jax.tree.map(lambda u: -config.lr * fade * u, update))
        params, opt = jax.tree.map(lambda a, b: jnp.where(stopped, a, b), (params, opt), (new, new_opt))
        return (params, opt, stopped), (kl, entropy, stopped.astype(jnp.float32))

    count = advantage.size
    orders = jax.vmap(lambda k: jax.random.permutation(k, count))(jax.random.split(key, config.epochs))
    orders = orders.reshape(config.epochs * config.minibatches, count // config.minibatches)
    carry = (learner.params, learner.opt, jnp.bool_(False))
    (params, opt, _), (kl, entropy, skipped) = jax.lax.scan(minibatch, carry, orders)
    moments = _observe(learner.norm, env.obs, data[0].obs, mean_over, devices)
    learner = Learner(params, opt, moments, learner.steps + jnp.float32(count * devices))
    earned, ended = mean_over((jnp.mean(rows.reward) / config.reward_scale, jnp.mean(rows.done.astype(jnp.float32))))
    return learner, Stats(earned, kl[-1], entropy[-1], ended, jnp.mean(skipped))


def iterate(
    env: Env, config: Config, learner: Learner, lanes: Lanes, key: Array,
    *, horizon: int, iterations: int, reward: Reward | None = None, reward_params: PyTree = (), axis: str | None = None,
) -> tuple[Learner, Lanes, Stats]:
    """`iterations` rounds of unroll and improve: the loop, as a pure function of one learner (Stats `[iterations]`)."""

    def one(carry: tuple[Learner, Lanes], key: Array) -> tuple[tuple[Learner, Lanes], Stats]:
        learner, lanes = carry
        k_unroll, k_improve = jax.random.split(key)
        lanes, rows = unroll(
            env, config, learner, lanes, k_unroll, horizon=horizon, reward=reward, reward_params=reward_params
        )
        learner, stats = improve(env, config, learner, rows, k_improve, axis=axis)
        return (learner, lanes), stats

    (learner, lanes), stats = jax.lax.scan(one, (learner, lanes), jax.random.split(key, iterations))
    return learner, lanes, stats


# ---------------------------------------------------------------------------------- over the devices
@lru_cache
def _sharded(horizon: int, iterations: int) -> Any:
    """`iterate` with lanes spread over all devices and one learner for all; compiled once per shape."""

    def on_device(env: Env, config: Config, learner: Learner, lanes: Lanes, key: Array) -> Any:
        key = jax.random.fold_in(key, jax.lax.axis_index("item"))
        return iterate(env, config, learner, lanes, key, horizon=horizon, iterations=iterations, axis="item")

    specs = (P(), P(), P(), P("item"), P())
    return jax.jit(jax.shard_map(on_device, mesh=mesh(), in_specs=specs, out_specs=(P(), P("item"), P()), check_vma=False))


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
    spread, everywhere = NamedSharding(mesh(), P("item")), NamedSharding(mesh(), P())
    lanes = jax.jit(start, static_argnums=(1, 2), out_shardings=spread)(env, config.lanes, horizon, k_lanes)
    return jax.device_put(init(env, config, k_learner), everywhere), lanes


def advance(
    env: Env, config: Config, learner: Learner, lanes: Lanes, key: Array, *, horizon: int, iterations: int
) -> tuple[Learner, Lanes, Stats]:
    """`iterations` rounds on all devices; new numbers in `config` compile nothing. Stats come back as NumPy `[iterations]`."""
    learner, lanes, stats = _sharded(horizon, iterations)(env, config, learner, lanes, key)
    return learner, lanes, Stats(*(np.asarray(x) for x in stats))
