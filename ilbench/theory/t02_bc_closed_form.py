"""Behaviour cloning on the cliff costs H - (1-e)(1-(1-e)^H)/e in 0-1 loss, which is e H(H+1)/2 while e H is small; on the
copy chain H/2 - (1-(1-2e)^(H+1))/(4e) + 1/2.

On the cliff a learner errs with probability e where demonstrations lead and always after the fall. On the copy chain it
repeats its previous answer and flips it with probability e: the loss saturates at a half, not at one.

Derivation (cliff): step t is free of cost iff none of the steps 1 ... t erred, so the loss is sum_t (1 - (1-e)^t).
Copy chain: the answer is wrong iff the number of flips so far is odd, probability (1 - (1-2e)^t)/2; sum over t.
The exponent in H is 2 only while e H << 1: d log loss / d log H falls from 2 through 1.718 at e H = 1 to 1.

Source: Ross and Bagnell 2010, https://proceedings.mlr.press/v9/ross10a.html (the copy chain is Kaariainen's example,
cited there)
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ilbench import registry, stats
from ilbench.claims import Mode, Result, at_most, equal, in_band
from ilbench.exact import closed_forms as forms
from ilbench.exact import dp
from ilbench.report.style import COLOURS, GREY, MARKS, legend_below

MODES = ("exact", "monte-carlo")
EPS = (1e-4, 1e-3, 1e-2, 1e-1)
HORIZONS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
LOCAL = {0.01: 1.997, 0.03: 1.990, 0.1: 1.967, 0.3: 1.905, 1.0: 1.718, 3.0: 1.391, 10.0: 1.111}  # e H: slope, e -> 0
ROLLED_EPS, ROLLED_HORIZONS, STEPS, SEEDS = 2e-3, (10, 50, 200, 1000), 2_000_000, 10


def _learners(eps: float) -> dict[str, Any]:
    """Tables `[S, A]` of the two learners."""
    from ilbench.envs.copy_chain import learner

    cliff = np.array([[1 - eps, eps], [0.0, 1.0]])
    return {"cliff": cliff, "copy_chain": learner(eps)}


FORMS = {"cliff": forms.cliff, "copy_chain": forms.copy_chain}


def _exact() -> Result:
    claims, data = [], {}
    for name, form in FORMS.items():
        task = registry.task(name, max(HORIZONS))
        assert task.mdp is not None
        mdp, expert, worst, ratios = task.mdp(), np.asarray(task.expert.params), 0.0, []
        for eps in EPS:
            curve = np.cumsum(dp.expected_mistakes(mdp, _learners(eps)[name], expert, max(HORIZONS)))
            measured, predicted = curve[np.array(HORIZONS) - 1], form(eps, np.array(HORIZONS))
            worst = max(worst, float(np.abs(measured / predicted - 1).max()))
            bound = eps * np.array(HORIZONS) * (np.array(HORIZONS) + 1) / 2
            ratios.append((measured / bound).tolist())
        claims.append(
            at_most(
                f"{name}: |dynamic programming / closed form - 1| <= 1e-10, e 1e-4 ... .1, H 1 ... 1000",
                worst,
                1e-10,
                slack=0.0,
            )
        )
        data[name] = ratios
    bound = 0.01 * 100 * 101 / 2
    claims.append(
        equal(
            "cliff: loss / (e H(H+1)/2) = .737370 at e = .01, H = 100",
            0.737370,
            float(forms.cliff(0.01, 100)) / bound,
            tolerance=5e-7,
        )
    )
    off = max(abs(float(forms.local_exponent("cliff", x / 1e-6, 1e-6)) - slope) for x, slope in LOCAL.items())
    claims.append(
        at_most(
            "cliff: local exponent 1.997, 1.967, 1.718, 1.391, 1.111 at e H = .01, .1, 1, 3, 10", off, 6e-4, slack=0.0
        )
    )
    claims.append(
        equal(
            "copying: loss / T = 1/2 where e T >> 1", 0.5, float(forms.copy_chain(0.01, 10**6)) / 10**6, tolerance=1e-4
        )
    )
    data |= {"eps": list(EPS), "horizons": list(HORIZONS)}
    return Result(tuple(claims), data)


def _rolled(name: str, horizon: int) -> np.ndarray:
    """0-1 cost per episode `[N]` at an equal step budget."""
    from ilbench.theory._tables import rolled, table_policy

    task = registry.task(name, horizon)
    policy = table_policy(_learners(ROLLED_EPS)[name], horizon, 2, SEEDS)
    episodes = STEPS // horizon // SEEDS
    return rolled(task, policy, SEEDS, episodes, f"t02/{name}/{horizon}")["mistakes"].sum(-1).ravel()


def _monte_carlo(say: Any) -> Result:
    claims, data = [], {"rolled_horizons": list(ROLLED_HORIZONS), "rolled_eps": ROLLED_EPS}
    for name, form in FORMS.items():
        costs = []
        for horizon in ROLLED_HORIZONS:
            say(f"{name}, H = {horizon}")
            costs.append(_rolled(name, horizon))
        means, sds, ns = (np.array([f(c) for c in costs]) for f in (np.mean, lambda c: np.std(c, ddof=1), len))
        failing = [int((c > 0).sum()) for c in costs]
        form_at = form(ROLLED_EPS, np.array(ROLLED_HORIZONS))

        def band(level: float, means: Any = means, sds: Any = sds, ns: Any = ns, failing: Any = failing) -> Any:
            return stats.simultaneous_band(means, sds, ns, level=level, failing=failing, upper=ROLLED_HORIZONS)

        low, high = band(0.95)
        off = float(np.max((high - low) / 2 / form_at))
        claims.append(
            in_band(
                f"{name}: closed form inside the 95 % band of rollouts at every H, e = {ROLLED_EPS:g}",
                form_at,
                means,
                band,
                int(ns.min()),
                note=f"{STEPS:,} steps for each H; half width at most {off:.1%} of the form",
            )
        )
        bound = ROLLED_EPS * np.array(ROLLED_HORIZONS) * (np.array(ROLLED_HORIZONS) + 1) / 2
        data[f"rolled_{name}"] = [(x / bound).tolist() for x in (means, low, high)]
    return Result(tuple(claims), data)


def measure(mode: Mode, say: Any) -> Result:
    """Dynamic programming against the closed forms, and rollouts of the same learners inside a simultaneous band."""
    return _exact() if mode == "exact" else _monte_carlo(say)


def plot(result: Result, figure: Any) -> None:
    """Loss over bound against e H: every e on one curve per chain."""
    data = result.data
    axis = figure.subplots()
    x = np.geomspace(1e-3, 1e2, 200)
    for i, (name, limit) in enumerate((("cliff", 1.0), ("copy_chain", 2.0))):
        y = x * limit  # e -> 0 at fixed e H: 2 (1 - (1 - exp(-y)) / y) / y
        axis.plot(x, 2 * (1 - (1 - np.exp(-y)) / y) / y, color=COLOURS[i], lw=1, label=f"{name}: e -> 0")
        if name in data:
            for j, (eps, ratios) in enumerate(zip(data["eps"], data[name], strict=True)):
                axis.plot(eps * np.array(data["horizons"]), ratios, MARKS[j], ms=3.5, mfc="none", color=COLOURS[i])
        if f"rolled_{name}" in data:
            mean, low, high = (np.array(v) for v in data[f"rolled_{name}"])
            axis.errorbar(
                data["rolled_eps"] * np.array(data["rolled_horizons"]),
                mean,
                [mean - low, high - mean],
                fmt="k.",
                capsize=3,
            )
    axis.axhline(1.0, color=GREY, ls="--", lw=1)
    axis.set(
        xscale="log",
        xlim=(1e-3, 1e2),
        ylim=(0, 1.3),
        xlabel="e H (expected first mistakes in an episode)",
        ylabel="loss / (e H(H+1)/2)",
    )
    axis.set_title(
        "The quadratic bound is reached while e H << 1 (marks: e = 1e-4 ... .1; black: rollouts, 95 % band)", fontsize=8
    )
    legend_below(axis, 2)
