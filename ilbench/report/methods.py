"""Every algorithm as a row: where it is from, what it asks for, what it cost where it was run, and when to take it.

What it asks for is read from its literal NEEDS, without importing it; what it cost from records of the suite repairs, where all had
the same budgets. When to take it is WHEN below, and of an algorithm that is not named there the sentence of its docstring that begins
with "Unlike": a new file makes a new row.
"""

from __future__ import annotations

import ast
import pathlib
import re
from collections.abc import Iterable

import numpy as np

from ilbench import registry
from ilbench.records.schema import Record
from ilbench.report.groups import group

# Words of NEEDS as a reader of a table has them.
ASKS = {
    "expert": "an expert that answers",
    "demonstrations": "demonstrations",
    "one step": "a head of single steps",
    "sample": "a head that is sampled",
    "log_prob": "a head with a density",
    "dist": "a head whose law is known",
    "gradients": "a head that is fitted by gradients",
    "mdp": "a table of the task",
    "views": "further cameras of the task",
    "dynamics": "the task's dynamics",
}
WHEN = {
    "aggrevate": "mistakes differ in what they cost, and an expert's cost-to-go can be had",
    "airl": "a reward is wanted that is apart from the dynamics, env steps are free",
    "bc": "nobody can be asked; first of all, as what every other row is compared with",
    "ccil": "nobody can be asked, and the dynamics are smooth enough to be learnt from the demonstrations",
    "constant": "to see what a score is worth: what is reached without looking",
    "dagger": "an expert labels states that it did not choose, and slips can be recovered from",
    "dart": "the expert demonstrates while its actions are disturbed, and the size of the noise is not known",
    "dialled": "never to solve a task: an error rate that is set, to be held against closed forms",
    "ensemble_dagger": "the expert drives while training, mistakes while training are dear and labels are not",
    "expert": "to see the score 1",
    "forward": "as the theorem's own algorithm, with many labels and a short horizon",
    "gail": "nobody can be asked, env steps are free",
    "hg_dagger": "a person watches and takes the wheel; the watching is not charged",
    "iq_learn": "actions are discrete, nobody can be asked; offline, or with env steps",
    "lazy_dagger": "the expert drives while training, and every handing over costs it",
    "noise_bc": "as a comparison for corrective labels: what jitter of the input does alone",
    "noise_injection": "the expert demonstrates while its actions are disturbed; nobody labels the learner's states",
    "on_policy_distillation": "the teacher tells its law, not only an action",
    "random": "to see the score 0",
    "safe_dagger": "the expert drives while training, and nobody watches all the time",
    "side_view": "further cameras stand beside the first one and geometry says how one steers back",
    "smile": "as the theorem's own algorithm: the expert leaves slowly",
    "sqil": "actions are discrete, nobody can be asked, env steps are free",
    "stagger": "labels are dear, env steps are free: single states are labelled",
    "thrifty_dagger": "the expert can be called for a set share of the steps",
}
COST = "repairs"  # the suite whose records say what a row cost


def kind(entry: registry.Entry) -> str:
    """What a method demands, the coarsest: one of KINDS, from what its module needs, imports and calls."""
    literals = dict(entry.literals)
    needs, tree = literals.get("NEEDS", ()), ast.parse(pathlib.Path(entry.path).read_text(encoding="utf-8"))
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    calls = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    if literals.get("TRY", ("", "", 1))[2] == 0:
        return "none"
    if "ilbench.rollouts.gates" in modules:
        return "takeover"
    if "expert" in needs:
        return "asked"
    return "env steps" if "rollout" in calls or {"sample", "gradients"} <= set(needs) else "demonstrations"


KINDS = {
    "demonstrations": "Demonstrations only",
    "asked": "An expert that is asked again: about the learner's states, or to demonstrate under noise",
    "takeover": "An expert that takes over while the learner drives",
    "env steps": "Demonstrations, and env steps of one's own",
    "none": "References, which buy no labels",
}


def cost(records: Iterable[Record]) -> dict[str, str]:
    """Algorithm -> what it spent at the declared settings of the suite: share of the labels, takeovers, seconds against bc's."""
    found: dict[str, list[tuple[float, float, float]]] = {}
    groups = group(records)
    seconds = {(g.task, g.budget, g.head): _mean(g.records, "run_s") for g in groups if g.algorithm == "bc"}
    for g in groups:
        base = seconds.get((g.task, g.budget, g.head))
        ratio = _mean(g.records, "run_s") / base if base else np.nan
        each = (_mean(g.records, "labels") / g.budget if g.budget else np.nan, _mean(g.records, "takeovers"), ratio)
        found.setdefault(g.algorithm, []).append(each)
    return {name: _said(np.array(rows)) for name, rows in found.items()}


def _mean(records: Iterable[Record], name: str) -> float:
    return float(np.mean([getattr(r.cost, name) or 0.0 for r in records]))


def _range(low: float, high: float, form: str) -> str:
    first, last = f"{low:{form}}", f"{high:{form}}"
    return first if first == last else f"{first} to {last}"


def _said(rows: np.ndarray) -> str:
    """`[settings, 3]` in words."""
    labels, taken, ratio = rows.T
    said = [f"{_range(100 * labels.min(), 100 * labels.max(), '.0f')} % of the labels"]
    if taken.max() > 0:
        said.append(f"{_range(taken.min(), taken.max(), ',.0f')} takeovers")
    if np.isfinite(ratio).any() and (ratio != 1).any():
        said.append(f"{np.nanmedian(ratio):.2g} times bc's seconds")
    return ", ".join(said)


def _paper(entry: registry.Entry) -> str:
    """Authors and year of the work named first, with its link where it has one, in Markdown."""
    first = entry.paper.split(";")[0]
    link = re.search(r"https?://[^\s,;)]+", first)
    name = re.match(r"(?:the .*? of )?(.*?\b(?:19|20)\d\d\b)", first)
    text = name[1] if name else first
    return f"[{text}]({link[0]})" if link else text


def _when(entry: registry.Entry) -> str:
    if entry.id in WHEN and entry.distribution is None:
        return WHEN[entry.id]
    text = ast.get_docstring(ast.parse(pathlib.Path(entry.path).read_text(encoding="utf-8"))) or ""
    unlike = re.search(r"Unlike .*?\.(?=\s|$)", text, re.S)
    return " ".join(unlike[0].split()) if unlike else entry.summary


def table(records: Iterable[Record]) -> str:
    """A Markdown table for each kind of demand, a row for each of ilbench's own algorithms."""
    costs, out = cost(records), []
    entries = [e for e in registry.entries("algorithms").values() if e.distribution is None and e.module.startswith("ilbench.")]
    for name, title in KINDS.items():
        mine = [e for e in entries if kind(e) == name]
        if not mine:
            continue
        out += [f"## {title}", "", "| method | asks for | cost | rate | when to take it |", "|---|---|---|---|---|"]
        for e in mine:
            literals = dict(e.literals)
            asks = ", ".join(ASKS.get(word, word) for word in literals.get("NEEDS", ())) or "nothing"
            rate = f"`{literals['RATE']}`" if "RATE" in literals else "-"
            cells = (f"`{e.id}` ({_paper(e)})", asks, costs.get(e.id, "-"), rate, _when(e))
            out.append("| " + " | ".join(c.replace("|", "\\|") for c in cells) + " |")
        out.append("")
    return "\n".join(out).rstrip()
