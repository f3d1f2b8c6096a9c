"""The lab: collect / fit / validate for a batch of seeds, and the ledger of what it cost.

An algorithm is written once for S seeds: every call below is seed-batched and compiled, and counts labels, takeovers,
env steps and gradient steps, so that the author never counts and never loops over seeds. A seed's results depend on the
seed alone: which others it shares a call with decides how much is rolled, and what a seed did not pay for it never sees.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import jax
import numpy as np

from ilbench.rollouts.behaviours import mixed
from ilbench.rollouts.keys import episode_keys, seed_keys
from ilbench.rollouts.rollout import LANES, rollout
from ilbench.training import fit as fitting
from ilbench.training.fit import FitConfig
from ilbench.types import COLLECT, Array, Behaviour, Data, Demos, Head, Policy, PyTree, Task

EXPERT = 1  # Choice.actor
GIVEN = ("task", "head", "seeds", "budget", "fit_config")  # of a lab: nothing that an algorithm may change
SPENT = ("labels", "env_steps", "takeovers", "takeover_steps", "switches")
PATIENCE = 64  # episodes rolled at most for every episode's worth of labels that is asked for


class BudgetExceeded(ValueError):
    """An algorithm asked for more expert labels than its budget."""


@dataclass
class Ledger:
    """What training cost so far, per seed `[S]`."""

    labels: np.ndarray  # expert actions shown or executed on live steps, demonstrations and validation included
    env_steps: np.ndarray  # live env steps
    takeovers: np.ndarray  # times that the expert took over from the learner within an episode
    takeover_steps: np.ndarray  # live steps that the expert then acted, until it handed back or the episode ended
    switches: np.ndarray  # changes of who acts, in either direction
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


def charged(demos: Demos) -> np.ndarray:
    """Where an expert's action was had, `[S, N, H]` bool: shown as a label, or executed, on a live step."""
    return (np.asarray(demos.revealed) | (np.asarray(demos.actor) == EXPERT)) & np.asarray(demos.alive)


def within(demos: Demos, limit: Any) -> Demos:
    """Demos of which every seed has at most `limit [S]` charged actions, the first ones in (episode, step) order.

    What comes after a seed's last one it never had.
    """
    paid = charged(demos)
    seeds = len(paid)
    spent = np.cumsum(paid.reshape(seeds, -1), axis=1, dtype=np.int64).reshape(paid.shape)
    had = np.broadcast_to(np.asarray(limit), (seeds,))[:, None, None]
    return _cut(demos, (spent < had) | (paid & (spent == had)))


def _cut(demos: Demos, kept: np.ndarray) -> Demos:
    """Demos of which nobody has the steps that are not `kept [S, N, H]`: nothing is alive, revealed, labelled or done there.

    Observations stay: that of the first step that was not paid for is where the last paid one led. Episodes of which no seed kept
    a step are left out.
    """
    if kept.all():
        return demos
    last = 1 + int(np.flatnonzero(kept.any((0, 2))).max(initial=0))
    demos, kept = Demos(*(None if x is None else np.asarray(x)[:, :last] for x in demos)), kept[:, :last]

    def had(x: Any) -> np.ndarray:
        array = np.asarray(x)
        return np.where(kept.reshape(*kept.shape, *[1] * (array.ndim - 3)), array, np.zeros_like(array))

    return demos._replace(**{name: had(getattr(demos, name)) for name in ("alive", "revealed", "label", "action", "actor")})


def rows(demos: Demos, capacity: int | None = None) -> Data:
    """Labelled rows of Demos: `[S, N*H, ...]`, with weight 0 where no label was revealed.

    With `capacity`: `[S, capacity, ...]`, the labelled rows first, in (episode, step) order, so that a growing data set has
    one shape. Raises ValueError for more labels than that.
    """
    obs, label, revealed = demos.obs, demos.label, demos.revealed
    assert obs is not None
    assert label is not None
    assert revealed is not None
    seeds, count, horizon = revealed.shape
    t = np.broadcast_to(np.arange(horizon, dtype=np.int32), (seeds, count, horizon))
    data = Data(*(np.asarray(x).reshape(seeds, count * horizon, *np.shape(x)[3:]) for x in (t, obs, label, revealed)))
    data = data._replace(t=data.t.copy(), weight=data.weight.astype(np.float32))
    return data if capacity is None else compact(data, capacity)


def compact(data: Any, capacity: int, weight: Any = None) -> Any:
    """A NamedTuple of rows `[S, R, ...]` with those of positive `weight` (its own) first, in order, cut or filled to `capacity`.

    Rows beyond are zero. Raises ValueError for a seed with more than `capacity` of them.
    """
    exists = np.asarray(data.weight if weight is None else weight) > 0
    most = int(exists.sum(1).max(initial=0))
    if most > capacity:
        raise ValueError(f"{most} rows of one seed do not fit into {capacity}")
    out = [np.zeros((len(exists), capacity, *np.shape(x)[2:]), np.asarray(x).dtype) for x in data]
    for s, mask in enumerate(exists):
        for into, x in zip(out, data, strict=True):
            into[s, : mask.sum()] = np.asarray(x)[s][mask]
    return type(data)(*out)


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
    fits: list[fitting.Fitted] = field(init=False, default_factory=list)  # the last one taken, for whoever judges convergence
    # One row of numbers per charge and, once charged, never changed: name, a number per seed.
    _charges: tuple[tuple[str, tuple[int, ...]], ...] = field(init=False, default=())
    _calls: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        if self.budget < 0 or not self.seeds:
            raise ValueError(f"a lab has seeds and a budget of labels, got {self.seeds} and {self.budget}")

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "ledger" or (name in GIVEN and name in self.__dict__):
            raise AttributeError(f"lab.{name} belongs to the cell: an algorithm cannot change it")
        object.__setattr__(self, name, value)

    def _charge(self, **numbers: Any) -> None:
        rows = ((name, tuple(int(x) for x in np.broadcast_to(n, (len(self.seeds),)))) for name, n in numbers.items())
        self._charges = (*self._charges, *rows)

    @property
    def ledger(self) -> Ledger:
        """What has been spent so far: a copy, `[S]` each."""

        def total(name: str) -> np.ndarray:
            start = np.zeros(len(self.seeds), np.int64)
            return np.sum([start, *(np.asarray(n, np.int64) for what, n in self._charges if what == name)], axis=0)

        steps = sum(max(n, default=0) for what, n in self._charges if what == "gradient_steps")
        labels, env_steps, takeovers, takeover_steps, switches = map(total, SPENT)
        return Ledger(labels, env_steps, takeovers, takeover_steps, switches, steps)

    @property
    def episodes(self) -> int:
        """How many whole episodes of labels the budget buys."""
        return self.budget // self.task.horizon

    @property
    def remaining(self) -> np.ndarray:
        """Labels that each seed may still buy, `[S]`."""
        return self.budget - self.ledger.labels

    def _placeholder(self) -> Policy:
        return to_policy(self.head, fitting.init(self.head, seed_keys("init", self.seeds)))

    def demonstrate(self, episodes: int | None = None, *, labels: Any = None) -> Demos:
        """Expert demonstrations `[S, N, H, ...]`, the same ones for every algorithm at the same seeds.

        So many `episodes`, cut off where the budget ends; or until every seed has `labels` (a number or `[S]`) of them; or, with
        neither, until the budget is spent. Raises ValueError for nothing to demonstrate, BudgetExceeded where nothing is left.
        """
        behaviour = mixed(self.task.env.action, self.task.horizon, beta=1.0)
        return self._paid(episodes, labels, "demos", behaviour, None)

    def collect(
        self, episodes: int | None = None, behaviour: Behaviour | None = None, policy: Policy | None = None, *, labels: Any = None
    ) -> Demos:
        """Episodes `[S, N, H, ...]` under `behaviour` with `policy`'s proposals; fresh episodes at every call.

        So many `episodes`, cut off where a seed's budget ends; or until every seed has been charged `labels` (a number or `[S]`)
        actions of the expert, falls or not, but at most 64 episodes for every one's worth of labels. Labels that the behaviour does
        not reveal are zero. Raises ValueError for neither, and BudgetExceeded, before rolling out, where nothing is left.
        """
        if behaviour is None or policy is None or (episodes is None and labels is None):
            raise ValueError("collect takes a behaviour, a policy, and episodes or labels=")
        self._calls += 1
        return self._paid(episodes, labels, f"collect{self._calls}", behaviour, policy)

    def _paid(
        self, episodes: int | None, labels: Any, stream: str, behaviour: Behaviour, policy: Policy | None
    ) -> Demos:
        """Rolls what was asked for, cuts it off where it is paid for, and charges it."""
        if episodes is not None and episodes < 1:
            raise ValueError(
                f"{self.task.name}: {episodes} episodes; a budget of {self.budget} labels buys {self.episodes} episodes of "
                f"{self.task.horizon} steps, and at least 1 is needed"
            )
        wanted = np.broadcast_to(self.remaining if labels is None else np.asarray(labels), (len(self.seeds),))
        if (wanted > self.remaining).any() or not (self.remaining > 0).any():
            raise BudgetExceeded(
                f"{self.task.name}: {int(wanted.max())} more labels are asked for, but {int(self.ledger.labels.max())} of "
                f"{self.budget} are spent; raise the budget or collect less"
            )
        if (wanted < 1).all():
            raise ValueError(f"{self.task.name}: {int(wanted.max())} labels; at least 1 is needed")
        if episodes is not None:
            pieces = range(0, episodes, PATIENCE)  # in pieces, lest a long record is in memory twice while it is made
            demos = concatenate(
                [self._roll(stream, i, min(PATIENCE, episodes - i), behaviour, policy) for i in pieces]
            )
        else:
            demos = self._until(wanted, stream, behaviour, policy)
        return self._count(within(demos, wanted))

    def _until(self, wanted: np.ndarray, stream: str, behaviour: Behaviour, policy: Policy | None) -> Demos:
        """Episodes until every seed has been charged `wanted [S]`, or 64 for every one's worth of it."""
        worth = np.maximum(1, -(-wanted // self.task.horizon))
        most, parts, had, rolled = PATIENCE * worth, [], np.zeros(len(self.seeds), np.int64), 0
        while (short := (had < wanted) & (rolled < most)).any():
            # As many as the slowest seed seems to need: what the others then have beyond their share is cut off.
            pace = np.maximum(had / rolled, 1.0) if rolled else np.float64(self.task.horizon)
            count = int(np.clip(np.ceil((wanted - had) / pace)[short].max(), 1, PATIENCE))
            count = -(-count // LANES) * LANES  # whole chunks, so that where a call begins deals no mixture another way
            parts.append(self._roll(stream, rolled, count, behaviour, policy))
            had += charged(parts[-1]).sum((1, 2))
            rolled += count
        demos = concatenate(parts)
        return _cut(demos, np.broadcast_to((np.arange(rolled) < most[:, None])[..., None], np.shape(demos.alive)))

    def _roll(self, stream: str, first: int, episodes: int, behaviour: Behaviour, policy: Policy | None) -> Demos:
        # With its head: the program that rolls holds the learner's network too, and another program rounds otherwise.
        task, key = self.task, (stream, first, episodes, self.seeds, self.head, fingerprint(self.task))
        if policy is None and key in self.demos_cache:
            return self.demos_cache[key]
        behaviours = jax.tree.map(lambda x: np.broadcast_to(x, (len(self.seeds), *np.shape(x))).copy(), behaviour)
        demos = rollout(
            task.env, task.expert, self._placeholder() if policy is None else policy, behaviours,
            episode_keys(stream, self.seeds, episodes, first), horizon=task.horizon, record=COLLECT, block=task.block,
            seeds=np.asarray(self.seeds, np.int64) + first // LANES,
        )  # fmt: skip
        if policy is None:
            for leaf in jax.tree.leaves(demos):
                leaf.flags.writeable = False  # others get the same arrays
            self.demos_cache[key] = demos
        return demos

    def _count(self, demos: Demos) -> Demos:
        alive, acts = np.asarray(demos.alive), (np.asarray(demos.actor) == EXPERT) & np.asarray(demos.alive)
        both = alive[:, :, 1:] & alive[:, :, :-1]
        began = acts[:, :, 1:] & ~acts[:, :, :-1] & both
        # A step is one of a takeover once the learner has acted in the episode: what the expert began itself is none.
        learner = np.cumsum(alive & ~acts, axis=2) > 0
        self._charge(
            labels=charged(demos).sum((1, 2)),
            env_steps=alive.sum((1, 2)),
            takeovers=began.sum((1, 2)),
            takeover_steps=(acts & learner).sum((1, 2)),
            switches=((acts[:, :, 1:] != acts[:, :, :-1]) & both).sum((1, 2)),
        )
        return demos

    def fit(
        self, data: Data, *, stage: int = 0, stages: int = 1, start: PyTree | None = None
    ) -> tuple[PyTree, np.ndarray]:
        """Fits the head to rows `[S, R, ...]` with the suite's gradient steps; closed form where the head has one.

        Returns parameters `[S, ...]` and the training-loss curve `[S, <=64]`. `start` continues from earlier parameters. Of
        `stages` fits each takes all of `fit.updates`, or under `fit.equal_steps` a share of them.
        """
        keys = seed_keys(f"fit{stage}", self.seeds)
        if self.head.solve is not None:
            params = fitting.solve(self.head, keys, data)
            return params, np.asarray(fitting.loss(self.head, params, data))[:, None]
        if start is None:
            start = fitting.init(self.head, seed_keys("init", self.seeds))
        updates = self.fit_config.updates
        if self.fit_config.equal_steps:
            updates = max(1, updates // stages)
        fitted = fitting.fit(self.head, self.task.env.obs, keys, start, data, self.fit_config, updates)
        self._charge(gradient_steps=updates)
        self.fits[:] = [fitted]
        return fitted.params, np.asarray(fitted.losses)

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


def fingerprint(task: Task) -> str:
    """What a task's rollouts depend on, as hex digits: its name, horizon, block, and all numbers of env and expert."""
    found = hashlib.sha256(f"{task.name}|{task.horizon}|{task.block}|{task.env.step}".encode())
    for leaf in jax.tree.leaves((task.env, task.expert)):
        array = np.asarray(leaf)
        found.update(f"{array.dtype}{array.shape}".encode() + array.tobytes())
    return found.hexdigest()
