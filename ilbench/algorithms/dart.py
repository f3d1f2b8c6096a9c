"""DART: demonstrations in rounds, under noise that is the learner's own error, by maximum likelihood on episodes held out.

Unlike noise_injection the noise is not chosen: after every round it is as large, and lies in the same directions, as the error
that the learner made on states that it was not fitted to. The expert is led where the learner will go, and labelled with the
action that it meant. tr Sigma is the simulated error; the learner's loss on its own states, which it is to match, would cost
labels there and is not measured here.
Paper: Laskey, Lee, Fox, Dragan & Goldberg 2017, DART: noise injection for robust imitation learning, https://arxiv.org/abs/1703.09327
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ilbench.rollouts.behaviours import mixed
from ilbench.rollouts.keys import episode_keys
from ilbench.rollouts.replay import replay
from ilbench.training.lab import Lab
from ilbench.training.rows import concatenate
from ilbench.types import Demos, Discrete, Head, PyTree, Task, Trained

RATE = "<= 2"  # upper rate of the cost in H at fixed eps: O(eps H^2), as for noise_injection
NEEDS = ("expert",)
SPACE = {"dart.rounds": (2, 3, 5), "dart.held_out": (0.1, 0.2, 0.4)}  # what `ilbench tune` tries
TRY = ("scalar_stable", "linear", 600)  # what the contract test runs: task, head, labels
VARIANTS = ("paper", "repository")


@dataclass(frozen=True)
class Config:
    """How often the noise is measured, on what, and how large it is made."""

    rounds: int = 3  # fits; the noise is updated between them (the paper: twice in 20 demonstrations)
    # Share of a round's episodes that only measure the noise; from the next round on they are fitted too.
    held_out: float = 0.2
    variant: str = "repository"  # repository: Sigma as measured; paper: rescaled to an expected final error of alpha
    # paper: expected sum of squared errors over an episode of the final learner, in squared units of the action, a guess made before
    # the run; discrete: its expected number of wrong actions. The paper chooses one per task
    alpha: float = 1.0

    def __post_init__(self) -> None:
        if self.rounds < 2:
            raise ValueError(f"dart.rounds must be at least 2, one without noise and one with it, got {self.rounds}")
        if not 0 < self.held_out < 1:
            raise ValueError(f"dart.held_out is a share of episodes and must lie between 0 and 1, got {self.held_out}")
        if self.variant not in VARIANTS:
            raise ValueError(f"dart.variant must be one of {', '.join(VARIANTS)}, got {self.variant!r}")
        if not (math.isfinite(self.alpha) and self.alpha > 0):
            raise ValueError(f"dart.alpha is an error and must be positive and finite, got {self.alpha}")


def check(budget: int, task: Task, head: Head, config: Config) -> None:
    """Raises ValueError when a round has no two whole episodes, one to fit and one held out; called before any compute."""
    episodes = budget // config.rounds // task.horizon
    if episodes < 2:
        raise ValueError(
            f"dart needs two whole episodes of labels in each of {config.rounds} rounds, one to fit and one held out; {task.name}'s "
            f"budget of {budget} buys {episodes}: lower dart.rounds or raise the budget to {2 * config.rounds * task.horizon}"
        )


def split(demos: Demos, share: float) -> np.ndarray:
    """Which labels `[S, N, H]` are held out: those of each seed's first episodes, at least one and never all of them.

    The first ones are whole; the last one ends where the labels do.
    """
    had = np.asarray(demos.revealed)
    count = had.any(2).sum(1)
    held = np.minimum(np.maximum(np.round(share * count), 1), np.maximum(count - 1, 0))
    return had & (np.cumsum(had.any(2), axis=1) <= held[:, None])[..., None]


def errors(lab: Lab, params: PyTree, demos: Demos, held: np.ndarray) -> np.ndarray:
    """Sigma `[S, A, A]` of the learner's errors on labels `held`, a mean over episodes of means over steps; discrete: rates `[S]`."""
    keys = episode_keys("dart", lab.seeds, held.shape[1])
    done, label = np.asarray(replay(lab.policy(params), demos.obs, keys, lab.seeds)), np.asarray(demos.label)
    found = []
    for d, a, there in zip(done, label, held, strict=True):
        steps = there.sum(1, keepdims=True)  # T of every episode
        # Only rows that are held out: how a sum rounds is not to depend on what else a seed, or another one, was given.
        weight = np.broadcast_to(1.0 / np.maximum(steps, 1) / max(np.count_nonzero(steps), 1), there.shape)[there]
        if isinstance(lab.task.env.action, Discrete):
            found.append(weight @ (d != a)[there])
        else:
            error = (d - a)[there].astype(np.float64)
            found.append((weight[:, None] * error).T @ error)
    return np.stack(found)


def sizes(sigma: np.ndarray) -> np.ndarray:
    """The simulated error of a step `[S]`: the trace of a covariance `[S, A, A]`; a rate `[S]` is its own."""
    return sigma if sigma.ndim == 1 else np.trace(sigma, axis1=1, axis2=2)


def noise(sigma: np.ndarray, config: Config, task: Task) -> tuple[np.ndarray, np.ndarray]:
    """What the behaviour is given for each seed, a factor `[S, A, A]` of the covariance or a probability `[S]`; and its size `[S]`."""
    size = sizes(sigma)
    wanted = np.full_like(size, config.alpha / task.horizon) if config.variant == "paper" else size
    wanted = np.where(size > 0, wanted, 0.0)  # no error has no direction, and rescaled it is still none
    if isinstance(task.env.action, Discrete):
        # A uniformly random action is the intended one with probability 1/n: those that are not make up the rate.
        n = task.env.action.n
        chance = np.minimum(wanted * n / max(n - 1, 1), 1.0)
        return chance.astype(np.float32), chance * (n - 1) / n
    scaled = sigma * (wanted / np.where(size > 0, size, 1.0))[:, None, None]
    # The symmetric root: it exists where some direction has no error, and a Cholesky factor does not.
    roots = [(v * np.sqrt(np.maximum(w, 0.0))) @ v.T for w, v in map(np.linalg.eigh, scaled)]
    return np.stack(roots).astype(np.float32), wanted


def train(lab: Lab, config: Config) -> Trained:
    """Demonstrate, fit, then (measure the noise, demonstrate under it, aggregate, fit) for every further round.

    `simulated` is the size of each round's noise, `held_out` the error of each fit where that round's noise led the expert.
    """
    task, rounds = lab.task, config.rounds
    acting = lab.same(mixed(task.env.action, task.horizon, beta=1.0))
    new = lab.demonstrate(labels=lab.budget // rounds)
    parts: list[Demos] = []
    params: Any = None
    size = np.zeros(len(lab.seeds))
    curve: dict[str, list[np.ndarray]] = {"simulated": [], "held_out": []}
    for i in range(rounds):
        held = split(new, config.held_out)
        fitted = concatenate([*parts, new._replace(revealed=np.asarray(new.revealed) & ~held)])
        params, losses = lab.fit(lab.rows(fitted, lab.budget), stage=i, stages=rounds, start=params)
        sigma = errors(lab, params, new, held)
        curve["simulated"].append(size)
        curve["held_out"].append(sizes(sigma))
        parts.append(new)  # what has served as a measure becomes training data
        if i + 1 < rounds:
            factor, size = noise(sigma, config, task)
            behaviour = dataclasses.replace(acting, params={**acting.params, "noise": factor})
            # What is left is spread over the rounds that are left, to the last label.
            new = lab.collect(labels=lab.remaining // (rounds - i - 1), behaviour=behaviour, policy=lab.policy(params))
    curves = {name: np.stack(values, axis=1) for name, values in curve.items()}
    last = {name: values[:, -1] for name, values in curves.items()}
    return Trained({"last": lab.policy(params)}, "last", {"loss": losses, **curves}, last)
