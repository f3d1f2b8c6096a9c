"""Error per step on held-out expert rollouts: eps_t, its mean and its maximum, for every tolerance.

Paper: Ross & Bagnell 2010, eps is the error under the expert's own distribution, https://proceedings.mlr.press/v9/ross10a.html
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ilbench.evaluation.evidence import Evidence, log_spaced, mistakes

NEEDS = ("expert",)  # somebody to err against


def measure(evidence: Evidence) -> dict[str, Any]:
    """`eps_bar`, `eps_max` (biased upward by the maximum over noisy steps) and the metric error, `held_out_error`.

    `worse_than_constant`: 1 where that error is larger than the best constant action's, such a fit has learnt nothing; else 0.

    Curves: `eps_t [K]`, and its mean over t <= H at prefix horizons, `prefix_eps [P]`.
    """
    eps_t = mistakes(evidence.held_out_error, evidence.expert_alive, evidence.deltas[0]).mean(0)
    prefixes = np.asarray(evidence.prefixes)
    out: dict[str, Any] = {
        "eps_bar": eps_t.mean(),
        "eps_max": eps_t.max(),
        "eps_t": eps_t[log_spaced(evidence.horizon) - 1],
        "prefix_eps": np.cumsum(eps_t)[prefixes - 1] / prefixes,
    }
    error, constant = _live(evidence, evidence.held_out_error), _live(evidence, evidence.constant_error)
    out["held_out_error"] = error
    if constant is not None:
        out["worse_than_constant"] = float(error is None or error > constant)
    for delta in filter(None, evidence.deltas[1:]):
        out[f"eps_bar@{delta:g}"] = mistakes(evidence.held_out_error, evidence.expert_alive, delta).mean()
    return out


def _live(evidence: Evidence, error: np.ndarray | None) -> float | None:
    """The mean over the expert's live steps; None where there is none or an error is infinite."""
    if error is None or not evidence.expert_alive.any() or not np.isfinite(error).all():
        return None
    return float(error[evidence.expert_alive].mean())
