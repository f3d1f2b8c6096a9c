"""The two-state regimes (recoverable, cliff, stable) under both coverages: exact and sampled cost, mistakes and errors."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from ilbench import registry
from ilbench.algorithms import dialled
from ilbench.exact import closed_forms as cf
from ilbench.exact import dp
from ilbench.rollouts.keys import episode_keys
from ilbench.rollouts.replay import replay
from ilbench.theory.instances.tables import rolled
from ilbench.training.fit import FitConfig
from ilbench.training.lab import Lab
from ilbench.types import Head, Policy, Task

REGIMES = ("recoverable", "cliff", "stable")
COVERAGES = {"expert": "BC", "own": "DAgger"}
EXACT_EPS, EXACT_H = 1e-4, (16, 32, 64, 128, 256, 512)
EPS, HORIZONS, SEEDS, STEPS = 1e-3, (16, 51, 160, 512), 10, 1_000_000  # Monte Carlo: env steps per horizon, all seeds


class Curves(NamedTuple):
    """`[K]` exact or `[S, K]` sampled."""

    gap: Any  # total cost above the expert's
    eps_expert: Any  # 0-1 errors per step on the expert's states
    eps_own: Any  # 0-1 errors per step on the learner's states


def learner(coverage: str, eps: float) -> np.ndarray:
    """Probabilities `[2, 2]` of action 0 (the expert's) and 1: errs at rate eps where covered, always in B otherwise."""
    off = 1.0 if coverage == "expert" else eps
    return np.array([[1 - eps, eps], [1 - off, off]])


def closed_form(regime: str, coverage: str, eps: float, horizons: Any) -> np.ndarray:
    """The gap `[K]` as a formula, independent of dynamic programming.

    `stable` under DAgger's coverage: a mistake in B stays with probability 1/2 only, so b_t = eps - eps b_{t-1} / 2.
    """
    h = np.asarray(horizons)
    if regime == "cliff":
        return cf.cliff(eps, h)
    if regime == "recoverable":
        return cf.recoverable_bc(eps, h) if coverage == "expert" else cf.recoverable_dagger(eps, h)
    if coverage == "expert":
        return cf.stable_bc(eps, h)
    b, r = eps / (1 + eps / 2), -eps / 2
    return b * (h - r * (1 - r**h) / (1 - r))


def exact(regime: str, coverage: str, eps: float, horizons: Any) -> Curves:
    """Curves `[K]` by dynamic programming; the policies are stationary, so one pass of max H gives every horizon."""
    task = registry.task(regime, int(max(horizons)))
    mdp, table, H = task.mdp(), learner(coverage, eps), task.horizon
    expert = np.zeros(2, np.int64)
    at = np.asarray(horizons) - 1
    gap = np.cumsum(dp.rewards(mdp, expert, H) - dp.rewards(mdp, table, H))[at]
    errors = np.cumsum(dp.expert_errors(mdp, table, expert, H))[at] / horizons
    own = np.cumsum(dp.expected_mistakes(mdp, table, expert, H))[at] / horizons
    return Curves(gap, errors, own)


_NO_HEAD: Head = None  # type: ignore[assignment]  # the dialled learner fits nothing


def dialled_policy(task: Task, coverage: str, eps: float) -> Policy:
    """The product's dialled learner for `SEEDS` seeds."""
    lab = Lab(task, _NO_HEAD, tuple(range(SEEDS)), 0, FitConfig())
    return dialled.train(lab, dialled.Config(eps=eps, coverage=coverage)).policies["last"]


def episodes_of(horizon: int) -> int:
    """Episodes per seed: every horizon gets the same number of env steps."""
    return STEPS // (SEEDS * horizon)


@lru_cache(maxsize=len(HORIZONS))
def _expert_runs(regime: str, horizon: int, stream: str) -> dict[str, np.ndarray]:
    task = registry.task(regime, horizon)
    return rolled(task, dialled_policy(task, "own", EPS), SEEDS, episodes_of(horizon), stream, beta=1.0)


def sampled(regime: str, coverage: str, stream: str, *, errors: bool = True) -> Curves:
    """Curves `[S, K]` of the dialled learner, each horizon from rollouts of its own with `STEPS` env steps.

    eps_expert comes from replaying the learner on held-out rollouts of the expert; NaN with errors=False.
    """
    gap, eps, own = (np.full((SEEDS, len(HORIZONS)), np.nan) for _ in range(3))
    for k, h in enumerate(HORIZONS):
        task, name = registry.task(regime, h), f"{stream}/{regime}/{coverage}/{h}"
        policy = dialled_policy(task, coverage, EPS)
        runs = rolled(task, policy, SEEDS, episodes_of(h), name)
        gap[:, k] = -runs["reward"].sum(-1).mean(-1)  # the expert costs nothing
        own[:, k] = runs["mistakes"].mean((1, 2))
        if errors:
            expert = _expert_runs(regime, h, f"{stream}/{regime}/{h}/expert")
            keys = episode_keys(f"theory/{name}/replay", range(SEEDS), episodes_of(h))
            eps[:, k] = (replay(policy, expert["obs"], keys) != expert["label"]).mean((1, 2))
    return Curves(gap, eps, own)
