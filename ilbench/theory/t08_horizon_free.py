"""gap <= R (1 - E w_H) <= R D_H^2(P^learner, P^expert) for a deterministic expert: no horizon, if D_H^2 has none.

w_H = prod_t learner(a*_t | s_t) on an expert trajectory, R the width of the returns, D_H^2 the squared Hellinger distance
of trajectory laws without a factor 1/2. Whether D_H^2 has a horizon is a matter of the class: maximum likelihood with
n trajectories has D_H^2 <= 2 log(|Pi| / delta) / n with probability 1 - delta (a member at distance D_H^2 is as
likely as the expert with probability at most E sqrt(ratio) = (1 - D_H^2 / 2)^n <= exp(-n D_H^2 / 2), and there are |Pi|),
and log |Pi| is S log A for one table shared by all steps, H S log A for a table per step. So at fixed n the gap grows like
R (sparse reward: H^0; dense: H^1) with sharing, and with one H more without: the quadratic law of behaviour cloning is
dense reward and no sharing.

Derivation. The expert is deterministic, so on its trajectories P^learner = w_H P^expert and D_H^2 = 2 (1 - E sqrt w_H). On
the event of no disagreement both earn the same, so gap <= R P(disagree) = R (1 - E w_H), and 1 - w <= 2 (1 - sqrt w).
Equality in the first step on the cliff with one reward of 1 at the end for not having fallen; the ratio to R D_H^2 there
is (1 - (1-e)^H) / (2 (1 - (1-e)^{H/2})) -> 1 for e H -> 0.
A deterministic learner has w_H in {0, 1}, so that D_H^2 = 2 (1 - E w_H) and the second step loses a factor 2.

Source: Foster, Block & Misra 2024, https://arxiv.org/abs/2407.15007 (a gap of at most a constant times R D_H^2); the
instance is after Rajaraman, Yang, Jiao & Ramchandran 2020, https://arxiv.org/abs/2009.05990; constant 1 is derived here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ilbench import stats
from ilbench.display.style import COLOURS, GREY, MARKS, legend_below
from ilbench.exact import bounds, dp
from ilbench.exact import closed_forms as cf
from ilbench.exact.mdp import MDP
from ilbench.rollouts.keys import episode_keys
from ilbench.rollouts.replay import replay
from ilbench.stats import claims, slope_claims
from ilbench.theory.instances import chains, reset
from ilbench.theory.instances.tables import rolled

MODES = ("exact", "monte-carlo")
WORDS = ("horizon_free", "hellinger", "log_loss")
H, N = (4, 8, 16, 32, 64), 10_000
CASES = ((True, "sparse"), (True, "dense"), (False, "sparse"), (False, "dense"))  # (shared table, reward)
LIMITS = {(True, "sparse"): 0, (True, "dense"): 1, (False, "sparse"): 1, (False, "dense"): 2}
SEEDS, EPISODES = range(1000, 1150), 256  # of trained tables; evaluation rollouts per seed
SHARING = {True: "shared table", False: "per-step table"}


# ------------------------------------------------------------------------------------ the inequality
def terminal(mdp: MDP, horizon: int, final: Any) -> MDP:
    """The MDP with its clock in the state, `[H S]`, whose only reward is `final [S]` of the state after the last step."""
    S, A = mdp.R.shape
    P, R = np.zeros((horizon, S, A, horizon, S)), np.zeros((horizon, S, A))
    t = np.arange(horizon - 1)
    P[t, :, :, t + 1] = mdp.P
    P[-1, :, :, 0, 0] = 1.0  # never used: the episode is over
    R[-1] = mdp.P @ np.asarray(final, np.float64)
    n = horizon * S
    return MDP(P.reshape(n, A, n), R.reshape(n, A), np.append(mdp.rho, np.zeros(n - S)))


def chain(mdp: MDP, learner: Any, expert: Any, horizon: int, width: float) -> tuple[float, float, float]:
    """(gap, R (1 - E w_H), R D_H^2) of a learner and a deterministic expert."""
    gap = dp.total_return(mdp, expert, horizon) - dp.total_return(mdp, learner, horizon)
    lost = float(dp.first_mistake(mdp, learner, expert, horizon).sum())
    return gap, width * lost, float(bounds.hellinger(dp.affinity(mdp, learner, expert, horizon), width))


def sparse_cliff(eps: float, horizon: int) -> tuple[float, float, float]:
    """The chain on the cliff with reward 1 for standing at the end, R = 1; always wrong after a fall."""
    falls = np.array([[[1.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [0.0, 1.0]]])
    mdp = terminal(MDP(falls, np.zeros((2, 2)), np.array([1.0, 0.0])), horizon, [1.0, 0.0])
    learner = np.tile(chains.learner("expert", eps), (horizon, 1))
    return chain(mdp, learner, np.zeros(2 * horizon, np.int64), horizon, 1.0)


def return_width(mdp: MDP, horizon: int) -> float:
    """R: the largest minus the smallest return of any trajectory of positive probability."""
    ends = []
    for best in (np.max, np.min):
        V, empty = np.zeros(len(mdp.rho)), -np.inf if best is np.max else np.inf
        for _ in range(horizon):
            V = best(mdp.R + best(np.where(mdp.P > 0, V, empty), axis=-1), axis=-1)
        ends.append(best(V[mdp.rho > 0]))
    return float(ends[0] - ends[1])


def random_chain(rng: np.random.Generator, horizon: int = 8) -> tuple[float, float, float]:
    """(gap, R (1 - E w_H), R D_H^2) over R, on a random MDP, the discounted optimum as expert, and a learner near it."""
    states, actions = 5, 3
    P = rng.dirichlet(np.full(states, 0.3), (states, actions))
    mdp = MDP(P, rng.uniform(size=(states, actions)) ** 4, rng.dirichlet(np.ones(states)))
    expert, Q = dp.value_iteration(mdp, 0.9)
    mix = rng.uniform(0, rng.choice([0.02, 0.2, 1.0]), (states, 1))
    errs = np.eye(actions)[Q.argmin(-1)] if rng.random() < 0.5 else rng.dirichlet(np.full(actions, 0.3), states)
    learner = (1 - mix) * np.eye(actions)[expert] + mix * errs
    width = return_width(mdp, horizon)
    gap, lost, hellinger = chain(mdp, learner, expert, horizon, width)
    return gap / width, lost / width, hellinger / width


def likelihood_ratio(horizon: int, n: int, delta: float = 0.05, actions: int = 3) -> float:
    """The 1 - delta quantile of D_H^2 over 2 log(|Pi| / delta) / n, shared table on the Reset Cliff, wrong where unseen."""
    m = reset.STATES - 2
    law = reset.missing_law(m, 1 / (n * horizon + 1), n * horizon)
    k = int(np.searchsorted(np.cumsum(law), 1 - delta))
    distance = -2 * np.expm1(horizon * np.log1p(-k / (n * horizon + 1)))
    return float(distance / (2 * (reset.STATES * np.log(actions) - np.log(delta)) / n))


# -------------------------------------------------------------------------------------------- claims
def _exact(say: Callable[[str], None]) -> claims.Result:
    out = []
    for eps, horizon in ((0.01, 10), (1e-4, 100)):
        gap, lost, hellinger = sparse_cliff(eps, horizon)
        where = f"cliff with terminal reward, eps = {eps:g}, H = {horizon}"
        predicted = float((1 - cf.survival(eps, horizon)) / (2 * (1 - cf.survival(eps, horizon / 2))))
        out.append(claims.equal(f"gap - R (1 - E w_H), {where}", 0.0, gap - lost, tolerance=1e-12))
        out.append(claims.equal(f"gap / (R D_H^2), {where}", predicted, gap / hellinger, tolerance=1e-9))
    rng = np.random.default_rng(8)
    g, lost, d = np.array([random_chain(rng) for _ in range(400)]).T
    note = f"H = 8; tightness: median {np.median(g / d):.2f}, largest {(g / d).max():.2f}; "
    note += f"R D_H^2 >= R, so vacuous, in {int((d >= 1).sum())}; the paper's 4 R D_H^2 in {int((4 * d >= 1).sum())}"
    out.append(
        claims.at_most("gap - R (1 - E w_H), 400 random MDPs, worst, in units of R", float((g - lost).max()), 0.0)
    )
    text = "gap - R D_H^2, 400 random MDPs, worst, in units of R"
    out.append(claims.at_most(text, float((g - d).max()), 0.0, note=note))
    say("chain")
    curves = {}
    for shared in (True, False):
        exact = reset.Costs(*np.array([reset.by_dp(h, N, shared=shared) for h in H]).T)
        formula = reset.expected_curves(H, N, shared=shared)
        for reward in ("sparse", "dense"):
            measured, predicted = (float(cf.slope(H, getattr(x, reward))) for x in (exact, formula))
            text = (
                f"slope of E gap in H, {reward} reward, {SHARING[shared]}, Reset Cliff, N = {N}, H = {H[0]} ... {H[-1]}"
            )
            limit = f"limit {LIMITS[shared, reward]}"
            out.append(claims.equal(text, predicted, measured, tolerance=1e-6, kind="R", note=limit))
            curves[f"{reward}, {SHARING[shared]}"] = getattr(exact, reward).tolist()
    ratio = max(likelihood_ratio(h, 100) for h in H)
    text = "95 % quantile of D_H^2 over 2 log(|Pi|/.05)/n, shared table, Reset Cliff, n = 100, worst H"
    out.append(claims.at_most(text, ratio, 1.0, note=f"|Pi| = 3^12; H = {H[0]} ... {H[-1]}"))
    say("Reset Cliff")
    scatter = {"gap": g[:200].tolist(), "hellinger": d[:200].tolist()}
    return claims.Result(tuple(out), {"horizons": list(H), "curves": curves, "scatter": scatter})


def sampled(horizon: int, *, shared: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(dense gap, sparse gap, 1 - w_H) `[S]` of tables trained by the product: its own rollouts and held-out expert ones."""
    task, policy = reset.trained(horizon, SEEDS, shared=shared)
    name, seeds = f"t08/{horizon}/{SHARING[shared]}", len(SEEDS)
    own = rolled(task, policy, seeds, EPISODES, f"{name}/learner")["reward"]
    expert = rolled(task, policy, seeds, EPISODES, f"{name}/expert", beta=1.0)
    proposed = replay(policy, expert["obs"], episode_keys(f"theory/{name}/replay", range(seeds), EPISODES), range(seeds))
    lost = (proposed != expert["label"]).any(-1).mean(-1)  # the learner is deterministic where seen, w = 0 elsewhere
    dense = expert["reward"].sum(-1).mean(-1) - own.sum(-1).mean(-1)
    return dense, expert["reward"][..., -1].mean(-1) - own[..., -1].mean(-1), lost


def _monte_carlo(say: Callable[[str], None]) -> claims.Result:
    out, points, h = [], {}, reset.HORIZONS
    for shared in (True, False):
        runs = np.array([sampled(x, shared=shared) for x in h])  # [K, 3, S]
        formula = reset.expected_curves(h, reset.N, shared=shared)
        for i, reward in enumerate(("dense", "sparse")):
            curve, predicted = runs[:, i].T, float(cf.slope(h, getattr(formula, reward)))
            s = stats.slope_ci(curve[:, None], h)
            where = f"{reward} reward, {SHARING[shared]}, Reset Cliff, BC on N = {reset.N}"
            text = f"slope of gap in H, {where}, H = {h[0]} ... {h[-1]}"
            out.append(slope_claims.claim(text, predicted, s, len(SEEDS), f"limit {LIMITS[shared, reward]}; "))
            for k in (0, -1) if not shared else (-1,):  # without sharing the bound is vacuous at long horizons
                width = h[k] if reward == "dense" else 1
                text, bound = f"gap <= R D_H^2, {where}, H = {h[k]}", 2 * width * runs[k, 2]
                out.append(claims.at_most_estimated(text, curve[:, k], bound, width))
            band = [stats.mean_ci(c) for c in curve.T]
            points[f"{reward}, {SHARING[shared]}"] = [[float(x) for x in b] for b in band]
        say(SHARING[shared])
    exact = {
        f"{reward}, {SHARING[shared]}": getattr(reset.expected_curves(h, reset.N, shared=shared), reward).tolist()
        for shared, reward in CASES
    }
    return claims.Result(tuple(out), {"mc_horizons": list(h), "mc": points, "mc_expected": exact})


def measure(mode: str, say: Callable[[str], None]) -> claims.Result:
    """The chain of inequalities, and what the horizon costs with and without sharing, for two rewards."""
    return _exact(say) if mode == "exact" else _monte_carlo(say)


def plot(result: claims.Result, figure: Any) -> None:
    """Gap over H for two rewards and two classes; gap against R D_H^2 on random MDPs."""
    figure.set_size_inches(9.6, 4.4)
    left, right = figure.subplots(1, 2, width_ratios=(1.3, 1))
    d = result.data
    sampled = "mc" in d
    h = d["mc_horizons"] if sampled else d["horizons"]
    for i, (shared, reward) in enumerate(CASES):
        name = f"{reward}, {SHARING[shared]}"
        line = (d["mc_expected"] if sampled else d["curves"])[name]
        left.loglog(h, line, color=COLOURS[i], ls="-" if shared else "--", label=f"{name}: H^{LIMITS[shared, reward]}")
        if sampled:
            value, lo, hi = np.array(d["mc"][name]).T
            left.errorbar(h, value, yerr=[value - lo, hi - value], fmt=MARKS[i], color=COLOURS[i], ms=4, capsize=2)
    left.set_xticks(h, [str(x) for x in h])
    left.minorticks_off()
    left.set(xlabel="horizon H (steps)", ylabel="expected gap (reward)")
    left.set_title(f"Same n = {reset.N if sampled else N}: sharing removes one H, sparse reward another", fontsize=9)
    legend_below(left, 2)
    gap, hellinger = (np.array(d["scatter"][k]) for k in ("gap", "hellinger"))
    up = gap > 0
    right.loglog(hellinger[up], gap[up], MARKS[0], ms=3, color=COLOURS[0], label="random MDPs (where gap > 0)")
    ends = np.array([hellinger[up].min(), 2.0])
    right.loglog(ends, ends, color=GREY, label="gap = R D_H^2")
    right.axvline(1.0, color=COLOURS[1], lw=1, label="vacuous to the right")
    right.set(xlabel="D_H^2 (dimensionless)", ylabel="gap / R (dimensionless)", ylim=(gap[up].max() * 1e-5, 3))
    right.set_title("No gap above R D_H^2", fontsize=9)
    legend_below(right, 2)
