"""Performance difference: J(pi) - J(pi') = sum_t E_{s ~ d_t^pi}[Q_t^{pi'}(s, pi) - V_t^{pi'}(s)], and the same with the
roles reversed.

An identity for any two policies of any finite-horizon MDP; J is the expected return, Q and V are time-dependent.
Step 1 of the lecture's proof for DAgger: it turns the gap into a sum over the learner's own states.

In rollouts the term of step t is a difference of two returns: follow pi up to and including t, then pi', against
following pi up to t - 1, then pi'. Each term gets random numbers of its own, so that the sum does not telescope.

Source: Kakade and Langford 2002, Approximately optimal approximate reinforcement learning, ICML; in this form the
lecture and Ross, Gordon and Bagnell 2011, https://arxiv.org/abs/1011.0686
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ilbench import registry
from ilbench.claims import Mode, Result, at_most, equivalent
from ilbench.exact import dp
from ilbench.exact.mdp import MDP
from ilbench.report.style import COLOURS, GREY
from ilbench.theory import _random

MODES = ("exact", "monte-carlo")
INSTANCES, STATES, ACTIONS, HORIZON = 50, 20, 5, 50
BRANCHES, EPISODES, BATCHES, MARGIN = 8, 40_000, 20, 0.1  # steps, rollouts a policy, groups for the standard error


def sides(mdp: MDP, pi: Any, other: Any, H: int) -> tuple[float, float, float]:
    """J(pi) - J(other), its forward expansion over d^pi, and its reversed expansion over d^other."""
    gap = dp.total_return(mdp, pi, H) - dp.total_return(mdp, other, H)
    Q_other, Q_pi = dp.q_values(mdp, other, H), dp.q_values(mdp, pi, H)
    d_pi, d_other = dp.occupancy(mdp, pi, H), dp.occupancy(mdp, other, H)
    advantage = ((pi - other) * Q_other).sum(-1)
    disadvantage = ((pi - other) * Q_pi).sum(-1)
    return gap, float((d_pi * advantage).sum()), float((d_other * disadvantage).sum())


def _residuals(mdp: MDP, pi: Any, other: Any, H: int) -> tuple[float, float]:
    gap, forward, reverse = sides(mdp, pi, other, H)
    scale = max(1.0, abs(dp.total_return(mdp, pi, H)), abs(dp.total_return(mdp, other, H)))
    return abs(gap - forward) / scale, abs(gap - reverse) / scale


def _exact() -> Result:
    rng = np.random.default_rng(1)
    random = []
    for _ in range(INSTANCES):
        mdp = _random.mdp(rng, STATES, ACTIONS)
        pi, other = (_random.policy(rng, HORIZON, STATES, ACTIONS) for _ in range(2))
        random.append(_residuals(mdp, pi, other, HORIZON))
    tasks = {}
    for task, mdp, expert in _random.tabular(HORIZON):
        actions = mdp.R.shape[1]
        learner = _random.erring(rng, expert, actions, 0.5)
        tasks[task.id] = _residuals(mdp, learner, np.eye(actions)[expert], HORIZON)
    worst = np.max(random, axis=0), np.max(list(tasks.values()), axis=0)
    where = f"{INSTANCES} random MDPs, S = {STATES}, A = {ACTIONS}, H = {HORIZON}"
    claims = tuple(
        at_most(f"|J(pi) - J(pi') - {form} expansion| <= 1e-12 of scale: {what}", float(w[i]), 1e-12, slack=0.0)
        for w, what in zip(worst, (where, f"{len(tasks)} tabular tasks, H = {HORIZON}"), strict=True)
        for i, form in enumerate(("forward", "reversed"))
    )
    forward, reverse = (list(map(float, column)) for column in zip(*random, *tasks.values(), strict=True))
    return Result(claims, {"forward": forward, "reversed": reverse})


def _switching(pi: Any, other: Any, H: int) -> np.ndarray:
    """Tables `[H + 1, H, S, A]`: policy k follows pi before step k and `other` from then on."""
    return np.stack([np.where(np.arange(H)[:, None, None] < k, pi, other) for k in range(H + 1)])


def _monte_carlo(say: Any) -> Result:
    from ilbench.theory._tables import rolled, stacked_tables

    H = BRANCHES
    task = registry.task("random_mdp", H)
    assert task.mdp is not None
    mdp = task.mdp()
    expert = np.broadcast_to(np.asarray(task.expert.params), (H, len(mdp.rho)))
    rng, eye = np.random.default_rng(2), np.eye(mdp.R.shape[1])
    pi, other = _random.erring(rng, expert, mdp.R.shape[1], 0.8), eye[expert]
    tables = _switching(pi, other, H)
    say(f"{2 * H + 2} policies x {EPISODES} episodes")
    # lhs: pi and pi'. rhs: for every t a pair of policies of its own, so that nothing cancels by construction.
    order = np.concatenate([[H, 0], *([k + 1, k] for k in range(H))])
    reward = rolled(task, stacked_tables(tables[order]), len(order), EPISODES, "t01")["reward"].sum(-1)
    pairs = (reward[0::2] - reward[1::2]).reshape(H + 1, BATCHES, -1).mean(-1)  # `[1 + H, batches]`
    residual = pairs[0] - pairs[1:].sum(0)
    mean, half = float(residual.mean()), 1.729 * float(residual.std(ddof=1)) / np.sqrt(BATCHES)
    exact = sides(mdp, pi, other, H)
    claim = equivalent(
        f"J(pi) - J(pi') - sum of branch rollouts = 0 +- {MARGIN:g}: random_mdp, H = {H}", 0.0, mean,
        (mean - half, mean + half), MARGIN, EPISODES, kind="T",
        note=f"gap {pairs[0].mean():.3f}, exact {exact[0]:.3f}; {EPISODES} episodes for each of {2 * H + 2} policies",
    )  # fmt: skip
    terms = [
        (((pi - other) * dp.q_values(mdp, other, H)).sum(-1) * dp.occupancy(mdp, pi, H))[t].sum() for t in range(H)
    ]
    se = pairs.std(1, ddof=1) / np.sqrt(BATCHES)
    data = {"branch_exact": list(map(float, terms)), "branch": pairs[1:].mean(1).tolist(), "branch_se": se[1:].tolist()}
    return Result((claim,), data)


def measure(mode: Mode, say: Any) -> Result:
    """Both directions in float64 on random and on all tabular tasks; the forward one by branch rollouts."""
    return _exact() if mode == "exact" else _monte_carlo(say)


def plot(result: Result, figure: Any) -> None:
    """Histogram of residuals; the terms of the sum, exact and from rollouts."""
    data = result.data
    figure.set_size_inches(8.4, 3.6)
    left, right = figure.subplots(1, 2)
    if "forward" in data:
        bins = np.linspace(-18, -11.5, 27)
        for name, colour in (("forward", COLOURS[0]), ("reversed", COLOURS[1])):
            left.hist(np.log10(np.maximum(data[name], 1e-18)), bins, histtype="step", color=colour, lw=1.5, label=name)
        left.axvline(-12, color=GREY, ls="--", lw=1)
        left.legend(frameon=False, fontsize=8)
    left.set(xlabel="log10 of |lhs - rhs| / scale", ylabel="instances", title="An identity, to rounding (line: 1e-12)")
    if "branch" in data:
        t = np.arange(1, len(data["branch"]) + 1)
        right.errorbar(
            t,
            data["branch"],
            1.96 * np.asarray(data["branch_se"]),
            fmt="o",
            color=COLOURS[0],
            ms=4,
            capsize=2,
            label="branch rollouts, 95 %",
        )
        right.plot(t, data["branch_exact"], "_", color=COLOURS[1], ms=14, label="exact")
        right.legend(frameon=False, fontsize=8)
    right.set(xlabel="step t", ylabel="return lost by deviating at t", title="The terms of the sum, random_mdp")
