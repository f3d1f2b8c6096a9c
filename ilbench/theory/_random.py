"""Random tabular instances that exact checks sweep: MDPs with rewards in [0, 1], experts and learners."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ilbench import registry
from ilbench.exact.mdp import MDP, Floats
from ilbench.types import Task


def mdp(rng: np.random.Generator, states: int, actions: int) -> MDP:
    """Successors from Dirichlet(1/2), rewards uniform in [0, 1], first state from Dirichlet(1)."""
    P = rng.dirichlet(np.full(states, 0.5), (states, actions))
    return MDP(P, rng.random((states, actions)), rng.dirichlet(np.ones(states)))


def policy(rng: np.random.Generator, horizon: int, states: int, actions: int) -> Floats:
    """A time-dependent stochastic policy `[H, S, A]`."""
    return rng.dirichlet(np.ones(actions), (horizon, states))


def erring(rng: np.random.Generator, expert: np.ndarray, actions: int, scale: float) -> Floats:
    """A learner `[H, S, A]` whose chance of another action is uniform in [0, scale] for every (t, s), one action wrong."""
    error = scale * rng.random(expert.shape)[..., None]
    eye = np.eye(actions)
    other = (expert + rng.integers(1, actions, expert.shape)) % actions
    return (1 - error) * eye[expert] + error * eye[other]


def tabular(horizon: int) -> Iterator[tuple[Task, MDP, np.ndarray]]:
    """Every tabular task of the registry at one horizon, its MDP, and its expert's table `[H, S]`."""
    for name, entry in registry.entries("tasks").items():
        if "tabular" in entry.tags:
            task = registry.task(name, horizon)
            assert task.mdp is not None
            model = task.mdp()
            yield task, model, np.broadcast_to(np.asarray(task.expert.params), (horizon, len(model.rho)))
