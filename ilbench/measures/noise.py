"""Return, score and survival under sensor and actuator noise, for suites that ask for it (evaluation.noise).

A score of 1 is the expert under the same noise, seeing what the learner sees: where the expert cannot act, no learner's zero
says anything about it.
Paper: Ke et al. 2024, CCIL, https://arxiv.org/abs/2310.12972: a noise-free evaluation may not show what a method is for
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ilbench.evaluation.evidence import Evidence
from ilbench.measures.returns import normalised


def measure(evidence: Evidence) -> dict[str, Any]:
    """`noisy_return`, `noisy_score` against the noisy expert, `noisy_survived`, and of that expert `noisy_expert_return` and its
    `noisy_expert_score` on the clean scale; nothing where no noise was asked for."""
    if evidence.noisy_reward is None or evidence.noisy_alive is None:
        return {}
    total = float(np.sum(evidence.noisy_reward, axis=1, dtype=np.float64).mean())
    random, clean = evidence.references["random"], evidence.references.get("expert")
    expert = evidence.references.get("noisy_expert")
    return {
        "noisy_return": total,
        "noisy_score": None if expert is None else normalised(total, random, expert),
        "noisy_survived": float(np.mean(evidence.noisy_alive[:, -1])),
        "noisy_expert_return": expert,
        "noisy_expert_score": None if expert is None or clean is None else normalised(expert, random, clean),
    }
