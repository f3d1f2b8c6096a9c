"""The one episode: a scan of exactly H steps with an `alive` mask, under a Behaviour.

After `terminated` the state is absorbing: reward `absorbing_reward`, no labels, and the caller counts a mistake.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp

from ilbench.compute.lanes import flat
from ilbench.distributions import total_variation, variation_at
from ilbench.types import Array, Behaviour, Choice, Demos, Discrete, Env, Policy, Space, Step, no_memory


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


@lru_cache(maxsize=64)
def nobody(space: Space) -> Policy:
    """Who is asked where there is no expert: an action of zeros."""

    def act(params: Any, key: Array, t: Array, memory: Any, obs: Array) -> tuple[Any, Array]:
        return memory, jnp.zeros(space.shape, jnp.int32 if isinstance(space, Discrete) else jnp.float32)

    return Policy((), no_memory, act)


def _error(
    space: Space, policy: Policy, law: Any, t: Array, memory: Any, obs: Array, choice: Choice, label: Array, known: bool
) -> Array:
    """The imitation error of a step: of two actions, of two laws where the expert is stochastic, NaN without an expert."""
    if not known:
        return jnp.float32(jnp.nan)
    if law is None:
        return imitation_error(space, choice.action, label)
    if policy.dist is None:
        return variation_at(choice.action, law)
    return jnp.where(choice.actor == 1, 0.0, total_variation(policy.dist(policy.params, t, memory, obs), law))


def episode(
    env: Env, expert: Policy | None, policy: Policy, behaviour: Behaviour, key: Array, *, horizon: int, record: tuple[str, ...]
) -> Demos:
    """Rolls out one episode of `horizon` steps; fields of the result have a leading `[H]` (but `final_*`)."""
    known = expert is not None
    expert = nobody(env.action) if expert is None else expert
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
        law = None if expert.dist is None else expert.dist(expert.params, t, m_expert, clean)
        m_expert, label = label_of(expert.params, keys[0], t, m_expert, clean)
        m_before = m_policy
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
            "error": _error(env.action, policy, law, t, m_before, obs, choice, label, known),
            "reward": jnp.where(alive, after.reward, jnp.asarray(env.absorbing_reward, jnp.float32)),
            "alive": alive,
            "dist": law,
        }
        if "views" in record:
            row["views"] = env.views(env.params, state, obs)  # type: ignore[misc]
        carry = (after.state, after.obs, alive & ~after.terminated, m_policy, m_expert, choice.memory)
        return carry, {name: row[name] for name in record if not name.startswith("final_")}

    carry, rows = jax.lax.scan(step, carry, steps)
    state, obs, alive = carry[:3]
    if "final_obs" in record:
        rows["final_obs"] = obs
    if "final_views" in record:
        rows["final_views"] = env.views(env.params, state, obs)  # type: ignore[misc]
    if "final_alive" in record:
        rows["final_alive"] = alive
    return Demos(**rows)
