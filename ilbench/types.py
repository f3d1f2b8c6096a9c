"""The words of ilbench: what flows and what behaves. Read this file first.

What flows is a NamedTuple or frozen dataclass of arrays. What behaves is a record of pure functions whose
numbers are pytree leaves (`params`) and whose functions are static: passing a record through `jax.jit` traces
its numbers and specialises on its functions, so new numbers never retrace. Functions hash by identity: use
module-level functions, or cache the factory that makes them.

Letters in shapes: S seeds, N episodes, H steps of the horizon, M mixed iterates, A action dimension.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import jax

if TYPE_CHECKING:
    from ilbench.exact.mdp import MDP

Array = jax.Array
PyTree = Any


# ---------------------------------------------------------------------------------------------- spaces
@dataclass(frozen=True)
class Discrete:
    """Integers 0 ... n-1, carried as int32 scalars `[]`."""

    n: int

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one element: `()`."""
        return ()


@dataclass(frozen=True)
class Box:
    """float32 vectors `[dim]`; `low` and `high` bound every entry (actions are clipped by the env, not here)."""

    dim: int
    low: float = -float("inf")
    high: float = float("inf")

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one element: `(dim,)`."""
        return (self.dim,)


Space = Discrete | Box


def _record(cls: Any, *, data: tuple[str, ...]) -> Any:
    """Register a frozen dataclass as a pytree: `data` fields are leaves, all others are static."""
    meta = [f.name for f in dataclasses.fields(cls) if f.name not in data]
    return jax.tree_util.register_dataclass(cls, data_fields=list(data), meta_fields=meta)


# ------------------------------------------------------------------------------------ what behaves
class Step(NamedTuple):
    """What one env step returns, for one episode (batching is the caller's)."""

    state: PyTree
    obs: Array  # `[*obs]` what the learner sees next
    reward: Array  # `[]` float32
    terminated: Array  # `[]` bool; the rollout makes what follows absorbing, the env never resets


@dataclass(frozen=True)
class Env:
    """A Markov decision process as pure functions; numeric `params` are leaves. No auto-reset.

    `reset(params, key) -> (state, obs)` and `step(params, key, state, action) -> Step` are per episode.
    `expert_obs(params, state, obs) -> obs` is what the expert sees (the clean or privileged state).
    """

    params: PyTree
    reset: Callable[[PyTree, Array], tuple[PyTree, Array]]
    step: Callable[[PyTree, Array, PyTree, Array], Step]
    obs: Space
    action: Space
    absorbing_reward: Any = 0.0  # leaf: reward of every step after `terminated`
    expert_obs: Callable[[PyTree, PyTree, Array], Array] | None = None  # None: the learner's obs


_record(Env, data=("params", "absorbing_reward"))


@dataclass(frozen=True)
class Policy:
    """Who acts: numeric `params`, and pure `init(params, key) -> memory`,
    `act(params, key, t, memory, obs) -> (memory, action)`; experts, learners, noisy and random policies alike."""

    params: PyTree
    init: Callable[[PyTree, Array], PyTree]
    act: Callable[[PyTree, Array, Array, PyTree, Array], tuple[PyTree, Array]]


_record(Policy, data=("params",))


def no_memory(params: PyTree, key: Array) -> tuple[()]:
    """The `init` of what remembers nothing."""
    return ()


class Choice(NamedTuple):
    """What a Behaviour decides at one step of one episode."""

    memory: PyTree
    actor: Array  # `[]` int32: 0 the learner's proposal was executed, 1 the expert's
    action: Array  # `[*action]` what the env receives
    reveal: Array  # `[]` bool: whether the expert's label is bought at this step


@dataclass(frozen=True)
class Behaviour:
    """Who acts while data is collected:
    `choose(params, key, t, memory, obs, proposal, label) -> Choice` with numeric leaves `params`."""

    params: PyTree
    init: Callable[[PyTree, Array], PyTree]
    choose: Callable[[PyTree, Array, Array, PyTree, Array, Array, Array], Choice]


_record(Behaviour, data=("params",))


@dataclass(frozen=True)
class Dynamics:
    """The true dynamics as a differentiable map on vectors, for methods that differentiate or invert it.

    `step_vec(params, x, u) -> x'` maps `[d], [A] -> [d]`; `observe(params, x) -> obs`; `to_vec(params, state) -> x`.
    `from_obs(params, obs) -> x` exists where the observation determines the state.
    """

    dim: int
    step_vec: Callable[[PyTree, Array, Array], Array]
    observe: Callable[[PyTree, Array], Array]
    to_vec: Callable[[PyTree, PyTree], Array]
    from_obs: Callable[[PyTree, Array], Array] | None = None


@dataclass(frozen=True)
class Head:
    """The action distribution as one record, per example; `action` is what a demonstration labels.

    `init(key) -> params`; `loss(params, t, obs, action) -> []` (minimised by the one supervised loop);
    `act(params, key, t, obs) -> action` is the deployed policy (the mode, but for rules that sample);
    `solve(data, key) -> params` is the closed form where one exists, and then no gradient step is taken.
    `sample` and `log_prob(params, t, obs, action) -> []` exist where the head is a density.
    """

    init: Callable[[Array], PyTree]
    loss: Callable[[PyTree, Array, Array, Array], Array]
    act: Callable[[PyTree, Array, Array, Array], Array]
    solve: Callable[[Data, Array], PyTree] | None = None
    sample: Callable[[PyTree, Array, Array, Array], Array] | None = None
    log_prob: Callable[[PyTree, Array, Array, Array], Array] | None = None
    normalise: bool = False  # whether `params["norm"]` holds observation statistics that fit must fill


@dataclass(frozen=True)
class Task:
    """What is learnt: an env, its expert, a fixed horizon, a tolerance, and how rewards are read."""

    id: str  # e.g. "hopper"
    version: int
    env: Env
    expert: Policy
    horizon: int
    deltas: tuple[float, ...] = (0.0,)  # 0-1 cost is 1{error > delta}; the first is the headline, 0 for discrete
    reward_range: tuple[float, float] | None = None  # per step, declared, never observed
    block: int = 128  # episodes per vmapped block on one device: part of the version
    tags: tuple[str, ...] = ()  # "instrument" = built to show a theorem, never on a board
    mdp: Callable[[], MDP] | None = field(default=None, compare=False)
    dynamics: Dynamics | None = None

    @property
    def name(self) -> str:
        """`id@version`."""
        return f"{self.id}@{self.version}"


# ---------------------------------------------------------------------------------------- what flows
# Fields are NumPy or JAX arrays alike: rollouts hand over NumPy, compiled pieces see JAX.
class Demos(NamedTuple):
    """What a rollout returns; a field that was not asked for by `record=` is None. Leading axes `[S, N]`."""

    obs: Any = None  # `[S, N, H, *obs]` the learner's observation before the step
    action: Any = None  # `[S, N, H, *action]` executed
    label: Any = None  # `[S, N, H, *action]` the expert's action; zero where not revealed
    actor: Any = None  # `[S, N, H]` int32, 0 learner, 1 expert
    revealed: Any = None  # `[S, N, H]` bool, label bought on a live step
    error: Any = None  # `[S, N, H]` float32, 1{a != a*} or max|a - a*| of the executed action
    reward: Any = None  # `[S, N, H]` float32
    alive: Any = None  # `[S, N, H]` bool, before the step
    final_obs: Any = None  # `[S, N, *obs]` the observation at H: next_obs of the last step


# Record selections: what a rollout is asked for.
COLLECT = ("obs", "action", "label", "actor", "revealed", "alive", "final_obs")  # what training needs
EVIDENCE = ("obs", "label", "error", "reward", "alive")  # what measures need


class Data(NamedTuple):
    """What is fitted: rows of labelled observations, one seed; rows with weight 0 do not exist."""

    t: Any  # `[R]` int32 step index
    obs: Any  # `[R, *obs]`
    action: Any  # `[R, *action]`
    weight: Any  # `[R]` float32


@dataclass(frozen=True)
class Trained:
    """What an algorithm returns for S seeds: named policies with leaves `[S, M, ...]` (M iterates mixed
    uniformly, one per episode; M = 1 for a plain policy), which one is scored, and per-round curves `[S, rounds]`."""

    policies: dict[str, Policy]
    selected: str
    curve: dict[str, Any] = field(default_factory=dict)
