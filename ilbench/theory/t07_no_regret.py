"""The mixture of DAgger's iterates loses at most u T (eps_N + gamma_N); gamma_N -> 0 needs a no-regret learner.

The theorem: mean_i gap_i <= mean_i u T L_i = u T (eps_N + gamma_N), with L_i the loss of iterate i on its own states, eps_N
the best of the class in hindsight and gamma_N = mean_i L_i - eps_N. It speaks of the mixture (and so of the best
iterate), not of the last one. Two learners with the same rule, follow the leader (FTL), show what gamma_N depends on.

Strongly convex: x' = x + u + w, w ~ N(0, 1/4), expert -clip(x, -1, 1), class u = -theta x, squared loss under the
stationary law of theta, which is N(0, s^2), s^2 = (1/4) / (1 - (1 - theta)^2). With P = P(|x| < 1),
E x clip(x) = s^2 P (Stein's lemma) and E clip^2 = s^2 P - 2 s phi(1/s) + 1 - P, so losses are quadratic, FTL is a ratio of
sums, and the regret N gamma_N converges: gamma_N ~ c / N.

0-1 loss: two actions, one observation, expert a* = s. Playing a makes the other action right with probability .61 at
the next step, P(s' = 1 - a) = .61, first state uniform, T = 11: playing a costs (.5 + 10 * .61) / 11 = .6 per step where the
other action would have cost .4. After one round the leader is the other action, after two the cumulated losses tie
at 1 (ties go to action 0), so FTL alternates, pays .6 for ever against .5 in hindsight: gamma_N = .1, plus .1 / N
for odd N. Proper and deterministic learners cannot do better here: Li & Zhang 2022. The way out is a randomised class:
with p = P(action 1) the loss is linear in p, and projected online gradient descent with steps 1/sqrt(i) has
gamma_N <= 3 / (2 sqrt N) (Zinkevich 2003: diameter and gradients are at most 1 here).

Source: Ross, Gordon & Bagnell 2011, https://arxiv.org/abs/1011.0686 (Theorem 4.1; Forward training: Theorem 2.2);
Ross & Bagnell 2010, https://proceedings.mlr.press/v9/ross10a.html (Forward training, SMILe);
Li & Zhang 2022, On efficient online imitation learning via classification, NeurIPS; instances derived here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import special

from ilbench.display.style import COLOURS, GREY, MARKS, legend_below
from ilbench.exact import closed_forms as cf
from ilbench.exact import dp, interactive
from ilbench.exact.mdp import MDP
from ilbench.stats import claims

MODES = ("exact",)
WORDS = ("regret", "mixture", "forward", "smile")
RUNS, ROUNDS, T = 60, 40, 12
ODDS, TRAP_T = 0.61, 11


# ------------------------------------------------------------------------------------- two learners
def quadratic(theta: float) -> tuple[float, float, float]:
    """(E x^2, E x clip(x), E clip(x)^2) under the stationary law of u = -theta x, 0 < theta < 2."""
    variance = 0.25 / (1 - (1 - theta) ** 2)
    s = np.sqrt(variance)
    inside = 2 * special.ndtr(1 / s) - 1
    density = np.exp(-0.5 / variance) / np.sqrt(2 * np.pi)
    return variance, variance * inside, variance * inside - 2 * s * density + 1 - inside


def regret_convex(rounds: int, theta: float = 0.2) -> np.ndarray:
    """N gamma_N `[rounds]` of FTL on the scalar system, starting at theta."""
    sums, paid, out = np.zeros(3), 0.0, np.empty(rounds)
    for i in range(rounds):
        a, b, c = quadratic(theta)
        paid += a * theta**2 - 2 * b * theta + c
        sums += (a, b, c)
        theta = sums[1] / sums[0]
        out[i] = paid - (sums[2] - sums[1] ** 2 / sums[0])
    return out


def trap() -> tuple[MDP, np.ndarray, np.ndarray]:
    """The two-action trap: (MDP with 0-1 cost, expert `[2]`, alias `[2]`)."""
    P = np.empty((2, 2, 2))
    P[:, 0] = 1 - ODDS, ODDS
    P[:, 1] = ODDS, 1 - ODDS
    return MDP(P, np.eye(2) - 1, np.full(2, 0.5)), np.arange(2), np.zeros(2, np.int64)


def gradient_descent(rounds: int) -> np.ndarray:
    """gamma_N `[rounds]` of online gradient descent on P(action 1) in the trap, from P = 0."""
    mdp, _, _ = trap()
    p, paid, mass, out = 0.0, 0.0, np.zeros(2), np.empty(rounds)
    for i in range(rounds):
        law = interactive.mean_law(mdp, np.tile([1 - p, p], (2, 1)), TRAP_T)
        paid += law[0] * p + law[1] * (1 - p)
        mass += law
        out[i] = (paid - mass.min()) / (i + 1)
        p = float(np.clip(p - (law[0] - law[1]) / np.sqrt(i + 1), 0, 1))
    return out


def regrets(run: interactive.Aggregation, expert: Any, alias: Any, actions: int) -> np.ndarray:
    """gamma_N `[N]` after every round."""
    n = np.arange(1, len(run.losses) + 1)
    laws = np.cumsum(run.laws, 0) / n[:, None]
    least = np.array([interactive.least_loss(law, expert, alias, actions) for law in laws])
    return np.cumsum(run.losses) / n - least


# --------------------------------------------------------------------------------- aliased random MDPs
def aliased(seed: int, states: int = 9, seen: int = 4, actions: int = 3) -> tuple[MDP, np.ndarray, np.ndarray]:
    """A random MDP whose states look alike in groups: (MDP with rewards in [0, 1], expert `[S]`, alias `[S]`)."""
    rng = np.random.default_rng([7, seed])
    P = rng.dirichlet(np.full(states, 0.15), (states, actions))
    mdp = MDP(P, rng.uniform(size=(states, actions)), rng.dirichlet(np.ones(states)))
    expert, _ = dp.value_iteration(mdp, 0.95)
    return mdp, expert, rng.permutation(np.arange(states) % seen)


def one_run(seed: int) -> dict[str, float]:
    """Gaps and bounds of DAgger, its beta schedule, Forward training and SMILe on one aliased MDP."""
    mdp, expert, alias = aliased(seed)
    best = dp.total_return(mdp, expert, T)
    u = dp.advantage_range(mdp, expert, T)
    run = interactive.dagger(mdp, expert, alias, T, ROUNDS)
    distinct = {x.tobytes(): best - dp.total_return(mdp, x, T) for x in run.iterates}
    gaps = [distinct[x.tobytes()] for x in run.iterates]
    per_step, losses = interactive.forward_training(mdp, expert, alias, T)
    betas = 0.5 ** np.arange(ROUNDS)
    mixed = interactive.dagger(mdp, expert, alias, T, ROUNDS, beta=betas)
    laws = [interactive.mean_law(mdp, x, T) for x in mixed.iterates]
    own = [float(law @ (x != expert)) for law, x in zip(laws, mixed.iterates, strict=True)]
    rest = (2 / ROUNDS) * ((betas > 1 / T).sum() + T * betas[betas <= 1 / T].sum())
    apart = [np.abs(a - b).sum() / min(2, 2 * T * x) for a, b, x in zip(mixed.laws, laws, betas, strict=True)]
    return {
        "mixture": float(np.mean(gaps)), "last": gaps[-1], "bound": u * T * (run.eps + run.gamma), "trivial": T,
        "gamma": run.gamma, "forward": best - dp.total_return(mdp, per_step, T), "forward_bound": u * T * losses.mean(),
        "beta": min(own) - (mixed.eps + mixed.gamma + rest), "beta_sharp": min(own) - (mixed.eps + mixed.gamma + rest / 2),
        "apart": max(apart),
    }  # fmt: skip


def smile_run(seed: int, horizon: int = 6) -> dict[str, float]:
    """SMILe with a schedule of the paper's order on one aliased MDP."""
    mdp, expert, alias = aliased(seed)
    alpha, rounds = interactive.smile_schedule(horizon)
    s = interactive.smile(mdp, expert, alias, horizon, alpha, rounds)
    left = (1 - alpha) ** rounds
    J = [dp.total_return(mdp, x, horizon) for x in (s.policies[0], s.policies[-1], s.deployed)]
    return {"removed": abs(J[2] - J[1]) - horizon**2 * left, "gap": J[0] - J[2], "left": left, "eps": s.losses.mean()}


# -------------------------------------------------------------------------------------------- claims
def _learners(data: dict[str, Any]) -> list[claims.Claim]:
    n = np.unique(np.round(np.geomspace(1, 10_000, 41)).astype(int))
    convex = regret_convex(10_000)
    mdp, expert, alias = trap()
    ftl = regrets(interactive.dagger(mdp, expert, alias, TRAP_T, 1000), expert, alias, 2)
    descent = gradient_descent(1000)
    short = n[n <= 1000]
    data.update(
        n=n.tolist(), convex=(convex[n - 1] / n).tolist(), short=short.tolist(), trap=ftl[short - 1].tolist(),
        descent=descent[short - 1].tolist(),
    )  # fmt: skip
    limit, slope = float(convex[-1]), float(cf.slope(n[n >= 10], (convex / np.arange(1, 10_001))[n[n >= 10] - 1]))
    system = "FTL on x' = x + u + w, squared loss"
    return [
        claims.equal(f"N gamma_N, {system}, theta_1 = .2, N = 10,000", 0.2310, limit, tolerance=0.05 * 0.2310,
                     note=f"stationary law: {limit:.5f}; constant to {abs(convex[99] / limit - 1):.1e} from N = 100 on"),
        claims.equal(f"slope of gamma_N in N, {system}, N = 10 ... 10,000", -1.0, slope, tolerance=0.01, kind="R"),
        claims.equal("gamma_N of FTL on 0-1 loss, two-action trap, every even N <= 1000 (worst)", 0.1,
                     float(ftl[1::2][np.abs(ftl[1::2] - 0.1).argmax()]), tolerance=1e-9, note="odd N: .1 + .1/N"),
        claims.at_most("gamma_N -> 0 for FTL whatever the loss: gamma_1000 <= .01, two-action trap", float(ftl[-1]), 0.01,
                       expected="fails", note="no proper online learner has sublinear regret in general"),
        claims.at_most("sqrt N gamma_N <= 3/2, gradient descent on P(action 1), same trap, worst N <= 1000",
                       float((descent * np.sqrt(np.arange(1, 1001))).max()), 1.5,
                       note=f"gamma_1000 = {descent[-1]:.4f}: randomising is the way out"),
    ]  # fmt: skip


def _aliased(data: dict[str, Any], say: Callable[[str], None]) -> list[claims.Claim]:
    runs = [one_run(seed) for seed in range(RUNS)]
    r = {k: np.array([x[k] for x in runs]) for k in runs[0]}
    worse, above = int((r["last"] > r["mixture"] + 1e-12).sum()), int((r["last"] > r["bound"] + 1e-12).sum())
    say(f"{RUNS} aliased MDPs, last iterate worse than the mixture in {worse}")
    data.update({k: r[k].tolist() for k in ("mixture", "last")})
    smiles = [smile_run(seed) for seed in range(8)]
    s = {k: np.array([x[k] for x in smiles]) for k in smiles[0]}
    where = f"{RUNS} aliased MDPs, T = {T}"
    vacuous = int((r["bound"] >= r["trivial"]).sum())
    return [
        claims.at_most(f"mixture gap - u T (eps_N + gamma_N), {where}, N = {ROUNDS}, worst",
                       float((r["mixture"] - r["bound"]).max()), 0.0,
                       note=f"tightness: median {np.median(r['mixture'] / r['bound']):.2f}; bound >= T in {vacuous} runs"),
        claims.at_most(f"gap of the last iterate <= gap of the mixture, {where}, worst difference",
                       float((r["last"] - r["mixture"]).max()), 0.0, expected="fails",
                       note=f"worse in {worse} of {RUNS} runs; above u T (eps_N + gamma_N) in {above}"),
        claims.at_most(f"min_i own loss - (eps_N + gamma_N + 2/N [n_b + T sum b_i]), {where}, beta = 2^-i, worst",
                       float(r["beta"].max()), 0.0,
                       note=f"the theorem's constant is 2; with 1, derived here, worst {r['beta_sharp'].max():.3f}"),
        claims.at_most(f"|d_mixed - d_learner|_1 / min(2, 2 T beta), {where}, worst round", float(r["apart"].max()), 1.0),
        claims.at_most(f"Forward training: gap - u T eps, {where}, worst",
                       float((r["forward"] - r["forward_bound"]).max()), 0.0,
                       note=f"tightness: median {np.median(r['forward'] / r['forward_bound']):.2f}"),
        claims.at_most("SMILe: |J(without expert) - J(pi^N)| - T^2 (1-a)^N, 8 aliased MDPs, T = 6, worst",
                       float(s["removed"].max()), 0.0,
                       note=f"schedule of its order, constants ours; expert's share {s['left'][0]:.2g}; O(T (A + eps) + 1) has no "
                            f"constant to check: gap / (T eps + 1) is at most {(s['gap'] / (6 * s['eps'] + 1)).max():.2f} here"),
    ]  # fmt: skip


def measure(mode: str, say: Callable[[str], None]) -> claims.Result:
    """Exact population: two FTL learners and a randomised one, 60 aliased MDPs, the relatives of DAgger."""
    del mode
    data: dict[str, Any] = {}
    made = _learners(data)
    say("regret of three learners")
    return claims.Result((*made, *_aliased(data, say)), data)


def plot(result: claims.Result, figure: Any) -> None:
    """gamma_N over N for the three learners; last iterate against mixture over the aliased MDPs."""
    figure.set_size_inches(9.0, 4.2)
    left, right = figure.subplots(1, 2)
    d = result.data
    left.loglog(d["n"], d["convex"], color=COLOURS[0], label="FTL, strongly convex loss: .230 / N")
    left.loglog(d["short"], d["trap"], color=COLOURS[1], label="FTL, 0-1 loss, two-action trap: .1 for ever")
    left.loglog(d["short"], np.maximum(d["descent"], 1e-6), color=COLOURS[2], label="gradient descent, same trap")
    left.set(xlabel="rounds N", ylabel="average regret gamma_N (loss)")
    left.set_title("The learner's loss decides whether regret vanishes", fontsize=9)
    legend_below(left, 1)
    mixture, last = np.array(d["mixture"]), np.array(d["last"])
    top = 1.05 * max(mixture.max(), last.max())
    worse = last > mixture + 1e-12
    right.plot([0, top], [0, top], color=GREY, lw=1)
    for mask, i, what in ((worse, 1, "worse"), (~worse, 0, "no worse")):
        label = f"last iterate {what} than the mixture: {int(mask.sum())} of {len(mask)}"
        right.plot(mixture[mask], last[mask], MARKS[i], color=COLOURS[i], ms=4, label=label)
    right.set(
        xlabel="gap of the mixture (reward)", ylabel="gap of the last iterate (reward)", xlim=(0, top), ylim=(0, top)
    )
    right.set_title(f"Aliased MDPs, T = {T}: the bound is for the mixture", fontsize=9)
    legend_below(right, 1)
