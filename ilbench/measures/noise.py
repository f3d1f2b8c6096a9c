"""Return, score and survival under sensor and actuator noise, for suites that ask for it (evaluation.noise).

Paper: Ke et al. 2024, CCIL, https://arxiv.org/abs/2310.12972: a noise-free evaluation may not show what a method is for
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ilbench.evidence import Evidence


def measure(evidence: Evidence) -> dict[str, Any]:
    """`noisy_return`, `noisy_score` on the clean references, `noisy_survived`; nothing where no noise was asked for."""
    if evidence.noisy_reward is None or evidence.noisy_alive is None:
        return {}
    total = float(np.sum(evidence.noisy_reward, axis=1, dtype=np.float64).mean())
    random, best = evidence.references["random"], evidence.references["expert"]
    return {
        "noisy_return": total,
        "noisy_score": (total - random) / (best - random) if best > random else None,
        "noisy_survived": float(np.mean(evidence.noisy_alive[:, -1])),
    }
