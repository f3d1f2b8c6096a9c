"""The one episode: a scan of exactly H steps with an `alive` mask, under a Behaviour.

After `terminated` the state is absorbing: reward `absorbing_reward`, no labels, and the caller counts a mistake.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp

from ilbench.compute.lanes import flat
from ilbench.types import Array, Behaviour, Demos, Discrete, Env, Policy, Space, Step


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
