"""The analysis: the proof for behaviour cloning in four steps, and DAgger's in three."""

from __future__ import annotations

from ilbench.report.lecture.item import Item
from ilbench.report.lecture.known import Known

PART = "The analysis"


def _proof(e: Known) -> str:
    check = "lecture_proof"
    return (
        f"On random MDPs no step is exceeded (largest ratios {e.measured(check, '400', 'P(E_t^c) / sum')}, "
        f"{e.measured(check, '400', 'E[l(s_t) 1{E_t}] / eps_t')}, {e.measured(check, '400', 'E_{d_t^pihat} l / sum')}); the slide's "
        f"equality is false: {e.measured(check, 'disjoint', 'slide')} where it says {e.predicted(check, 'disjoint', 'slide')}. "
        f"All claims: {e.verdicts(check)}."
    )


def _attained(e: Known) -> str:
    check = "t03_bc_bound_attained"
    return (
        f"A deterministic learner pays {e.measured(check, 'eps = 0.01:', 'eps H(H+1)/2', digits=6)} of eps H(H+1)/2 at every H; "
        f"with the mean error in the place of the largest the slide's formula gives {e.predicted(check, 'H = 100: cost <=')} "
        f"where the cost is {e.measured(check, 'H = 100: cost <=')}."
    )


def _difference(e: Known) -> str:
    check = "t01_pdl_identity"
    return (
        f"The two sides differ by at most {e.measured(check, 'random MDPs', 'forward')} of the largest return on random MDPs; in "
        f"rollouts by {e.measured(check, 'random_mdp', 'forward', 'branch')}. With the values of step 0 at every step they differ: "
        f"{e.measured(check, 'Q_0')}."
    )


def _u(e: Known) -> str:
    check = "t06_dagger_u"
    return (
        f"u is {e.measured(check, 'u = max', 'recoverable', digits=1)} where the next step recovers and "
        f"{e.measured(check, 'u = max', 'cliff')} (the horizon) on the cliff; the gap is "
        f"{e.measured(check, 'gap <=', 'recoverable, DAgger coverage')} of at most "
        f"{e.predicted(check, 'gap <=', 'recoverable, DAgger coverage')}, and "
        f"{e.measured(check, 'gap <=', 'cliff, DAgger coverage')} of at most "
        f"{e.predicted(check, 'gap <=', 'cliff, DAgger coverage')}."
    )


def _regret(e: Known) -> str:
    check = "t07_no_regret"
    return (
        f"On a strongly convex loss N times the average regret settles at {e.measured(check, 'N gamma_N, FTL', digits=4)} "
        f"({e.claim(check, 'N gamma_N, FTL').verdict}); on the 0-1 loss of a trap it stays at "
        f"{e.measured(check, 'gamma_N of FTL')} for ever. The mixture's gap minus its bound is {e.measured(check, 'mixture gap')} "
        f"at worst; the last iterate was worse than the mixture by up to {e.measured(check, 'last iterate')}."
    )


ITEMS = (
    Item(
        "proof",
        "With at most eps error at every step of the expert's way, the cost is at most eps H(H+1)/2, in four steps.",
        "theory lecture_proof --exact",
        2.8,
        _proof,
        "theory@1/lecture_proof.svg",
        "lecture_proof",
        ("behaviour cloning bound", "four steps", "slide"),
        name="Behaviour cloning, O(eps H^2)",
    ),
    Item(
        "attained",
        "The bound is attained.",
        "theory T03",
        2.0,
        _attained,
        "theory@1/t03_bc_bound_attained.svg",
        "t03_bc_bound_attained",
        ("tight", "lower bound", "disjoint"),
        name="The bound is attained",
    ),
    Item(
        "performance_difference",
        "DAgger, step one: the performance difference lemma.",
        "theory T01 --exact",
        1.8,
        _difference,
        "theory@1/t01_pdl_identity.svg",
        "t01_pdl_identity",
        ("pdl", "kakade", "telescope"),
        name="DAgger (1): performance difference",
    ),
    Item(
        "recoverability",
        "Step two: if a mistake costs at most u afterwards, the gap is at most u T times the error on one's own states.",
        "theory T06 --exact",
        3.4,
        _u,
        "theory@1/t06_dagger_u.svg",
        "t06_dagger_u",
        ("u", "advantage", "cost of a mistake"),
        name="DAgger (2): u",
    ),
    Item(
        "no_regret",
        "Step three: no regret makes the error on one's own states small, on average over rounds.",
        "theory T07",
        3.6,
        _regret,
        "theory@1/t07_no_regret.svg",
        "t07_no_regret",
        ("regret", "online learning", "follow the leader", "mixture of iterates"),
        name="DAgger (3): no regret",
    ),
)
