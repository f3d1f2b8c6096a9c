"""A tightrope of one state: the first mistake is the last one, so BC and DAgger both pay quadratically in H.

         expert                any
        +------+             +------+
        v      |   other     v      |
        +-> G -+ ----------> +-> B -+      start in G; cost 1 per step whose successor is B

A learner that errs with probability eps in G and always in B costs H - (1-eps)(1-(1-eps)^H)/eps, about
eps H (H+1)/2. With `slip` > 0 the expert falls too, and B becomes part of its data.

Source: the tightrope of the lecture; the bound is Ross and Bagnell 2010, https://proceedings.mlr.press/v9/ross10a.html
"""

from __future__ import annotations

from ilbench.envs._common import known
from ilbench.envs._tabular import build, two_state
from ilbench.types import Task

TASKS: dict[str, dict[str, float]] = {"cliff": {}}
VERSION = 1
HORIZON = 100
TAGS = ("tabular", "instrument")
SUMMARY = {"cliff": "Two states; whoever errs once falls for ever and pays 1 per step."}


def make(
    task_id: str, horizon: int | None = None, *, actions: int = 2, expert_action: int = 0, slip: float = 0.0
) -> Task:
    """The cliff with `actions` actions; raises ValueError for numbers out of range."""
    H = known(TASKS, task_id, horizon, HORIZON)
    model = two_state(actions, expert_action, slip, recover=0.0, stay=1.0)
    return build(task_id, VERSION, H, TAGS, model, [expert_action] * 2, (-1.0, 0.0))
