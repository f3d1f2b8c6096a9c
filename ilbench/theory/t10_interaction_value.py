"""Interaction turns H^2 into H where a fall can be undone, and costs where it cannot: DAgger against BC at equal labels.

Reset Cliff, S = 12, A = 3, N = 100: ten rare good states of mass 1/(N+1), one table per step, unseen states answered
wrongly. Behaviour cloning never sees b, so the recoverable fall costs it as much as the absorbing one:
E gap = H - sum_t (1-e)^t, e = sum_s rho(s)(1-rho(s))^N. DAgger here: no demonstrations, beta = 0, N rounds of one
episode, every visited state labelled, so it buys the same N H labels. Recoverable: a fall costs u = 2 and is shown how
to get up, gap about u e H. Absorbing: steps after a fall give labels of b only, which help nobody: DAgger has seen
fewer good states than BC and is worse. Stagger buys one label per episode, at a uniform step: the price per label.
DAgger's expectation is exact as well (ilbench/exact/reset_cliff.py: how many episodes stand at b is a Markov chain over
steps). Held against it: training drawn from its law in NumPy (ilbench/theory/instances/renewal.py, also Stagger's), and the
product's own rounds of collect and fit; tables are evaluated exactly.

Source: Rajaraman, Han, Yang, Liu, Jiao, Ramchandran 2021, "On the Value of Interaction and Function Approximation in
Imitation Learning", NeurIPS (mu-recoverability); Li, Zhang 2025, Stagger and cost per label, https://arxiv.org/abs/2412.07057
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ilbench import stats
from ilbench.display.axes import log_ticks
from ilbench.exact import closed_forms as cf
from ilbench.exact import dp
from ilbench.exact.reset_cliff import Interaction, interaction
from ilbench.stats import slope_claims
from ilbench.stats.claims import Claim, Result, at_most, at_most_estimated, equal, equivalent
from ilbench.stats.curves import along
from ilbench.theory.instances import renewal, rounds

MODES = ("exact", "monte-carlo")
WORDS = ("interaction", "dagger", "stagger")
S, A, N, H = 12, 3, 100, 40
HORIZONS = (5, 10, 20, 40)
AT = np.array(HORIZONS) - 1
REPS, STAGGER_REPS, SHORT = 1000, 200, 20  # SHORT: the horizon of the comparison by cost
PRINTED = np.array([0.33, 0.71, 1.50, 3.03])  # of the catalogue, itself a simulation
ROUNDS = (6, 12, 25, 50, 100)
LAB_SEEDS = 48  # tables that the product trains at H = 40


def cloned_gap(horizon: int, wrong: float, *, recoverable: bool) -> float:
    """Exact expected gap of BC by dynamic programming; it is wrong in b with probability `wrong` at every step."""
    from ilbench.envs import reset_cliff

    name = "reset_cliff_recoverable" if recoverable else "reset_cliff"
    task = reset_cliff.make(name, horizon, n=N, states=S, actions=A)
    error = np.append(wrong * (1 - cf.reset_cliff_rho(S, N)) ** N, wrong)
    mdp = task.mdp()  # type: ignore[misc]
    return horizon - dp.total_return(mdp, dp.erring_policy(np.asarray(task.expert.params), error, A), horizon)


def dagger_law(*, recoverable: bool) -> Interaction:
    """DAgger's expectations at every horizon up to H."""
    return interaction(N, H, S, 1 / (N + 1), recoverable=recoverable)


def _dagger_claims(u: float, cloned: Any) -> tuple[Claim, ...]:
    """What the exact law says of DAgger, `cloned [4]` being BC's gaps at `HORIZONS`."""
    up, cliff = dagger_law(recoverable=True), dagger_law(recoverable=False)
    gap, fallen = up.gap[AT], cliff.gap[AT]
    far, slope = float(np.abs(gap / PRINTED - 1).max()), float(cf.slope(HORIZONS, gap))
    bound = u * up.mistakes
    numbers = ", ".join(f"{x:.4f}" for x in gap)
    return (
        at_most("DAgger, recoverable: E gap = .33, .71, 1.50, 3.03 (simulated) within 3 %, H = 5..40", far, 0.03, slack=0,
                kind="R", note=f"exact {numbers}"),
        at_most("DAgger, recoverable: |slope in H - 1| <= .1, H = 5..40", abs(slope - 1), 0.1, slack=0, kind="R",
                note=f"slope {slope:.4f}; gap N/(u S H) = {gap[-1] * N / (u * S * H):.3f} at H = 40"),
        at_most("DAgger, recoverable: E gap <= u E mistakes, u = 2, largest ratio over H = 1..40",
                float((up.gap / bound).max()), 1.0, note=f"tightness {up.gap[-1] / bound[-1]:.3f} at H = 40"),
        at_most("recoverable, equal N = 100, H = 40: DAgger's E gap / BC's <= 1/6", float(gap[-1] / cloned[-1]), 1 / 6,
                slack=0, kind="R"),
        equal("DAgger, absorbing, H = 40: E gap = 27.0", 27.0, float(fallen[-1]), tolerance=0.05, kind="R",
              note=f"{cliff.useful[-1]:.0f} of {N * H} labels are of good states; recoverable: {up.useful[-1]:.0f}"),
        at_most("absorbing, equal N = 100: DAgger's E gap / BC's <= 1 at H = 5..40 (largest)",
                float((fallen / cloned).max()), 1.0, kind="R", expected="fails", note="interaction hurts at every H"),
    )  # fmt: skip


def _exact() -> Result:
    from ilbench.envs import reset_cliff

    task = reset_cliff.make("reset_cliff_recoverable", H, n=N, states=S, actions=A)
    u = dp.advantage_range(task.mdp(), np.asarray(task.expert.params), H)  # type: ignore[misc]
    closed = np.array([cf.reset_cliff(h, cf.reset_cliff_rho(S, N), N) for h in HORIZONS])
    same = max(abs(cloned_gap(h, 1.0, recoverable=True) / c - 1) for h, c in zip(HORIZONS, closed, strict=True))
    printed = (0.523, 1.808, 6.165, 19.603)
    claims = (
        equal("BC, recoverable, wrong where unseen: E gap = the absorbing closed form (relative), H = 5..40", 0.0,
              same, tolerance=1e-12, kind="R", note="it never learnt to get up"),
        *(equal(f"BC, N = 100, H = {h}: E gap = {p:g}", p, c, tolerance=5.1e-4, kind="R")
          for h, p, c in zip(HORIZONS, printed, closed, strict=True)),
        equal("BC: slope in H = 1.74, H = 5..40", 1.74, float(cf.slope(HORIZONS, closed)), tolerance=6e-3, kind="R",
              note="2 for e H -> 0"),
        equal("u = largest advantage of the expert = 2, recoverable", 2.0, u, tolerance=1e-12),
        equal("BC, uniform where unseen, absorbing, H = 40: E gap = 14.9", 14.9,
              cloned_gap(H, 1 - 1 / A, recoverable=False), tolerance=0.05, kind="R"),
        equal("BC, uniform where unseen, recoverable, H = 40: E gap = 3.45", 3.45,
              cloned_gap(H, 1 - 1 / A, recoverable=True), tolerance=5e-3, kind="R",
              note="a random action gets up with probability 1/3: the always-wrong rule is part of the instance"),
        *_dagger_claims(u, closed),
    )  # fmt: skip
    exact = {f"law_{k}": dagger_law(recoverable=k == "up").gap[AT].tolist() for k in ("up", "cliff")}
    asked = [interaction(n, SHORT, S, 1 / (N + 1), recoverable=True) for n in ROUNDS]
    exact["asked"] = [[float(x.rows[-1]) for x in asked], [float(x.gap[-1]) for x in asked]]
    return Result(claims, {"h": list(HORIZONS), "closed": closed.tolist(), **exact})


def _simulate() -> dict[str, Any]:
    """Gaps by learner: `[reps, H]`, and by cost at H = SHORT: `[checkpoints, reps]`."""
    rng = {name: np.random.default_rng(i) for i, name in enumerate(("bc", "up", "cliff", "stagger", "cost"))}
    bc = renewal.behaviour_cloning(rng["bc"], REPS, N, H, S, N)
    up = renewal.interactive(rng["up"], REPS, ROUNDS, H, S, N, recoverable=True)
    cliff = renewal.interactive(rng["cliff"], REPS, (N,), H, S, N, recoverable=False)[0]
    budgets = tuple(r * SHORT for r in ROUNDS)
    stagger = renewal.interactive(
        rng["stagger"], STAGGER_REPS, (*ROUNDS[:-1], *budgets), SHORT, S, N, recoverable=True, one_label=True
    )
    by_cost = [renewal.behaviour_cloning(rng["cost"], REPS, r, SHORT, S, N) for r in ROUNDS]
    gap = {"recoverable": True}
    return {
        "bc": renewal.gaps(bc, N, recoverable=True),
        "up": renewal.gaps(up[-1], N, **gap),
        "cliff": renewal.gaps(cliff, N, recoverable=False),
        "bc_cost": [renewal.gaps(x, N, **gap)[:, -1] for x in by_cost],
        "up_cost": [renewal.gaps(x[:, :SHORT], N, **gap)[:, -1] for x in up],
        "stagger_cost": [renewal.gaps(x, N, **gap)[:, -1] for x in stagger],
        "stagger_rounds": sorted({*ROUNDS[:-1], *budgets}),
    }


def _difference90(a: Any, b: Any) -> tuple[float, float]:
    """90 % limits of mean(a) around its value, with the error of mean(b) included (independent, normal)."""
    half = 1.645 * np.sqrt(a.var(ddof=1) / len(a) + b.var(ddof=1) / len(b))
    return float(a.mean() - half), float(a.mean() + half)


def _band(x: Any) -> Any:
    return lambda level: stats.simultaneous_band(x.mean(0), x.std(0, ddof=1), len(x), level=level)


def _drawn_claims(sim: dict[str, Any]) -> tuple[Claim, ...]:
    """Training drawn from its law, against closed form and exact law; Stagger, which has no law here."""
    closed = np.array([cf.reset_cliff(h, cf.reset_cliff_rho(S, N), N) for h in HORIZONS])
    exact = {"bc": closed, **{k: dagger_law(recoverable=k == "up").gap[AT] for k in ("up", "cliff")}}
    names = {"bc": "BC, recoverable", "up": "DAgger, recoverable", "cliff": "DAgger, absorbing"}
    stagger, dagger = sim["stagger_cost"][-1], sim["up_cost"][-1]
    out = []
    for key, name in names.items():
        x, form = sim[key][:, AT], exact[key]
        out.append(along(f"{name}, drawn: E gap = the exact law's at H = 5, 10, 20, 40, at once", x.mean(0), _band(x), form,
                         form, 0.03 * form, REPS, kind="R", note="margin 3 %"))  # fmt: skip
    for key in ("bc", "up"):
        s, form = stats.slope_ci(sim[key][:, None, AT], HORIZONS), float(cf.slope(HORIZONS, exact[key]))
        text = f"{names[key]}, drawn: slope in H = the exact law's ({form:.3f}), H = 5..40"
        out.append(slope_claims.equivalent(text, form, s, REPS))
    out += [
        at_most_estimated("recoverable, H = 20, equal labels: Stagger's gap <= 1/3 of BC's", stagger,
                          sim["bc_cost"][-1][:STAGGER_REPS] / 3, SHORT, kind="R",
                          note=f"{N * SHORT} labels; Stagger needs {SHORT} times the trajectories"),
        equivalent("recoverable, H = 20, equal labels: Stagger's gap = DAgger's", float(dagger.mean()),
                   float(stagger.mean()), _difference90(stagger, dagger), 0.05 * float(dagger.mean()), STAGGER_REPS,
                   kind="E", note="within 5 %: per label one gains nothing over the other here"),
    ]  # fmt: skip
    return tuple(out)


def _product_claims(say: Any) -> tuple[Claim, ...]:
    """Tables that the product trained at H = 40, paired by seed; evaluated exactly."""
    runs = {}
    for where in (True, False):
        say("the product's behaviour cloning")
        runs["bc", where] = rounds.cloned(N, H, S, range(LAB_SEEDS), recoverable=where)
        runs["dagger", where] = rounds.interactive(N, H, S, range(LAB_SEEDS), say, recoverable=where)
    gap = {k: g[:, -1] for k, (g, _) in runs.items()}
    paid = {int(x) for _, lab in runs.values() for x in lab.ledger.labels}
    note = f"{'/'.join(map(str, sorted(paid)))} labels each; paired by seed"
    up, form = gap["dagger", True], dagger_law(recoverable=True).gap[-1]
    half = 1.645 * up.std(ddof=1) / np.sqrt(LAB_SEEDS)
    return (
        equivalent("trained DAgger, recoverable, N = 100, H = 40: E gap = the exact law's", form, float(up.mean()),
                   (float(up.mean() - half), float(up.mean() + half)), 0.03 * form, LAB_SEEDS,
                   note=f"within 3 %; half width {half / form:.1%}"),
        at_most_estimated("trained, recoverable, H = 40, equal N: DAgger's gap <= 1/4 of BC's", up,
                          gap["bc", True] / 4, H, kind="R",
                          note=f"ratio {up.mean() / gap['bc', True].mean():.3f}; {note}"),
        at_most_estimated("trained, absorbing, H = 40, equal N: BC's gap <= 3/4 of DAgger's", gap["bc", False],
                          0.75 * gap["dagger", False], H, kind="R",
                          note=f"BC {gap['bc', False].mean():.1f}, DAgger {gap['dagger', False].mean():.1f}; {note}"),
        at_most_estimated("trained, absorbing, H = 40: interaction never hurts, DAgger's gap <= BC's",
                          gap["dagger", False], gap["bc", False], H, kind="R", expected="fails",
                          note="steps after a fall are labelled and teach nothing"),
    )  # fmt: skip


def _monte_carlo(say: Any) -> Result:
    say("training drawn from its exact law")
    sim = _simulate()
    claims = (*_drawn_claims(sim), *_product_claims(say))
    up, cliff = sim["up"][:, AT], sim["cliff"][:, AT]
    limits = {k: [b.tolist() for b in _band(x)(0.95)] for k, x in (("up", up), ("cliff", cliff))}
    return Result(
        claims,
        {"dagger": up.mean(0).tolist(), "dagger_cliff": cliff.mean(0).tolist(), "limits": limits,
         "rounds": list(ROUNDS), "stagger_rounds": sim["stagger_rounds"],
         **{k: [float(x.mean()) for x in sim[k]] for k in ("bc_cost", "up_cost", "stagger_cost")}},
    )  # fmt: skip


def measure(mode: str, say: Any) -> Result:
    """exact: BC's closed form, DAgger's law. monte-carlo: training drawn from its law, and tables of the product."""
    return _exact() if mode == "exact" else _monte_carlo(say)


def plot(result: Result, figure: Any) -> None:
    """Gap against H on both instances; gap at H = 20 against trajectories and against labels."""
    from ilbench.display.style import COLOURS, MARKS, legend_below

    d = result.data
    if "dagger" in d:
        figure.set_size_inches(9.6, 4.2)
    axes = np.atleast_1d(figure.subplots(1, 3 if "dagger" in d else 1))
    axes[0].plot(d["h"], d["closed"], color=COLOURS[0], marker=MARKS[0], ms=4, label="BC, both (closed form)")
    pairs = (("dagger", "up", "DAgger, recoverable"), ("dagger_cliff", "cliff", "DAgger, absorbing"))
    for i, (key, which, name) in enumerate(pairs, 1):
        axes[0].plot(d["h"], d[f"law_{which}"], color=COLOURS[i], label=f"{name} (exact law)")
        if key in d:
            y, (lo, hi) = np.array(d[key]), np.array(d["limits"][which])
            axes[0].errorbar(d["h"], y, [y - lo, hi - y], color=COLOURS[i], marker=MARKS[i], ms=4, ls="", capsize=2)
    if "dagger" in d:
        axes[0].set_title(f"marks: {REPS:,} drawn trainings, 95 % bands", fontsize=8)
        rounds, stagger = np.array(d["rounds"]), np.array(d["stagger_rounds"])
        for axis, cost in ((axes[1], (1, 1)), (axes[2], (SHORT, 1))):
            axis.loglog(rounds * cost[0], d["bc_cost"], color=COLOURS[0], marker=MARKS[0], ms=4, label="BC")
            axis.loglog(rounds * cost[0], d["up_cost"], color=COLOURS[1], marker=MARKS[1], ms=4, label="DAgger")
            axis.loglog(stagger * cost[1], d["stagger_cost"], color=COLOURS[3], marker=MARKS[3], ms=4,
                        label="Stagger: one label a round")  # fmt: skip
            axis.set_ylabel(f"gap (steps), recoverable, H = {SHORT}")
            axis.set_ylim(1, SHORT * 1.1)
        axes[2].loglog(*d["asked"], color=COLOURS[4], ls="--", label="DAgger, asking at empty rows only")
        for axis, unit in ((axes[1], "trajectories"), (axes[2], "labels")):
            axis.set_xlabel(unit)
            legend_below(axis, 1)
    axes[0].set_yscale("log")
    log_ticks(axes[0], d["h"])
    axes[0].set_xlabel("horizon H (steps)")
    axes[0].set_ylabel("expected gap (steps), N = 100")
    legend_below(axes[0], 1)
    found = "interaction saves one H where a fall can be undone, and costs where it cannot"
    figure.suptitle(f"Reset Cliff: {found}", fontsize=10)
