"""How long nothing goes wrong: no mistake so far, next to the union bound 1 - (t-1) eps; and not fallen at all.

Source: step (2) of the lecture's proof, P(E_t^c) <= (t-1) eps, E_t = no mistake in the first t-1 steps
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ilbench.evaluation.evidence import Evidence, log_spaced, mistakes


def measure(evidence: Evidence) -> dict[str, Any]:
    """`survived` (alive at H), `faultless` (no mistake in H steps); curves `faultless_t`, `union_bound_t`, `alive_t [K]`."""
    at = log_spaced(evidence.horizon) - 1
    lived = {"survived": evidence.alive[:, -1].mean(), "alive_t": evidence.alive.mean(0)[at]}
    if evidence.expert_alive is None or evidence.deltas[0] is None:  # no mistakes that could be told
        return lived
    wrong = mistakes(evidence.error, evidence.alive, evidence.deltas[0])
    before = np.cumsum(wrong, axis=1) - wrong  # mistakes in the first t-1 steps
    eps = mistakes(evidence.held_out_error, evidence.expert_alive, evidence.deltas[0]).mean(0).max()
    return lived | {
        "faultless": (~wrong.any(1)).mean(),
        "faultless_t": (before == 0).mean(0)[at],
        "union_bound_t": np.maximum(0.0, 1.0 - at * eps),
    }
