"""What a board ranks, and what it says of seeds that diverged: the shipped records of `quick`, changed."""

import numpy as np
import pytest

from ilbench.report import groups, leaderboard, overall, source


@pytest.fixture(scope="module")
def records():
    return [r for r in source.load("quick", "results").records if not r.cell.task.startswith(("cliff", "recoverable"))]


def _ranking(records):
    return {t.title: [row[1] for row in t.rows] for t in overall.tables(groups.group(records))}


def _row(records, **wanted):
    (row,) = [r for r in leaderboard.build(records).rows if wanted.items() <= r.items()]
    return row


def _some(records, task, algorithm):
    return [r for r in records if (r.cell.task, r.cell.algorithm) == (task, algorithm)]


def test_an_algorithm_that_does_not_fit_a_task_does_not_take_it_from_the_others(records):
    records = [r for r in records if not groups.instrument(groups.group([r])[0])]
    found = _ranking(records)
    assert [set(labels) for labels in found.values()] == [{"bc", "dagger"}, {"bc", "dagger", "ccil"}]
    assert list(found) == ["All 4 tasks", "The 3 of 4 tasks that all of these ran on"]
    # One that ran on a single task takes none from anybody, and several configurations count as one algorithm.
    extra = [r.model_copy(update={"cell": r.cell.model_copy(update={"algorithm": "mine"})}) for r in records]
    alone = [r for r in extra if r.cell.task == "gridworld@1" and "dagger.rounds" not in r.cell.config]
    assert _ranking([*records, *alone]) == found


def _diverged(record):
    nothing = dict.fromkeys(record.scores)
    return record.model_copy(update={"status": "diverged", "reason": "test", "scores": nothing})


def test_a_diverged_seed_makes_every_column_worse(records):
    bc = sorted(_some(records, "hopper@1", "bc"), key=lambda r: r.scores["gap"])
    others = _some(records, "hopper@1", "dagger")
    before = _row(bc + others, algorithm="bc")
    for lost in (0, 5, -1):
        changed = [_diverged(r) if r is bc[lost] else r for r in bc]
        after = _row(changed + others, algorithm="bc")
        assert after["diverged"] == 1
        assert after["gap"] > before["gap"]
        assert after["cost"] > before["cost"]
        assert after["survived"] < before["survived"]
        assert after["score"] <= before["score"]
    everything = _row([_diverged(r) for r in bc] + others, algorithm="bc")
    reference = bc[0].references
    assert everything["gap"] == pytest.approx(reference["expert"].mean - reference["random"].mean)
    assert (everything["score"], everything["cost"], everything["survived"]) == (0, 1000, 0)


def test_records_of_another_expert_are_of_another_task(records):
    hopper = _some(records, "hopper@1", "bc") + _some(records, "hopper@1", "dagger")
    other = [r.model_copy(update={"cell": r.cell.model_copy(update={"expert": "0" * 64})}) for r in hopper]
    rows = leaderboard.build([*hopper, *other]).rows
    assert {r["task"] for r in rows} == {f"hopper@1 (expert {hopper[0].cell.expert[:8]})", "hopper@1 (expert 00000000)"}
    differences = [r["minus_baseline"]["mean"] for r in rows if r["algorithm"] == "dagger"]
    np.testing.assert_allclose(differences[0], differences[1])
