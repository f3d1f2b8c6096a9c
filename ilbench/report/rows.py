"""Rows: what a board says of each group of seeds, as plain values; means, limits and paired differences over the seeds.

A score that was not measured or does not exist is None; a diverged seed scores min(0, the worst seed), has fallen, errs at every
step and loses what a random policy loses.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any, NamedTuple

import numpy as np

from ilbench import registry, stats
from ilbench.measures.convergence import TOLERANCE
from ilbench.report import overall
from ilbench.report.groups import Group, positions, shared
from ilbench.report.overall import FEW
from ilbench.stats.intervals import seed_means

CONTROL = ("takeovers", "takeover_steps", "switches")  # what the ledger says of who acted
MEANS = ("score", "noisy_score", "gap", "cost", "survived")  # over seeds, that every board shows
FALLING = TOLERANCE  # a held-out loss that fell by more over the last half of the fit has not converged
DRIVEN = "own/driven"  # share of its gated steps that the expert drove, which algorithms with a gate report of themselves
SURVIVES = 0.8  # a noise under which the expert scores less says nothing about learners


def _at_worst(g: Group, name: str, worst: float) -> np.ndarray:
    """Values `[S]` of what is better when small; a diverged seed has the larger of `worst` and the worst other seed."""
    x = g.values(name)
    return np.where(g.diverged, max([worst, *x[np.isfinite(x)]]), x)


class _Wanted(NamedTuple):
    """A mean over seeds that a row wants: values `[S]` in [lo, hi], or None where there are none."""

    x: np.ndarray | None
    lo: float
    hi: float


def _within(x: np.ndarray, lo: float, hi: float) -> _Wanted:
    known = x[np.isfinite(x)]
    return _Wanted(known, min(lo, *known), max(hi, *known)) if len(known) else _Wanted(None, lo, hi)


def shows() -> dict[str, str]:
    """What measures ask to be shown, by key: their literals SHOWS, nothing being imported."""
    return {k: v for entry in registry.entries("measures").values() for k, v in dict(entry.literals).get("SHOWS", {}).items()}


def _shown(g: Group) -> dict[str, _Wanted]:
    """The mean of every key that is to be shown; what a seed that diverged would have had nobody knows."""
    return {name: _within(g.values(name), -np.inf, np.inf) for name in shows() if any(name in r.scores for r in g.records)}


def _scored(g: Group, name: str = "score") -> _Wanted:
    x = g.scored(name)
    return _Wanted(None, 0.0, 1.0) if x is None else _Wanted(x, *stats.score_range(x))


def settle(rows: list[dict[str, Any]]) -> None:
    """Puts means, limits (`_ci`) and, where seeds are too few for limits, the values (`_points`) in place of what is wanted.

    All at once, on ranges scaled to [0, 1]: a board has a thousand of them.
    """
    many: dict[int, list[tuple[dict[str, Any], str, _Wanted]]] = defaultdict(list)
    for row in rows:
        for name, wanted in [(name, w) for name, w in row.items() if isinstance(w, _Wanted)]:
            x = wanted.x
            row |= {name: None if x is None else float(x.mean()), f"{name}_ci": [None, None], f"{name}_points": None}
            if x is None:
                continue
            if len(x) < FEW:
                row[f"{name}_points"] = [float(v) for v in x]
            elif np.isfinite(wanted.hi - wanted.lo):
                many[len(x)].append((row, name, wanted))
            else:
                found = stats.seed_mean(x, wanted.lo, wanted.hi)
                row[f"{name}_ci"] = [found.lo, found.hi]
    for asked in many.values():
        scaled = np.stack([np.clip((w.x - w.lo) / (w.hi - w.lo), 0, 1) for *_, w in asked if w.x is not None])
        for (row, name, w), low, high in zip(asked, *seed_means(scaled, 0.0, 1.0), strict=True):
            row[f"{name}_ci"] = [float(w.lo + (w.hi - w.lo) * limit) for limit in (low, high)]


def difference(g: Group, base: Group | None, name: str = "score") -> dict[str, Any] | None:
    """Score minus the baseline's, paired by seed: mean, limits, two-sided p; limits are None for few seeds."""
    if base is None:
        return None
    common = shared(g, base)
    a, b = (x.scored(name) for x in (g, base))
    if len(common) < 2 or a is None or b is None:
        return None
    a, b = (x[positions(group.seeds, common)] for x, group in ((a, g), (b, base)))
    mean, lo, hi, p = stats.seed_difference(a, b, *stats.score_range(a, b))
    few = len(common) < FEW
    return {
        "mean": mean,
        "lo": None if few else lo,
        "hi": None if few else hi,
        "p": None if few else p,
        "seeds": len(common),
        "baseline": base.label,
        "same": same(g, base, name),
    }


def same(a: Group, b: Group, name: str = "score") -> bool:
    """Whether two rows are one to the last digit, and not only in their score."""
    return all(_equal(a, b, other) for other in ("return", "cost", "gap", name))


def _equal(a: Group, b: Group, name: str) -> bool:
    return bool(a.seeds == b.seeds and np.array_equal(a.values(name), b.values(name), equal_nan=True))


def _variants(g: Group) -> dict[str, float | None]:
    """Mean score over seeds of each policy that the algorithm also returned."""
    out: dict[str, float | None] = {}
    for name in sorted({name for r in g.records for name in r.variants}):
        x = g.scored(variant=name)
        out[name] = None if x is None else float(x.mean())
    return out


def falling(g: Group) -> float | None:
    """By what share the held-out loss still fell over the last half of the fit, in the mean over seeds; None: not recorded."""
    end, half = g.values("held_out_loss"), g.values("held_out_loss_half")
    known = np.isfinite(end) & np.isfinite(half)
    if not known.any():
        return None
    drop = np.divide(half - end, np.abs(half), out=np.zeros_like(half), where=known & (half != 0))
    return float(drop[known].mean())


def _noisy(g: Group, base: Group | None) -> dict[str, Any]:
    """Columns under noise; no score where the expert itself cannot act under it."""
    if not any("noisy_score" in r.scores for r in g.records):
        return {}
    expert = g.values("noisy_expert_score")
    expert_score = float(np.nanmean(expert)) if np.isfinite(expert).any() else None
    hopeless = expert_score is not None and expert_score < SURVIVES
    return {
        "noise": g.records[0].cell.evaluation["noise"],
        "noisy_expert_score": expert_score,
        "noisy_score": _Wanted(None, 0.0, 1.0) if hopeless else _scored(g, "noisy_score"),
        "noisy_minus_baseline": None if hopeless else difference(g, base, "noisy_score"),
    }


def worse_than_constant(g: Group) -> int | None:
    """How many fits err more on the expert's states than the best constant action; None where that was not recorded."""
    found = [r.scores.get("worse_than_constant") for r in g.records]
    return sum(x == 1.0 for x in found) if any(x is not None for x in found) else None


def stuck(g: Group) -> dict[str, int]:
    """In how many seeds a gate never opened, and in how many it never closed."""
    share = g.values(DRIVEN)
    return {"gate_never": int((share == 0).sum()), "gate_always": int((share == 1).sum())}


def marks(fell: float | None, constant: int | None, gates: int = 0) -> str:
    """`*` for fits that had not converged, `!` where some are worse than a constant action, `#` where so many gates were stuck."""
    return ("*" if fell is not None and fell > FALLING else "") + ("!" if constant else "") + ("#" if gates else "")


def row_of(g: Group, base: Group | None) -> dict[str, Any]:
    """All that a board says of a row, as plain values and what is still to be settled; `base` is what it is compared with."""
    first = g.records[0]
    means = {name: reference.mean for name, reference in first.references.items()}
    best, random = means.get("expert"), means.get("random")
    worst = max(0.0, best - random) if best is not None and random is not None else np.inf
    shared = [x for x in (getattr(r.cost, "shared_s", None) for r in g.records) if x is not None]
    own = _noisy(g, base) | {
        "task": g.task,
        "horizon": g.horizon,
        "budget": g.budget,
        "apart": g.apart,
        "algorithm": g.label,
        "name": g.algorithm,
        "head": g.head,
        "seeds": len(g.records),
        "episodes": first.episodes.n or first.cell.evaluation.get("episodes"),
        "diverged": int(g.diverged.sum()),
        "failed": g.failed,
        "undefined": overall.is_undefined(g),
        "still_falling": falling(g),
        "worse_than_constant": worse_than_constant(g),
        **stuck(g),
        "score": _scored(g),
        "gap": _within(_at_worst(g, "gap", worst if np.isfinite(worst) else 0.0), 0.0, worst),
        "cost": _within(_at_worst(g, "cost", g.horizon), 0.0, float(g.horizon)),
        "survived": _within(np.where(g.diverged, 0.0, g.values("survived")), 0.0, 1.0),
        "labels": float(np.mean([r.cost.labels for r in g.records])),
        "gradient_steps": float(np.mean([r.cost.gradient_steps for r in g.records])),
        "seconds": float(np.mean([r.cost.run_s or 0.0 for r in g.records])),
        "shared_seconds": float(np.mean(shared)) if shared else None,
        **{name: float(np.mean([getattr(r.cost, name, 0) for r in g.records])) for name in CONTROL},
        "minus_baseline": difference(g, base),
        "variants": _variants(g),
    }
    return {name: wanted for name, wanted in _shown(g).items() if name not in own} | own
