"""What is wanted: few mistakes on one's own states, and the two ways to fail."""

from __future__ import annotations

from ilbench.report.lecture.item import Item
from ilbench.report.lecture.known import Known

PART = "What is wanted"


def _own(e: Known) -> str:
    page = e.compounding()
    telling = [s for s in page.sentences if "compounds" in s.words]
    most = max(telling, key=lambda s: _ratio(page, s.task))
    return (
        f"On {len(telling)} of {len(page.sentences)} tasks bc makes more mistakes on its own states than on the expert's, at "
        f"eps = {page.target:g}; most on {most.task.split('@')[0]}, where it {most.bc}."
    )


def _ratio(page, task: str) -> float:  # type: ignore[no-untyped-def]
    return max(r.ratio.value for r in page.rows if r.task == task and r.algorithm == "bc" and r.ratio is not None)


def _tightrope(e: Known) -> str:
    check = "t02_bc_closed_form"
    exact = e.claim(check, "max |cost by dynamic programming / closed form - 1| = 0", "cliff")
    rolled = e.claim(check, "rollouts: slope", "cliff")
    return (
        f"Falling off and staying down costs its closed form to a relative {e.measured(check, 'closed form - 1|', 'cliff')} "
        f"({exact.verdict}); in rollouts the cost grows with H to the power {e.measured(check, 'rollouts: slope', 'cliff')}, "
        f"predicted {e.predicted(check, 'rollouts: slope', 'cliff')} ({rolled.verdict})."
    )


def _sources(e: Known) -> str:
    check = "t05_exponent_budget"

    def slope(task: str, who: str) -> str:
        return e.measured(check, "slope of gap,", f"{task}, {who} coverage")

    return (
        f"With the error on the expert's states held fixed, the gap grows with H to the power {slope('recoverable', 'BC')} by "
        f"states that were never shown, {slope('recoverable', 'DAgger')} once they are shown, and still "
        f"{slope('cliff', 'DAgger')} where a fall is final."
    )


ITEMS = (
    Item(
        "own_states",
        "What counts is the expected number of mistakes on the states that the learner itself comes to.",
        "compounding",
        5.9,
        _own,
        picture="compounding@1/compounding.svg",
        words=("covariate shift", "distribution shift", "mistakes", "0-1 cost"),
        name="On one's own states",
    ),
    Item(
        "tightrope",
        "The tightrope: an error of eps a step, and if you fall off, assume the worst: O(eps H^2).",
        "theory T02 --exact",
        2.1,
        _tightrope,
        picture="theory@1/t02_bc_closed_form.svg",
        check="t02_bc_closed_form",
        words=("cliff", "quadratic", "fall"),
        name="The tightrope",
    ),
    Item(
        "two_sources",
        "Two sources of trouble: underfitting, which keeps eps large, and compounding, which makes eps H^2 of a small one.",
        "theory T05 --exact",
        2.4,
        _sources,
        picture="theory@1/t05_exponent_budget.svg",
        check="t05_exponent_budget",
        words=("exponents", "underfitting", "compounding error"),
        name="Two sources of trouble",
    ),
)
