"""What the factorial of noise in training (C2) and a supervised second pass (C3) on the peg in a slot says, as claims."""

from __future__ import annotations

import dataclasses

import numpy as np

from ilbench.stats import claims
from ilbench.stats.claims import Claim

Factorial = dict[int, dict[str, dict[str, np.ndarray]]]  # sides -> method -> success, off_axis, validation `[S]`


def claims_of(results: Factorial) -> list[Claim]:
    """Kind E: noise and second pass together against either and neither, distance from the axis, rank of the losses."""
    found = []
    for sides, r in results.items():
        name = "two-sided" if sides == 2 else "one-sided"
        s = {m: v["success"] for m, v in r.items()}
        means = ", ".join(f"{m.split(' (')[0]} {v.mean():.3f}" for m, v in s.items())
        for which in ("paper", "released"):
            mip, plain = s[f"MIP, {which} (C2+C3)"], s["regression"]
            parts = (s["straight flow (C2)"], s["residual regression (C3)"])
            found += [
                _unless_floored(_synergy(f"peg in slot, {name}: MIP ({which})", mip, plain, parts, means), mip, plain, *parts),
                _unless_floored(
                    claims.above(f"peg in slot, {name}: MIP ({which}) succeeds more often than regression", mip - plain,
                                 0.0, kind="E", note=f"paired, {len(mip)} seeds"), mip, plain),
            ]  # fmt: skip
        off = {m: v["off_axis"] for m, v in r.items()}
        found.append(claims.above(
            f"peg in slot, {name}: MIP (paper) is nearer to the manifold of the slot than regression",
            off["regression"] - off["MIP, paper (C2+C3)"], 0.0, kind="E",
            note=f"off-axis distance {off['regression'].mean():.4f} and {off['MIP, paper (C2+C3)'].mean():.4f}"))  # fmt: skip
    agreement = _rank_agreement(results[1])
    ranks = claims.above(
        "peg in slot, one-sided: validation loss does not rank methods (.5 - rank correlation with success > 0)",
        0.5 - agreement, 0.0, kind="E", note=f"mean rank correlation {agreement.mean():.2f}, {len(agreement)} seeds")  # fmt: skip
    return [*found, _unless_floored(ranks, *(v["success"] for v in results[1].values()))]


def _synergy(name: str, mip: np.ndarray, plain: np.ndarray, parts: tuple[np.ndarray, ...], means: str) -> Claim:
    """Success `[S]`: both ingredients beat either alone, and neither; both paired intervals must lie above 0.

    Beating the better ingredient is not enough: where noise and second pass each do harm, MIP may only do less of it. The
    claim shows the difference whose interval reaches lower.
    """
    statement = f"{name} succeeds more often than C2 alone, C3 alone and regression"
    made = [
        claims.above(
            statement, mip - other, 0.0, kind="E", note=f"shown: MIP - {what}; {len(mip)} paired seeds: {means}"
        )
        for what, other in (("max(C2, C3)", np.maximum(*parts)), ("regression", plain))
    ]
    return min(made, key=lambda c: -np.inf if c.interval is None else c.interval[0])


def _unless_floored(claim: Claim, *success: np.ndarray) -> Claim:
    """The claim, VACUOUS where no method that it compares ever succeeds: the instance cannot tell them apart."""
    if any(x.any() for x in success):
        return claim
    note = "every method compared has success 0 on every seed: the instance tells nothing apart"
    return dataclasses.replace(claim, verdict="VACUOUS", note=f"{note}; {claim.note}")


def _rank_agreement(r: dict[str, dict[str, np.ndarray]]) -> np.ndarray:
    """Spearman's correlation `[S]` of low validation loss with success over the methods, within each seed."""
    ranks = [
        np.argsort(np.argsort(sign * np.stack([v[name] for v in r.values()], -1), -1), -1)
        for name, sign in (("validation", -1), ("success", 1))
    ]
    broken = np.isnan([v[name] for v in r.values() for name in ("validation", "success")]).any(0)  # NaN has a rank too
    return np.where(broken, np.nan, [np.corrcoef(a, b)[0, 1] for a, b in zip(*ranks, strict=True)])
