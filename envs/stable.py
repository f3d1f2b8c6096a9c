"""A fall that mostly mends itself: BC is linear in H although it is always wrong off the path.

         expert            other: stay w.p. 1/2
        +------+             +------+
        v      |   other     v      |
        +-> G -+ ----------> +-> B -+      start in G; cost 1 per step whose successor is B
            ^                    |
            +--------------------+  expert: always; other: w.p. 1/2

u = 1 as in `recoverable`, and the exponent of BC drops from 2 to 1: what compounds is instability, not ignorance.

Source: Spencer et al. 2021 (regimes of covariate shift), https://arxiv.org/abs/2102.02872; the instance is our own.
"""

from __future__ import annotations

from ilbench.envs._common import known
from ilbench.envs._tabular import build, two_state
from ilbench.types import Task

TASKS: dict[str, dict[str, float]] = {"stable": {}}
VERSION = 1
HORIZON = 100
TAGS = ("tabular", "instrument")
SUMMARY = {"stable": "Two states; half of all wrong actions undo a fall, so errors do not compound."}


def make(
    task_id: str,
    horizon: int | None = None,
    *,
    actions: int = 2,
    expert_action: int = 0,
    slip: float = 0.0,
    stay: float = 0.5,
) -> Task:
    """The self-mending fall; `stay` in [0, 1] is the chance that a wrong action leaves it fallen."""
    H = known(TASKS, task_id, horizon, HORIZON)
    model = two_state(actions, expert_action, slip, recover=1.0, stay=stay)
    return build(task_id, VERSION, H, TAGS, model, [expert_action] * 2, (-1.0, 0.0))
