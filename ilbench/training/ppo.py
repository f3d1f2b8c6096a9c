"""What PPO learns from one batch: the densities, the advantages, the clipped loss and its minibatch steps.

The loop that makes the batches is in rl.py. Paper: Schulman et al. 2017, https://arxiv.org/abs/1707.06347;
advantages: Schulman et al. 2016, https://arxiv.org/abs/1506.02438.

Letters: L lanes (parallel episodes), U steps of an unroll, B rows of a minibatch, A action dimension.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from ilbench.training import nets
from ilbench.types import Array, Discrete, Env, PyTree, Space


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


_SHAPES = ("lanes", "unroll", "epochs", "minibatches", "hidden", "value_hidden")
_NUMBERS = tuple(f.name for f in dataclasses.fields(Config) if f.name not in _SHAPES)
jax.tree_util.register_dataclass(Config, data_fields=list(_NUMBERS), meta_fields=list(_SHAPES))


class Moments(NamedTuple):
    """Running statistics of observations."""

    rows: Array  # `[]` float32 rows seen
    mean: Array  # `[features]`
    var: Array  # `[features]`


class Learner(NamedTuple):
    """All that learns; the same on every device."""

    params: PyTree  # {"policy": net, "log_std": [A], "value": net}
    opt: PyTree
    norm: Moments
    steps: Array  # `[]` float32, env steps taken


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
    kl: Array  # the largest of a minibatch
    entropy: Array
    done: Array  # fraction of steps that ended an episode
    skipped: Array  # fraction of gradient steps refused by the KL guard


# ---------------------------------------------------------------------------------------- the policy
def norm_of(learner: Learner) -> dict[str, Array]:
    """The normaliser as nets.features reads it, `{"mean", "std"}` of `[features]`."""
    return {"mean": learner.norm.mean, "std": nets.scale_of(jnp.sqrt(learner.norm.var))}


def expert_params(learner: Learner) -> PyTree:
    """What experts.weights stores and acts with: the mode's network and its normaliser."""
    return {"net": learner.params["policy"], "norm": norm_of(learner)}


def _width(action: Space) -> int:
    return action.n if isinstance(action, Discrete) else action.dim


def networks(env: Env, config: Config) -> tuple[Any, Any]:
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


def density(space: Space) -> Callable[[Array, Array, Array], tuple[Array, Array]]:
    """`(out, log_std, action) -> (log density, entropy)`, both `[]`, of the policy on this action space."""
    return _categorical if isinstance(space, Discrete) else _gaussian


def sample(space: Space, key: Array, out: Array, log_std: Array) -> Array:
    """One action `[*action]` of the exploring policy; not clipped, the env does that."""
    if isinstance(space, Discrete):
        return jax.random.categorical(key, out).astype(jnp.int32)
    return jnp.tanh(out) + jnp.exp(log_std) * jax.random.normal(key, out.shape, out.dtype)


def init(env: Env, config: Config, key: Array) -> Learner:
    """A fresh learner; its policy starts near the middle of the action range."""
    k_policy, k_value = jax.random.split(key)
    (policy_init, _), (value_init, _) = networks(env, config)
    policy = policy_init(k_policy)
    last = f"Dense_{len(config.hidden)}"
    policy = {**policy, last: jax.tree.map(lambda w: 0.1 * w, policy[last])}
    log_std = jnp.full((_width(env.action),), jnp.log(jnp.float32(config.initial_std)))
    params = {"policy": policy, "log_std": log_std, "value": value_init(k_value)}
    width = nets.width_of(env.obs)
    norm = Moments(jnp.float32(0.0), jnp.zeros((width,)), jnp.ones((width,)))
    return Learner(params, optax.scale_by_adam().init(params), norm, jnp.float32(0.0))


# --------------------------------------------------------------------------------------- learning
def advantages(
    rows: Rows, value: Array, next_value: Array, terminal_value: Array, gamma: Array | float, lam: Array | float
) -> Array:
    """Generalised advantage estimates `[U, L]`: after a termination comes `terminal_value`, out of time V(next)."""
    follow = jnp.where(rows.terminated, terminal_value, next_value)
    delta = rows.reward + gamma * follow - value

    def back(later: Array, at: tuple[Array, Array]) -> tuple[Array, Array]:
        delta, done = at
        now = delta + gamma * lam * jnp.where(done, 0.0, later)
        return now, now

    return jax.lax.scan(back, jnp.zeros_like(delta[0]), (delta, rows.done), reverse=True)[1]


def observe(norm: Moments, space: Space, obs: Array, mean_over: Callable[[PyTree], PyTree], devices: int) -> Moments:
    """Running moments with `obs [R, features]` added (parallel form, Chan et al. 1979); one-hots are left alone."""
    if isinstance(space, Discrete):
        return norm
    mean = mean_over(jnp.mean(obs, axis=0))
    var = mean_over(jnp.mean(jnp.square(obs - mean[None, :]), axis=0))
    rows = jnp.float32(obs.shape[0] * devices)
    total = norm.rows + rows
    shift = mean - norm.mean
    merged = (norm.var * norm.rows + var * rows) / total + jnp.square(shift) * norm.rows * rows / total**2
    return Moments(total, norm.mean + shift * rows / total, merged)


def _loss(
    env: Env, config: Config, norm: PyTree, fade: Array, params: PyTree, rows: Rows, advantage: Array, target: Array
) -> tuple[Array, tuple[Array, Array]]:
    """PPO's clipped loss of a minibatch `[B]`, and (kl, entropy)."""
    (_, policy), (_, value) = networks(env, config)

    def one(row: Rows, advantage: Array, target: Array) -> tuple[Array, Array, Array]:
        x = nets.features(env.obs, norm, row.obs)
        out = policy(params["policy"], x)
        log_prob, entropy = density(env.action)(out, params["log_std"], row.action)
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
    _, (_, value) = networks(env, config)
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
        params, opt, _ = carry
        batch = jax.tree.map(lambda x: x[index], data)
        (_, (kl, entropy)), grad = loss(params, *batch)
        kl, entropy, grad = mean_over((kl, entropy, grad))
        # The guard: a policy that has already moved too far on this batch stays where it is.
        stopped = (kl > config.max_kl) | ~jnp.isfinite(optax.global_norm(grad))
        grad, _ = optax.clip_by_global_norm(config.max_grad).update(grad, optax.EmptyState())
        with jax.numpy_dtype_promotion("standard"):  # Adam raises its decay to an integer power
            update, new_opt = adam.update(grad, opt)
        new = optax.apply_updates(params, jax.tree.map(lambda u: -config.lr * fade * u, update))
        params, opt = jax.tree.map(lambda a, b: jnp.where(stopped, a, b), (params, opt), (new, new_opt))
        return (params, opt, stopped), (kl, entropy, stopped.astype(jnp.float32))

    def unless_stopped(carry: Any, index: Array) -> tuple[Any, tuple[Array, Array, Array]]:
        idle = (jnp.float32(0.0), jnp.float32(0.0), jnp.float32(1.0))
        return jax.lax.cond(carry[2], lambda carry, index: (carry, idle), minibatch, carry, index)

    count = advantage.size
    orders = jax.vmap(lambda k: jax.random.permutation(k, count))(jax.random.split(key, config.epochs))
    orders = orders.reshape(config.epochs * config.minibatches, count // config.minibatches)
    carry = (learner.params, learner.opt, jnp.bool_(False))
    (params, opt, _), (kl, entropy, skipped) = jax.lax.scan(unless_stopped, carry, orders)
    moments = observe(learner.norm, env.obs, data[0].obs, mean_over, devices)
    learner = Learner(params, opt, moments, learner.steps + jnp.float32(count * devices))
    earned, ended = mean_over((jnp.mean(rows.reward) / config.reward_scale, jnp.mean(rows.done.astype(jnp.float32))))
    return learner, Stats(earned, jnp.max(kl), entropy[0], ended, jnp.mean(skipped))
