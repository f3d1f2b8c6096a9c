"""The words of ilbench: what flows and what behaves. Read this file first.

What flows is a NamedTuple or frozen dataclass of arrays. What behaves is a record of pure functions whose
numbers are pytree leaves (`params`) and whose functions are static: passing a record through `jax.jit` traces
its numbers and specialises on its functions, so new numbers never retrace. Functions hash by identity: use
module-level functions, or cache the factory that makes them.

    Block: names and numbers of what is to be run        looked up: Task (its Env and expert), Head, an algorithm's Config
      --> train(lab, config), for all seeds at once      lab.demonstrate, lab.collect: rollouts --> Demos
                                                         lab.rows --> Data, lab.fit --> params, lab.policy --> Policy
      --> Trained                                        each of its policies is rolled out beside the expert --> Evidence
      --> measures --> a Record per seed                 what the lab was charged for stands in it

Letters in shapes: S seeds, N episodes, H steps of the horizon, M mixed iterates, A action dimension, R rows, K observations of a
history, L actions of a chunk.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from numbers import Integral
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import jax
import numpy as np

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
    """Arrays of one shape; `low` and `high` bound every entry (actions are clipped by the env, not here).

    `Box(3)` is a vector `[3]`, `Box((84, 84, 3), 0, 255, "uint8")` an image. Raises ValueError for axes below 1 and other types.
    """

    shape: Any  # `tuple[int, ...]` of one element; a number is taken for a vector's length
    low: float = -float("inf")
    high: float = float("inf")
    dtype: str = "float32"  # or uint8, for images

    def __post_init__(self) -> None:
        shape = (self.shape,) if isinstance(self.shape, Integral) else tuple(self.shape)
        object.__setattr__(self, "shape", tuple(int(n) for n in shape))
        if min(self.shape, default=1) < 1 or self.dtype not in ("float32", "uint8"):
            raise ValueError(f"a Box has axes of at least 1 and holds float32 or uint8, got {self.shape} and {self.dtype!r}")

    @property
    def dim(self) -> int:
        """Number of entries."""
        return math.prod(self.shape)


Space = Discrete | Box


def _record(cls: Any, *, data: tuple[str, ...]) -> Any:
    """Register a frozen dataclass as a pytree: `data` fields are leaves, all others are static."""
    meta = [f.name for f in dataclasses.fields(cls) if f.name not in data]
    return jax.tree_util.register_dataclass(cls, data_fields=list(data), meta_fields=meta)


# ------------------------------------------------------------------------------------ what behaves
class Function(Protocol):
    """Functions hash by identity: a record that holds the same ones does not retrace."""

    def __hash__(self) -> int:
        """Of the object."""
        ...


class Reset(Function, Protocol):
    """The start of one episode."""

    def __call__(self, params: PyTree, key: Array, /) -> tuple[PyTree, Array]:
        """`(state, obs [*obs])`; the same key gives the same start."""


class StepFunction(Function, Protocol):
    """One step of one episode."""

    def __call__(self, params: PyTree, key: Array, state: PyTree, action: Array, /) -> Step:
        """What follows `action [*action]`; state keeps its shapes and dtypes."""


class Init(Function, Protocol):
    """Memory at the start of an episode: a chunk, a history, the draw of an episode."""

    def __call__(self, params: PyTree, key: Array, /) -> PyTree:
        """Any pytree, of the shapes and dtypes that `act` (or `choose`) returns."""


class Act(Function, Protocol):
    """What a policy does at one step of one episode."""

    def __call__(self, params: PyTree, key: Array, t: Array, memory: PyTree, obs: Array, /) -> tuple[PyTree, Array]:
        """`(memory, action [*action])` at step `t []` int32 on `obs [*obs]`."""


class Choose(Function, Protocol):
    """Who acts at one step of one episode."""

    def __call__(
        self, params: PyTree, key: Array, t: Array, memory: PyTree, obs: Array, proposal: Array, label: Array, /
    ) -> Choice:
        """Picks between the learner's `proposal [*action]` and the expert's `label [*action]`, or disturbs either."""


class Loss(Function, Protocol):
    """What is minimised, of one row."""

    def __call__(self, params: PyTree, key: Array, row: Data, /) -> Array:
        """`[]` float32; `key` is the row's own, for losses that draw."""


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
    `views(params, state, obs) -> PyTree` is what further sensors see, a second camera: recorded where `record` holds "views".
    `recover(params, label, distance) -> PyTree`, in the form of the views, is what the expert's label becomes for who stands where each
    of them does and is to be back on the expert's way after `distance`.
    """

    params: PyTree
    reset: Reset
    step: StepFunction
    obs: Space
    action: Space
    absorbing_reward: Any = 0.0  # leaf: reward of every step after `terminated`
    expert_obs: Callable[[PyTree, PyTree, Array], Array] | None = None  # None: the learner's obs
    views: Callable[[PyTree, PyTree, Array], PyTree] | None = None
    recover: Callable[[PyTree, Array, Array], PyTree] | None = None


_record(Env, data=("params", "absorbing_reward"))


@dataclass(frozen=True)
class Policy:
    """Who acts: numeric `params`, and pure `init(params, key) -> memory`, `act(params, key, t, memory, obs) -> (memory, action)`.

    Experts, learners, chunked, noisy and random policies alike. `dist(params, t, memory, obs) -> Dist`, the law that `act` draws from,
    exists for stochastic experts and for policies that sample a head (ilbench/distributions.py). Where an expert's law is no Dist,
    `mixture(params, t, obs) -> Mixture` may tell it: of what is seen alone, whatever the episode remembers.
    """

    params: PyTree
    init: Init
    act: Act
    dist: Callable[[PyTree, Array, PyTree, Array], Any] | None = None
    mixture: Callable[[PyTree, Array, Array], Any] | None = None


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
    `choose(params, key, t, memory, obs, proposal, label) -> Choice` with numeric leaves `params`.

    One per seed where it is handed to a rollout, leaves `[S, ...]`: a covariance, a threshold of each seed's own.
    """

    params: PyTree
    init: Init
    choose: Choose


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


class Spec(NamedTuple):
    """What a head is made for: `make(spec, config) -> Head`."""

    obs: Space  # `[K, *obs]` where it is to see a window of K observations
    action: Space  # `[L, *action]` where it is to predict a chunk of L
    horizon: int
    worst: Callable[[], Any] | None = None  # an action `[H, n]` for each of n observations that the expert never takes, if known


@dataclass(frozen=True)
class Head:
    """The action distribution as one record, per example: what the one supervised loop fits, and what then acts.

    `init(key) -> params`, a dict; `loss(params, key, row) -> []` is minimised, `row` one row of Data, `key` its own;
    `memory(params, key) -> memory` and `act(params, key, t, memory, obs) -> (memory, action)` are the deployed policy's
    (the mode, but for rules that sample). What follows may be left out:

    `prepare(params, data) -> params` fills in statistics of the rows before the first step; `after(params) -> params` runs
    after every step (target networks, projections); entries of params named in `fixed` get no gradient.
    `solve(data, key) -> params` is the closed form where one exists, and then no gradient step is taken.
    `sample(params, key, t, obs) -> action` and `log_prob(params, t, obs, action) -> []` exist where the head is a density,
    `dist(params, t, obs) -> Dist` where divergences from it have closed forms (of a chunk: of all its numbers in a row).
    `window` (K, L): rows hold K observations, the last one now, and L actions from now on. A head of chunks may `complete(params,
    key, t, obs, prefix [L, *action], known [L]) -> [L, *action]` one of which some actions are known (inpainting).
    """

    init: Callable[[Array], PyTree]
    loss: Loss
    act: Act
    memory: Init = no_memory
    solve: Callable[[Data, Array], PyTree] | None = None
    sample: Callable[[PyTree, Array, Array, Array], Array] | None = None
    log_prob: Callable[[PyTree, Array, Array, Array], Array] | None = None
    dist: Callable[[PyTree, Array, Array], Any] | None = None
    prepare: Callable[[PyTree, Data], PyTree] | None = None
    after: Callable[[PyTree], PyTree] | None = None
    fixed: tuple[str, ...] = ("norm",)
    window: tuple[int, int] = (1, 1)
    complete: Callable[[PyTree, Array, Array, Array, Array, Array], Array] | None = None


@dataclass(frozen=True)
class Model:
    """Whatever else the one supervised loop fits (dynamics, critics, classifiers): the same words as a Head's."""

    init: Callable[[Array], PyTree]
    loss: Loss
    prepare: Callable[[PyTree, Data], PyTree] | None = None
    after: Callable[[PyTree], PyTree] | None = None
    fixed: tuple[str, ...] = ("norm",)


@dataclass(frozen=True)
class Task:
    """What is learnt: an env, its expert, a fixed horizon, a tolerance, and how rewards are read."""

    id: str  # e.g. "hopper"
    version: int
    env: Env
    expert: Policy | None  # None: nobody can be asked, there are only `recorded` demonstrations
    horizon: int
    deltas: tuple[float, ...] = (0.0,)  # 0-1 cost is 1{error > delta}; the first is the headline, 0 for discrete
    reward_range: tuple[float, float] | None = None  # per step, declared, never observed
    block: int = 128  # episodes per vmapped block on one device: part of the version
    tags: tuple[str, ...] = ()  # "instrument" = built to show a theorem, never on a board
    mdp: Callable[[], MDP] | None = field(default=None, compare=False)
    dynamics: Dynamics | None = None
    recorded: Callable[[], Demos] | None = field(default=None, compare=False)  # demonstrations `[1, N, H, ...]` from a file
    demonstrator: str | None = None  # digest of those, which says in a cell what an expert's weights say elsewhere

    @property
    def name(self) -> str:
        """`id@version`."""
        return f"{self.id}@{self.version}"

    def ask(self) -> Policy:
        """The expert; raises ValueError where there is none."""
        if self.expert is None:
            raise ValueError(f"{self.name} has no expert to ask: there are only recorded demonstrations")
        return self.expert

    @property
    def spec(self) -> Spec:
        """What heads for this task are made for."""
        known = self.mdp is not None and isinstance(self.env.obs, Discrete) and isinstance(self.env.action, Discrete)
        known = known and self.expert is not None and self.expert.dist is None  # one that draws may take any
        return Spec(self.env.obs, self.env.action, self.horizon, partial(_worst, self) if known else None)


def _worst(task: Task) -> np.ndarray:
    """An action `[H, S]` that differs from the expert's, whose parameters are a table, everywhere."""
    assert isinstance(task.env.obs, Discrete)
    assert isinstance(task.env.action, Discrete)
    table = np.broadcast_to(np.asarray(task.ask().params), (task.horizon, task.env.obs.n))
    return ((table + 1) % task.env.action.n).astype(np.int32)


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
    dist: Any = None  # leaves `[S, N, H, ...]`: the law of a stochastic expert's action
    views: Any = None  # leaves `[S, N, H, ...]`: what further sensors see before the step
    final_views: Any = None  # leaves `[S, N, ...]`: and at H
    final_alive: Any = None  # `[S, N]` bool, at H


# Record selections: what a rollout is asked for.
COLLECT = ("obs", "action", "label", "actor", "revealed", "alive", "final_obs")  # what training needs
EVIDENCE = ("obs", "action", "label", "error", "reward", "alive")  # what measures need


class Data(NamedTuple):
    """What is fitted: rows of labelled observations, one seed; rows with weight 0 do not exist.

    A loss sees one row, without the leading axis. Under a head's window (K, L) rows hold `[R, K, *obs]` and `[R, L, *action]`: where
    an episode has no step so early or so late, its nearest one is repeated, and `valid` says of each action whether it is one.
    """

    t: Any  # `[R]` int32 step index
    obs: Any  # `[R, *obs]`
    action: Any  # `[R, *action]`
    weight: Any  # `[R]` float32
    valid: Any = None  # `[R, L]` float32; None without a window
    extra: Any = None  # leaves `[R, ...]`: what an algorithm's own objective reads beside (advantages, a teacher's logits)


@dataclass(frozen=True)
class Trained:
    """What an algorithm returns for S seeds: named policies with leaves `[S, M, ...]` (M iterates mixed
    uniformly, one per episode; M = 1 for a plain policy), which one is scored, per-round curves `[S, rounds]`, and numbers
    `[S]` that it reports of itself."""

    policies: dict[str, Policy]
    selected: str
    curve: dict[str, Any] = field(default_factory=dict)
    scalars: dict[str, Any] = field(default_factory=dict)  # they stand in the record as own/NAME
