"""What the theory allows behaviour cloning, from expert rollouts alone: B1 and B0, clipped at H, and the ratio to the cost.

Paper: Ross & Bagnell 2010 (B0 = H^2 eps_bar), https://proceedings.mlr.press/v9/ross10a.html; the lecture's B1 = eps_max H(H+1)/2
"""

from __future__ import annotations

from typing import Any

from ilbench.evaluation.evidence import Evidence, mistakes
from ilbench.exact import bounds

NEEDS = ("expert",)  # somebody to err against


def measure(evidence: Evidence) -> dict[str, Any]:
    """`bound_b1`, `bound_b0`, `bound_b2` (each at most H), and `bound_ratio` = cost / B2 (the tightest of them)."""
    eps_t = mistakes(evidence.held_out_error, evidence.expert_alive, evidence.deltas[0]).mean(0)
    cost = mistakes(evidence.error, evidence.alive, evidence.deltas[0]).sum(1).mean()
    clipped = {
        name: float(bounds.clip(f(eps_t), evidence.horizon))
        for name, f in (("b1", bounds.b1), ("b0", bounds.b0), ("b2", bounds.b2))
    }
    return {
        **{f"bound_{name}": value for name, value in clipped.items()},
        "bound_ratio": cost / clipped["b2"] if clipped["b2"] > 0 else None,
    }
