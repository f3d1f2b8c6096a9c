"""Mistakes on one's own for one on the expert's states, in 0-1 deployment: the amplification A(H), and its bounds.

eps_t is the probability of a live mistake at the expert's states, of the very episodes that were then run with the learner's mistakes in
them. The cost is in excess of the expert's own steps after a fall: cost(pi~) - cost(pi*) <= sum_t min(1, sum_{i<=t} eps_i), since
before its first mistake an episode is the expert's. A = 1 is the line eps H, (H + 1) / 2 the line eps H (H + 1) / 2.

Source: Ross & Bagnell 2010, https://proceedings.mlr.press/v9/ross10a.html, for the bounds; the ratio is our own
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ilbench.evaluation.evidence import Evidence, Snapped, log_spaced
from ilbench.exact import bounds

NEEDS = ("snapped",)


def _of(one: Snapped, horizon: int) -> dict[str, Any]:
    expert = one.expert_alive & (one.expert_error > one.delta)
    curves = np.stack([x.mean(0) for x in (expert, one.alive & (one.error > one.delta), ~one.alive, ~one.expert_alive)])
    eps, (shown, live, fallen, floor) = curves[0], curves.sum(1)
    cost = live + fallen - floor
    return {
        "snap_delta": one.delta,
        "snap_eps": shown,
        "snap_cost": cost,
        "amplification": cost / shown if shown > 0 else None,
        "snap_b2": bounds.clip(bounds.b2(eps), horizon),
        "snap_b0": bounds.clip(bounds.b0(eps), horizon),
        "snap": np.cumsum(curves, axis=1)[:, log_spaced(horizon) - 1],
    }


def measure(evidence: Evidence) -> dict[str, Any]:
    """For each target, as `NAME@0.003`: `snap_delta`; `snap_eps` = sum_t eps_t and `snap_cost`, mistakes of an episode; their ratio
    `amplification`, None where there is no mistake; `snap_b2`, `snap_b0`, each at most H.

    `snap [4, K]`: up to each of K steps, mistakes at the expert's states, own live ones, own steps after a fall, the expert's.
    """
    assert evidence.snapped is not None
    return {f"{k}@{one.target:g}": v for one in evidence.snapped for k, v in _of(one, evidence.horizon).items()}
