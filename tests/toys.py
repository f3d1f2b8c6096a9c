"""What the tests of meaning share: an env whose every number is known, a lab that keeps what passes through it, plain NumPy."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ilbench import registry
from ilbench.envs import _tabular
from ilbench.evaluation.evidence import Protocol
from ilbench.exact.mdp import MDP
from ilbench.rollouts.behaviours import same
from ilbench.rollouts.keys import episode_keys
from ilbench.rollouts.rollout import rollout
from ilbench.running.execute import Session, execute
from ilbench.running.plan import Block, resolve
from ilbench.training.fit import FitConfig
from ilbench.training.lab import Lab
from ilbench.types import Box, Data, Demos, Discrete, Env, Head, Policy, Step, Task

EVERYTHING = ("obs", "action", "label", "actor", "revealed", "error", "reward", "alive", "final_obs")


# ------------------------------------------------------------------------------------- an env of known numbers
# State (start, n, last): a uniform number that never changes, steps taken, the first entry of the last action. It ends
# after params + floor(3 start) steps. The learner sees the state, the expert sees (start, n, 100).
def _seen(state: Any) -> Any:
    start, n, last = state
    return jnp.stack([start, n.astype(jnp.float32), last])


def _reset(params: Any, key: Any) -> Any:
    state = (jax.random.uniform(key, (), jnp.float32), jnp.int32(0), jnp.float32(0))
    return state, _seen(state)


def _step(params: Any, key: Any, state: Any, action: Any) -> Step:
    start, n, _ = state
    new = (start, n + 1, action[0])
    end = params + jnp.floor(3 * start).astype(jnp.int32)
    return Step(new, _seen(new), 10.0 * (n + 1).astype(jnp.float32) + action[0], n + 1 >= end)


def _clean(params: Any, state: Any, obs: Any) -> Any:
    return jnp.stack([state[0], state[1].astype(jnp.float32), jnp.float32(100)])


def nothing(params: Any, key: Any) -> tuple[()]:
    """No memory."""
    return ()


def _expert(params: Any, key: Any, t: Any, memory: Any, obs: Any) -> Any:
    return memory, jnp.stack([0.001 * obs[2] + 0.01 * obs[1], -0.02 * t.astype(jnp.float32)])


def expert_of_counter(t: Any) -> np.ndarray:
    """What the expert does at steps t `[...]`: `[..., 2]`."""
    return np.stack([0.1 + 0.01 * np.asarray(t), -0.02 * np.asarray(t)], -1)


def counter(horizon: int = 8, stop: int = 4) -> Task:
    """Episodes of stop, stop + 1 or stop + 2 live steps; rewards 10 (n + 1) + action[0], and -7 after the end."""
    env = Env(np.int32(stop), _reset, _step, Box(3), Box(2, -10.0, 10.0), np.float32(-7), _clean)
    return Task("counter", 1, env, Policy((), nothing, _expert), horizon, deltas=(0.05,))


def _constant(params: Any, key: Any, t: Any, memory: Any, obs: Any) -> Any:
    return memory, jnp.asarray(params)


def constant(actions: Any) -> Policy:
    """A policy that always does the same: `actions [S, M, *action]`."""
    return Policy(np.asarray(actions), nothing, _constant)


def _tabled(params: Any, key: Any, t: Any, memory: Any, obs: Any) -> Any:
    return memory, jnp.asarray(params)[t, obs]


def tabled(tables: Any) -> Policy:
    """A policy of tables `[S, M, H, states]` of actions."""
    return Policy(np.asarray(tables, np.int32), nothing, _tabled)


# ------------------------------------------------------------------------- a table that the learner sees through an alias
def _alias_reset(params: Any, key: Any) -> Any:
    state, _ = _tabular.reset(params[0], key)
    return state, jnp.asarray(params[1])[state]


def _alias_step(params: Any, key: Any, state: Any, action: Any) -> Step:
    after = _tabular.step(params[0], key, state, action)
    return after._replace(obs=jnp.asarray(params[1])[after.state])


def _alias_clean(params: Any, state: Any, obs: Any) -> Any:
    return state


def aliased(mdp: MDP, expert: Any, alias: Any, horizon: int) -> Task:
    """The task of an MDP whose learner sees `alias[s]` in place of s, and whose expert, a table `[S]`, sees s."""
    model = _tabular.Model(mdp.P, mdp.R, np.zeros(len(mdp.rho)), mdp.rho)
    task = _tabular.build("aliased", 1, horizon, (), model, expert, (float(mdp.R.min()), float(mdp.R.max())))
    params, seen = (task.env.params, np.asarray(alias, np.int32)), Discrete(int(np.max(alias)) + 1)
    env = dataclasses.replace(task.env, params=params, reset=_alias_reset, step=_alias_step, obs=seen, expert_obs=_alias_clean)
    return dataclasses.replace(task, env=env)


# --------------------------------------------------------------------------------------------- the product, called
def acts(head: Head, params: Any, key: Any, t: Any, obs: Any) -> Any:
    """What a head without memory does at one observation."""
    return head.act(params, key, t, head.memory(params, key), obs)[1]


def loss(head: Head, params: Any, t: Any, obs: Any, action: Any) -> Any:
    """A head's loss, which draws nothing, of one row."""
    return head.loss(params, None, Data(t, obs, action, np.float32(1)))


def repeat(tree: Any, seeds: int) -> Any:
    """Leaves with a leading `[S]`, the same for every seed."""
    return same(tree, seeds)


def rolled(task: Task, policy: Policy, behaviour: Any, seeds: Any = (0,), episodes: int = 8) -> Demos:
    """Everything that a rollout records, under one behaviour for all seeds."""
    keys = episode_keys("meaning", seeds, episodes)
    return rollout(
        task.env, task.expert, policy, repeat(behaviour, len(seeds)), keys,
        horizon=task.horizon, record=EVERYTHING, block=task.block, seeds=seeds,
    )  # fmt: skip


def ran(
    task: str, algorithm: str, head: str, labels: int, seeds: Any = (0,), horizon: Any = None, **settings: Any
) -> Any:
    """A block through the planner, executed; `settings`: config, episodes, held_out, prefixes, noise."""
    config, protocol = settings.pop("config", {}), Protocol(**settings)
    block = Block(task, algorithm, head, labels, horizon=horizon, seeds=tuple(seeds), config=config, protocol=protocol)
    return execute(resolve(block), block.seeds, Session())


class Spy(Lab):
    """A lab that keeps, in order, what passed through it: ("demonstrate" | "collect", Demos), ("fit", Data, params)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.events: list[tuple[Any, ...]] = []

    def demonstrate(self, *args: Any, **kwargs: Any) -> Demos:
        demos = super().demonstrate(*args, **kwargs)
        self.events.append(("demonstrate", demos))
        return demos

    def collect(self, *args: Any, **kwargs: Any) -> Demos:
        demos = super().collect(*args, **kwargs)
        self.events.append(("collect", demos))
        return demos

    def fit(self, data: Data, *args: Any, **kwargs: Any) -> Any:
        out = super().fit(data, *args, **kwargs)
        self.events.append(("fit", data, out[0]))
        return out

    def of(self, kind: str) -> list[tuple[Any, ...]]:
        """The events of one kind, without their names."""
        return [event[1:] for event in self.events if event[0] == kind]

    def demos(self) -> list[Demos]:
        """All that was rolled out, demonstrations first."""
        return [event[1] for event in self.events if event[0] != "fit"]


def trained(
    task: Task,
    algorithm: str,
    head: str,
    labels: int,
    seeds: Any,
    config: dict[str, Any],
    head_config: Any = (),
    **fit: Any,
) -> tuple[Any, Spy]:
    """`(Trained, Spy)` of an algorithm's train on a task."""
    module, heads = registry.load("algorithms", algorithm), registry.load("heads", head)
    lab = Spy(task, heads.make(task.spec, heads.Config(**dict(head_config))), tuple(seeds), labels, FitConfig(**fit))
    return module.train(lab, module.Config(**config)), lab


# ------------------------------------------------------------------------------------------- plain NumPy
def existing(data: Data, s: int) -> Data:
    """The rows of seed s that exist, in their order."""
    there = np.asarray(data.weight)[s] > 0
    return jax.tree.map(lambda x: np.asarray(x)[s][there], data)


def labelled(demos: Demos, s: int) -> Data:
    """The rows that a rollout's labels make, by a loop over episodes and steps."""
    t, obs, action = [], [], []
    for n in range(demos.alive.shape[1]):
        for step in range(demos.alive.shape[2]):
            if demos.revealed[s, n, step] and demos.alive[s, n, step]:
                t.append(step)
                obs.append(demos.obs[s, n, step])
                action.append(demos.label[s, n, step])
    return Data(np.array(t), np.array(obs), np.array(action), np.ones(len(t)))


def same_rows(a: Data, b: Data) -> None:
    """Asserts that two sets of rows are equal, in the same order."""
    for name in ("t", "obs", "action", "weight"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)


def table_of(data: Data, states: int, actions: int, otherwise: np.ndarray) -> np.ndarray:
    """The most frequent label of every state `[states]`, ties to the lowest; `otherwise [states]` where there is none."""
    counts = np.zeros((states, actions))
    for state, action in zip(data.obs, data.action, strict=True):
        counts[state, action] += 1
    return np.where(counts.sum(1) > 0, counts.argmax(1), otherwise)


def close_to(sample: Any, exact: float, sigmas: float = 4.0) -> None:
    """Asserts that the mean of independent numbers is what it should be, up to `sigmas` standard errors (and rounding)."""
    x = np.asarray(sample, np.float64).ravel()
    se = x.std(ddof=1) / np.sqrt(len(x))
    assert abs(x.mean() - exact) <= sigmas * se + 1e-6 * max(1.0, abs(exact)), (
        f"{x.mean():.6g} +- {se:.2g}, not {exact:.6g}"
    )
