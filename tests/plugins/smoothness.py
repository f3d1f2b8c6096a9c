"""How much a policy jerks: the mean change of its action from one step to the next, beside that of what it sees.

Needs no expert, and reads what the policy saw and did.
Source: mean absolute difference of consecutive actions, as action smoothness in Mysore et al. 2021, CAPS, https://arxiv.org/abs/2012.06644
"""

from __future__ import annotations

import numpy as np

NEEDS = ("action", "obs")
SHOWS = {"jerk": "mean change of the action per step over that of the observation, lower is smoother"}


def _change(x, alive):
    """The mean absolute change of `x [N, H, ...]` between live steps; 0 where there are none."""
    flat = np.asarray(x, np.float64).reshape(*alive.shape, -1)
    both = alive[:, 1:] & alive[:, :-1]
    return float(np.abs(np.diff(flat, axis=1)).mean(-1)[both].mean()) if both.any() else 0.0


def measure(evidence):
    """`jerk` per unit of change of the observation (the change itself where nothing moves), and `action_change`."""
    done, seen = _change(evidence.action, evidence.alive), _change(evidence.obs, evidence.alive)
    return {"jerk": done / seen if seen > 0 else done, "action_change": done}
