"""Error per step on held-out expert rollouts: eps_t, its mean and its maximum, for every tolerance.

Paper: Ross & Bagnell 2010, eps is the error under the expert's own distribution, https://proceedings.mlr.press/v9/ross10a.html
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ilbench.evidence import Evidence, log_spaced, mistakes


def measure(evidence: Evidence) -> dict[str, Any]:
    """`eps_bar`, `eps_max` (biased upward by the maximum over noisy steps) and the metric error.

    Curves: `eps_t [K]`, and its mean over t <= H at prefix horizons, `prefix_eps [P]`.
    """
    eps_t = mistakes(evidence.held_out_error, evidence.expert_alive, evidence.deltas[0]).mean(0)
    prefixes = np.asarray(evidence.prefixes)
    finite = np.isfinite(evidence.held_out_error).all()
    out: dict[str, Any] = {
        "eps_bar": eps_t.mean(),
        "eps_max": eps_t.max(),
        "eps_t": eps_t[log_spaced(evidence.horizon) - 1],
        "prefix_eps": np.cumsum(eps_t)[prefixes - 1] / prefixes,
    }
    out["held_out_error"] = (
        evidence.held_out_error[evidence.expert_alive].mean() if finite and evidence.expert_alive.any() else None
    )
    for delta in evidence.deltas[1:]:
        out[f"eps_bar@{delta:g}"] = mistakes(evidence.held_out_error, evidence.expert_alive, delta).mean()
    return out
