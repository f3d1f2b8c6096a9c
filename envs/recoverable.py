"""A fall from which the expert gets up at once: BC pays eps H^2 / 2, DAgger exactly eps H.

         expert                other
        +------+             +------+
        v      |   other     v      |
        +-> G -+ ----------> +-> B -+      start in G; cost 1 per step whose successor is B
            ^                    |
            +------- expert -----+

The expert never visits B, so BC does not learn to get up (always wrong there: the cliff's cost); a learner that
errs with probability eps in both states pays eps H, with u = 1.

Source: Ross, Gordon, Bagnell 2011 (recoverability, u), https://arxiv.org/abs/1011.0686
"""

from __future__ import annotations

from ilbench.envs._common import known
from ilbench.envs._tabular import build, two_state
from ilbench.types import Task

TASKS: dict[str, dict[str, float]] = {"recoverable": {}}
VERSION = 1
HORIZON = 100
TAGS = ("tabular", "instrument")
SUMMARY = {"recoverable": "Two states; one expert action undoes a fall, if anybody has shown it."}


def make(
    task_id: str, horizon: int | None = None, *, actions: int = 2, expert_action: int = 0, slip: float = 0.0
) -> Task:
    """The recoverable fall with `actions` actions; raises ValueError for numbers out of range."""
    H = known(TASKS, task_id, horizon, HORIZON)
    model = two_state(actions, expert_action, slip, recover=1.0, stay=1.0)
    return build(task_id, VERSION, H, TAGS, model, [expert_action] * 2, (-1.0, 0.0))
