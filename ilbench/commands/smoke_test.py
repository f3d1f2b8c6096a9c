"""`ilbench smoke`: does my algorithm work?"""

from __future__ import annotations

import pathlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from tyro.conf import Positional, UseAppendAction

from ilbench.commands.output import emit, table


class Known(NamedTuple):
    """A task whose answer is known, and what whoever learns from these labels reaches there."""

    task: str
    head: str
    labels: int
    least: float  # score of either seed
    why: str


# On both chains the expert is in one state for ever: one label of it is all that there is to know, and cost is 0 exactly.
KNOWN = (
    Known("cliff", "table", 300, 0.999, "the labels cover the one state that the expert visits"),
    Known("recoverable", "table", 300, 0.999, "the labels cover the one state that the expert visits"),
    Known("gridworld", "table", 1200, 0.5, "twelve demonstrations cover most of the states that the expert visits"),
    Known("scalar_stable", "linear", 400, 0.99, "expert and head are linear"),
)
SEEDS = (0, 1)


@dataclass(frozen=True)
class Smoke:
    """Hold an algorithm against tasks with known answers, and say in words what is wrong; under a minute.

    ilbench smoke bc; ilbench smoke ./mine.py --set mine.share=0.5
    """

    name: Positional[str]
    """An algorithm's name, or the file of one that nobody has installed yet."""
    set: UseAppendAction[tuple[str, ...]] = ()
    """Change a field of its config, or of fit, e.g. --set mine.share=0.5 --set fit.updates=500."""
    json: bool = False
    """Print JSON."""

    def execute(self) -> int:
        """Trains on a few small tasks; exit code 3 where something is wrong."""
        from ilbench import plugins, registry
        from ilbench.compute.parallel import setup
        from ilbench.running import select

        path = pathlib.Path(self.name)
        name = registry.add("algorithms", path) if path.suffix == ".py" or len(path.parts) > 1 else self.name
        if plugins.algorithm(name).instrument:
            raise ValueError(
                f"{name} is an INSTRUMENT: it buys no label and learns nothing, so that there is no answer to hold it against"
            )
        changes = select.parse_set(self.set)
        setup()
        rows = list(held(name, changes))
        emit(
            self.json,
            rows,
            lambda: table(rows, f"{name}: {sum(r['verdict'] == 'wrong' for r in rows)} of {len(rows)} wrong"),
        )
        return 3 if any(r["verdict"] == "wrong" for r in rows) or not any(r["verdict"] == "ok" for r in rows) else 0


def held(name: str, changes: dict[str, str]) -> Iterator[dict[str, Any]]:
    """A row per known task, and one for the contract on the first that the algorithm fits: ok, wrong, or does not fit."""
    from ilbench.evaluation.evidence import Protocol
    from ilbench.running.execute import Session, execute
    from ilbench.running.plan import Block, resolve

    tried = False
    for known in KNOWN:
        block = Block(
            known.task, name, known.head, known.labels, seeds=SEEDS, protocol=Protocol(episodes=16, held_out=16)
        )
        try:
            plan = resolve(select_for(block, changes))
        except ValueError as error:
            yield {"task": known.task, "verdict": "does not fit", "what": str(error)}
            continue
        try:
            wrong = faults(execute(plan, SEEDS, Session()), known)
        except Exception as error:  # of the author's own: whatever it is, it is what they want to know
            wrong = [f"{type(error).__name__}: {error}"]
        yield {"task": known.task, "verdict": "wrong" if wrong else "ok", "what": "; ".join(wrong) or known.why}
        if not tried:
            tried = True
            yield contract(name, known, dict(select_for(block, changes).config))


def select_for(block: Any, changes: dict[str, str]) -> Any:
    """The block with those changes that are about its algorithm, its head or the fit."""
    from ilbench.running.select import override

    heads = {known.head for known in KNOWN} - {block.head}  # another task's: not of this block
    return override([block], {k: v for k, v in changes.items() if k.split(".")[0] not in heads})[0]


def faults(done: Any, known: Known) -> list[str]:
    """What is wrong with a run on a task whose answer is known, in words; one seed is enough."""
    lost = [o for o in done.outcomes if o.status != "ok"]
    if lost:
        return [
            f"diverged ({lost[0].reason}): a parameter or a return is NaN or infinite; look at the learning rate and at divisions by 0"
        ]
    out = []
    spent = [o.spent["labels"] for o in done.outcomes]
    if any(2 * n < known.labels for n in spent):
        out.append(
            f"bought {spent} of {known.labels} labels: the rest is lost, ask or demonstrate until lab.budget is spent"
        )
    if any(o.scores.get("worse_than_constant") for o in done.outcomes):
        out.append(
            "worse than the best constant action on the expert's own states: it has fitted something else than the labels"
        )
    scores = [o.scores.get("score") for o in done.outcomes]
    if any(x is None or x < known.least for x in scores):
        said = ", ".join("none" if x is None else f"{x:.3g}" for x in scores)
        out.append(f"scores {said} (0 random, 1 expert), at least {known.least:g} is due: {known.why}")
    return out


def contract(name: str, known: Known, config: dict[str, Any]) -> dict[str, Any]:
    """The contract that every algorithm keeps: sound policies, a budget spent, seeds that do not know each other, no retracing."""
    from ilbench import testing

    try:
        testing.check_algorithm(name, known.task, known.head, known.labels, **config)
    except Exception as error:
        said = str(error) if isinstance(error, AssertionError) else f"{type(error).__name__}: {error}"
        return {
            "task": "contract",
            "verdict": "wrong",
            "what": " ".join(said.split()[:60]),
        }  # NumPy's begins with a line that says nothing
    return {
        "task": "contract",
        "verdict": "ok",
        "what": "policies sound, labels spent, seeds apart, repeatable, nothing compiled twice",
    }
