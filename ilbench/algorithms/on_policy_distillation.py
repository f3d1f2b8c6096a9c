"""On-policy distillation: the student is pulled to a teacher's law at the states that the student itself visits.

Unlike DAgger it matches a whole law and not the action that was drawn from it, exactly and by any divergence, and nothing need be
aggregated: sum_t E KL(student || teacher) over the student's own states is the divergence of the two trajectories. The teacher
is the expert, whose answers cost labels, or a net that knows the demonstrations, whose answers cost nothing.
Paper: Agarwal et al. 2023, On-policy distillation of language models, https://arxiv.org/abs/2306.13649; the one-sample estimator:
Lu & Thinking Machines Lab 2025, https://thinkingmachines.ai/blog/on-policy-distillation/
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ilbench import registry
from ilbench.rollouts.behaviours import mixed
from ilbench.rollouts.keys import generators
from ilbench.training import deployed, gradients, laws
from ilbench.training import fit as fitting
from ilbench.training.lab import Lab
from ilbench.training.rows import compact, concatenate
from ilbench.types import Box, Data, Discrete, Head, Model, Policy, Task, Trained

NEEDS = ("demonstrations", "dist", "sample", "one step")
TRY = ("gridworld", "linear", 300)  # what the contract test runs: task, head, labels
TRY_AT = {"on_policy_distillation.rounds": 1, "on_policy_distillation.updates": 50, "on_policy_distillation.width": 16, "fit.updates": 50}
CHOICES = {
    "teacher": ("net", "expert"),
    "divergence": ("reverse_kl", "forward_kl", "jensen_shannon"),
    "estimator": ("exact", "sampled"),
    "selected": ("as_expert", "draws", "mode"),
}
DRAWS = 16  # of a row, where it is measured how much its gradient varies from draw to draw
OBJECTIVES = {"reverse_kl": laws.reverse_kl, "forward_kl": laws.forward_kl, "jensen_shannon": laws.jensen_shannon}


@dataclass(frozen=True)
class Config:
    """Who teaches, what is minimised, and on how many of the student's own episodes."""

    teacher: str = "net"  # net: a larger one, fitted to the demonstrations; expert: must tell its law, and is paid
    divergence: str = (
        "reverse_kl"  # reverse_kl: KL(student || teacher), the published choice; forward_kl; jensen_shannon
    )
    estimator: str = (
        "exact"  # exact: the divergence of the two laws; sampled: of one action that the student draws (reverse_kl)
    )
    rounds: int = 4  # of rollouts and fits of the student, after a first fit to the demonstrations
    episodes: int = 8  # of the student in each, where a net teaches; the expert's rounds share the labels that are left
    mixture: float = (
        0.0  # share of earlier rows, demonstrations too, that stay beside the new ones: 0 none, 1 all, as DAgger
    )
    demonstrations: float = (
        0.5  # share of the labels that are demonstrations, where the expert teaches; with a net all are
    )
    selected: str = "as_expert"  # what is scored: draws from the student's law, its mode, or what the expert does: draws if it tells a law
    width: int = 128  # units of a hidden layer of the teacher's net (the student's: 64)
    depth: int = 2  # hidden layers of it
    updates: int = 1000  # gradient steps of it, counted apart from the student's
    batch: int = 256  # rows per step of it
    learning_rate: float = 1e-3  # Adam, cosine to 0

    def __post_init__(self) -> None:
        for name, allowed in CHOICES.items():
            if getattr(self, name) not in allowed:
                raise ValueError(
                    f"on_policy_distillation.{name} must be one of {', '.join(allowed)}, got {getattr(self, name)!r}"
                )
        for name in ("rounds", "episodes", "width", "depth", "updates", "batch", "learning_rate"):
            if not getattr(self, name) > 0:
                raise ValueError(f"on_policy_distillation.{name} must be positive, got {getattr(self, name)}")
        if not 0 <= self.mixture <= 1:
            raise ValueError(f"on_policy_distillation.mixture is a share and must lie in [0, 1], got {self.mixture}")
        if not 0 < self.demonstrations < 1:
            raise ValueError(
                f"on_policy_distillation.demonstrations is a share and must lie in (0, 1), got {self.demonstrations}; "
                "the student starts from them"
            )
        if self.estimator == "sampled" and self.divergence != "reverse_kl":
            raise ValueError(
                f"on_policy_distillation.estimator=sampled: the student's own draws estimate reverse_kl, not {self.divergence}; "
                "take estimator=exact"
            )


def _shown(budget: int, config: Config) -> int:
    """Labels that are demonstrations."""
    return max(1, round(config.demonstrations * budget)) if config.teacher == "expert" else budget


def check(budget: int, task: Task, head: Head, config: Config) -> None:
    """Raises ValueError for an expert that tells no law, for too few labels and for a divergence that cannot be had."""
    if config.teacher == "expert":
        if task.expert is None or task.expert.dist is None:
            raise ValueError(
                f"on_policy_distillation.teacher=expert: {task.name} has no expert that tells the law of its action, and the "
                "reverse KL from a single action is infinite; take teacher=net"
            )
        if (left := budget - _shown(budget, config)) < config.rounds:
            raise ValueError(
                f"on_policy_distillation.rounds={config.rounds} take at least as many labels, and of {budget} the demonstrations "
                f"leave {left}: lower rounds or demonstrations, or raise the budget"
            )
    if config.divergence == "jensen_shannon" and isinstance(task.env.action, Box) and task.env.action.dim > 1:
        raise ValueError(
            f"on_policy_distillation.divergence=jensen_shannon: Gaussians of {task.env.action.dim} actions have none in closed form; "
            "take reverse_kl or forward_kl"
        )


def _teacher(lab: Lab, config: Config, data: Data) -> tuple[Head, Any, np.ndarray]:
    """The teacher's head, its parameters `[S, ...]` fitted to the demonstrations, and their losses."""
    module = registry.load("heads", "mlp" if isinstance(lab.task.env.action, Discrete) else "gaussian")
    head: Head = module.make(lab.task.spec, module.Config(width=config.width, depth=config.depth))
    model = Model(head.init, head.loss, head.prepare, head.after, head.fixed)
    params, losses = lab.train(
        model, data, name="teacher", updates=config.updates, batch=config.batch, learning_rate=config.learning_rate
    )
    return head, params, losses


def _asking(lab: Lab, config: Config) -> Callable[[Policy, int], Data]:
    """`(student, round) -> rows` of the student's own states with the expert's law beside; every one is a label."""
    behaviour = lab.same(mixed(lab.task.env.action, lab.task.horizon))

    def visit(student: Policy, i: int) -> Data:
        labels = lab.remaining // (config.rounds - i)
        seen = lab.collect(labels=labels, policy=student, behaviour=behaviour, record=("dist",))
        return laws.beside(lab.rows(seen), seen.dist)

    return visit


def _alone(lab: Lab, config: Config, head: Head, teacher: Any) -> Callable[[Policy, int], Data]:
    """The same with what the teacher's net says there; nobody is asked."""

    def visit(student: Policy, i: int) -> Data:
        seen = lab.rollout(student, config.episodes)
        return laws.told(head, teacher, lab.rows(seen._replace(label=seen.action, revealed=seen.alive)))

    return visit


def _kept(lab: Lab, data: Data, share: float, i: int) -> Data:
    """Rows of which only a `share` still exists, each seed's own draw."""
    draws = np.stack([rng.random(data.weight.shape[1]) for rng in generators(lab.keys(f"kept{i}"))])
    return data._replace(weight=np.where(draws < share, data.weight, np.float32(0)))


def train(lab: Lab, config: Config) -> Trained:
    """Demonstrate, fit, then (the student acts, the teacher tells its law there, fit to it) in every round.

    It reports `gradient_variance`, of a row of the first round under the estimator: what one draw in the place of a law costs.
    """
    asks, rounds, curve = config.teacher == "expert", config.rounds, {}
    demos = lab.demonstrate(labels=_shown(lab.budget, config), record=("dist",) if asks else ())
    data = lab.rows(demos, lab.budget)
    student, curve["loss"] = lab.fit(data, stages=rounds + 1)
    policies, capacity = {}, lab.budget
    if asks:
        visit, old = _asking(lab, config), compact(laws.beside(lab.rows(demos), demos.dist), lab.budget)
    else:
        head, teacher, curve["teacher"] = _teacher(lab, config, data)
        visit, old = _alone(lab, config, head, teacher), laws.told(head, teacher, data)
        policies["teacher"] = deployed.sampling(head, teacher)
        own = config.episodes * lab.task.horizon
        capacity = lab.budget + rounds * own if config.mixture else own
    exact = OBJECTIVES[config.divergence]
    objective = laws.sampled_reverse_kl if config.estimator == "sampled" else exact
    parts, apart, keys = [_kept(lab, old, config.mixture, 0)], [], lab.keys("apart")
    for i in range(rounds):
        new = compact(visit(lab.sampling(student), i), capacity)
        # Of states that no fit has seen yet: how far the two are apart where the student goes.
        apart.append(np.asarray(fitting.loss(laws.judged_by(lab.head, exact), keys, student, new)))
        if i == 0:  # of the first student, who is the same whatever the estimator
            draws = DRAWS if config.estimator == "sampled" else 1
            noise = np.asarray(gradients.variance(lab.head, objective, lab.keys("gradient"), student, new, draws))
        rows = compact(concatenate([*parts, new]), capacity) if config.mixture else new
        # Without new statistics: the policy that visited them is where the fit begins.
        student, _ = lab.fit(rows, objective=objective, start=student, stage=i + 1, stages=rounds + 1, prepare=False)
        parts.append(_kept(lab, new, config.mixture, i + 1))
    curve["divergence"] = np.stack(apart, axis=1)
    policies |= {"draws": lab.sampling(student), "mode": lab.policy(student)}
    expert = lab.task.expert
    alike = "mode" if expert is None or expert.dist is None else "draws"
    selected = alike if config.selected == "as_expert" else config.selected
    return Trained(policies, selected, curve, {"gradient_variance": noise})
