"""gap = H eps_exp kappa ubar, so the slopes in log H add: p_gap = 1 + p_eps + p_kappa + p_ubar.

kappa = eps_own / eps_exp and ubar = gap / (H eps_own), so the product is an identity; what theory predicts is which
factor carries the exponent. Covariate shift sits in kappa (recoverable, BC), irrecoverability in ubar (cliff, DAgger:
its coverage repairs kappa and gains nothing), and neither where errors mend themselves (stable). On the Reset Cliff
one table for all steps sees H times the data, p_eps = -1, so that BC is linear in H with parameter sharing and
quadratic without. Slopes are held against closed forms on the same finite grid; 2 and 1 are their limits.

Derivation. With b_t the chance of being fallen after t steps, an always-wrong learner in B has b_t = 1 - (1-eps)^t on
both `recoverable` and `cliff`, and each step in B is one mistake of cost 1: gap = H eps_own, ubar = 1, kappa ~ H/2.
With DAgger's coverage eps_own = eps_exp (kappa = 1); one mistake costs 1 where the next step recovers and all that is
left of the episode on the cliff (ubar ~ H/2). In `stable` b_t -> eps / (1/2 + eps): everything is linear.
The trap: a rule that is uniform over A actions where nothing was shown recovers with probability 1/A per step, which is
`stable` with stay = 1 - 1/A: quadratic growth ends after A steps. Slope-2 instances need a wrong default or A >> H.

Source: Ross & Bagnell 2010 (https://proceedings.mlr.press/v9/ross10a.html); Ross, Gordon & Bagnell 2011
(https://arxiv.org/abs/1011.0686); parameter sharing: Foster, Block & Misra 2024 (https://arxiv.org/abs/2407.15007);
the identity is derived here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ilbench import registry
from ilbench.display.style import COLOURS, GREY
from ilbench.exact import closed_forms as cf
from ilbench.exact import dp
from ilbench.stats import claims, exponents, slope_claims
from ilbench.theory.instances import chains, reset

MODES = ("exact", "monte-carlo")
WORDS = ("exponent", "exponents", "slope")
RESET_H, RESET_N = (4, 8, 16, 32, 64), 10_000
TRAINED = range(150)  # seeds of trained tables
SHARING = {False: "per-step table", True: "shared table"}


def _name(regime: str, coverage: str) -> str:
    return f"{regime}, {chains.COVERAGES[coverage]}"


def trap(eps: float = chains.EXACT_EPS, horizons: Any = chains.EXACT_H, actions: int = 3) -> tuple[float, float]:
    """Slope of BC whose rule for undemonstrated states is uniform, on `recoverable`: by DP, and by the closed form."""
    task = registry.task("recoverable", max(horizons), actions=actions)
    covered = np.append(1 - eps, np.full(actions - 1, eps / (actions - 1)))
    table = np.stack([covered, np.full(actions, 1 / actions)])
    gap = -np.cumsum(dp.rewards(task.mdp(), table, task.horizon))[np.array(horizons) - 1]
    formula = cf.stable_bc(eps, np.array(horizons), 1 - 1 / actions)
    return float(cf.slope(horizons, gap)), float(cf.slope(horizons, formula))


def _exact(say: Callable[[str], None]) -> claims.Result:
    out, bars, curves, worst = [], {}, {}, 0.0
    h, eps = chains.EXACT_H, chains.EXACT_EPS
    for regime in chains.REGIMES:
        for coverage in chains.COVERAGES:
            name, c = _name(regime, coverage), chains.exact(regime, coverage, eps, h)
            p = exponents.exponents(h, *c)
            worst = max(worst, abs(p["gap"] - 1 - p["eps"] - p["kappa"] - p["ubar"]))
            predicted = float(cf.slope(h, chains.closed_form(regime, coverage, eps, h)))
            text = f"slope of gap, {name} coverage, eps = {eps:g}, H = {h[0]} ... {h[-1]}"
            out.append(claims.equal(text, predicted, p["gap"], tolerance=1e-9, kind="R", note=_sum(p)))
            bars[name], curves[name] = p, c.gap.tolist()
    for shared, what in SHARING.items():
        costs = reset.Costs(*np.array([reset.by_dp(x, RESET_N, shared=shared) for x in RESET_H]).T)
        p = exponents.exponents(RESET_H, costs.dense, costs.eps, costs.own)
        worst = max(worst, abs(p["gap"] - 1 - p["eps"] - p["kappa"] - p["ubar"]))
        predicted = float(cf.slope(RESET_H, reset.expected_curves(RESET_H, RESET_N, shared=shared).dense))
        text = f"slope of E gap, Reset Cliff, BC {what}, N = {RESET_N}, S = 12, H = {RESET_H[0]} ... {RESET_H[-1]}"
        out.append(claims.equal(text, predicted, p["gap"], tolerance=1e-9, kind="R", note=_sum(p)))
        bars[f"Reset Cliff, {what}"] = p
    out.append(claims.equal("p_gap - (1 + p_eps + p_kappa + p_ubar) on all eight cells", 0.0, worst, tolerance=1e-9))
    sloped, formula = trap()
    rule = "recoverable, BC uniform over A = 3 actions in B"
    out.append(claims.equal(f"slope of gap, {rule}", formula, sloped, tolerance=1e-9, kind="R", note="limit 1, not 2"))
    out.append(
        claims.equal(
            f"slope of gap is that of a wrong default even for {rule}", bars["recoverable, BC"]["gap"], sloped,
            tolerance=0.1, kind="R", expected="fails", note="the trap of a kind default: it recovers w.p. 1/A per step",
        )
    )  # fmt: skip
    say(f"{len(bars)} budgets")
    return claims.Result(tuple(out), {"bars": bars, "horizons": list(h), "gaps": curves})


def _sum(p: dict[str, float]) -> str:
    return f"{p['gap']:.3f} = 1 {p['eps']:+.3f} {p['kappa']:+.3f} {p['ubar']:+.3f} (eps, kappa, ubar); limit {round(p['gap'])}"


# (regime, coverage, term): the exponent that tells the regimes apart, beside p_gap
CARRIERS = {
    ("recoverable", "expert"): "kappa", ("recoverable", "own"): "kappa", ("cliff", "own"): "ubar",
}  # fmt: skip


def _monte_carlo(say: Callable[[str], None]) -> claims.Result:
    out, measured, points = [], {}, {}
    h, eps = chains.HORIZONS, chains.EPS
    for regime in chains.REGIMES:
        for coverage in chains.COVERAGES:
            name, c = _name(regime, coverage), chains.sampled(regime, coverage, "t05")
            b, p = exponents.budget(h, *c), exponents.exponents(h, *chains.exact(regime, coverage, eps, h))
            where = f"{name} coverage, dialled eps = {eps:g}, H = {h[0]} ... {h[-1]}"
            for term in filter(None, ("gap", CARRIERS.get((regime, coverage)))):
                out.append(slope_claims.claim(f"p_{term}, {where}", p[term], getattr(b, f"p_{term}"), chains.SEEDS))
            measured[name], points[name] = list(b.p_gap[:3]), c.gap.mean(0).tolist()
            say(name)
    for shared, what in SHARING.items():
        t = reset.trained_curves(TRAINED, shared=shared)
        e = reset.expected_curves(reset.HORIZONS, reset.N, shared=shared)
        b = exponents.budget(reset.HORIZONS, t.dense, t.eps, t.own)
        p = exponents.exponents(reset.HORIZONS, e.dense, e.eps, e.own)
        where = f"Reset Cliff, BC {what} trained on N = {reset.N}, H = {reset.HORIZONS[0]} ... {reset.HORIZONS[-1]}"
        for term in ("gap", "eps"):
            out.append(slope_claims.claim(f"p_{term}, {where}", p[term], getattr(b, f"p_{term}"), len(TRAINED)))
        measured[f"Reset Cliff, {what}"] = list(b.p_gap[:3])
        say(f"Reset Cliff, {what}")
    return claims.Result(tuple(out), {"measured": measured, "mc_horizons": list(h), "mc_gaps": points})


def measure(mode: str, say: Callable[[str], None]) -> claims.Result:
    """The budgets of eight cells and the trap."""
    return _exact(say) if mode == "exact" else _monte_carlo(say)


def plot(result: claims.Result, figure: Any) -> None:
    """Stacked exponents per cell with the sampled p_gap on top; the gaps themselves over H."""
    figure.set_size_inches(9.6, 4.4)
    left, right = figure.subplots(1, 2, width_ratios=(1.5, 1))
    bars, measured = result.data["bars"], result.data.get("measured", {})
    names = list(bars)
    for y, name in enumerate(names):
        positive = 0.0
        for i, (term, value) in enumerate((("one", 1.0), *((t, bars[name][t]) for t in exponents.TERMS[1:]))):
            if abs(value) < 0.01:
                continue
            start = positive if value > 0 else 0.0
            left.barh(y, value, left=start, height=0.62, color=GREY if term == "one" else COLOURS[i])
            positive += max(value, 0.0)
        left.text(max(positive, 0.0) + 0.05, y, f"{bars[name]['gap']:.2f}", va="center", fontsize=7)
        if name in measured:
            value, lo, hi = measured[name]
            left.errorbar(value, y + 0.2, xerr=[[value - lo], [hi - value]], fmt="k.", ms=4, lw=1, capsize=2)
    for i, (label, colour) in enumerate(
        (("1: H steps", GREY), *((f"p_{t}", COLOURS[i + 1]) for i, t in enumerate(exponents.TERMS[1:])))
    ):
        left.barh(-5 - i, 0, color=colour, label=label)
    left.errorbar([], [], xerr=[], fmt="k.", ms=4, lw=1, capsize=2, label="sampled p_gap, 95 %, on its own grid")
    left.set_yticks(range(len(names)), names, fontsize=7)
    left.set(ylim=(len(names) - 0.4, -0.6), xlim=(-1.1, 2.4), xlabel="exponent of H (stacked; left of 0: negative)")
    left.legend(fontsize=7, loc="upper center", bbox_to_anchor=(0.4, -0.16), ncols=3, frameon=False)
    left.set_title("Where the exponent sits: kappa, ubar or nowhere", fontsize=9)
    h = result.data["horizons"]
    for i, (name, gaps) in enumerate(result.data["gaps"].items()):
        width = (7.0, 6.0, 4.0, 1.2, 1.5, 1.5)[i]  # curves coincide: the earlier, wider ones show beneath
        right.loglog(
            h, np.array(gaps) / chains.EXACT_EPS, lw=width, color=COLOURS[i], label=name, solid_capstyle="butt"
        )
    right.set_xticks(h, [str(x) for x in h])
    right.minorticks_off()
    right.set(xlabel="horizon H (steps)", ylabel="gap / eps (cost per unit of error rate)")
    right.legend(fontsize=7, loc="upper left", frameon=False)
    right.set_title(f"Six regimes, two slopes (exact, eps = {chains.EXACT_EPS:g})", fontsize=9)
