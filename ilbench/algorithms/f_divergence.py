"""Cloning by another divergence: the expert's law is known on its own states, and what is minimised there is chosen.

Unlike behaviour cloning, which is the forward KL from one action at each state, it can seek a mode or weigh both sides. States, network,
start and batches are those of behaviour cloning: the two differ in the objective alone. A divergence that seeks modes has several
minima: of two modes Jensen-Shannon, the total variation and alpha = 1/2 keep to a Gaussian that covers both where the fit begins there,
though one on a mode is better.
Paper: Ke et al. 2021, Imitation learning as f-divergence minimization, https://arxiv.org/abs/1905.12888 (there estimated from samples,
see f_vim); alpha: Cichocki & Amari 2010, https://doi.org/10.3390/e12061532
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np

from ilbench.evaluation.evaluate import unknown_law
from ilbench.names import meant
from ilbench.training import f_divergences
from ilbench.training.lab import Lab
from ilbench.types import Box, Head, Task, Trained

NEEDS = ("demonstrations", "expert", "sample", "log_prob", "gradients", "one step")
TRY = ("gridworld", "linear", 300)  # what the contract test runs: task, head, labels
TRY_AT = {"f_divergence.smoothing": 0.1, "fit.updates": 50}
CHOICES = {
    "divergence": tuple(f_divergences.DIVERGENCES),
    "estimator": ("auto", "exact", "sampled"),
    "selected": ("last", "draws"),
}


@dataclass(frozen=True)
class Config:
    """What is minimised, and how it is had."""

    # forward_kl (behaviour cloning), reverse_kl, jensen_shannon, total_variation, chi_squared (the integral of expert^2 / head) or alpha
    divergence: str = "reverse_kl"
    alpha: float = 0.5  # order of the alpha-divergence, not 0 or 1; 1/2: 2 sum (sqrt p - sqrt q)^2, as Hellinger's
    # exact: a sum, or quadrature of one number; sampled: unbiased, from draws; auto: exact where it can be had
    estimator: str = "auto"
    draws: int = 4  # sampled: from either law, at every row of a step
    # Share of the expert's law that is spread over all actions, or sd of a noise added to it, in units of half the action range
    smoothing: float = 0.0
    selected: str = "last"  # what is scored: the deployed policy, as in behaviour cloning, or draws from the head's law

    def __post_init__(self) -> None:
        for name, allowed in CHOICES.items():
            if (given := getattr(self, name)) not in allowed:
                near = meant(given, allowed)
                raise ValueError(
                    f"f_divergence.{name} must be one of {', '.join(allowed)}, got {given!r}. {near}".rstrip()
                )
        if not math.isfinite(self.alpha) or self.alpha in (0, 1):
            raise ValueError(
                f"f_divergence.alpha must be finite and neither 0 nor 1, got {self.alpha}; its limits there are "
                "divergence=reverse_kl (0) and forward_kl (1)"
            )
        if self.draws < 1:
            raise ValueError(f"f_divergence.draws must be at least 1, got {self.draws}")
        if not 0 <= self.smoothing < 1:
            raise ValueError(f"f_divergence.smoothing must lie in [0, 1), got {self.smoothing}")


def _inexact(task: Task, head: Head) -> str | None:
    """Why a divergence of this head cannot be had exactly, or None."""
    if head.dist is None:
        return "this head tells no law in closed form (no `dist`)"
    space = task.env.action
    return f"actions of {space.dim} numbers have no quadrature" if isinstance(space, Box) and space.dim > 1 else None


def _infinite(config: Config) -> bool:
    """Whether it is infinite where the expert does one of several actions for sure and the head is not as sure."""
    return config.divergence == "reverse_kl" or (config.divergence == "alpha" and config.alpha < 0)


def _point(task: Task) -> bool:
    """Whether the expert's law, without smoothing, has points."""
    expert = task.ask()
    if expert.dist is not None:
        return False
    if expert.mixture is None:
        return True
    t, obs = jnp.int32(0), jnp.zeros(task.env.obs.shape, jnp.float32)
    return bool(np.min(expert.mixture(expert.params, t, obs).std) <= 0)


def check(budget: int, task: Task, head: Head, config: Config) -> None:
    """Raises ValueError for an expert of unknown law, for divergences that would be infinite, and for what cannot be had exactly."""
    expert = task.ask()
    if expert.mixture is None and unknown_law(task):
        raise ValueError(
            f"f_divergence on {task.name}: its expert draws its actions and tells no law; give it Policy.dist or Policy.mixture, "
            "or take f_vim"
        )
    if expert.mixture is not None and task.env.expert_obs is not None:
        raise ValueError(
            f"f_divergence on {task.name}: the expert's mixture is of what it sees, and the learner sees something else; take f_vim"
        )
    if not config.smoothing and _point(task):
        continuous = isinstance(task.env.action, Box)
        if continuous or _infinite(config):
            raise ValueError(
                f"f_divergence.divergence={config.divergence} on {task.name}: the expert does one action for sure, of which "
                + ("every density is infinitely far, or equally far" if continuous else "this divergence is infinite")
                + "; smooth it, e.g. f_divergence.smoothing=0.1, and report the number"
            )
    if config.estimator == "exact" and (reason := _inexact(task, head)):
        raise ValueError(f"f_divergence.estimator=exact on {task.name}: {reason}; take sampled")


def train(lab: Lab, config: Config) -> Trained:
    """Demonstrations for all labels, as behaviour cloning, and one fit of the divergence on their states."""
    _, data = f_divergences.demonstrated(lab, config.smoothing)
    exact = config.estimator == "exact" or (config.estimator == "auto" and _inexact(lab.task, lab.head) is None)
    objective = f_divergences.objective(config.divergence, 0 if exact else config.draws)
    params, losses = lab.fit(data, objective=objective, given=np.full(len(lab.seeds), config.alpha, np.float32))
    return Trained({"last": lab.policy(params), "draws": lab.sampling(params)}, config.selected, {"divergence": losses})
