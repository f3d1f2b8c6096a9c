"""With eps_t <= eps at every t, cost <= eps H(H+1)/2 is attained exactly, by a deterministic learner, and
sum_t min(1, t eps) at every H; T^2 mean_t eps_t is attained too; mean_t eps_t H(H+1)/2 is no bound.

Source: Ross & Bagnell 2010, https://proceedings.mlr.press/v9/ross10a.html (T^2 with the mean error); the lecture's form
(every eps_t <= eps). The instances are after the 3-state example of the former; the derivations are ours.

Derivation. Disjoint: K start states of mass eps, K eps <= 1. The expert stays where it started. The learner errs in
state k at step k and nowhere else on the expert's path, so eps_t = eps for t <= K; who has erred is in B, where the
learner always errs. P(erred by t) = eps min(t, K), and with K = 1/eps the cost is sum_t min(1, t eps) exactly, the
clipped bound; while eps H <= 1 this is eps H(H+1)/2. No randomness in the learner is needed: it is enough that what
errs at t has not erred before, so that errors never overlap. Independent errors do overlap, and stay below (T02).
First step: K = 1. eps_1 = eps, all other eps_t = 0, mean_t eps_t = eps / H, and whoever erred pays at all H steps:
cost = eps H = H^2 mean_t eps_t. The slide's formula with this mean gives eps (H+1)/2: too small by 2H/(H+1), which is
the most it can be, as cost <= H^2 mean_t eps_t always.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ilbench import registry
from ilbench.display.style import COLOURS, GREY
from ilbench.envs import disjoint
from ilbench.exact import bounds, dp
from ilbench.stats.claims import Claim, Result, at_most, equal

MODES = ("exact",)
WORDS = ("attained", "tight", "lower_bound")
CELLS = ((0.1, 30), (0.01, 300), (1 / 400, 400))  # (eps, longest horizon); K = 1/eps start states
FIRST_EPS, FIRST_H = 1e-3, (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


class Run(NamedTuple):
    """`[H]`: total cost up to each horizon, and the learner's error on the expert's states at each step."""

    cost: np.ndarray
    eps: np.ndarray


def run(task_id: str, eps: float, H: int, **states: int) -> Run:
    """The instance's deterministic learner by dynamic programming; every prefix is the instance of that horizon.

    Raises ValueError if the learner's table is not one action per state and step.
    """
    task = registry.task(task_id, H, eps=eps, **states)
    mdp = task.mdp()
    table = disjoint.learner(H, len(mdp.rho) - 2)
    if not np.issubdtype(table.dtype, np.integer):
        raise ValueError(f"the learner must be deterministic, got a table of {table.dtype}")
    expert = np.asarray(task.expert.params, np.int64)
    return Run(-np.cumsum(dp.rewards(mdp, table, H)), dp.expert_errors(mdp, table, expert, H))


def ratios(r: Run) -> dict[str, np.ndarray]:
    """Cost over each bound, at every prefix `[H]`."""
    prefixes = [r.eps[: h + 1] for h in range(len(r.eps))]
    names = {"b1": bounds.b1, "clipped": bounds.b1_clipped, "b0": bounds.b0, "mean": bounds.b1_of_mean}
    return {name: r.cost / np.array([float(f(e)) for e in prefixes]) for name, f in names.items()}


def _attained(eps: float, r: dict[str, np.ndarray]) -> list[Claim]:
    H = len(r["b1"])
    inside = round(1 / eps)
    out = []
    for text, values, note in (
        (f"cost / (eps H(H+1)/2) = 1, H = 1 ... {min(H, inside)}", r["b1"][:inside], "eps H <= 1"),
        (f"cost / sum_t min(1, t eps) = 1, H = 1 ... {H}", r["clipped"], "every H, saturated ones too"),
    ):
        worst = float(values[np.argmax(np.abs(values - 1))])
        note = f"deterministic learner; {note}; shown: the worst H; tightness 1"
        out.append(equal(f"disjoint, eps = {eps:g}: {text}", 1.0, worst, tolerance=1e-12, note=note))
    return out


def _first(r: Run, all_: dict[str, np.ndarray]) -> list[Claim]:
    at = np.array(FIRST_H) - 1
    worst = float(all_["b0"][at][np.argmax(np.abs(all_["b0"][at] - 1))])
    factor = 2 * np.array(FIRST_H) / (np.array(FIRST_H) + 1)
    off = all_["mean"][at] / factor
    where = f"first step, eps_1 = {FIRST_EPS:g}"
    i = 99
    return [
        equal(
            f"{where}: cost / (H^2 mean_t eps_t) = 1, H = 1 ... {FIRST_H[-1]}", 1.0, worst, tolerance=1e-12,
            note=f"deterministic learner; {len(FIRST_H)} horizons; tightness 1: Ross & Bagnell's T^2 eps_bar",
        ),
        at_most(
            f"{where}, H = 100: cost <= mean_t eps_t H(H+1)/2", float(r.cost[i]), float(bounds.b1_of_mean(r.eps[: i + 1])),
            expected="fails", note=f"the mean in the lecture's formula: exceeded by {all_['mean'][i]:.4f} = 2H/(H+1)",
        ),
        equal(
            f"{where}: cost / (mean_t eps_t H(H+1)/2) / (2H/(H+1)) = 1, H = 1 ... {FIRST_H[-1]}", 1.0,
            float(off[np.argmax(np.abs(off - 1))]), tolerance=1e-12, note="1.9802 at H = 100, 2 in the limit; no instance exceeds it",
        ),
    ]  # fmt: skip


def measure(mode: str, say: Callable[[str], None]) -> Result:
    """Both instances at every horizon, in float64."""
    del mode
    out, curves = [], {}
    for eps, H in CELLS:
        say(f"disjoint, eps = {eps:g}")
        r = ratios(run("disjoint", eps, H, states=round(1 / eps)))
        out += _attained(eps, r)
        if eps == 0.01:
            curves = {"b1": r["b1"].tolist(), "clipped": r["clipped"].tolist()}
    say("first step")
    first = run("first_step", FIRST_EPS, FIRST_H[-1])
    all_ = ratios(first)
    out += _first(first, all_)
    at = np.unique(np.geomspace(1, FIRST_H[-1], 60).astype(int)) - 1
    curves |= {"horizons": (at + 1).tolist(), "b0": all_["b0"][at].tolist(), "mean": all_["mean"][at].tolist()}
    return Result(tuple(out), {"curves": curves})


def plot(result: Result, figure: Any) -> None:
    """Cost over its bound against H: 1 where the bound is attained, above 1 where there is none."""
    figure.set_size_inches(8.6, 3.8)
    left, right = figure.subplots(1, 2, sharey=True)
    c = result.data["curves"]
    H = np.arange(1, len(c["b1"]) + 1)
    left.plot(H, c["clipped"], color=COLOURS[0], lw=2.5, label="over sum_t min(1, t eps)")
    left.plot(H, c["b1"], color=COLOURS[1], lw=1.2, ls="--", label="over eps H(H+1)/2")
    left.axvline(100, color=GREY, lw=1, ls=":", label="eps H = 1")
    left.set(xlabel="horizon H (steps)", ylabel="cost / bound", ylim=(0, 2.15))
    left.set_title("Disjoint errors, eps = .01: attained at every H", fontsize=9)
    left.legend(fontsize=7, loc="upper left", frameon=False)
    h = np.array(c["horizons"])
    right.plot(h, c["mean"], color=COLOURS[1], lw=2.5, label="over mean_t eps_t H(H+1)/2: no bound")
    right.plot(h, 2 * h / (h + 1), color="black", lw=1, ls=":", label="2H/(H+1)")
    right.plot(h, c["b0"], color=COLOURS[0], lw=2.5, label="over H^2 mean_t eps_t: attained")
    right.set(xscale="log", xlabel="horizon H (steps)")
    right.set_title("All error at the first step: the mean fails by 2H/(H+1)", fontsize=9)
    right.legend(fontsize=7, loc="lower right", frameon=False)
