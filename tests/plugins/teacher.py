"""On-policy distillation: the student is pulled to a teacher's law at the states that the student itself visits.

Reverse KL, exact: the student gives up modes that it cannot afford. The teacher is a net that knows the demonstrations, so that its answers
cost no label; or, where the expert tells its law, the expert, whose answers do.
Paper: Agarwal et al. 2023, on-policy distillation, https://arxiv.org/abs/2306.13649
"""

from __future__ import annotations

from dataclasses import dataclass

from ilbench.distributions import kl
from ilbench.rollouts.behaviours import mixed
from ilbench.types import Trained

NEEDS = ("demonstrations", "dist", "one step")
TRY = ("scalar_stable", "gaussian", 200)


@dataclass(frozen=True)
class Config:
    """Who teaches, and how often."""

    rounds: int = 2  # of rollouts and fits of the student
    episodes: int = 2  # of the student in each
    teacher: str = "net"  # net or expert


def reverse(head, given, params, key, row):
    """KL(student || teacher) at the row's state; `given` are the teacher's parameters."""
    return kl(head.dist(params, row.t, row.obs), head.dist(given, row.t, row.obs))


def reverse_to_expert(head, given, params, key, row):
    """KL(student || expert), the expert's law being beside the row."""
    return kl(head.dist(params, row.t, row.obs), row.extra)


def check(budget, task, head, config):
    """Raises ValueError for an expert that tells no law."""
    if config.teacher == "expert" and (task.expert is None or task.expert.dist is None):
        raise ValueError(f"teacher.teacher=expert: {task.name} has no expert that tells the law of its action")


def train(lab, config):
    """A teacher on the demonstrations, a student that starts elsewhere, and rounds of the student's own states."""
    asks = config.teacher == "expert"
    data = lab.rows(lab.demonstrate(labels=lab.budget // 2 if asks else None), lab.budget)
    teacher, _ = lab.fit(data, name="teacher")
    student, losses = lab.fit(data, stages=config.rounds + 1)
    for i in range(config.rounds):
        acting = lab.sampling(student)
        if asks:
            seen = lab.collect(
                labels=lab.remaining // (config.rounds - i), policy=acting, record=("dist",),
                behaviour=lab.same(mixed(lab.task.env.action, lab.task.horizon)),
            )  # fmt: skip
            law = type(seen.dist)(*(x.reshape(x.shape[0], -1, *x.shape[3:]) for x in seen.dist))
            rows, objective, given = lab.rows(seen)._replace(extra=law), reverse_to_expert, ()
        else:
            seen = lab.rollout(acting, config.episodes)
            rows, objective, given = lab.rows(seen._replace(label=seen.action, revealed=seen.alive)), reverse, teacher
        student, losses = lab.fit(
            rows, objective=objective, given=given, start=student, stage=i + 1, stages=config.rounds + 1
        )
    return Trained({"last": lab.policy(student), "teacher": lab.policy(teacher)}, "last", {"loss": losses})
