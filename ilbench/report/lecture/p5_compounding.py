"""Compounding error: what brings the learner back to the data."""

from __future__ import annotations

from ilbench.report.lecture.item import Item
from ilbench.report.lecture.known import Known

PART = "Compounding error"


def _budget(e: Known) -> int:
    return min(g.budget for g in e.rows("repairs") if g.task.startswith("lane@"))


def _against_bc(e: Known, name: str) -> str:
    labels = _budget(e)
    score, bc = (e.score("repairs", "lane", who, budget=labels, head="mse") for who in (name, "bc"))
    apart = e.difference("repairs", "lane", name, "bc", budget=labels, head="mse")
    return f"On the road {name} scores {score} and bc {bc} with {labels:,} labels each: a difference of {apart}."


def _cameras(e: Known) -> str:
    return _against_bc(e, "side_view")


def _takeover(e: Known) -> str:
    return _against_bc(e, "hg_dagger")


def _dagger(e: Known) -> str:
    check = "t10_interaction_value"
    better, worse = (
        e.measured(check, "DAgger's E gap / BC's", where) for where in ("recoverable, equal", "absorbing, equal")
    )
    return (
        f"At equal labels DAgger's gap is {better} of BC's where a fall can be undone (trained: "
        f"{e.measured(check, 'trained DAgger, recoverable')} against {e.measured(check, 'E gap = 19.603')}), and up to {worse} "
        "times BC's where it cannot."
    )


def _distillation(e: Known) -> str:
    check = "t15_divergences_mip"
    rule = e.claim(check, "KL(P^p || P^q) = sum_t")
    return (
        f"The KL of trajectories is the sum of the KLs at the student's own states, to a relative "
        f"{e.measured(check, 'KL(P^p || P^q)')} ({rule.verdict}); it bounds the gap, at most "
        f"{e.measured(check, '<= R sqrt(KL / 2)')} of the bound on random MDPs."
    )


def _dart(e: Known) -> str:
    check = "t11_dart_match"
    return (
        f"Noise as large as the learner's error, {e.measured(check, 'iterated moment matching ends')}, takes the shift from "
        f"{e.measured(check, 'at eta = 0,')} to {e.measured(check, '|shift(eta*)| <= .01')}; too much makes it "
        f"{e.measured(check, 'at eta = 0.2')}. The bound by Pinsker there is {e.predicted(check, 'sqrt(KL/2), H = 40')} "
        f"({e.claim(check, 'sqrt(KL/2), H = 40').verdict})."
    )


def _ccil(e: Known) -> str:
    check = "t12_corrective_label"
    kept, wall = (
        e.claim(check, "ccil's own labels, observations"),
        e.claim(check, "ccil's own labels beside a wall"),
    )
    return (
        f"With known constants {e.measured(check, 'solved labels, 2000', digits=2)} labels miss by more than the bound, with a "
        f"learned model {e.measured(check, 'own labels, observations')} ({kept.verdict}); beside a wall, where no Lipschitz "
        f"constant exists, {e.measured(check, 'own labels beside a wall', digits=2)} do ({wall.verdict})."
    )


ITEMS = (
    Item(
        "side_cameras",
        "An early car drove because extra cameras looked to the sides and their labels steered back: labels that correct.",
        "compare side_view bc --suite repairs --tasks lane",
        4.4,
        _cameras,
        words=("side view", "lane", "corrective", "driving"),
        name="Side cameras",
    ),
    Item(
        "dagger",
        "DAgger: run the policy, ask the expert about what it saw, add that to the data, train, repeat.",
        "theory T10 --exact",
        2.2,
        _dagger,
        "theory@1/t10_interaction_value.svg",
        "t10_interaction_value",
        ("aggregation", "interactive", "ask the expert"),
        name="DAgger",
    ),
    Item(
        "distillation",
        "On-policy distillation: a divergence per state, reverse KL included, at the student's own states.",
        "theory T15 --exact",
        2.3,
        _distillation,
        "theory@1/t15_divergences_mip.svg",
        "t15_divergences_mip",
        ("on-policy distillation", "teacher", "student", "chain rule"),
        name="On-policy distillation",
    ),
    Item(
        "takeover",
        "People label badly after the fact: in HG-DAgger the human takes over for a while, and one learns from the takeover.",
        "compare hg_dagger bc --suite repairs --tasks lane",
        4.5,
        _takeover,
        words=("hg-dagger", "human", "intervention", "gate"),
        name="HG-DAgger: takeovers",
    ),
    Item(
        "dart",
        "DART: noise while demonstrating, of the learner's own size by maximum likelihood, so that the expert shows how to correct.",
        "theory T11 --exact",
        2.4,
        _dart,
        "theory@1/t11_dart_match.svg",
        "t11_dart_match",
        ("noise injection", "noise"),
        name="DART: noise injection",
    ),
    Item(
        "corrective_labels",
        "CCIL: states near the data whose outcome under a model is a demonstrated state, trusted where the model is smooth.",
        "theory T12 --exact",
        2.2,
        _ccil,
        "theory@1/t12_corrective_label.svg",
        "t12_corrective_label",
        ("ccil", "lipschitz", "augmentation", "backtrack"),
        name="CCIL: corrective labels",
    ),
)
