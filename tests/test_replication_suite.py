"""Claims that read the suite replication, on invented scores of its own cells: who is compared with whom, and which way round."""

import re

import numpy as np
import pytest

from ilbench.records.schema import make_record
from ilbench.report.replication import table
from ilbench.report.replication.verdicts import CONTRADICTED, NOT, REPLICATED, Suites
from ilbench.running.plan import cells, load_suite, resolve

RNG = np.random.default_rng(0)
GAINS = {(4.0, 8.0): "CO", (4.0, 1.0): "CU", (64.0, 32.0): "SO", (64.0, 4.0): "SU"}


@pytest.fixture(scope="module")
def plans():
    blocks = [b for b in load_suite("replication").blocks if b.task != "halfcheetah"]
    return [(block, list(cells(resolve(block)).values())) for block in blocks]


def said(plans, number, scores):
    """Verdict and words by setting, where the block of a cell is given `scores(block)`, each a little apart by its seed."""
    records = []
    for block, own in plans:
        for cell, value in zip(own, (1 + 0.01 * RNG.normal(size=len(own))), strict=True):
            fields = {name: x * value for name, x in scores(block).items()}
            records.append(
                make_record(cell, "replication@1", status="ok", cost={"run_s": 1.0, "compile_s": 0.0}, scores=fields)
            )
    (row,) = table.build(Suites(lambda suite: records), number)
    return {line.setting: (line.verdict, line.ours) for line in row.lines}


def test_gains_are_told_apart_by_what_is_lost_and_by_the_validation_loss(plans):
    def scores(block):
        """As claimed from 5 demonstrations; from 15 the other way round, and the validation loss agrees."""
        name = GAINS[block.config["task.stiffness"], block.config["task.damping"]] if block.task == "pd_mass" else "CO"
        lost = {"CO": 1.0, "CU": 2.0, "SO": 3.0, "SU": 4.0}[name]
        few = block.budget == 1000
        return {"return": -lost if few else lost - 10, "held_out_loss": 5 - lost}

    found = said(plans, "12", scores)
    assert len(found) == 13
    verdicts = [v for v, _ in found.values()]
    assert verdicts == [REPLICATED] * 7 + [CONTRADICTED] * 6
    assert found["5 demonstrations: compliant overdamped above stiff underdamped"][1].startswith("lost more: 3.0 [")
    wrong = [found[f"{n} demonstrations: validation loss ranks gains wrongly"][1] for n in (5, 15)]
    assert [text.split(" pairs")[0] for text in wrong] == ["6 of 6", "0 of 6"]
    assert "compliant underdamped 0.20, stiff overdamped 0.14, stiff underdamped 0.44" in next(iter(found.values()))[1]


def test_an_ensemble_hurts_where_open_loop_scores_more(plans):
    def scores(block):
        mean = "policy.decay" in block.config
        return {"score": 0.7 if mean == (block.task != "lane") else 0.9}

    found = said(plans, "14", scores)
    assert {setting.split(":")[0]: v for setting, (v, _) in found.items()} == {
        task: CONTRADICTED if task == "lane" else REPLICATED
        for task in ("double_integrator", "pendulum", "lane", "peg_easy_one", "peg_easy")
    }


def test_students_are_compared_by_their_estimator_and_so_is_the_variance(plans):
    def scores(block):
        exact = block.config.get("on_policy_distillation.estimator") == "exact"
        better = {"gridworld": 0.1, "gridworld_soft": 0.0, "pendulum": -0.05}.get(block.task, -0.3)
        return {"score": 0.5 + better * exact, "own/gradient_variance": 2.0 if exact else 8.0}

    found = said(plans, "17", scores)
    assert {task: [found[f"{task}: exact {how}"][0] for how in ("at least as good", "clearly better")] for task in (
        "gridworld", "gridworld_soft", "double_integrator_soft", "pendulum")} == {
        "gridworld": [REPLICATED] * 2,
        "gridworld_soft": [REPLICATED, NOT],
        "double_integrator_soft": [CONTRADICTED] * 2,
        "pendulum": [REPLICATED, CONTRADICTED],
    }  # fmt: skip
    times = [float(re.match(r"[\d.]+", ours)[0]) for setting, (_, ours) in found.items() if "varies" in setting]
    assert times == pytest.approx([4.0] * 4, rel=0.05)
