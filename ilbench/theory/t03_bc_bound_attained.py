"""The behaviour-cloning bound is attained: on the disjoint instance a deterministic learner with eps_t = e at every step
pays exactly e H(H+1)/2.

With the average error in place of the largest the same formula is false, by up to 2H/(H+1): if all the error sits at the
first step, the loss is H eps_1 = H^2 mean_t eps_t, which is Ross and Bagnell's bound with equality, and 2H/(H+1) times
mean_t eps_t H(H+1)/2.

Derivation: on the disjoint instance start state k has mass e and errs once, at step k, for ever after. The loss of step t
is the mass that has erred by then, e min(t, K), and sums to e H(H+1)/2 for K = H; clipped, sum_t min(1, t e), at every H.

Source: Ross and Bagnell 2010, https://proceedings.mlr.press/v9/ross10a.html; the form with the maximum is the lecture's
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ilbench import registry
from ilbench.claims import Mode, Result, at_most, equal
from ilbench.exact import bounds, dp
from ilbench.report.style import COLOURS, GREY, MARKS, legend_below

MODES = ("exact",)
EPS = 0.01
HORIZONS = (1, 2, 5, 10, 20, 50, 100)
CLIPPED = (10, 50, 100, 200, 500, 1000)  # beyond 1/e the bound saturates


def _loss(name: str, H: int, eps: float) -> tuple[float, np.ndarray]:
    """0-1 loss of the erring learner and its eps_t `[H]` on the expert's states."""
    from ilbench.envs.disjoint import learner

    task = registry.task(name, H, eps=eps)
    assert task.mdp is not None
    mdp = task.mdp()
    table, expert = learner(H, len(mdp.rho) - 2), np.asarray(task.expert.params)
    return float(dp.expected_mistakes(mdp, table, expert, H).sum()), dp.expert_errors(mdp, table, expert, H)


def measure(mode: Mode, say: Any) -> Result:
    """Exact: ratios of loss to the bounds over horizons on both instances."""
    attained, steady, clipped = [], 0.0, 0.0
    for H in HORIZONS:
        loss, eps = _loss("disjoint", H, EPS)
        attained.append(loss / float(bounds.b1(eps)))
        steady = max(steady, float(np.abs(eps - EPS).max()))
    for H in CLIPPED:
        loss, _ = _loss("disjoint", H, EPS)
        clipped = max(clipped, abs(loss / float(bounds.b1_clipped(np.full(H, EPS))) - 1))
    first = {H: _loss("first_step", H, EPS) for H in HORIZONS}
    square = max(abs(loss / float(bounds.b0(eps)) - 1) for loss, eps in first.values())
    exceeds = {H: loss / float(bounds.b1_of_mean(eps)) for H, (loss, eps) in first.items()}
    excess = max(abs(ratio / (2 * H / (H + 1)) - 1) for H, ratio in exceeds.items())
    top, off = max(HORIZONS), float(np.abs(np.array(attained) - 1).max())
    claims = (
        at_most("disjoint: eps_t = e at every step t on the expert's states", steady, 1e-12, slack=0.0),
        at_most("disjoint: |loss / (e H(H+1)/2) - 1| <= 1e-12, e = .01, H 1 ... 100", off, 1e-12, slack=0.0),
        at_most("disjoint: |loss / sum_t min(1, t e) - 1| <= 1e-12, H 10 ... 1000", clipped, 1e-12, slack=0.0),
        at_most("first step: |loss / (H^2 mean_t eps_t) - 1| <= 1e-12, H 1 ... 100", square, 1e-12, slack=0.0),
        at_most(
            f"first step: loss <= mean_t eps_t H(H+1)/2, H = {top}", first[top][0], float(bounds.b1_of_mean(first[top][1])),
            expected="fails", note=f"exceeded {exceeds[top]:.4f} times",
        ),
        at_most("first step: it is exceeded by exactly 2H/(H+1), to 1e-12", excess, 1e-12, slack=0.0),
        equal("first step: 2H/(H+1) = 1.9802 at H = 100", 1.9802, exceeds[top], tolerance=5e-5),
    )  # fmt: skip
    return Result(claims, {"horizons": list(HORIZONS), "attained": attained, "exceeds": list(exceeds.values())})


def plot(result: Result, figure: Any) -> None:
    """Ratio of loss to bound against H."""
    data, axis = result.data, figure.subplots()
    h = np.array(data["horizons"])
    axis.plot(
        h,
        data["attained"],
        f"{MARKS[0]}-",
        color=COLOURS[0],
        ms=4,
        label="disjoint: loss / (max eps H(H+1)/2), attained",
    )
    axis.plot(
        h, data["exceeds"], MARKS[1], color=COLOURS[1], ms=4, label="first step: loss / (mean eps H(H+1)/2), false"
    )
    axis.plot(h, 2 * h / (h + 1), "-", color=COLOURS[1], lw=1, label="2H/(H+1)")
    axis.axhline(1.0, color=GREY, ls="--", lw=1)
    axis.set(xscale="log", ylim=(0, 2.2), xlabel="horizon H (steps)", ylabel="loss / bound")
    axis.set_title("With the largest error the bound is attained; with the mean error it is false", fontsize=9)
    legend_below(axis, 1)
