"""What a record and a board say: hand-made records whose columns are computed by hand, and records of cells run here."""

import dataclasses
from types import SimpleNamespace

import jax
import numpy as np
import pytest
import toys

from ilbench import stats
from ilbench.evaluation.evidence import Protocol
from ilbench.records.schema import Cell, cell_id, make_record, summarise_episodes
from ilbench.report import groups, leaderboard, overall
from ilbench.running import runner
from ilbench.running.execute import Session, execute
from ilbench.running.plan import Block, Suite, cells, resolve
from ilbench.training.rows import rows
from ilbench.types import Trained

RANDOM, EXPERT, H = -4.0, 16.0, 50
# Returns of two episodes per seed: bc at seeds 0 ... 5, dagger at seeds 1 ... 6, in another order.
BC = {0: (2, 4), 1: (0, 2), 2: (11, 5), 3: (16, 14), 4: (-3, -1), 5: (7, 3)}
DAGGER = {3: (16, 16), 1: (9, 5), 5: (1, 0), 2: (10, 10), 4: (6, 2), 6: (3, 3)}
LABELS = {"bc": 500, "dagger": 420}


def _record(algorithm, seed, returns, task="hopper@1", **changes):
    """A record whose score follows from its episodes; costs are 10, 20, ... per seed."""
    cell = Cell(
        task=task, expert="ab" * 32, algorithm=algorithm, head="mse", config={"fit.updates": 100}, horizon=H,
        budget=500, evaluation={"episodes": 2, "deltas": [0.1]}, seed=seed,
    )  # fmt: skip
    mean = float(np.mean(returns))
    scores = {
        "score": (mean - RANDOM) / (EXPERT - RANDOM),
        "return": mean,
        "gap": EXPERT - mean + 0.5,
        "cost": 10.0 * (seed + 1) / (2 if algorithm == "dagger" else 1),
        "survived": 0.2 * seed / (2 if algorithm == "dagger" else 1),
    }
    references = {"random": {"mean": RANDOM, "n": 64}, "expert": {"mean": EXPERT, "n": 64}}
    cost = {"labels": LABELS[algorithm] + seed, "gradient_steps": 100, "run_s": 2.0 * (seed + 1), "env_steps": 500}
    fields = {
        "status": "ok",
        "scores": scores,
        "episodes": summarise_episodes(map(float, returns), [scores["cost"], scores["cost"]]),
        "references": references,
        "cost": cost,
        "variants": {"last": {"score": scores["score"]}, "best": {"score": scores["score"] / 2}},
    }
    return make_record(cell, "quick@1", **{**fields, **changes})


def _all(task="hopper@1"):
    out = [_record("dagger", seed, returns, task) for seed, returns in DAGGER.items()]
    return out + [_record("bc", seed, returns, task) for seed, returns in BC.items()]


def _scores(given):
    return np.array([(np.mean(given[s]) - RANDOM) / (EXPERT - RANDOM) for s in sorted(given)])


def test_the_columns_of_a_board():
    board = leaderboard.build(_all())
    rows = {r["algorithm"]: r for r in board.rows}
    assert set(rows) == {"bc", "dagger"}
    for name, given in (("bc", BC), ("dagger", DAGGER)):
        row, seeds = rows[name], np.array(sorted(given))
        half = 2 if name == "dagger" else 1
        means = np.array([np.mean(given[s]) for s in sorted(given)])
        assert row["score"] == pytest.approx(_scores(given).mean())
        assert row["gap"] == pytest.approx((EXPERT - means + 0.5).mean())
        assert row["cost"] == pytest.approx((10 * (seeds + 1) / half).mean())
        assert row["survived"] == pytest.approx((0.2 * seeds / half).mean())
        assert row["labels"] == pytest.approx(LABELS[name] + seeds.mean())
        assert row["seconds"] == pytest.approx((2 * (seeds + 1)).mean())
        assert (row["seeds"], row["episodes"], row["diverged"], row["horizon"], row["budget"]) == (6, 2, 0, H, 500)
        assert row["variants"]["best"] == pytest.approx(_scores(given).mean() / 2)
        lo, hi = row["score_ci"]
        assert lo <= row["score"] <= hi
    assert rows["bc"]["minus_baseline"] is None
    # Paired by seed, over the seeds that both have: 1 ... 5.
    difference, found = _scores(DAGGER)[:5] - _scores(BC)[1:], rows["dagger"]["minus_baseline"]
    assert found["mean"] == pytest.approx(difference.mean())
    assert difference.mean() > 0 > difference.min()
    assert found["lo"] < found["mean"] < found["hi"]
    assert found["seeds"] == 5
    # The table says the same, best first.
    (table,) = [t for t in board.tables if t.title.startswith("hopper@1")]
    assert [row[0].split(" ")[0] for row in table.rows] == ["dagger", "bc"]
    assert rows["dagger"]["score"] > rows["bc"]["score"]


def test_a_diverged_seed_scores_the_worst_there_is_and_at_best_0():
    lost = _record("bc", 6, (0, 0), status="diverged", reason="non-finite return", scores={"score": None, "gap": None})
    records = [*[_record("bc", s, r) for s, r in BC.items()], lost]
    row = leaderboard.build(records).rows[0]
    scores = np.append(_scores(BC), min(0.0, _scores(BC).min()))
    assert row["score"] == pytest.approx(scores.mean())
    assert row["diverged"] == 1
    np.testing.assert_array_equal(stats.score_diverged([0.4, np.nan, -0.3]), [0.4, -0.3, -0.3])
    np.testing.assert_array_equal(stats.score_diverged([0.4, np.nan, 0.3]), [0.4, 0.0, 0.3])


def test_the_ranking_over_tasks_puts_the_better_one_first():
    records = _all() + _all("walker2d@1")
    (table,) = [t for t in overall.tables(groups.group(records)) if len(t.rows) == 2]
    assert [row[1].split(" ")[0] for row in table.rows] == ["dagger", "bc"]
    assert table.rows[0][3] == "5"  # the seeds that both have


def test_groups_are_cells_that_differ_only_in_their_seed():
    records = _all()
    grouped = groups.group(records)
    assert [(g.algorithm, g.seeds) for g in grouped] == [("bc", (0, 1, 2, 3, 4, 5)), ("dagger", (1, 2, 3, 4, 5, 6))]
    np.testing.assert_allclose(grouped[1].values("score"), _scores(DAGGER))
    other = _record("bc", 0, (0, 0))
    other_cell = other.cell.model_copy(update={"config": {"fit.updates": 200}})
    changed = other.model_copy(update={"cell": other_cell, "id": cell_id(other_cell)})
    assert len(groups.group([*records, changed])) == 3


# ------------------------------------------------------------------------------------------------ records
def test_the_summary_of_episodes():
    found = summarise_episodes([1.0, 4.0, -2.0], [0.0, 3.0, 0.0])
    assert (found.n, found.n_failing) == (3, 1)
    assert (found.return_mean, found.cost_mean) == (1.0, 1.0)
    assert found.return_sd == pytest.approx(3.0)
    assert found.cost_sd == pytest.approx(np.sqrt(3.0))
    assert (found.returns, found.costs) == ([1.0, 4.0, -2.0], [0.0, 3.0, 0.0])
    many = summarise_episodes(np.arange(1000.0), np.zeros(1000))
    assert (many.n, many.returns, many.return_mean) == (1000, None, 499.5)


def test_a_cells_identity_is_everything_that_decides_its_outcome():
    block = Block("gridworld", "bc", "table", 300, horizon=30, seeds=(4, 9), protocol=Protocol(episodes=7, held_out=5))
    (plan,) = runner.prepare(Suite("t", 1, (block,))).plans
    by_seed = cells(plan)
    assert set(by_seed) == {4, 9}
    cell = by_seed[9]
    assert (cell.task, cell.algorithm, cell.head, cell.horizon, cell.budget, cell.seed) == (
        "gridworld@1", "bc", "table", 30, 300, 9,
    )  # fmt: skip
    assert {"table.unseen", "table.per_step", "fit.updates", "fit.learning_rate"} <= set(cell.config)
    assert (cell.evaluation["episodes"], cell.evaluation["held_out"]) == (7, 5)
    ids = {cell_id(by_seed[9])}
    for change in (
        {"budget": 330},
        {"horizon": 60},
        {"config": {"table.unseen": "wrong"}},
        {"config": {"fit.updates": 3}},
        {"protocol": Protocol(episodes=8, held_out=5)},
        {"protocol": Protocol(episodes=7, held_out=5, prefixes=(3,))},
        {"algorithm": "dagger", "config": {"dagger.rounds": 2}},
        {"task": "random_mdp"},
        {"config": {"task.noise": 0.4}},
    ):
        (other,) = runner.prepare(Suite("t", 1, (dataclasses.replace(block, **change),))).plans
        ids.add(cell_id(cells(other)[9]))
    assert len(ids) == 10


def test_a_record_tells_what_was_run(tmp_path):
    """Labels, steps, episodes and scores of a run agree with the same cell executed here."""
    from ilbench.records import store

    settings = {"episodes": 6, "held_out": 5, "prefixes": (10,)}
    block = Block("gridworld", "dagger", "table", 360, horizon=30, seeds=(2, 5), protocol=Protocol(**settings))
    block = dataclasses.replace(block, config={"dagger.rounds": 3})
    runner.run(Suite("t", 1, (block,)), out=tmp_path, quiet=True)
    records, problems = store.read_all(tmp_path)
    assert not problems
    made = toys.ran("gridworld", "dagger", "table", 360, (2, 5), 30, config=block.config, **settings)
    by_seed = {r.cell.seed: r for r in records}
    assert set(by_seed) == {2, 5}
    for outcome in made.outcomes:
        record = by_seed[outcome.seed]
        assert (record.cost.labels, record.cost.env_steps) == (360, 360)
        assert (outcome.spent["labels"], outcome.spent["env_steps"]) == (360, 360)
        assert record.cost.gradient_steps == 0  # counted in closed form
        np.testing.assert_allclose(record.episodes.returns, outcome.returns, rtol=1e-6)
        np.testing.assert_array_equal(record.episodes.costs, outcome.costs)
        assert record.episodes.n_failing == (outcome.costs > 0).sum()
        for name, value in outcome.scores.items():
            assert record.scores[name] == (None if value is None else pytest.approx(value, rel=1e-6)), name
        assert set(record.variants) == {"last", "best", "mixture"}
        assert record.variants["last"]["return"] == pytest.approx(record.scores["return"], rel=1e-6)
        arrays = store.read_sidecar(tmp_path, record)
        np.testing.assert_array_equal(arrays["prefix_cost"][:, -1], outcome.costs)
        np.testing.assert_allclose(arrays["prefix_return"][:, -1], outcome.returns, rtol=1e-5)
        assert (arrays["prefix_cost"][:, 0] <= arrays["prefix_cost"][:, 1]).all()
    assert made.eval_steps == 2 * 30 * 6 * 3


def test_a_seed_whose_policy_is_broken_diverges_alone():
    plan = resolve(Block("double_integrator", "bc", "linear", 200, horizon=20, seeds=(0, 1), protocol=Protocol(4, 4)))

    def train(lab, *args):
        params, _ = lab.fit(rows(lab.demonstrate(labels=np.array([150, 70])), 200))
        lost = np.array([False, True])
        broken = jax.tree.map(lambda x: np.where(lost.reshape(2, *[1] * (np.ndim(x) - 1)), np.nan, x), params)
        return Trained({"last": lab.policy(broken)}, "last")

    made = execute(dataclasses.replace(plan, algorithm=SimpleNamespace(train=train)), (0, 1), Session())
    good, bad = made.outcomes
    assert (good.status, good.reason) == ("ok", None)
    assert good.scores["score"] > 0.5
    assert bad.status == "diverged"
    assert "non-finite parameters" in bad.reason
    assert bad.scores["score"] is None
    assert all(np.isfinite(x).all() for x in (bad.returns, *bad.curves.values()))
    for outcome, labels in zip(made.outcomes, (150, 70), strict=True):  # each seed pays what it was given
        assert (outcome.spent["labels"], outcome.spent["env_steps"]) == (labels, labels)
