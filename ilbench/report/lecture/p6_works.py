"""Why behaviour cloning works anyway today: chunks of actions, and networks that iterate."""

from __future__ import annotations

from ilbench.display.tables import interval
from ilbench.report.lecture.item import Item
from ilbench.report.lecture.known import Absent, Known
from ilbench.report.replication.verdicts import mean

PART = "Why cloning works anyway"


def _chunking(e: Known) -> str:
    check = "t14_pitfall_and_chunk"
    first = e.claim(check, "scalar .9 under model -.9: chunks contract from l")
    return (
        f"A wrong model's errors shrink from chunks of {e.measured(check, 'scalar .9', 'chunks contract from l', digits=1)} "
        f"actions on ({first.verdict}), and of {e.measured(check, 'plant 1 under plant', 'chunks contract', digits=2)} on the "
        f"stable pair; on an unstable plant the spread inside a chunk grows to {e.measured(check, 'sd after 32 open-loop')} from "
        f"the noise alone. On halfcheetah chunks hurt: {e.score('replication', 'halfcheetah', 'bc', policy__chunk=4)} open loop, "
        f"{e.score('replication', 'halfcheetah', 'bc', policy__chunk=None)} one action at a time."
    )


def _noising(e: Known) -> str:
    check = "t15_divergences_mip"
    claims = [_factorial(e, case) for case in ("two-sided", "one-sided")]
    return (
        "Peg in a slot, MIP as in the paper against regression: "
        + "; ".join(
            f"{case} expert {e.measured(check, case, 'MIP (paper) succeeds more often than regression', digits=2)} ({c.verdict})"
            for case, c in zip(("two-sided", "one-sided"), claims, strict=True)
        )
        + f". The whole check: {e.verdicts(check)}."
    )


def _factorial(e: Known, case: str):  # type: ignore[no-untyped-def]
    return e.claim("t15_divergences_mip", case, "MIP (paper) succeeds more often than regression")


def _executed(e: Known, setting: str) -> str:
    """What chunks with a setting of their execution score, by the suite that has them."""
    rows = [g for g in e.rows("replication") if g.algorithm == "bc" and g.config.get(setting)]
    if not rows:
        raise Absent(f"no theorem is known, and no record has {setting}: the command makes two")
    return "; ".join(f"{g.task} {g.label}: {interval(*mean(g))}" for g in rows) + "."


def _ensembling(e: Known) -> str:
    return _executed(e, "policy.decay")


def _delayed(e: Known) -> str:
    return _executed(e, "policy.delay")


ITEMS = (
    Item(
        "chunking",
        "Predict a chunk of actions and execute it open loop.",
        "theory T14 --exact",
        2.1,
        _chunking,
        "theory@1/t14_pitfall_and_chunk.svg",
        "t14_pitfall_and_chunk",
        ("chunk", "open loop", "pitfall"),
        name="Action chunking",
    ),
    Item(
        "temporal_ensembling",
        "A chunk at every step, and the mean of what all of them say of now.",
        "run quick --tasks pendulum --algorithms bc --seeds 0-1 --set policy.chunk=4 --set policy.decay=0.01 --set policy.execute=1 "
        "--set fit.updates=2000 --out lecture-runs",
        16.0,
        _ensembling,
        words=("ensemble", "act"),
    ),
    Item(
        "real_time_chunking",
        "Under a delay of inference the first actions of a chunk are frozen and the rest is filled in.",
        "run quick --tasks pendulum --algorithms bc --seeds 0-1 --set policy.chunk=4 --set policy.delay=1 --set fit.updates=2000 "
        "--out lecture-runs",
        10.0,
        _delayed,
        words=("rtc", "delay", "inpainting", "latency"),
        name="Real-time chunking",
    ),
    Item(
        "noising",
        "Much Ado About Noising: generative policies win by noise in training and supervised iteration, not by having many modes.",
        "theory T15 --monte-carlo",
        26.0,
        _noising,
        "theory@1/t15_divergences_mip.svg",
        "t15_divergences_mip",
        ("mip", "much ado", "flow against regression", "factorial"),
        name="Much Ado About Noising",
    ),
)
