"""The lecture's proof, step by step: P(a mistake before t) <= (t-1) e, E[l(s_t) 1{none before t}] <= eps_t, so step t
costs at most t e, and the sum is at most e H(H+1)/2.

Let E_t say that the learner made no mistake in its first t - 1 steps, l(s) = 1[pihat(s) != pi*(s)], and eps_t the loss at
step t on the expert's states. (1) The loss of step t splits into that on E_t and that on its complement; (2) P(not E_t) <=
sum_{i<t} eps_i; (3) E[l(s_t) 1{E_t}] <= eps_t; (4) the loss of step t is at most sum_{i<=t} eps_i <= t max eps; (5) sum.

The slide writes (3) as an equality of a conditional expectation, E[l(s_t) | E_t] = E_{d_t^{pi*}}[l]. That is false: the
learner that has made no mistake is seen where it makes none. Two start states, a learner that errs at step 1 in the first
and at step 2 in the second: given no mistake at step 1 it is in the second state for sure and errs with probability 1,
while eps_2 = 1/2. The theorem stands, and this instance attains it: loss 1.5 = eps 3 at H = 2. Ross and Bagnell's own proof
conditions correctly.

Source: the lecture; Ross and Bagnell 2010, https://proceedings.mlr.press/v9/ross10a.html
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ilbench import registry
from ilbench.claims import Mode, Result, at_most, at_most_estimated, equal
from ilbench.exact import dp
from ilbench.exact.mdp import MDP
from ilbench.report.style import COLOURS, GREY, legend_below
from ilbench.theory import _random

MODES = ("exact", "monte-carlo")
INSTANCES, HORIZON = 400, 12
TASK, STEPS, DEMONSTRATIONS, SEEDS, EPISODES = "gridworld", 30, 10, 20, 128


class Proof(NamedTuple):
    """Both sides of every step of the proof, per t `[H]`."""

    fallen: Any  # P(not E_t), a mistake in the first t - 1 steps of the learner's rollout
    loss_on_event: Any  # E[l(s_t) 1{E_t}]
    loss: Any  # E[l(s_t)], the learner's own states
    eps: Any  # E_{d_t^{pi*}}[l]


def steps(mdp: MDP, learner: Any, expert: Any, H: int) -> Proof:
    """The exact quantities of the proof; `learner` probabilities `[H, S, A]`, `expert` a table `[H, S]`."""
    first = dp.first_mistake(mdp, learner, expert, H)
    before = np.cumsum(first) - first
    return Proof(
        before, first, dp.expected_mistakes(mdp, learner, expert, H), dp.expert_errors(mdp, learner, expert, H)
    )


def slack(proof: Proof) -> dict[str, float]:
    """The largest excess of left over right at any t, by step of the proof: at most 0 up to rounding."""
    reached, t = np.cumsum(proof.eps), np.arange(1, len(proof.eps) + 1)
    most = float(np.max(proof.eps))
    return {
        "P(not E_t) <= sum_{i<t} eps_i": float(np.max(proof.fallen - (reached - proof.eps))),
        "E[l(s_t) 1{E_t}] <= eps_t": float(np.max(proof.loss_on_event - proof.eps)),
        "E[l(s_t)] <= sum_{i<=t} eps_i": float(np.max(proof.loss - reached)),
        "E[l(s_t)] <= t max_i eps_i": float(np.max(proof.loss - t * most)),
        "sum_t E[l(s_t)] <= max eps H(H+1)/2": float(proof.loss.sum() - most * t.sum()),
    }


def slip() -> tuple[MDP, np.ndarray, np.ndarray]:
    """The instance that breaks the slide's equality: two states that stay, half the mass each; learner and expert tables."""
    P = np.zeros((3, 2, 3))
    P[0, 0, 0] = P[1, 0, 1] = 1.0
    P[0, 1, 2] = P[1, 1, 2] = P[2, :, 2] = 1.0
    mdp = MDP(P, np.zeros((3, 2)), np.array([0.5, 0.5, 0.0]))
    return mdp, np.array([[1, 0, 1], [0, 1, 1]]), np.zeros((2, 3), np.int64)


def _exact() -> Result:
    rng = np.random.default_rng(3)
    worst: dict[str, float] = {}
    for _ in range(INSTANCES):
        S, A = int(rng.integers(2, 7)), int(rng.integers(2, 5))
        mdp, expert = _random.mdp(rng, S, A), rng.integers(0, A, (HORIZON, S))
        found = slack(steps(mdp, _random.erring(rng, expert, A, rng.random()), expert, HORIZON))
        worst = {k: max(v, worst.get(k, -np.inf)) for k, v in found.items()}
    tasks = dict.fromkeys(worst, -np.inf)
    count = 0
    for _, mdp, expert in _random.tabular(30):
        count += 1
        found = slack(steps(mdp, _random.erring(rng, expert, mdp.R.shape[1], 0.2), expert, 30))
        tasks = {k: max(v, tasks[k]) for k, v in found.items()}
    claims = [
        at_most(f"{k}: {INSTANCES} random MDPs, every t", v, 0.0, note="largest excess") for k, v in worst.items()
    ]
    claims += [at_most(f"{k}: {count} tabular tasks, H = 30", v, 0.0, note="largest excess") for k, v in tasks.items()]
    mdp, learner, expert = slip()
    proof = steps(mdp, np.eye(2)[learner], expert, 2)
    given = float(proof.loss_on_event[1] / (1 - proof.fallen[1]))
    note = f"E[l(s_2) | E_2] = {given:.1f}, eps_2 = {proof.eps[1]:.1f}"
    claims.append(
        equal(
            "E[l(s_t) | E_t] = E_{d*_t}[l], the slide's equality: two states, H = 2",
            float(proof.eps[1]),
            given,
            tolerance=1e-12,
            expected="fails",
            note=note,
        )
    )
    claims.append(
        equal(
            "the same instance attains the theorem: loss 1.5 = eps H(H+1)/2",
            1.5,
            float(proof.loss.sum()),
            tolerance=1e-12,
        )
    )
    task = registry.task("cliff", 40)
    assert task.mdp is not None
    shown = steps(task.mdp(), np.array([[0.99, 0.01], [0.0, 1.0]]), np.zeros(2, np.int64), 40)
    return Result(tuple(claims), {name: np.asarray(x).tolist() for name, x in shown._asdict().items()})


def _monte_carlo(say: Any) -> Result:
    """A trained table on the product's gridworld, few demonstrations; both sides estimated, paired by training seed."""
    from ilbench.evidence import held_out_errors
    from ilbench.fit import FitConfig
    from ilbench.heads import table as head_module
    from ilbench.lab import Lab, rows
    from ilbench.theory._tables import rolled

    task = registry.task(TASK, STEPS)
    head = head_module.make(task, head_module.Config())
    lab = Lab(task, head, tuple(range(SEEDS)), DEMONSTRATIONS * STEPS, FitConfig())
    say(f"{SEEDS} tables from {DEMONSTRATIONS} demonstrations each")
    policy = lab.policy(lab.fit(rows(lab.demonstrate(DEMONSTRATIONS)))[0])
    own = rolled(task, policy, SEEDS, EPISODES, "proof/own")["mistakes"]
    say("held-out expert rollouts")
    expert = rolled(task, policy, SEEDS, EPISODES, "proof/expert", beta=1.0)
    from ilbench.types import Demos

    eps = held_out_errors(task, policy, tuple(range(SEEDS)), Demos(obs=expert["obs"], label=expert["label"])) > 0
    first = np.cumsum(own, axis=-1) == 0  # no mistake up to and including t
    before = np.concatenate([np.ones_like(first[..., :1]), first[..., :-1]], axis=-1)
    at = (1, 4, 9, 19, STEPS - 1)  # steps, from 0
    claims = []
    for t in at:
        left, right = (1 - before[..., t]).mean(1), eps[..., :t].mean(1).sum(-1)
        claims.append(
            at_most_estimated(f"P(not E_{t + 1}) <= sum_{{i<{t + 1}}} eps_i: {TASK}, trained tables", left, right, 1.0)
        )
    loss, bound = own.mean(1).sum(-1), np.minimum(1, np.cumsum(eps.mean(1), -1)).sum(-1)
    claims.append(
        at_most_estimated(
            f"sum_t E[l(s_t)] <= sum_t min(1, sum_{{i<=t}} eps_i): {TASK}, trained tables", loss, bound, float(STEPS)
        )
    )
    return Result(tuple(claims), {})


def measure(mode: Mode, say: Any) -> Result:
    """Every step of the proof at every t, exactly on random and tabular MDPs, and with trained tables in rollouts."""
    return _exact() if mode == "exact" else _monte_carlo(say)


def plot(result: Result, figure: Any) -> None:
    """The steps of the proof over t on the cliff."""
    data = result.data
    if "eps" not in data:
        return
    axis = figure.subplots()
    eps = np.array(data["eps"])
    t = np.arange(1, len(eps) + 1)
    pairs = (
        ("fallen", np.cumsum(eps) - eps, "P(not E_t)", "sum_{i<t} eps_i"),
        ("loss_on_event", eps, "E[l(s_t) 1{E_t}]", "eps_t"),
        ("loss", np.cumsum(eps), "E[l(s_t)]", "sum_{i<=t} eps_i"),
    )
    for i, (name, bound, left, right) in enumerate(pairs):
        axis.plot(t, data[name], color=COLOURS[i], lw=1.5, label=left)
        axis.plot(t, bound, color=COLOURS[i], lw=1, ls="--", label=f"<= {right}")
    axis.axhline(0, color=GREY, lw=0.5)
    axis.set(
        xlabel="step t", ylabel="probability", title="The proof on the cliff, e = .01: each line below its dashed bound"
    )
    legend_below(axis, 3)
