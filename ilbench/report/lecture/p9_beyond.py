"""Beyond the lecture: checks of what it does not say."""

from __future__ import annotations

from ilbench.report.lecture.item import Item
from ilbench.report.lecture.known import Known

PART = "Beyond the lecture"


def _ladder(e: Known) -> str:
    check = "t04_bound_ladder"
    return (
        f"On random MDPs the cost reaches {e.measured(check, 'MDPs of 0-1 cost / B3')} of the sharpest bound; cartpole cloned: "
        f"{e.measured(check, 'cartpole', '0-1 cost <= B1').split(' ')[0]} mistakes, B3 "
        f"{e.predicted(check, 'cartpole', '0-1 cost <= B3')}, B1 {e.predicted(check, 'cartpole', '0-1 cost <= B1')} "
        f"({e.claim(check, 'cartpole', '0-1 cost <= B1').verdict})."
    )


def _free(e: Known) -> str:
    check = "t08_horizon_free"
    return (
        f"The gap is {e.measured(check, 'gap / (R D_H^2)', 'eps = 0.0001')} of R D_H^2 on the cliff with one reward at the end. "
        f"All claims: {e.verdicts(check)}."
    )


def _rates(e: Known) -> str:
    check = "t09_sample_rates"
    return (
        f"The gap falls with N to the power {e.measured(check, 'slope in N = -.964')} where rare states are as rare as N, and "
        f"{e.measured(check, 'slope in N is -1')} with a fixed law: the rate is of the worst case."
    )


def _stability(e: Known) -> str:
    check = "t13_stability_regimes"
    return (
        f"Replaying the expert's actions a kick of the inverted pendulum grows at a rate of "
        f"{e.measured(check, 'actions replayed')} a step (log); with feedback it decays at {e.measured(check, 'log decay')}."
    )


def _aggrevate(e: Known) -> str:
    check = "t16_aggrevate_vs_dagger"
    return (
        f"With {e.measured(check, 'mistakes on', 'DAgger')} mistakes a step DAgger's action costs {e.measured(check, 's cost = H')}; "
        f"AggreVaTe's makes {e.measured(check, 'mistakes on', 'AggreVaTe')} and costs {e.measured(check, 's cost = 0')}."
    )


ITEMS = (
    Item(
        "ladder",
        "Bounds from expert rollouts alone, from sharp to loose.",
        "theory T04 --exact",
        2.4,
        _ladder,
        "theory@1/t04_bound_ladder.svg",
        "t04_bound_ladder",
        ("bounds", "certificate", "vacuous"),
        name="The ladder of bounds",
    ),
    Item(
        "horizon_free",
        "With log loss and one table for all steps the gap has no horizon of its own.",
        "theory T08 --exact",
        4.1,
        _free,
        "theory@1/t08_horizon_free.svg",
        "t08_horizon_free",
        ("hellinger", "log loss"),
        name="Without a horizon",
    ),
    Item(
        "sample_rates",
        "How many demonstrations: S H^2 / N for a table per step.",
        "theory T09 --exact",
        2.1,
        _rates,
        "theory@1/t09_sample_rates.svg",
        "t09_sample_rates",
        ("sample complexity", "rate in n"),
        name="How many demonstrations",
    ),
    Item(
        "stability",
        "Continuous actions: errors die out, add up or explode with the plant and with what feeds back.",
        "theory T13 --exact",
        1.9,
        _stability,
        "theory@1/t13_stability_regimes.svg",
        "t13_stability_regimes",
        ("unstable", "feedback", "lyapunov"),
        name="Regimes of stability",
    ),
    Item(
        "cost_to_go",
        "Fewest mistakes is not least cost: AggreVaTe weighs them by what they cost.",
        "theory T16",
        2.1,
        _aggrevate,
        "theory@1/t16_aggrevate_vs_dagger.svg",
        "t16_aggrevate_vs_dagger",
        ("aggrevate",),
        name="AggreVaTe: cost to go",
    ),
)
