"""What one mistake costs when the expert takes over right after it: u, in return and in falls, against the step at which it is made.

Flat in t: a mistake heals. Growing towards the start: it is paid for until the end. Of the learner's own first mistake after a drawn
step, and of a push of fixed size in a random direction; each against the same episode without it.

Paper: Ross, Gordon & Bagnell 2011, u of theorem 3.2, https://arxiv.org/abs/1011.0686
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ilbench.evaluation.evidence import Branched, Evidence

NEEDS = ("branches",)
BINS = 10  # tenths of the horizon


def _of(one: Branched, unit: float, horizon: int) -> dict[str, Any]:
    deviates = one.alive & (one.error > 0)
    hit = deviates.any(1)
    step = deviates.argmax(1)[hit]
    lost = (one.straight_reward - one.reward).sum(1, dtype=np.float64)[hit] / unit
    fell = (one.straight_alive.sum(1) == horizon).astype(float)[hit] - (one.alive.sum(1) == horizon)[hit]
    where = np.minimum(step * BINS // horizon, BINS - 1)
    sums = np.stack([np.bincount(where, weights=w, minlength=BINS) for w in (np.ones(len(step)), lost, fell)])
    none = not hit.any()
    return {"u": None if none else lost.mean(), "fall": None if none else fell.mean(), "curve": sums}


def measure(evidence: Evidence) -> dict[str, Any]:
    """`u_own`, `u_push`: return lost to one deviation, in (J expert - J random) / H, what a step is worth; `fall_own`, `fall_push`:
    falls that it adds. None where nobody deviated.

    `u_own_t [3, 10]`, `u_push_t`: by tenths of the horizon, the deviations, their losses and falls, summed.
    """
    assert evidence.branches is not None
    unit = abs(evidence.references["expert"] - evidence.references["random"]) / evidence.horizon
    out: dict[str, Any] = {}
    for name, one in evidence.branches.items():
        found = _of(one, unit, evidence.horizon)
        out |= {f"u_{name}": found["u"], f"fall_{name}": found["fall"], f"u_{name}_t": found["curve"]}
    return out
