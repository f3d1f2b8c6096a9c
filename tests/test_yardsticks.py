"""Boards beside the score: what is reached at how many labels, means over settings within a seed, who stands below the line."""

import pathlib

import numpy as np
import pytest

import ilbench
from ilbench import stats
from ilbench.report import beside, compounding_page, leaderboard, profile, source, yardsticks
from ilbench.report.beside import lines
from ilbench.report.groups import group, instrument
from ilbench.report.yardsticks import YARDSTICKS, Cell, Place, reach

RESULTS = pathlib.Path(ilbench.__file__).resolve().parent.parent / "results"
YARD = {y.id: y for y in YARDSTICKS}


def _known(suite, *tasks):
    found = source.load(suite, RESULTS)
    found = found._replace(records=[r for r in found.records if not tasks or r.cell.task in tasks])
    rows = leaderboard.build(found.records).rows
    pairs = yardsticks.pairs([g for g in group(found.records) if not instrument(g)], rows)
    return found, pairs, yardsticks.cells(pairs)


@pytest.mark.parametrize(
    ("mean", "half", "found"),
    [
        ((0.2, 0.95, 0.97), 0.01, (1, 1, 1)),
        ((0.2, 0.95, 0.97), 0.06, (1, 1, 2)),  # .95 - .06 shows nothing, .97 - .06 does
        ((0.2, 0.85, 0.97), 0.06, (2, 1, 2)),  # .85 + .06 does not exclude it
        ((0.95, 0.2, 0.97), 0.01, (2, 0, 2)),  # what is lost again was not reached from there on
        ((0.1, 0.2, 0.3), 0.01, (3, 3, 3)),  # never, and beyond the largest
        ((0.1, 0.2, 0.9), 0.0, (2, 2, 2)),
    ],
)
def test_reached_is_the_first_budget_from_which_on_it_is(mean, half, found):
    assert reach(mean, [x - half for x in mean], [x + half for x in mean]) == found
    assert reach(mean, [None] * 3, [None] * 3) == (found[0], None, None)


@pytest.mark.parametrize(("true", "end", "wrong"), [
    ([0.7, 0.7, 0.7, 0.9 - 1e-9, 1, 1, 1, 1], 2, lambda at: at < 4),  # shown although one of the four below is not there
    ([0.7, 0.7, 0.7, 0.7, 0.9, 1, 1, 1], 1, lambda at: at > 4),  # excluded although it is there
])  # fmt: skip
def test_limits_of_what_is_reached_err_in_two_and_a_half_percent_at_worst(true, end, wrong):
    rng, se = np.random.default_rng(0), 0.01
    seen = np.array(true) + se * rng.standard_normal((4000, len(true)))
    at = np.array([reach(x, x - 1.96 * se, x + 1.96 * se)[end] for x in seen])
    assert 0.015 < wrong(at).mean() < 0.035


def _cells(values):
    return [
        Cell(label, Place(f"t{i}@1", 10, "", 5), tuple(range(len(x))), np.array(x, float))
        for label, at in values.items()
        for i, x in at.items()
    ]


def test_settings_weigh_alike_and_what_did_not_run_everywhere_is_below_the_line():
    rng = np.random.default_rng(1)
    x = {
        name: {i: rng.normal(m, 0.05, 8) for i in at}
        for name, m, at in (("a", 0.9, (0, 1)), ("b", 0.5, (0, 1)), ("c", 1.0, (1,)))
    }
    first, second, third = lines(YARD["score"], _cells(x))
    assert [(v.rank, v.label, v.ran, v.of) for v in (first, second, third)] == [
        ("1", "a", 2, 2),
        ("2", "b", 2, 2),
        ("", "c", 1, 2),
    ]
    both = (x["a"][0] + x["a"][1]) / 2
    found = stats.seed_mean(both, *stats.score_range(both, (x["b"][0] + x["b"][1]) / 2))
    np.testing.assert_allclose(first[2:5], found, atol=1e-12)
    fewer = lines(YARD["takeovers"], _cells({k: x[k] for k in "ab"}))
    assert [(v.rank, v.label) for v in fewer] == [("1", "b"), ("2", "a")], "fewer are better"


def test_rows_that_share_too_little_are_ranked_on_what_most_share():
    x = {
        "a": {i: np.arange(6.0) + i for i in range(3)},
        "b": {i: np.arange(6.0) ** 2 for i in (0, 1)},
        "c": {2: np.ones(6)},
    }
    assert [(v.label, bool(v.rank), v.ran, v.of) for v in lines(YARD["score"], _cells(x))] == [
        ("b", True, 2, 3),
        ("a", True, 2, 3),
        ("c", False, 1, 3),
    ]


def test_what_is_reached_on_more_settings_stands_first_and_the_mean_is_geometric():
    place = [Place(f"t{i}@1", 10, "", None) for i in range(2)]
    found = [Cell("often", p, (0, 1), value=v, lo=v, hi=np.inf) for p, v in zip(place, (100.0, 400.0), strict=True)]
    found += [
        Cell("once", place[0], (0, 1), value=10.0, lo=10.0, hi=10.0),
        Cell("once", place[1], (0, 1), lo=50.0, hi=np.inf),
    ]
    first, second = lines(YARD["labels"], found)
    assert (first.label, second.label, second.reached) == ("often", "once", 1)
    assert (first.value, second.value) == pytest.approx((200.0, 10.0))
    assert beside.said(YARD["labels"], first) == "200 [200, more]"


def test_a_profile_says_what_the_records_say():
    """Of quick@2 by hand: H of 500 or more are cartpole and hopper, a fall is possible on hopper alone, nobody was shaken or swept."""
    found, pairs, cells = _known("quick@2")
    table = profile.table("dagger", [profile.measured("quick@2", pairs, cells)])
    said = {row[0]: row for row in table.rows}
    by = {}
    for r in found.records:
        if r.cell.task in ("cartpole@1", "hopper@1") and r.cell.seed < 10:
            by.setdefault(r.cell.algorithm, {}).setdefault(r.cell.task, {})[r.cell.seed] = r.scores["score"]
    mine, theirs = (np.mean([[by[a][t][s] for s in range(10)] for t in by[a]], axis=0) for a in ("dagger", "bc"))
    d = mine - theirs
    half = 2.262157 * d.std(ddof=1) / np.sqrt(10)  # Student's t, 9 degrees
    assert said["long horizon"][3].startswith(f"{mine.mean():.3f} [")
    assert said["long horizon"][4] == f"{d.mean():.3f} [{d.mean() - half:.3f}, {d.mean() + half:.3f}]"
    assert said["long horizon"][5:7] == ("2/2", "10")
    assert said["unrecoverable"][5:7] == ("1/1", "30")
    assert [said[a][3] for a in ("few demonstrations", "noise", "label cost")] == ["no record"] * 3
    seconds = {
        a: [np.mean([r.cost.run_s for r in g.records]) for g, _ in pairs if g.label == a] for a in ("bc", "dagger")
    }
    ratio = np.exp(np.mean(np.log(seconds["dagger"]) - np.log(seconds["bc"])))
    assert said["compute"][4] == f"x {ratio:.2f}", "four settings are too few for limits"
    assert {row[3] for row in profile.table("gail", [profile.measured("quick@2", pairs, cells)]).rows} == {"no record"}


def test_few_demonstrations_are_the_fewest_of_a_sweep_and_a_ratio_has_limits_over_settings():
    at = [Place("a@1", 10, "", n) for n in (5, 50)] + [Place("b@1", 10, "", 7)]
    few = profile._there(profile.ABILITIES[0], [Cell("x", p, (0,), np.zeros(1)) for p in at])
    assert [c.place for c in few] == [at[0]], "b was run with one budget"
    logs = np.log([2.0, 3.0, 4.0, 5.0, 6.0])
    mine, theirs = (
        [Cell("x", Place(f"{i}@1", 10, "", 5), (0,), value=v) for i, v in enumerate(x)]
        for x in (np.exp(logs), np.ones(5))
    )
    half = 2.776445 * logs.std(ddof=1) / np.sqrt(5)
    want = "x {:.2f} [{:.2f}, {:.2f}]".format(*np.exp(logs.mean() + np.array([0, -half, half])))
    assert profile.against(YARD["seconds"], mine, theirs) == (want, 5)


def test_amplification_is_that_of_the_compounding_page_and_counts_are_those_of_the_ledger():
    found, pairs, cells = _known("repairs@1", "hopper@1")
    page = compounding_page.build(found.records, found.arrays)
    there = {(r.task, r.algorithm, r.budget): r for r in page.rows if r.target == page.target and r.ratio is not None}
    mine = {(c.place.task, c.label, c.place.budget): c for c in cells["amplification"]}
    shared = set(mine) & set(there)
    assert len(shared) > 10
    for key in shared:
        np.testing.assert_allclose(mine[key].values.mean(), there[key].ratio.value, rtol=1e-5)
        np.testing.assert_allclose(stats.seed_mean(mine[key].values)[1:], there[key].ratio[1:], rtol=1e-3)
    (gated,) = (g for g, _ in pairs if (g.task, g.label, g.budget) == ("hopper@1", "hg_dagger", 5000))
    (own,) = (
        c for c in cells["takeovers"] if (c.place.task, c.label, c.place.budget) == ("hopper@1", "hg_dagger", 5000)
    )
    np.testing.assert_allclose(own.values, [1000 * r.cost.takeovers / r.cost.labels for r in gated.records])
    assert not {"bc", "dagger", "constant"} & {c.label for c in cells["takeovers"]}
    assert "steps" in cells
    assert "steps" not in _known("quick@2", "gridworld@1")[2], "where every step is labelled, labels say it"
