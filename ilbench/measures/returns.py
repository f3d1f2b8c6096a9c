"""Task return, normalised score (random policy 0, expert 1), and the gap to the expert on the same episodes.

Source: score = (J - J_random) / (J_expert - J_random), references measured once per task version
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ilbench.evaluation.evidence import Evidence


def normalised(total: float, random: float, expert: float) -> float | None:
    """`(total - random) / (expert - random)`; None where that is undefined: an expert that is no better than chance."""
    return (total - random) / (expert - random) if expert > random and np.isfinite(total) else None


def measure(evidence: Evidence) -> dict[str, Any]:
    """`return`, `score`, `gap` = J(expert) - J(learner), paired on the held-out keys; `prefix_gap [P]`, `prefix_return [N, P]`."""
    index = np.asarray(evidence.prefixes) - 1
    learner = np.cumsum(evidence.reward, axis=1, dtype=np.float64)[:, index]
    total = learner[:, -1].mean()
    random, best = evidence.references["random"], evidence.references.get("expert")
    score = None if best is None else normalised(total, random, best)
    if evidence.expert_reward is None:  # recorded demonstrations at most: nothing is paired
        return {"return": total, "score": score, "prefix_return": learner}
    expert = np.cumsum(evidence.expert_reward, axis=1, dtype=np.float64)[:, index]
    paired = min(len(learner), len(expert))
    gap = expert[:paired].mean(0) - (learner[:paired] if paired == len(learner) else learner).mean(0)
    return {
        "return": total,
        "score": score,
        "gap": gap[-1],
        "prefix_gap": gap,
        "prefix_return": learner,
    }
