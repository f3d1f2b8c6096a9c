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
from ilbench.stats.intervals import normal_ci

MANY = 5000  # episodes from which the normal law serves, and resampling them is of no use
SHOWN = {  # measures that are shown, by the key of ilbench/measures/: what they are
    "score": "score: 0 a random policy, 1 the expert",
    "return": "return",
    "cost": "0-1 cost: steps of H on which it errs at its own states, all after a fall",
    "eps_bar": "eps: share of steps on which it errs at the expert's states",
    "survived": "survived: share of episodes without a fall",
    "noisy_score": "score under noise, the expert under the same is 1",
}


def _limits(x: np.ndarray, lo: float, hi: float) -> tuple[float | None, float | None]:
    """95 % limits of a mean of values in [lo, hi]; None where nothing can be said."""
    if len(x) < FEW or not np.isfinite(x).all():
        return None, None
    if len(x) >= MANY and np.ptp(x) > 0:
        found = normal_ci(x)
        found = found._replace(lo=max(found.lo, lo), hi=min(found.hi, hi))
    else:
        found = stats.seed_mean(np.clip(x, lo, hi), lo, hi)
    return (found.lo if np.isfinite(found.lo) else None), (found.hi if np.isfinite(found.hi) else None)


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
        low, high = _limits(x, lo, hi)
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
