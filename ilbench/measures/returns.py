"""Task return, normalised score (random policy 0, expert 1), and the gap to the expert on the same episodes.

Source: score = (J - J_random) / (J_expert - J_random), references measured once per task version
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ilbench.evidence import Evidence


def measure(evidence: Evidence) -> dict[str, Any]:
    """`return`, `score`, `gap` = J(expert) - J(learner), paired on the held-out keys; `prefix_gap [P]`, `prefix_return [N, P]`."""
    index = np.asarray(evidence.prefixes) - 1
    learner = np.cumsum(evidence.reward, axis=1, dtype=np.float64)[:, index]
    expert = np.cumsum(evidence.expert_reward, axis=1, dtype=np.float64)[:, index]
    total = learner[:, -1].mean()
    random, best = evidence.references["random"], evidence.references["expert"]
    paired = min(len(learner), len(expert))
    gap = expert[:paired].mean(0) - (learner[:paired] if paired == len(learner) else learner).mean(0)
    return {
        "return": total,
        "score": (total - random) / (best - random) if best > random else None,
        "gap": gap[-1],
        "prefix_gap": gap,
        "prefix_return": learner,
    }
