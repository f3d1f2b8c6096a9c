"""Fewest mistakes is not least cost: DAgger's best action costs H - 3/2, AggreVaTe's costs 0 with more mistakes.

Contexts are drawn afresh every step: harmless with probability .6 (the expert plays 1, both actions are safe), edge
with .4 (the expert plays 0, action 1 falls for ever, cost 1 a step). The class is one action for all contexts.

DAgger minimises 1{a != pi*(s)}: action 0 errs on .6 of the states and action 1 on .4, so follow-the-leader plays 1
and falls at rate .4: cost H - (1-e)(1-(1-e)^H)/e at e = .4, which is H - 3/2 up to (.6)^H.
AggreVaTe minimises the expert's cost-to-go Q*_t(s, a): action 1 costs H - t more at an edge, action 0 never does.
By the performance difference lemma sum_t E_{d_t^a}[Q*_t(s, a) - V*_t(s)] IS the gap of action a, and a = 0 has none.

Caveat, also checked: what the expert says after a fall matters. Fallen, all actions are equal. If its label there is
1 (or none), follow-the-leader stays with 1 from the first round; if it is 0, the fallen steps teach it action 0.

Source: Ross and Bagnell 2014, Reinforcement and imitation learning via interactive no-regret learning,
https://arxiv.org/abs/1406.5979. The bound there in rounds and samples has an O(.) and no constant to check.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ilbench.exact import closed_forms, dp
from ilbench.exact.mdp import MDP, Floats, check
from ilbench.stats.claims import Result, at_most, equal

MODES = ("exact",)
WORDS = ("aggrevate", "cost_to_go")
H, EDGE, ROUNDS = 100, 0.4, 200
EDGES = np.arange(1, 20) / 40  # share of edge contexts shown in the picture: below a half


class Choice(NamedTuple):
    """What follow-the-leader plays in its last round, and what that costs."""

    dagger: int
    aggrevate: int


def instance(edge: float, fallen_label: int = 1) -> tuple[MDP, Any]:
    """States harmless, edge, fallen; reward is minus cost; and the expert's table `[3]`."""
    fresh = np.array([1 - edge, edge, 0.0])
    P = np.zeros((3, 2, 3))
    P[0] = P[1, 0] = fresh
    P[1, 1, 2] = P[2, :, 2] = 1.0
    return check(MDP(P, -P[..., 2], fresh)), np.array([1, 0, fallen_label])


def losses(mdp: MDP, expert: Any, action: int) -> tuple[Floats, Floats]:
    """Mistakes `[2]` and excess cost-to-go `[2]` of both actions, summed over the states that `action` visits."""
    d = dp.occupancy(mdp, np.full(3, action), H)
    Q = dp.q_values(mdp, expert, H)
    excess = np.take_along_axis(Q, np.broadcast_to(expert, (H, 3))[..., None], -1) - Q
    wrong = expert[:, None] != np.arange(2)
    return d.sum(0) @ wrong, np.einsum("hs,hsa->a", d, excess)


def follow_the_leader(edge: float, fallen_label: int = 1) -> Choice:
    """Exact population losses of ROUNDS rounds, aggregated; round 0 is on the expert's states. Ties: lowest action."""
    mdp, expert = instance(edge, fallen_label)
    by_action = [losses(mdp, expert, a) for a in range(2)]
    demos, Q = dp.occupancy(mdp, expert, H), dp.q_values(mdp, expert, H)
    first = (
        demos.sum(0) @ (expert[:, None] != np.arange(2)),
        np.einsum("hs,hsa->a", demos, Q.max(-1, keepdims=True) - Q),
    )
    played = []
    for which in range(2):
        total = first[which].copy()
        for _ in range(ROUNDS):
            total += by_action[int(total.argmin())][which]
        played.append(int(total.argmin()))
    return Choice(*played)


def cost(edge: float, action: int) -> float:
    """Total cost of one action for all contexts."""
    return -dp.total_return(instance(edge)[0], np.full(3, action), H)


def measure(mode: str, say: Any) -> Result:
    """The instance of the module's docstring at H = 100."""
    del mode, say
    mdp, expert = instance(EDGE)
    chosen, other = follow_the_leader(EDGE), follow_the_leader(EDGE, fallen_label=0)
    wrong = [float(dp.expert_errors(mdp, np.full(3, a), expert, H).mean()) for a in chosen]
    J = [cost(EDGE, a) for a in chosen]
    formula = float(closed_forms.cliff(EDGE, H))
    excess = float(losses(mdp, expert, chosen.dagger)[1][chosen.dagger])
    many = f"exact follow-the-leader, {ROUNDS} rounds"
    claims = (
        equal("60/40 contexts: DAgger's action is 1", 1, chosen.dagger, tolerance=0, note=many),
        equal("60/40 contexts: AggreVaTe's action is 0", 0, chosen.aggrevate, tolerance=0, note=many),
        equal("DAgger's cost = H - (1-e)(1-(1-e)^H)/e, e = .4, H = 100", formula, J[0], tolerance=1e-10),
        equal("AggreVaTe's cost = 0 = the expert's", 0.0, J[1], tolerance=1e-12),
        equal("DAgger's mistakes on the expert's states = .4", 0.4, wrong[0], tolerance=1e-12),
        equal("AggreVaTe's mistakes on the expert's states = .6", 0.6, wrong[1], tolerance=1e-12),
        equal("excess cost-to-go on own states = gap, of DAgger's action", J[0], excess, tolerance=1e-10),
        at_most(
            "fewer 0-1 mistakes never cost more: J(.4 mistakes) <= J(.6 mistakes)", J[0], J[1], expected="fails",
            note="the two losses rank the class in opposite orders",
        ),
        equal(
            "if a fallen expert says 0, DAgger's last action is 0", 0, other.dagger, tolerance=0,
            note="labels of fallen states decide: the instance needs them to say 1, or to be absent",
        ),
    )  # fmt: skip
    picks = [follow_the_leader(e) for e in EDGES]
    return Result(
        claims,
        {
            "edge": EDGES.tolist(),
            "dagger_cost": [cost(e, p.dagger) for e, p in zip(EDGES, picks, strict=True)],
            "aggrevate_cost": [cost(e, p.aggrevate) for e, p in zip(EDGES, picks, strict=True)],
            "dagger_wrong": [float(e if p.dagger else 1 - e) for e, p in zip(EDGES, picks, strict=True)],
            "aggrevate_wrong": [float(e if p.aggrevate else 1 - e) for e, p in zip(EDGES, picks, strict=True)],
        },
    )


def plot(result: Result, figure: Any) -> None:
    """Mistakes and cost against the share of edges."""
    from ilbench.display.style import COLOURS, MARKS, legend_below

    d = result.data
    left, right = figure.subplots(1, 2)
    for axis, what, unit in ((left, "wrong", "mistakes per expert state"), (right, "cost", "cost per episode (steps)")):
        for i, name in enumerate(("dagger", "aggrevate")):
            label = ("DAgger: fewest mistakes", "AggreVaTe: least cost-to-go")[i]
            axis.plot(d["edge"], d[f"{name}_{what}"], color=COLOURS[i], marker=MARKS[i], ms=3.5, label=label)
        axis.set_xlabel("share of edge contexts")
        axis.set_ylabel(unit)
        axis.set_ylim(bottom=-0.02 * (100 if what == "cost" else 1))
        legend_below(axis, 1)
    figure.suptitle("One action for all contexts, H = 100: the one with fewer mistakes falls", fontsize=10)
