"""Whether the fit had converged: the head's loss on the expert's held-out states, half way through the last fit and at its end.

A loss that still falls by more than 5 % over the last half says that a board would rank optimisation, not imitation.
Source: the rule of this project; on hopper at 6,000 labels five times the updates moved the same method from .917 to .984.
"""

from __future__ import annotations

from typing import Any

from ilbench.evaluation.evidence import Evidence

TOLERANCE = 0.05  # of the loss half way: what may still be gained in the last half of a fit that counts as converged


def measure(evidence: Evidence) -> dict[str, Any]:
    """`held_out_loss_half`, `held_out_loss`; nothing for heads in closed form, which have nothing to converge."""
    if evidence.held_out_loss is None:
        return {}
    half, end = evidence.held_out_loss
    return {"held_out_loss_half": half, "held_out_loss": end}
