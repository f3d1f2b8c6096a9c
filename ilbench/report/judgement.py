"""What an evaluation of one policy says: its means with limits, as plain values and as a table.

Of one policy the episodes of all seeds are draws of one law, and limits are over them: they say how this policy acts. Where each seed
has a policy of its own limits are over seeds, as on boards: they say what the next training gives.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ilbench import stats
from ilbench.display.tables import Table, number
from ilbench.display.tables import text as render
from ilbench.report.overall import FEW
from ilbench.stats.intervals import clopper_pearson, mean_ci, normal_ci

RARE = 30  # episodes that differ from the rest, below which their number is too small for a bootstrap
MANY = 5000  # episodes from which the normal law serves, and resampling them is of no use
SHOWN = {  # measures that are shown, by the key of ilbench/measures/: what they are
    "score": "score: 0 a random policy, 1 the expert",
    "return": "return",
    "cost": "0-1 cost: steps of H on which it errs at its own states, all after a fall included",
    "eps_bar": "eps: share of steps on which it errs at the expert's states",
    "survived": "survived: share of episodes without a fall",
    "noisy_score": "score under noise, the expert under the same is 1",
}


def _over_episodes(x: np.ndarray, lo: float, hi: float) -> tuple[float, float]:
    """95 % limits of a mean over many episodes of one policy, of values in [lo, hi].

    Exact for yes and no. Where fewer than 30 episodes differ from the rest what is rare counts, and limits hold for every law within the
    range, or are infinite without one; elsewhere the studentised bootstrap.
    """
    if np.isin(x, (lo, hi)).all():
        low, high = clopper_pearson(int(np.count_nonzero(x == hi)), len(x))
        return lo + (hi - lo) * low, lo + (hi - lo) * high
    if len(x) - np.unique(x, return_counts=True)[1].max() < RARE:
        return stats.seed_mean(x, lo, hi)[1:]
    found = normal_ci(x) if len(x) >= MANY else mean_ci(x)
    return max(found.lo, lo), min(found.hi, hi)


def _limits(x: np.ndarray, lo: float, hi: float, over: str) -> tuple[float | None, float | None]:
    """95 % limits of a mean of values in [lo, hi]; None where nothing can be said."""
    if len(x) < FEW or not np.isfinite(x).all():
        return None, None
    x = np.clip(x, lo, hi)  # a sum of float32 may end a little outside
    low, high = _over_episodes(x, lo, hi) if over == "episodes" else stats.seed_mean(x, lo, hi)[1:]
    return (low if np.isfinite(low) else None), (high if np.isfinite(high) else None)


def _returns_range(horizon: int, reward_range: tuple[float, float] | None) -> tuple[float, float]:
    return (-np.inf, np.inf) if reward_range is None else (horizon * reward_range[0], horizon * reward_range[1])


def _episodes(
    judged: Any, references: dict[str, Any], horizon: int, rewards: tuple[float, float] | None
) -> dict[str, Any]:
    """By measure: a value per episode `[S * N]`, and its range."""
    learner = judged.learner
    total, low, high = np.asarray(learner.reward, np.float64).sum(-1).ravel(), *_returns_range(horizon, rewards)
    out: dict[str, Any] = {
        "return": (total, low, high),
        "survived": (np.asarray(learner.alive)[..., -1].astype(float).ravel(), 0.0, 1.0),
    }
    if judged.held_out is not None:
        out["cost"] = (np.asarray(judged.costs, np.float64).ravel(), 0.0, float(horizon))
        out["eps_bar"] = (np.asarray(judged.held_out, np.float64).ravel(), 0.0, 1.0)
    random, expert = (references.get(who, {}).get("mean") for who in ("random", "expert"))
    if random is not None and expert is not None and expert > random:
        scale = expert - random
        out["score"] = ((total - random) / scale, (low - random) / scale, (high - random) / scale)
    return out


def _seeds(values: list[dict[str, Any]], name: str, horizon: int, rewards: tuple[float, float] | None) -> Any:
    """A value per seed `[S]`, and its range: of scores what boards take it to be."""
    x = np.asarray([v[name] for v in values], np.float64)
    if name == "return":
        return (x, *_returns_range(horizon, rewards))
    if name in ("score", "noisy_score"):
        return (x, *stats.score_range(x))
    return x, 0.0, float(horizon) if name == "cost" else 1.0


def build(
    judged: Any,
    seeds: tuple[int, ...],
    references: dict[str, Any],
    horizon: int,
    rewards: tuple[float, float] | None,
    *,
    apart: bool,
) -> dict[str, Any]:
    """`{measure: {mean, lo, hi, over, n}}`, None limits where they cannot be told, and the measures of every seed."""
    each = _episodes(judged, references, horizon, rewards)
    rows: dict[str, Any] = {}
    for name in SHOWN:
        if any(v.get(name) is None for v in judged.values):
            continue
        over = "seeds" if apart or name not in each else "episodes"
        x, lo, hi = each[name] if over == "episodes" else _seeds(judged.values, name, horizon, rewards)
        low, high = _limits(x, lo, hi, over)
        mean = float(np.mean([v[name] for v in judged.values]))
        rows[name] = {"mean": mean, "lo": low, "hi": high, "over": over, "n": len(x)}
    per_seed = [
        {"seed": s, **{k: None if v.get(k) is None else float(v[k]) for k in rows}}
        for s, v in zip(seeds, judged.values, strict=True)
    ]
    return {"measures": rows, "per_seed": per_seed}


def _shown(lo: float | None, hi: float | None) -> str:
    return "-" if lo is None and hi is None else f"[{number(lo, 4)}, {number(hi, 4)}]"


def text(made: dict[str, Any], width: int | None = None, full: bool = False) -> str:
    """The table for a terminal."""
    rows = [
        (SHOWN[name], number(r["mean"], 4), _shown(r["lo"], r["hi"]), f"{r['n']:,} {r['over']}")
        for name, r in made["measures"].items()
    ]
    title = f"{made['task']}, H = {made['horizon']}: {made['policy']}"
    return render([Table(title, ("measure", "mean", "95 %", "over"), rows, tuple(made["notes"]))], width, full)
