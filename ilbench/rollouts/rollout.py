"""The one rollout: a scan of exactly H steps with an `alive` mask, under a Behaviour.

Demonstrations, DAgger rounds, noise injection and evaluation are this function with other numbers, so they share
one compiled program per (env, horizon, lanes, policy structure, behaviour structure, record selection).
After `terminated` the state is absorbing: reward `absorbing_reward`, no labels, and the caller counts a mistake.
"""

from __future__ import annotations

import zlib
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ilbench.compute import foresight, prng
from ilbench.compute.lanes import flat
from ilbench.compute.parallel import device_count, per_seed
from ilbench.types import Array, Behaviour, Box, Choice, Demos, Discrete, Env, Policy, Space, Step

COLLECT = ("obs", "action", "label", "actor", "revealed", "alive", "final_obs")
SEEDS = 2**32  # a seed is one word of a key
EVIDENCE = ("obs", "label", "error", "reward", "alive")


# ------------------------------------------------------------------------------------------ keys
@jax.jit
def _seed_keys(stream: Array, seeds: Array) -> Array:
    root = jax.random.fold_in(prng.key(0), stream)
    return jax.vmap(lambda seed: jax.random.fold_in(root, seed))(seeds)


def seed_keys(stream: str, seeds: Any) -> Array:
    """Keys `[S]` of a named stream; streams are disjoint, and a key depends on (stream, seed) alone.

    Raises ValueError for a seed outside 0 ... 2**32 - 1.
    """
    given = np.asarray(seeds)
    for seed in (given.min(), given.max()) if given.size else ():
        if not 0 <= seed < SEEDS:
            raise ValueError(f"seeds must lie in 0 ... {SEEDS - 1}, got {seed}")
    return _seed_keys(np.uint32(zlib.crc32(stream.encode())), given.astype(np.uint32))


@jax.jit
def _fold(keys: Array, numbers: Array) -> Array:
    return jax.vmap(lambda key: jax.vmap(lambda n: jax.random.fold_in(key, n))(numbers))(keys)


def episode_keys(stream: str, seeds: Any, episodes: int, first: int = 0) -> Array:
    """Keys `[S, N]` of episodes first ... first+N-1: a key depends on (stream, seed, episode) alone."""
    return _fold(seed_keys(stream, seeds), np.arange(first, first + episodes, dtype=np.uint32))


def _raw(keys: Array) -> tuple[np.ndarray, Any]:
    """Keys as uint32 `[..., 2]` on the host, where cutting and padding compile nothing, and their generator."""
    return np.asarray(jax.random.key_data(keys)), jax.random.key_impl(keys)


# -------------------------------------------------------------------------------------- behaviours
def _no_memory(params: Any, key: Array) -> tuple[()]:
    return ()


# All of a step's uniform numbers are scalars of a few hashes: on CPU a draw of a vector is a loop of its own inside
# the scan, and costs more than a tabular env.
def _choose_box(params: Any, key: Array, t: Array, memory: Any, obs: Array, proposal: Array, label: Array) -> Choice:
    u = prng.uniforms(key, 2 + label.shape[0])
    expert_acts = u[0] < params["beta"][t]
    normal = jnp.float32(2**0.5) * jax.lax.erf_inv(2.0 * jnp.stack(u[2:]) - 1.0)
    action = jnp.where(expert_acts, label, proposal) + params["noise"] @ normal
    return Choice(memory, expert_acts.astype(jnp.int32), action, u[1] < params["reveal"][t])


@lru_cache
def _choose_discrete(n: int) -> Any:
    def choose(params: Any, key: Array, t: Array, memory: Any, obs: Array, proposal: Array, label: Array) -> Choice:
        u = prng.uniforms(key, 4)
        expert_acts = u[0] < params["beta"][t]
        other = jnp.minimum((u[3] * n).astype(jnp.int32), n - 1)
        action = jnp.where(u[2] < params["noise"], other, jnp.where(expert_acts, label, proposal))
        return Choice(memory, expert_acts.astype(jnp.int32), action, u[1] < params["reveal"][t])

    return choose


def mixed(space: Space, horizon: int, *, beta: Any = 0.0, noise: Any = 0.0, reveal: Any = 1.0) -> Behaviour:
    """The expert acts with probability `beta` (scalar or `[H]`) at each step, the learner otherwise.

    `noise` disturbs what is executed: for continuous actions a factor L of the covariance L L^T (scalar or `[A, A]`),
    for discrete ones the probability of a uniformly random action. `reveal` is the probability that a label is bought.
    beta = 1 is demonstration, beta = 0 evaluation (Ross, Gordon & Bagnell 2011, pi_i = beta pi* + (1 - beta) pihat).
    Raises ValueError for a probability outside [0, 1] and for other shapes.
    """
    for name, value in (("beta", beta), ("reveal", reveal)):
        values = np.asarray(value, np.float32)
        if values.shape not in ((), (horizon,)):
            raise ValueError(f"{name} is a number or one per step [{horizon}], got the shape {list(values.shape)}")
        if not np.all((values >= 0) & (values <= 1)):
            raise ValueError(f"{name} is a probability and must lie in [0, 1], got {value}")
    params = {
        name: np.broadcast_to(np.asarray(v, np.float32), (horizon,)).copy()
        for name, v in (("beta", beta), ("reveal", reveal))
    }
    if isinstance(space, Box):
        factor = np.asarray(noise, np.float32)
        # A vector would be read as a factor per column: one per action and one per seed look alike where S = A.
        if factor.shape not in ((), (space.dim, space.dim)):
            raise ValueError(
                f"noise on {space.dim} continuous actions is a number or a factor [{space.dim}, {space.dim}] of their "
                f"covariance, got the shape {list(factor.shape)}; a factor per seed is a behaviour per seed"
            )
        params["noise"] = factor if factor.ndim == 2 else np.eye(space.dim, dtype=np.float32) * factor
        return Behaviour(params, _no_memory, _choose_box)
    if not 0 <= float(noise) <= 1:
        raise ValueError(f"noise on discrete actions is a probability and must lie in [0, 1], got {noise}")
    params["noise"] = np.asarray(noise, np.float32)
    return Behaviour(params, _no_memory, _choose_discrete(space.n))


# ------------------------------------------------------------------------------------------ one episode
@lru_cache(maxsize=256)
def _advance(step: Any) -> Any:
    """A step that leaves the state of an episode that has ended as it is, on flat lanes."""

    def advance(params: Any, key: Array, state: Any, obs: Array, alive: Array, action: Array) -> Step:
        after = step(params, key, state, action)
        # Freezing with the alive flag from before the step keeps the terminal observation.
        new = (after.state, after.obs)
        state, obs = jax.tree.map(lambda new, old: jnp.where(alive, new, old), new, (state, obs))
        return Step(state=state, obs=obs, reward=after.reward, terminated=after.terminated)

    return flat(advance)


def imitation_error(space: Space, action: Array, label: Array) -> Array:
    """Distance of an action from the expert's, `[*action], [*action] -> []`: 1{a != a*}, or max |a - a*|; NaN and inf count as inf.

    Of what the env makes of them: both are clipped to its bounds first, because what is cut off changes nothing.
    """
    if isinstance(space, Discrete):
        return (action != label).astype(jnp.float32)
    gap = jnp.max(jnp.abs(jnp.clip(action, space.low, space.high) - jnp.clip(label, space.low, space.high)), axis=-1)
    return jnp.where(jnp.isfinite(action).all(-1) & jnp.isfinite(gap), gap, jnp.inf)


def episode(
    env: Env, expert: Policy, policy: Policy, behaviour: Behaviour, key: Array, *, horizon: int, record: tuple[str, ...]
) -> Demos:
    """Rolls out one episode of `horizon` steps; fields of the result have a leading `[H]` (but `final_obs`)."""
    k_reset, k_policy, k_expert, k_behaviour, k_steps = jax.random.split(key, 5)
    state, obs = env.reset(env.params, k_reset)
    memories = policy.init(policy.params, k_policy), expert.init(expert.params, k_expert)
    carry = (state, obs, jnp.bool_(True), *memories, behaviour.init(behaviour.params, k_behaviour))
    # One stream per consumer: the compiler drops those that nobody reads, which is most of them in most programs.
    streams = tuple(jax.random.split(k, horizon) for k in jax.random.split(k_steps, 4))
    steps = (jnp.arange(horizon, dtype=jnp.int32), streams)
    advance, label_of = _advance(env.step), flat(expert.act)

    def step(carry: Any, at: Any) -> Any:
        state, obs, alive, m_policy, m_expert, m_behaviour = carry
        t, keys = at
        clean = obs if env.expert_obs is None else env.expert_obs(env.params, state, obs)
        m_expert, label = label_of(expert.params, keys[0], t, m_expert, clean)
        m_policy, proposal = policy.act(policy.params, keys[1], t, m_policy, obs)
        choice = behaviour.choose(behaviour.params, keys[2], t, m_behaviour, obs, proposal, label)
        after = advance(env.params, keys[3], state, obs, alive, choice.action)
        revealed = choice.reveal & alive
        row = {
            "obs": obs,
            "action": choice.action,
            "label": jnp.where(revealed, label, jnp.zeros_like(label)),
            "actor": choice.actor,
            "revealed": revealed,
            "error": imitation_error(env.action, choice.action, label),
            "reward": jnp.where(alive, after.reward, jnp.asarray(env.absorbing_reward, jnp.float32)),
            "alive": alive,
        }
        carry = (after.state, after.obs, alive & ~after.terminated, m_policy, m_expert, choice.memory)
        return carry, {name: row[name] for name in record if name != "final_obs"}

    carry, rows = jax.lax.scan(step, carry, steps)
    if "final_obs" in record:
        rows["final_obs"] = carry[1]
    return Demos(**rows)


# --------------------------------------------------------------------------------------- many episodes
def _chunk(shared: Any, item: Any, *, horizon: int, record: tuple[str, ...], impl: Any) -> Demos:
    env, expert = shared
    policy, behaviour, raw = item
    keys = jax.random.wrap_key_data(raw, impl=impl)
    one = partial(episode, horizon=horizon, record=record)
    return jax.vmap(one, in_axes=(None, None, None, None, 0))(env, expert, policy, behaviour, keys)


def rollout(
    env: Env,
    expert: Policy,
    policy: Policy,
    behaviour: Behaviour,
    keys: Array,
    *,
    horizon: int,
    record: tuple[str, ...] = COLLECT,
    block: int = 128,
    seeds: Any = None,
) -> Demos:
    """Rolls out `keys [S, N]` episodes of policies with leaves `[S, M, ...]` under behaviours with leaves `[S, ...]`.

    Returns Demos `[S, N, H, ...]` of NumPy arrays. The item of work is a chunk of episodes of one seed: its lanes share their weights,
    and items fill a block. With M > 1, chunk c of seed s runs iterate (s + c) mod M, `seeds [S]` being the values s: a uniform
    mixture, balanced over seeds, in the same compiled program as a plain policy's evaluation. An episode depends on its key,
    its policy and its behaviour alone, whatever else is rolled beside it. Raises ValueError for mixtures without `seeds`, and
    TooLarge, before anything is computed, for a record that will not fit into memory.
    """
    count, episodes = keys.shape
    foresight.foresee_rollout(env, count, episodes, horizon, record)
    lanes, chunks = _chunks(episodes)
    raw, impl = _raw(keys)
    raw = raw[:, np.arange(chunks * lanes) % episodes]  # padded by repetition, cut off below
    acting = _per_item(policy, count, chunks, seeds)
    items = (acting, _per_seed_item(behaviour, chunks), raw.reshape(count * chunks, lanes, 2))
    items_of_block = max(1, block // lanes)
    # Where one seed alone fills many blocks a call takes them all: calls by the hundred cost more than chains do.
    loops = max(1, chunks // (items_of_block * device_count()))
    run = per_seed(_chunk, block=items_of_block, loops=loops, horizon=horizon, record=record, impl=impl)
    out = run((env, expert), items)
    return jax.tree.map(lambda leaf: leaf.reshape(count, chunks * lanes, *leaf.shape[2:])[:, :episodes], out)


LANES = 8  # of an item are a multiple of these: a vector register's worth, so that no lane is computed by other code


def _chunks(episodes: int) -> tuple[int, int]:
    """Lanes of an item and items of a seed.

    Lanes of an item share their weights, which is what makes a network's products fast (128 lanes: 0.95 of the speed
    of bare physics, 16: 0.85), and a mixture needs items to deal its iterates to: about 16 of them, with at least 8
    lanes and at most 128 until there are 64.
    """
    lanes = max(LANES, min(128, -(-episodes // 16)), -(-episodes // 64))
    lanes = -(-lanes // LANES) * LANES
    return lanes, -(-episodes // lanes)


def mixture_size(policy: Policy) -> int:
    """M of a policy with leaves `[S, M, ...]`; 1 for a policy without numbers."""
    leaves = jax.tree.leaves(policy)
    return leaves[0].shape[1] if leaves else 1


def _per_item(policy: Policy, count: int, chunks: int, seeds: Any) -> Policy:
    """A policy with leaves `[S, M, ...]` as one policy per item, leaves `[S * C, ...]`.

    Done on the host, so that a mixture of M iterates runs in the very program of a plain policy.
    """
    mixture = mixture_size(policy)
    if mixture > 1 and seeds is None:
        raise ValueError(f"a mixture of {mixture} iterates is dealt by the seeds' values; give rollout(..., seeds=)")
    values = np.zeros(count, np.int64) if seeds is None else np.asarray(seeds, np.int64)
    iterate = ((values[:, None] + np.arange(chunks)[None, :]) % mixture).reshape(-1)
    position = np.repeat(np.arange(count), chunks)
    return jax.tree.map(lambda leaf: np.asarray(leaf)[position, iterate], policy)


def _per_seed_item(behaviour: Behaviour, chunks: int) -> Behaviour:
    return jax.tree.map(lambda leaf: np.repeat(np.asarray(leaf), chunks, axis=0), behaviour)


# --------------------------------------------------------------------------------------------- replay
def _replay_chunk(shared: Any, item: Any, *, horizon: int, impl: Any) -> Array:
    policy, obs, raw = item
    keys = jax.random.wrap_key_data(raw, impl=impl)

    def one(obs: Array, key: Array) -> Array:
        k_init, k_steps = jax.random.split(key)

        def step(memory: Any, at: Any) -> Any:
            t, o, k = at
            return policy.act(policy.params, k, t, memory, o)

        steps = (jnp.arange(horizon, dtype=jnp.int32), obs, jax.random.split(k_steps, horizon))
        return jax.lax.scan(step, policy.init(policy.params, k_init), steps)[1]

    return jax.vmap(one)(obs, keys)


def replay(policy: Policy, obs: Any, keys: Array, seeds: Any = None) -> np.ndarray:
    """What policies with leaves `[S, M, ...]` would do at recorded observations `[S, N, H, *obs]`; returns `[S, N, H, *action]`.

    The policy's memory runs along the recorded episode; chunks of episodes go round the M iterates as in `rollout`.
    """
    host = np.asarray(obs)
    count, episodes, horizon = host.shape[:3]
    lanes, chunks = _chunks(episodes)
    index = np.arange(chunks * lanes) % episodes
    raw, impl = _raw(keys)
    recorded = host[:, index].reshape(count * chunks, lanes, *host.shape[2:])
    items = (_per_item(policy, count, chunks, seeds), recorded, raw[:, index].reshape(count * chunks, lanes, 2))
    out = per_seed(_replay_chunk, horizon=horizon, impl=impl, block=16)((), items)
    return out.reshape(count, chunks * lanes, *out.shape[2:])[:, :episodes]
