"""How far a policy's episodes stray: the largest observation, in the mean over episodes.

Source: none; a measure as a package of one's own begins
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ilbench.evaluation.evidence import Evidence

NEEDS = ("obs", "action")  # fields of the evidence; "expert" where there has to be one
SHOWS = {"reach": "largest entry of an observation within an episode, mean over episodes"}  # a column of the board


def measure(evidence: Evidence) -> dict[str, Any]:
    """`reach` of live steps, and `largest_action`."""
    seen, done = (
        np.abs(np.asarray(x, np.float64)).reshape(*evidence.alive.shape, -1).max(-1) * evidence.alive
        for x in (evidence.obs, evidence.action)
    )
    return {"reach": seen.max(1).mean(), "largest_action": done.max(1).mean()}
