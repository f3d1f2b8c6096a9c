"""Frontiers: what the lecture leaves open, and how much of it is here."""

from __future__ import annotations

from ilbench.report.lecture.item import Item
from ilbench.report.lecture.known import Known
from ilbench.report.replication.verdicts import mean, paired

PART = "Frontiers"


def _curation(e: Known) -> str:
    task, name, suite = "halfcheetah", "noise_injection", "replication"
    every = [g for g in e.rows(suite) if g.algorithm == name and g.task.startswith(task)]
    shares = {share: [g for g in every if g.config["noise_injection.clean"] == share] for share in (0.0, 0.5)}
    noisiest = max(g.config["noise_injection.sigma"] for g in every)
    none, half = (next(g for g in rows if g.config["noise_injection.sigma"] == noisiest) for rows in shares.values())
    value, lo, hi, n = paired(half, none)
    return (
        f"Leaving a half of noisy demonstrations clean lifts {task} from {mean(none)[0]:.2f} to {mean(half)[0]:.2f}: by {value:.2f} "
        f"[{lo:.2f}, {hi:.2f}] over {n} seeds."
    )


ITEMS = (
    Item(
        "non_markovian",
        "Demonstrators that act on more than the state.",
        words=("history", "memory", "causal confusion"),
        why="every expert here acts on the state; learners may see a window of observations (policy.history), and no suite measures it",
        name="Non-Markovian demonstrators",
    ),
    Item(
        "generalisation",
        "What a policy does away from its data.",
        words=("generalization", "robustness"),
        why="learner and expert start from the same law in every task; what is measured away from the data is deployment under noise "
        "(ilbench replicate ccil)",
    ),
    Item(
        "action_free",
        "Learning from data without actions: video.",
        words=("video", "observation only"),
        why="every demonstration here is of observations and actions",
        name="Action-free data",
    ),
    Item(
        "curation",
        "Which demonstrations are worth training on.",
        "replicate injected_once",
        3.9,
        _curation,
        words=("data quality", "clean", "mixture of data"),
        name="Data curation and quality",
    ),
    Item(
        "embodiment",
        "Demonstrations by another body.",
        words=("cross-embodiment", "human video"),
        why="expert and learner of a task share one body and one action space",
        name="Embodiment shift",
    ),
    Item(
        "teleoperation",
        "Interfaces by which people demonstrate.",
        words=("people", "interface"),
        why="experts here are programs; demonstrations of people can be read from a file (tests/plugins/file.py)",
        name="Teleoperation",
    ),
    Item(
        "retry",
        "Learning to try again, and to improve.",
        words=("improve", "self-improvement", "rl fine-tuning"),
        why="an episode is one attempt, and no learner goes on to improve on its expert by the task's reward",
        name="Retry and improve",
    ),
)
