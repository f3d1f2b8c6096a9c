"""Numeric tables -> Env, expert and Task. Every tabular env shares these functions, so new numbers never retrace."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ilbench.envs._common import within
from ilbench.exact.mdp import MDP, Floats, check
from ilbench.types import Array, Discrete, Env, Policy, PyTree, Step, Task, no_memory


class Model(NamedTuple):
    """An MDP whose reward is `R[s, a] + arrival[s']`: the successor itself may carry a reward."""

    P: Floats  # `[S, A, S]`
    R: Floats  # `[S, A]`
    arrival: Floats  # `[S]`
    rho: Floats  # `[S]`


class Tables(NamedTuple):
    """What the compiled env reads (NumPy leaves)."""

    successor: Any  # `[S, A, S]` uint32, cumulative rows of P in units of 2^-31
    start: Any  # `[S]` uint32, cumulative rho
    reward: Any  # `[S, A]` float32
    arrival: Any  # `[S]` float32


def _cumulative(rows: Floats) -> Any:
    # Integer thresholds make probabilities 0 and 1 exact and every other one right to 2^-31;
    # a float32 uniform knows only multiples of 2^-23, 12 % of an error rate of 1e-6.
    return np.rint(np.minimum(np.cumsum(rows, -1) / rows.sum(-1, keepdims=True), 1) * 2**31).astype(np.uint32)


def _draw(key: Array, cumulative: Array) -> Array:
    """An index `[]` int32 with the law whose cumulative thresholds `[S]` are given."""
    u = jax.random.bits(key, (), jnp.uint32) >> jnp.uint32(1)
    return jnp.sum(u >= cumulative, dtype=jnp.int32)


def reset(params: Tables, key: Array) -> tuple[Array, Array]:
    """A first state drawn from rho; the observation is the state, `[]` int32."""
    state = _draw(key, jnp.asarray(params.start))
    return state, state


def step(params: Tables, key: Array, state: Array, action: Array) -> Step:
    """A successor drawn from `P[s, a]`; no state terminates, absorbing states are part of P."""
    successor = _draw(key, jnp.asarray(params.successor)[state, action])
    reward = jnp.asarray(params.reward)[state, action] + jnp.asarray(params.arrival)[successor]
    return Step(successor, successor, reward, jnp.zeros((), jnp.bool_))


def act(params: Any, key: Array, t: Array, memory: PyTree, obs: Array) -> tuple[PyTree, Array]:
    """The action in a table `[S]` or `[H, S]` of int32."""
    table = jnp.asarray(params)
    return memory, table[obs] if table.ndim == 1 else table[t, obs]


def mdp_of(model: Model) -> MDP:
    """The same numbers in float64 for exact dynamic programming."""
    return check(MDP(model.P, model.R + model.P @ model.arrival, model.rho))


def two_state(actions: int, expert_action: int, slip: float, recover: float, stay: float) -> Model:
    """States G = 0 and B = 1, start in G, cost 1 per step whose successor is B.

    G: the expert's action slips to B with probability `slip`, any other falls to B.
    B: the expert's action returns with probability `recover`, any other stays with probability `stay`.
    """
    within("actions", actions, 2, 2**15)
    within("expert_action", expert_action, 0, actions - 1)
    for name, value in (("slip", slip), ("recover", recover), ("stay", stay)):
        within(name, value, 0, 1)
    to_bad = np.array([[1.0] * actions, [float(stay)] * actions])
    to_bad[:, expert_action] = slip, 1 - recover
    P = np.stack([1 - to_bad, to_bad], -1)
    return Model(P, np.zeros((2, actions)), np.array([0.0, -1.0]), np.array([1.0, 0.0]))


def build(
    task_id: str,
    version: int,
    horizon: int,
    tags: tuple[str, ...],
    model: Model,
    expert: Any,
    reward_range: tuple[float, float],
) -> Task:
    """The Task of a model and a deterministic expert's table `[S]` or `[H, S]`; raises ValueError for a bad model."""
    mdp_of(model)
    S, A = model.R.shape
    params = Tables(
        _cumulative(model.P), _cumulative(model.rho), model.R.astype(np.float32), model.arrival.astype(np.float32)
    )
    return Task(
        id=task_id,
        version=version,
        env=Env(params, reset, step, Discrete(S), Discrete(A), absorbing_reward=np.float32(reward_range[0])),
        expert=Policy(np.asarray(expert, np.int32), no_memory, act),
        horizon=horizon,
        reward_range=reward_range,
        tags=tags,
        mdp=functools.partial(mdp_of, model),
    )
