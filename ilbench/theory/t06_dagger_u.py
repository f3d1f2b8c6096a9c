"""gap <= u T eps_on with u the largest advantage V* - Q*(a) of the expert; the cost per mistake ubar(H) is flat or linear.

u bounds what one mistake costs if the expert takes over afterwards: u = 1 on `recoverable` and `stable`, u = H on the
cliff. By the performance difference lemma gap = sum_t E_{d_t^learner}[V_t - Q_t(a_t)], each term is 0 without a mistake
and at most u with one, so gap <= u sum_t P(mistake at t) = u T eps_on. ubar = gap / (T eps_on) is the average in place
of the maximum. The bound is met with equality on `recoverable` and within 2 on the cliff (ubar ~ H/2 for eps H << 1).

Under the 0-1 imitation cost the expert never pays, so Q_t(a) - V_t = 1{a != pi*(s)} in EVERY MDP: u = 1, the bound is
the identity "sum of on-policy losses = T eps_on", and the cliff has slope 1 like everything else. Recoverability has
content for a task cost only.

Sampled on a robot, u is a maximum over the branches that were tried, a lower bound of the supremum: exceeding
u_sampled T eps_on would refute nothing, so that claim cannot be VIOLATED. The mean over branches is what can be held
against the learner: gap = E sum_t 1{mistake at t} A_t, and where mistakes come at a constant rate, independently of the state,
gap / (mistakes while alive) is the mean advantage A_t of a mistake at the learner's own live states.

Source: Ross, Gordon & Bagnell 2011, Theorem 2.2, https://arxiv.org/abs/1011.0686; the tautology is derived here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ilbench import registry, stats
from ilbench.display.style import COLOURS, MARKS, legend_below
from ilbench.exact import closed_forms as cf
from ilbench.exact import dp
from ilbench.exact.mdp import MDP
from ilbench.stats import claims, exponents, slope_claims
from ilbench.stats.intervals import t_test
from ilbench.theory.instances import branches, chains

MODES = ("exact", "monte-carlo")
WORDS = ("dagger", "u", "recoverability", "recoverable")
ZERO_ONE = (
    "cliff",
    "recoverable",
    "stable",
    "disjoint",
    "reset_cliff",
    "reset_cliff_recoverable",
)  # stationary experts
BRAX, BRAX_H, RATE, GROUPS, EACH, KICKS = "inverted_pendulum", 200, 0.1, 10, 24, 12


def random_case(rng: np.random.Generator, states: int = 6, actions: int = 3) -> tuple[MDP, np.ndarray, np.ndarray]:
    """A random MDP with rewards in [0, 1], a learner `[S, A]` and an expert `[S]`, the discounted optimum, that it is near."""
    P = rng.dirichlet(np.full(states, 0.4), (states, actions))
    mdp = MDP(P, rng.uniform(size=(states, actions)), rng.dirichlet(np.ones(states)))
    expert, Q = dp.value_iteration(mdp, 0.9)
    errs = np.eye(actions)[Q.argmin(-1)] if rng.random() < 0.5 else rng.dirichlet(np.full(actions, 0.3), states)
    mix = rng.uniform(0, rng.choice([0.05, 0.5, 1.0]), (states, 1))
    return mdp, (1 - mix) * np.eye(actions)[expert] + mix * errs, expert


def gap_and_bound(mdp: MDP, learner: Any, expert: Any, H: int) -> tuple[float, float]:
    """gap and u T eps_on, u over what the learner visits; the gap may be negative where the learner is better."""
    gap = dp.total_return(mdp, expert, H) - dp.total_return(mdp, learner, H)
    u = dp.advantage_range(mdp, expert, H, visitor=learner)
    return gap, u * float(dp.expected_mistakes(mdp, learner, expert, H).sum())


def zero_one(name: str, H: int = 30, eps: float = 0.1) -> tuple[float, float, float]:
    """(u, gap, sum of on-policy mistakes) of a task under the 0-1 imitation cost, learner erring at rate eps."""
    task = registry.task(name, H)
    assert task.mdp is not None
    mdp, expert = task.mdp(), np.asarray(task.expert.params, np.int64)
    if expert.ndim == 2:
        raise ValueError(f"{name}: needs an expert that does not depend on time")
    cost = -(np.arange(mdp.R.shape[1])[None, :] != expert[:, None]).astype(np.float64)
    imitation = MDP(mdp.P, cost, mdp.rho)
    learner = dp.erring_policy(expert, eps, mdp.R.shape[1])
    mistakes = dp.expected_mistakes(imitation, learner, expert, H).sum()
    return dp.advantage_range(imitation, expert, H), -dp.total_return(imitation, learner, H), float(mistakes)


def zero_one_slope(regime: str, eps: float = chains.EXACT_EPS, horizons: Any = chains.EXACT_H) -> float:
    """Slope in H of the 0-1 cost under DAgger's coverage."""
    own = chains.exact(regime, "own", eps, horizons).eps_own
    return float(cf.slope(horizons, own * np.asarray(horizons)))


def _exact(say: Callable[[str], None]) -> claims.Result:
    out, ubars, h, eps = [], {}, chains.EXACT_H, chains.EXACT_EPS
    H = h[-1]
    for regime, u in zip(chains.REGIMES, (1.0, float(H), 1.0), strict=True):
        task, learner, c = registry.task(regime, H), chains.learner("own", eps), chains.exact(regime, "own", eps, h)
        assert task.mdp is not None
        exact_u = dp.advantage_range(task.mdp(), np.zeros(2, np.int64), H, visitor=learner)
        out.append(claims.equal(f"u = max V* - Q*, {regime}, H = {H}", u, exact_u, tolerance=1e-9))
        gap, bound = float(c.gap[-1]), exact_u * H * float(c.eps_own[-1])
        out.append(
            claims.at_most(
                f"gap <= u T eps_on, {regime}, DAgger coverage, eps = {eps:g}, T = {H}", gap, bound, trivial=H,
                note=f"tightness {gap / bound:.3f}, vacuity {bound / H:.2g}",
            )
        )  # fmt: skip
        ubar = c.gap / (np.array(h) * c.eps_own)
        target = float(cf.slope(h, chains.closed_form(regime, "own", eps, h))) - 1
        text = f"slope of ubar(H), {regime}, DAgger coverage, eps = {eps:g}, H = {h[0]} ... {H}"
        limit = f"limit {round(target)} for eps H << 1"
        out.append(claims.equal(text, target, float(cf.slope(h, ubar)), tolerance=1e-9, kind="R", note=limit))
        ubars[regime] = ubar.tolist()
    rng = np.random.default_rng(6)
    g, b = np.array([gap_and_bound(*random_case(rng), 12) for _ in range(300)]).T
    note = f"S = 6, A = 3, T = 12; 0 is equality; tightness: median {np.median(g / b):.2f}, largest {(g / b).max():.2f}"
    out.append(claims.at_most("gap - u T eps_on on 300 random MDPs, worst", float((g - b).max()), 0.0, note=note))
    cases = [zero_one(name) for name in ZERO_ONE]
    out += _tautology(cases)
    say(f"{len(chains.REGIMES)} regimes, 300 random MDPs, {len(cases)} tasks under 0-1 cost")
    return claims.Result(tuple(out), {"horizons": list(h), "ubar": ubars})


def _tautology(cases: list[tuple[float, float, float]]) -> list[claims.Claim]:
    note = "a tautology: the expert never pays the 0-1 imitation cost; only a task cost has recoverability"
    off = max(abs(u - 1) for u, _, _ in cases)
    rest = max(abs(gap - mistakes) for _, gap, mistakes in cases)
    n, slope = len(cases), zero_one_slope("cliff")
    return [
        claims.equal(f"|u - 1| under the 0-1 imitation cost, worst of {n} tasks", 0.0, off, tolerance=1e-9, note=note),
        claims.equal(f"0-1 gap - T eps_on, worst of {n} tasks", 0.0, rest, tolerance=1e-9, note=note),
        claims.equal("slope of the 0-1 cost on the cliff, DAgger coverage", 1.0, slope, tolerance=1e-9, note=note),
    ]


def _sampled(say: Callable[[str], None]) -> tuple[list[claims.Claim], dict[str, Any]]:
    out, ubars, h, eps = [], {}, chains.HORIZONS, chains.EPS
    for regime in chains.REGIMES:
        c = chains.sampled(regime, "own", "t06", errors=False)
        p = exponents.budget(h, c.gap, c.eps_own, c.eps_own).p_ubar
        target = float(cf.slope(h, chains.closed_form(regime, "own", eps, h))) - 1
        where = f"{regime}, dialled DAgger coverage, eps = {eps:g}"
        text = f"slope of ubar(H), {where}, H = {h[0]} ... {h[-1]}"
        out.append(slope_claims.claim(text, target, p, len(c.gap)))
        T, mistakes = h[-1], h[-1] * c.eps_own[:, -1]
        if regime == "cliff":
            out.append(
                claims.at_most_estimated(f"gap <= u T eps_on, {where}, u = T = {T}", c.gap[:, -1], T * mistakes, T)
            )
            text, short = f"gap <= u T eps_on, {where}, u = T = {h[1]}", h[1]
            out.append(claims.at_most_estimated(text, c.gap[:, 1], short**2 * c.eps_own[:, 1], short))
        else:
            ratio, _ = stats.ratio_equivalent(c.gap[:, -1], mistakes)
            text = f"gap / (u T eps_on) = 1, {where}, u = 1, T = {T}"
            tight = "tight, so neither HOLDS nor VIOLATED as an inequality: equivalence within +-2 %"
            out.append(
                claims.equivalent(text, 1.0, ratio.value, (ratio.lo, ratio.hi), 0.02, len(c.gap), kind="T", note=tight)
            )
        each = c.gap / (np.array(h) * c.eps_own)
        ubars[regime] = [[float(x) for x in t_test(each[:, k], 0.95)[0]] for k in range(len(h))]
    say("dialled learners")
    cliff = chains.exact("cliff", "own", eps, h)
    at_eps = (cliff.gap / (np.array(h) * cliff.eps_own)).tolist()
    return out, {"mc_horizons": list(h), "mc_ubar": ubars, "mc_cliff": at_eps}


def _robot(say: Callable[[str], None]) -> tuple[list[claims.Claim], dict[str, Any]]:
    try:
        task = registry.task(BRAX, BRAX_H)
    except (ImportError, FileNotFoundError) as error:
        return [claims.not_run(f"gap <= u T eps_on, {BRAX}, branch rollouts", str(error))], {}
    width = BRAX_H // KICKS
    steps = np.arange(KICKS) * width + np.random.default_rng(0).integers(width, size=KICKS)
    b = branches.run(task, RATE, steps, GROUPS, EACH, "t06/branch")
    gap, u = b.gap.mean(1), float(b.advantage.max())
    ubar = gap / b.live.mean(1)
    branch = b.advantage.sum((0, 2)) / b.alive.sum((0, 2))
    ratio, _ = stats.ratio_equivalent(branch, ubar)
    where = f"{BRAX}, T = {BRAX_H}, errors at rate {RATE:g}"
    say(f"{where}: u >= {u:.0f}, ubar {ubar.mean():.2f}, branches {branch.mean():.2f}")
    facts = f"u >= {u:.0f} over {b.advantage.size} branches; cost per live mistake {ubar.mean():.2f}; "
    return [
        claims.at_most_estimated(
            f"gap <= u T eps_on, {where}, u sampled by branches", gap, u * b.mistakes.mean(1), BRAX_H, may_fail=False,
            note=facts + "a sampled u is a lower bound of a supremum, so this cannot be VIOLATED",
        ),
        claims.equivalent(
            f"mean branch advantage / (gap per live mistake) = 1, {where}", 1.0, ratio.value, (ratio.lo, ratio.hi), 0.3,
            GROUPS, kind="T",
            note=facts + f"from branches {branch.mean():.2f}; {GROUPS} groups of {EACH} episodes, margin 30 %",
        ),
    ], {
        "steps": steps.tolist(),
        "advantage": (b.advantage.sum((1, 2)) / np.maximum(1, b.alive.sum((1, 2)))).tolist(),
        "advantage_max": b.advantage.max((1, 2)).tolist(),
        "branch": [float(ubar.mean()), float(branch.mean()), u],
    }  # fmt: skip


def measure(mode: str, say: Callable[[str], None]) -> claims.Result:
    """u, the bound and the cost per mistake: two-state regimes, random MDPs, the tautology, a robot."""
    if mode == "exact":
        return _exact(say)
    first, second = _sampled(say), _robot(say)
    return claims.Result((*first[0], *second[0]), first[1] | second[1])


def plot(result: claims.Result, figure: Any) -> None:
    """ubar over H per regime, and on the robot what a mistake at step t costs."""
    data, robot = result.data, "steps" in result.data
    axes = figure.subplots(1, 2 if robot else 1, squeeze=False)[0]
    figure.set_size_inches(9.4 if robot else 6.4, 4.6)
    left = axes[0]
    for i, regime in enumerate(chains.REGIMES):
        wide = (5, 1.5, 1.5)[i]  # recoverable and stable coincide
        name = f"{regime}, exact (eps = {chains.EXACT_EPS:g})"
        left.loglog(data["horizons"], data["ubar"][regime], color=COLOURS[i], label=name, lw=wide)
        if "mc_ubar" in data:
            value, lo, hi = np.array(data["mc_ubar"][regime]).T
            left.errorbar(
                data["mc_horizons"], value, yerr=[value - lo, hi - value], fmt=MARKS[i], color=COLOURS[i], ms=4,
                capsize=2, label=f"{regime}, sampled (eps = {chains.EPS:g})",
            )  # fmt: skip
    if "mc_cliff" in data:
        name = f"cliff, exact (eps = {chains.EPS:g})"
        left.loglog(data["mc_horizons"], data["mc_cliff"], "--", color=COLOURS[1], lw=1, label=name)
    left.set_xticks(data["horizons"], [str(h) for h in data["horizons"]])
    left.minorticks_off()
    left.set(xlabel="horizon H (steps)", ylabel="ubar = gap / mistakes (cost)")
    legend_below(left, 2)
    left.set_title("A mistake costs 1, or half of what is left", fontsize=9)
    if robot:
        ubar, branch, _ = data["branch"]
        right = axes[1]
        right.plot(
            data["steps"], data["advantage_max"], MARKS[1], color=COLOURS[1], label="worst branch: u is at least this"
        )
        right.plot(data["steps"], data["advantage"], MARKS[0], color=COLOURS[0], label="mean branch from a live state")
        right.axhline(ubar, color=COLOURS[2], label=f"gap per live mistake: {ubar:.1f} (branches: {branch:.1f})")
        right.set(
            xlabel="step t of the kick", ylabel="return lost, V - Q (reward)", yscale="symlog", ylim=(-10, 2 * BRAX_H)
        )
        right.legend(fontsize=7, loc="lower left")
        right.set_title(f"{BRAX}: u near H, but {ubar:.0f} per mistake", fontsize=9)
