"""The setting: what imitation is given, what it is not, and what else there is."""

from __future__ import annotations

from ilbench import registry
from ilbench.display.tables import interval
from ilbench.report.lecture.item import Item
from ilbench.report.lecture.known import Known
from ilbench.report.replication.verdicts import mean

PART = "The setting"


def _tasks(e: Known) -> str:
    tasks = registry.entries("tasks").values()
    tables = sum("tabular" in e.tags for e in tasks)
    return f"{len(tasks)} tasks, each with an expert to imitate; {tables} are tables, which dynamic programming solves exactly."


def _best(e: Known) -> str:
    every = [(mean(g), g) for g in e.rows("quick") if g.algorithm == "bc" and g.scored() is not None]
    best, g = max(every, key=lambda pair: pair[0][0])
    beyond = sum(lo > 1 for (_, lo, _), _ in every)
    return (
        f"The best score of bc in quick is {interval(*best)} (expert: 1), on {g.task.split('@')[0]}; of its {len(every)} rows "
        f"{beyond or 'none'} lie{'s' if beyond == 1 else ''} above the expert with the whole interval."
    )


ITEMS = (
    Item(
        "setting",
        "A Markov decision process and demonstrations of good behaviour: no reward is seen, nothing is explored.",
        "list tasks",
        1.8,
        _tasks,
        words=("mdp", "trajectories", "demonstrations", "tasks"),
        name="What imitation is given",
    ),
    Item(
        "data_limit",
        "Imitation does not get better than its data by itself; reinforcement learning can.",
        "leaderboard quick",
        2.7,
        _best,
        words=("reinforcement", "better than the expert"),
        name="No better than its data",
    ),
    Item(
        "planning",
        "Other ways to decide: planning and trajectory optimisation, learning without supervision.",
        words=("trajectory optimisation", "unsupervised"),
        why="what is measured here learns from demonstrations; experts are solved exactly, fed back by a regulator, or trained by PPO",
        name="Other ways to decide",
    ),
)
