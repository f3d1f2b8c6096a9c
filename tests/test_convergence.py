"""Had the fits converged? The same cells with twice the updates, paired by seed, and the held-out loss of the last half."""

import numpy as np
import pytest

from ilbench import registry
from ilbench.evaluation.evidence import Protocol
from ilbench.measures import convergence as measure
from ilbench.records import store
from ilbench.report import convergence
from ilbench.running import plan, runner
from ilbench.running.plan import Block, Suite

PROTOCOL = Protocol(episodes=6, held_out=6)
SUITE = Suite(
    "fits",
    1,
    (
        Block("scalar_unstable", "bc", "mse", 200, seeds=(0, 1, 2), config={"fit.updates": 30}, protocol=PROTOCOL),
        Block("scalar_unstable", "bc", "linear", 200, seeds=(0, 1, 2), protocol=PROTOCOL),
    ),
)


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fits")
    for doubled in (False, True):
        runner.execute_plans(runner.prepare(SUITE, doubled=doubled), out=folder, quiet=True)
    return store.read_all(folder, "fits@1")[0], store.read_all(folder, "fits+doubled@1")[0]


def test_doubled_cells_are_the_declared_ones_with_twice_the_updates(records):
    declared, doubled = records
    assert {r.cell.head for r in doubled} == {"mse"}  # a closed form has nothing to double
    assert {r.cell.config["fit.updates"] for r in doubled} == {60}
    assert {r.cost.gradient_steps for r in doubled} == {60}
    (row,) = convergence.build(declared, doubled)
    assert (row.updates, row.seeds, row.head) == (30, 3, "mse")
    mine, twice = (
        {r.cell.seed: r.scores["score"] for r in found if r.cell.head == "mse"} for found in (declared, doubled)
    )
    assert row.difference[0] == pytest.approx(np.mean([twice[s] - mine[s] for s in mine]))
    kept = [r.scores for r in declared if r.cell.head == "mse"]
    falls = 1 - sum(s["held_out_loss"] for s in kept) / sum(s["held_out_loss_half"] for s in kept)
    assert row.fall == pytest.approx(falls)
    assert row.verdict in convergence.text([row], "fits@1")
    assert "CONVERGENCE" not in convergence.page([row], "fits@1")


@pytest.mark.parametrize(
    ("limits", "verdict"),
    [((0.0, -0.01, 0.02), "settled"), ((0.1, 0.05, 0.15), "moves"), ((-0.1, -0.2, -0.01), "moves"), ((0.0, -0.1, 0.1), "undecided")],
)
def test_a_doubling_settles_moves_or_decides_nothing(limits, verdict):
    assert convergence._verdict(*limits) == verdict


def test_every_fit_of_a_declared_suite_can_be_doubled():
    block = next(b for b in plan.load_suite("quick").blocks if b.task == "pendulum")
    (one,) = runner.prepare(Suite("x", 1, (block,)), doubled=True).plans
    assert one.fit.updates == 2 * plan.resolve(block).fit.updates
    assert registry.load("measures", "convergence") is measure
