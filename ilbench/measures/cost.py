"""On-policy 0-1 imitation cost: per step, in total, at every prefix horizon, for every tolerance.

Paper: Ross, Gordon & Bagnell 2011, https://arxiv.org/abs/1011.0686: what counts is the error on the learner's own states
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ilbench.evaluation.evidence import Evidence, log_spaced, mistakes

NEEDS = ("expert",)  # somebody to err against


def measure(evidence: Evidence) -> dict[str, Any]:
    """`cost` = E sum_t 1{error > delta} (1 on every step after a fall), `eps_on` = cost / H; `cost_t [K]`, `prefix_cost [N, P]`."""
    wrong = mistakes(evidence.error, evidence.alive, evidence.deltas[0])
    index = np.asarray(evidence.prefixes) - 1
    cost_t = wrong.mean(0)
    out: dict[str, Any] = {
        "cost": wrong.sum(1).mean(),
        "eps_on": wrong.mean(),
        "cost_t": cost_t[log_spaced(evidence.horizon) - 1],
        "prefix_cost": np.cumsum(wrong, axis=1, dtype=np.int32 if wrong.dtype == bool else None)[:, index],
    }
    for delta in filter(None, evidence.deltas[1:]):
        out[f"cost@{delta:g}"] = mistakes(evidence.error, evidence.alive, delta).sum(1).mean()
    return out
