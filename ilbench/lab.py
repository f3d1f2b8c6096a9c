"""The lab: collect / fit / validate for a batch of seeds, and the ledger of what it cost.

An algorithm is written once for S seeds: every call below is seed-batched and compiled, and counts labels,
env steps and gradient steps, so that the author never counts and never loops over seeds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import jax
import numpy as np

from ilbench import fit as fitting
from ilbench.fit import FitConfig
from ilbench.rollout import COLLECT, episode_keys, mixed, rollout, seed_keys
from ilbench.types import Array, Behaviour, Data, Demos, Head, Policy, PyTree, Task


class BudgetExceeded(ValueError):
    """An algorithm asked for more expert labels than its budget."""


@dataclass
class Ledger:
    """What training cost so far, per seed `[S]`."""

    labels: np.ndarray  # expert labels revealed on live steps, demonstrations and validation included
    env_steps: np.ndarray  # live env steps
    gradient_steps: int = 0


@lru_cache(maxsize=512)
def _head_policy(head: Head) -> tuple[Any, Any]:
    def init(params: PyTree, key: Array) -> tuple[()]:
        return ()

    def act(params: PyTree, key: Array, t: Array, memory: Any, obs: Array) -> tuple[Any, Array]:
        return memory, head.act(params, key, t, obs)

    return init, act


@jax.jit
def _one_iterate(params: PyTree) -> PyTree:
    return jax.tree.map(lambda leaf: leaf[:, None], params)


def to_policy(head: Head, params: PyTree) -> Policy:
    """The deployed policy of a head: leaves `[S, ...]` become `[S, 1, ...]`."""
    return Policy(_one_iterate(params), *_head_policy(head))


def mixture(head: Head, iterates: Sequence[PyTree]) -> Policy:
    """The uniform mixture of M parameter sets with leaves `[S, ...]`: one is drawn per episode; leaves `[S, M, ...]`."""
    stacked = jax.tree.map(lambda *leaves: np.stack([np.asarray(leaf) for leaf in leaves], axis=1), *iterates)
    return Policy(stacked, *_head_policy(head))


def choose(iterates: Sequence[PyTree], which: np.ndarray) -> PyTree:
    """Per seed s, the parameters of iterate `which[s]`: leaves `[S, ...]`."""
    seeds = np.arange(len(which))
    return jax.tree.map(
        lambda *leaves: np.stack([np.asarray(leaf) for leaf in leaves], axis=1)[seeds, which], *iterates
    )


def rows(demos: Demos, episodes: int | None = None) -> Data:
    """Labelled rows `[S, N*H, ...]` of Demos `[S, N, H, ...]`, padded with empty episodes up to `episodes`.

    A fixed capacity is what keeps a growing data set from retracing.
    """
    assert demos.obs is not None
    assert demos.label is not None
    assert demos.revealed is not None
    obs, label, revealed = (np.asarray(x) for x in (demos.obs, demos.label, demos.revealed))
    seeds, count, horizon = revealed.shape
    extra = max(0, (episodes or count) - count)

    def flat(x: np.ndarray) -> np.ndarray:
        padded = np.pad(x, [(0, 0), (0, extra)] + [(0, 0)] * (x.ndim - 2)) if extra else x
        return padded.reshape(seeds, (count + extra) * horizon, *x.shape[3:])

    t = np.broadcast_to(np.arange(horizon, dtype=np.int32), (seeds, count + extra, horizon)).reshape(seeds, -1)
    return Data(t.copy(), flat(obs), flat(label), flat(revealed.astype(np.float32)))


def concatenate(parts: Sequence[Demos]) -> Demos:
    """Demos of several collections, along the episode axis."""
    return Demos(
        *(
            None if p[0] is None else np.concatenate([np.asarray(x) for x in p], axis=1)
            for p in zip(*parts, strict=True)
        )
    )


@dataclass
class Lab:
    """Where an algorithm works: one task, one head, S seeds, a label budget, shared optimiser settings."""

    task: Task
    head: Head
    seeds: tuple[int, ...]
    budget: int  # expert labels per seed
    fit_config: FitConfig
    demos_cache: dict[Any, Demos] = field(default_factory=dict)  # expert demonstrations shared by the cells of a run
    unit: int = 0  # episodes per collect call and seed: one compiled lane shape for all algorithms; 0 = as asked
    ledger: Ledger = field(init=False)
    _collected: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        zeros = np.zeros(len(self.seeds), np.int64)
        self.ledger = Ledger(zeros.copy(), zeros.copy())

    @property
    def episodes(self) -> int:
        """How many whole episodes of labels the budget buys."""
        return self.budget // self.task.horizon

    def _placeholder(self) -> Policy:
        return to_policy(self.head, fitting.init(self.head, seed_keys("init", self.seeds)))

    def demonstrate(self, episodes: int) -> Demos:
        """Expert demonstrations `[S, N, H, ...]`, the same ones for every algorithm at the same seeds.

        Raises ValueError for fewer than one episode, BudgetExceeded when the budget does not buy them.
        """
        if episodes < 1:
            raise ValueError(
                f"{self.task.name}: {episodes} demonstrations; a budget of {self.budget} labels buys "
                f"{self.episodes} episodes of {self.task.horizon} steps, and at least 1 is needed"
            )
        self._afford(episodes)
        key = (self.task.name, self.task.horizon, self.seeds, self.unit, episodes, id(self.task))
        if key not in self.demos_cache:
            behaviour = mixed(self.task.env.action, self.task.horizon, beta=1.0)
            self.demos_cache[key] = self._roll("demos", 0, episodes, behaviour, self._placeholder())
        return self._count(self.demos_cache[key])

    def collect(self, episodes: int, behaviour: Behaviour, policy: Policy) -> Demos:
        """Episodes `[S, N, H, ...]` under `behaviour` with `policy`'s proposals; fresh episodes at every call.

        Labels that the behaviour does not reveal are zero. Raises BudgetExceeded before rolling out.
        """
        self._afford(episodes)
        demos = self._roll("collect", self._collected, episodes, behaviour, policy)
        self._collected += episodes
        return self._count(demos)

    def _afford(self, episodes: int) -> None:
        spent = int(self.ledger.labels.max(initial=0))
        if spent + episodes * self.task.horizon > self.budget:
            raise BudgetExceeded(
                f"{self.task.name}: {episodes} more episodes may cost {episodes * self.task.horizon} labels, "
                f"but {spent} of {self.budget} are spent; raise the budget or collect less"
            )

    def _roll(self, stream: str, first: int, episodes: int, behaviour: Behaviour, policy: Policy) -> Demos:
        unit = self.unit or episodes
        seeds = len(self.seeds)
        behaviours = jax.tree.map(lambda leaf: np.broadcast_to(leaf, (seeds, *np.shape(leaf))).copy(), behaviour)
        parts = []
        for start in range(0, episodes, unit):
            keys = episode_keys(stream, self.seeds, unit, first + start)
            task = self.task
            parts.append(
                rollout(
                    task.env,
                    task.expert,
                    policy,
                    behaviours,
                    keys,
                    horizon=task.horizon,
                    record=COLLECT,
                    block=task.block,
                )
            )
        return jax.tree.map(lambda x: x[:, :episodes], concatenate(parts))

    def _count(self, demos: Demos) -> Demos:
        assert demos.revealed is not None
        assert demos.alive is not None
        self.ledger.labels += np.asarray(demos.revealed).sum((1, 2))
        self.ledger.env_steps += np.asarray(demos.alive).sum((1, 2))
        return demos

    def fit(
        self, data: Data, *, stage: int = 0, stages: int = 1, start: PyTree | None = None
    ) -> tuple[PyTree, np.ndarray]:
        """Fits the head to rows `[S, R, ...]` with 1/stages of the suite's gradient steps; closed form where the head has one.

        Returns parameters `[S, ...]` and the training-loss curve `[S, <=64]`. `start` continues from earlier parameters.
        """
        keys = seed_keys(f"fit{stage}", self.seeds)
        if self.head.solve is not None:
            params = fitting.solve(self.head, keys, data)
            return params, np.asarray(fitting.loss(self.head, params, data))[:, None]
        if start is None:
            start = fitting.init(self.head, seed_keys("init", self.seeds))
        updates = max(1, self.fit_config.updates // stages)
        params, losses = fitting.fit(self.head, self.task.env.obs, keys, start, data, self.fit_config, updates)
        self.ledger.gradient_steps += updates
        return params, np.asarray(losses)

    def loss(self, params: PyTree, data: Data) -> np.ndarray:
        """The head's mean loss `[S]` on rows."""
        return np.asarray(fitting.loss(self.head, params, data))

    def policy(self, params: PyTree) -> Policy:
        """The deployed policy of parameters `[S, ...]`."""
        return to_policy(self.head, params)

    def mixture(self, iterates: Sequence[PyTree]) -> Policy:
        """The uniform mixture of iterates with leaves `[S, ...]`."""
        return mixture(self.head, iterates)

    def keys(self, stream: str) -> Array:
        """Keys `[S]` of a named stream for randomness of the algorithm's own."""
        return seed_keys(f"algorithm/{stream}", self.seeds)


def finite(params: PyTree) -> np.ndarray:
    """Which seeds `[S]` have only finite parameters in leaves `[S, ...]`."""
    flags = [
        np.isfinite(np.asarray(leaf, np.float64)).reshape(leaf.shape[0], -1).all(1) for leaf in jax.tree.leaves(params)
    ]
    return np.all(flags, axis=0) if flags else np.ones((), bool)
