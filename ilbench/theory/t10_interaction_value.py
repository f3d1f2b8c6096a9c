"""Interaction turns H^2 into H where a fall can be undone, and costs where it cannot: DAgger against BC at equal labels.

Reset Cliff, S = 12, A = 3, N = 100: ten rare good states of mass 1/(N+1), one table per step, unseen states answered
wrongly. Behaviour cloning never sees b, so the recoverable fall costs it as much as the absorbing one:
E gap = H - sum_t (1-e)^t, e = sum_s rho(s)(1-rho(s))^N. DAgger here: no demonstrations, beta = 0, N rounds of one
episode, every visited state labelled, so it buys the same N H labels. Recoverable: a fall costs u = 2 and is shown how
to get up, gap about u e H. Absorbing: steps after a fall give labels of b only, which help nobody: DAgger has seen
fewer good states than BC and is worse. Stagger buys one label per episode, at a uniform step: the price per label.
Training is drawn from its exact law in NumPy (ilbench/theory/_renewal.py), evaluation is exact; the product's own loop
of rounds is the independent check.

Source: Rajaraman, Han, Yang, Liu, Jiao, Ramchandran 2021, "On the Value of Interaction and Function Approximation in
Imitation Learning", NeurIPS (mu-recoverability); Li, Zhang 2025, Stagger and cost per label, https://arxiv.org/abs/2412.07057
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ilbench import stats
from ilbench.claims import Result, along, at_most_estimated, equal, equivalent
from ilbench.exact import closed_forms as cf
from ilbench.exact import dp
from ilbench.theory import _renewal
from ilbench.theory._axes import log_ticks

MODES = ("exact", "monte-carlo")
S, A, N, H = 12, 3, 100, 40
HORIZONS = (5, 10, 20, 40)
AT = np.array(HORIZONS) - 1
REPS, STAGGER_REPS, SHORT = 1000, 200, 20  # SHORT: the horizon of the comparison by cost
PRINTED = np.array([0.33, 0.71, 1.50, 3.03])  # of the catalogue, itself a simulation
ROUNDS = (6, 12, 25, 50, 100)
LAB_SEEDS, LAB_HORIZON = 96, 10


def cloned_gap(horizon: int, wrong: float, *, recoverable: bool) -> float:
    """Exact expected gap of BC by dynamic programming; it is wrong in b with probability `wrong` at every step."""
    from ilbench.envs import reset_cliff

    name = "reset_cliff_recoverable" if recoverable else "reset_cliff"
    task = reset_cliff.make(name, horizon, n=N, states=S, actions=A)
    error = np.append(wrong * (1 - cf.reset_cliff_rho(S, N)) ** N, wrong)
    mdp = task.mdp()  # type: ignore[misc]
    return horizon - dp.total_return(mdp, dp.erring_policy(np.asarray(task.expert.params), error, A), horizon)


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
    )  # fmt: skip
    return Result(claims, {"h": list(HORIZONS), "closed": closed.tolist()})


def product_gaps(say: Any) -> Any:
    """Gaps `[seeds]` of DAgger trained through the product's lab on the recoverable instance; evaluation exact."""
    from ilbench import fit as fitting
    from ilbench.envs import reset_cliff
    from ilbench.fit import FitConfig
    from ilbench.heads import table
    from ilbench.lab import Lab, concatenate, rows
    from ilbench.rollout import mixed, seed_keys

    task = reset_cliff.make("reset_cliff_recoverable", LAB_HORIZON, n=N, states=S, actions=A)
    head = table.make(task, table.Config(per_step=True, unseen="wrong"))
    lab = Lab(task, head, tuple(range(LAB_SEEDS)), N * LAB_HORIZON, FitConfig())
    params, parts, learner = fitting.init(head, seed_keys("init", lab.seeds)), [], mixed(task.env.action, LAB_HORIZON)
    for i in range(N):
        say(f"the product's DAgger, round {i + 1} of {N}")
        parts.append(lab.collect(1, learner, lab.policy(params)))
        params, _ = lab.fit(rows(concatenate(parts), N))
    seen = np.asarray(params["counts"]).sum(-1) > 0
    return _renewal.gaps(seen, N, recoverable=True)[:, -1]


def _simulate() -> dict[str, Any]:
    """Gaps by learner: `[reps, H]`, and by cost at H = SHORT: `[checkpoints, reps]`."""
    rng = {name: np.random.default_rng(i) for i, name in enumerate(("bc", "up", "cliff", "stagger", "cost"))}
    bc = _renewal.behaviour_cloning(rng["bc"], REPS, N, H, S, N)
    up = _renewal.interactive(rng["up"], REPS, ROUNDS, H, S, N, recoverable=True)
    cliff = _renewal.interactive(rng["cliff"], REPS, (N,), H, S, N, recoverable=False)[0]
    budgets = tuple(r * SHORT for r in ROUNDS)
    stagger = _renewal.interactive(
        rng["stagger"], STAGGER_REPS, (*ROUNDS[:-1], *budgets), SHORT, S, N, recoverable=True, one_label=True
    )
    by_cost = [_renewal.behaviour_cloning(rng["cost"], REPS, r, SHORT, S, N) for r in ROUNDS]
    gap = {"recoverable": True}
    return {
        "bc": _renewal.gaps(bc, N, recoverable=True),
        "bc_cliff": _renewal.gaps(bc, N, recoverable=False),
        "up": _renewal.gaps(up[-1], N, **gap),
        "cliff": _renewal.gaps(cliff, N, recoverable=False),
        "bc_cost": [_renewal.gaps(x, N, **gap)[:, -1] for x in by_cost],
        "up_cost": [_renewal.gaps(x[:, :SHORT], N, **gap)[:, -1] for x in up],
        "stagger_cost": [_renewal.gaps(x, N, **gap)[:, -1] for x in stagger],
        "stagger_rounds": sorted({*ROUNDS[:-1], *budgets}),
    }


def _difference90(a: Any, b: Any) -> tuple[float, float]:
    """90 % limits of mean(a) around its value, with the error of mean(b) included (independent, normal)."""
    half = 1.645 * np.sqrt(a.var(ddof=1) / len(a) + b.var(ddof=1) / len(b))
    return float(a.mean() - half), float(a.mean() + half)


def _monte_carlo(say: Any) -> Result:
    say("training drawn from its exact law")
    sim = _simulate()
    closed = np.array([cf.reset_cliff(h, cf.reset_cliff_rho(S, N), N) for h in HORIZONS])
    bc, bc_cliff, up, cliff = (sim[k][:, AT] for k in ("bc", "bc_cliff", "up", "cliff"))

    def band(x: Any) -> Any:
        return lambda level: stats.simultaneous_band(x.mean(0), x.std(0, ddof=1), len(x), level=level)

    slope_bc, slope_up = (stats.slope_ci(x[:, None, :], HORIZONS) for x in (bc, up))
    lab = product_gaps(say)
    short = sim["up"][:, LAB_HORIZON - 1]
    stagger, dagger = sim["stagger_cost"][-1], sim["up_cost"][-1]
    claims = (
        along("BC, recoverable: E gap = closed form at H = 5, 10, 20, 40, at once", bc.mean(0), band(bc), closed,
              closed, 0.03 * closed, REPS, kind="R", note="margin 3 %"),
        along("DAgger, recoverable: E gap = .33, .71, 1.50, 3.03 (+-4 %) at H = 5..40, at once", up.mean(0), band(up),
              0.96 * PRINTED, 1.04 * PRINTED, 0.02 * PRINTED, REPS, kind="R",
              note="measured " + ", ".join(f"{x:.3f}" for x in up.mean(0)) + "; the printed ones are simulated, too"),
        equivalent("BC, recoverable: slope in H = the closed form's (1.74)", float(cf.slope(HORIZONS, closed)),
                   slope_bc.slope or np.nan, (slope_bc.lo90 or np.nan, slope_bc.hi90 or np.nan), 0.1, REPS),
        equivalent("DAgger, recoverable: slope in H = 1.07", 1.07, slope_up.slope or np.nan,
                   (slope_up.lo90 or np.nan, slope_up.hi90 or np.nan), 0.1, REPS, note="within +-.1; u e H has 1"),
        at_most_estimated("recoverable, H = 40, equal N: DAgger's gap <= 1/4 of BC's", up[:, -1], bc[:, -1] / 4, H,
                          kind="R", note=f"ratio {up[:, -1].mean() / bc[:, -1].mean():.3f}; paired by repetition"),
        at_most_estimated("absorbing, H = 40, equal N: BC's gap <= 3/4 of DAgger's", bc_cliff[:, -1],
                          0.75 * cliff[:, -1], H, kind="R",
                          note=f"BC {bc_cliff[:, -1].mean():.1f}, DAgger {cliff[:, -1].mean():.1f} (printed 27.0)"),
        at_most_estimated("absorbing, H = 40, equal N: interaction never hurts, DAgger's gap <= BC's", cliff[:, -1],
                          bc_cliff[:, -1], H, kind="R", expected="fails",
                          note="steps after a fall are labelled and teach nothing"),
        at_most_estimated("recoverable, H = 20, equal labels: Stagger's gap <= 1/3 of BC's", stagger,
                          sim["bc_cost"][-1][:STAGGER_REPS] / 3, SHORT, kind="R",
                          note=f"{N * SHORT} labels; Stagger needs {SHORT} times the trajectories"),
        equivalent("recoverable, H = 20, equal labels: Stagger's gap = DAgger's", float(dagger.mean()),
                   float(stagger.mean()), _difference90(stagger, dagger), 0.05 * float(dagger.mean()), STAGGER_REPS,
                   kind="E", note="within 5 %: per label one gains nothing over the other here"),
        equivalent("the product's DAgger (collect, beta = 0, fit) = the drawn one: E gap at H = 10", float(short.mean()),
                   float(lab.mean()), _difference90(lab, short), 0.08 * float(short.mean()), LAB_SEEDS,
                   note="within 8 %; tables through the lab, evaluated exactly"),
    )  # fmt: skip
    limits = {k: [b.tolist() for b in band(x)(0.95)] for k, x in (("up", up), ("cliff", cliff))}
    return Result(
        claims,
        {"dagger": up.mean(0).tolist(), "dagger_cliff": cliff.mean(0).tolist(), "limits": limits,
         "rounds": list(ROUNDS), "stagger_rounds": sim["stagger_rounds"],
         **{k: [float(x.mean()) for x in sim[k]] for k in ("bc_cost", "up_cost", "stagger_cost")}},
    )  # fmt: skip


def measure(mode: str, say: Any) -> Result:
    """exact: BC's closed form and programme. monte-carlo: DAgger and Stagger trained from the exact law, and the product's."""
    return _exact() if mode == "exact" else _monte_carlo(say)


def plot(result: Result, figure: Any) -> None:
    """Gap against H on both instances; gap at H = 20 against trajectories and against labels."""
    from ilbench.report.style import COLOURS, MARKS, legend_below

    d = result.data
    if "dagger" in d:
        figure.set_size_inches(9.6, 4.2)
    axes = np.atleast_1d(figure.subplots(1, 3 if "dagger" in d else 1))
    axes[0].plot(d["h"], d["closed"], color=COLOURS[0], marker=MARKS[0], ms=4, label="BC, both (closed form)")
    if "dagger" in d:
        pairs = (("dagger", "up", "DAgger, recoverable"), ("dagger_cliff", "cliff", "DAgger, absorbing"))
        for i, (key, limits, name) in enumerate(pairs, 1):
            y, (lo, hi) = np.array(d[key]), np.array(d["limits"][limits])
            axes[0].errorbar(
                d["h"], y, [y - lo, hi - y], color=COLOURS[i], marker=MARKS[i], ms=4, capsize=2, label=name
            )
        rounds, stagger = np.array(d["rounds"]), np.array(d["stagger_rounds"])
        for axis, cost in ((axes[1], (1, 1)), (axes[2], (SHORT, 1))):
            axis.loglog(rounds * cost[0], d["bc_cost"], color=COLOURS[0], marker=MARKS[0], ms=4, label="BC")
            axis.loglog(rounds * cost[0], d["up_cost"], color=COLOURS[1], marker=MARKS[1], ms=4, label="DAgger")
            axis.loglog(stagger * cost[1], d["stagger_cost"], color=COLOURS[3], marker=MARKS[3], ms=4,
                        label="Stagger: one label a round")  # fmt: skip
            axis.set_ylabel(f"gap (steps), recoverable, H = {SHORT}")
            axis.set_ylim(1, SHORT * 1.1)
            legend_below(axis, 1)
        axes[1].set_xlabel("trajectories")
        axes[2].set_xlabel("labels")
    axes[0].set_yscale("log")
    log_ticks(axes[0], d["h"])
    axes[0].set_xlabel("horizon H (steps)")
    axes[0].set_ylabel("expected gap (steps), N = 100")
    legend_below(axes[0], 1)
    found = "interaction saves one H where a fall can be undone, and costs where it cannot"
    alone = "behaviour cloning pays the same whether or not a fall can be undone"
    figure.suptitle(f"Reset Cliff: {found if 'dagger' in d else alone}", fontsize=10)
