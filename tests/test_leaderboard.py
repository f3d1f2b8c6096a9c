"""What a board ranks and how it says so, on the shipped records of `quick` and `brax`, changed: missing, undefined and
diverged seeds, rows that differ, marks, and names that would do harm."""

import json
import re

import numpy as np
import pytest

from ilbench import cli
from ilbench.display import tables
from ilbench.records import store
from ilbench.records.schema import make_record
from ilbench.report import groups, leaderboard, overall, settings, source


@pytest.fixture(scope="module")
def records():
    found = [
        r for r in source.load("quick@1", "results").records if not r.cell.task.startswith(("cliff", "recoverable"))
    ]
    return [r for r in found if not groups.instrument(groups.group([r])[0])]


def change(record, *, scores=None, config=None, **cell):
    """The record as another cell's, with other scores."""
    values = record.cell.model_dump() | cell
    values["config"] = {**values["config"], **(config or {})}
    made = make_record(
        type(record.cell)(**values), record.suite, status=record.status, reason=record.reason,
        scores={**record.scores, **(scores or {})}, episodes=record.episodes, references=record.references,
        cost=record.cost, variants=record.variants, provenance=record.provenance,
    )  # fmt: skip
    return made


def diverged(record, **kept):
    """The record as it would have been had its training diverged; `kept`: scores that it states all the same."""
    nothing = dict.fromkeys(record.scores) | kept
    return record.model_copy(update={"status": "diverged", "reason": "test", "scores": nothing})


def ranking(records):
    return {t.title: [row[1] for row in t.rows] for t in overall.tables(groups.group(records))}


def row(records, **wanted):
    (found,) = [r for r in leaderboard.build(records).rows if wanted.items() <= r.items()]
    return found


def some(records, task, *algorithms):
    return [r for r in records if r.cell.task == task and r.cell.algorithm in algorithms]


# ------------------------------------------------------------------- missing, undefined, diverged
def test_an_algorithm_that_does_not_fit_a_task_does_not_take_it_from_the_others(records):
    found = ranking(records)
    assert [set(labels) for labels in found.values()] == [{"bc", "dagger"}, {"bc", "dagger", "ccil[dynamics=learned]"}]
    assert list(found) == ["All 4 tasks", "The 3 of 4 tasks that all of these ran on"]
    alone = [change(r, algorithm="mine") for r in some(records, "gridworld@1", "bc")]  # ran on one task: takes none
    assert ranking([*records, *alone]) == found


@pytest.mark.parametrize("stated", [{}, {"survived": 1.0, "return": 0.0, "gap": -2.34, "cost": 0.0, "score": 1.0}])
def test_a_diverged_seed_makes_every_column_worse_whatever_it_states(records, stated):
    bc = sorted(some(records, "hopper@1", "bc"), key=lambda r: r.scores["gap"])
    others = some(records, "hopper@1", "dagger")
    before = row(bc + others, algorithm="bc")
    for lost in (0, 5, -1):
        after = row([diverged(r, **stated) if r is bc[lost] else r for r in bc] + others, algorithm="bc")
        assert after["diverged"] == 1
        assert after["gap"] > before["gap"]
        assert after["cost"] > before["cost"]
        assert after["survived"] < before["survived"]
        assert after["score"] < before["score"]
    everything = row([diverged(r, **stated) for r in bc] + others, algorithm="bc")
    reference = bc[0].references
    assert everything["gap"] == pytest.approx(reference["expert"].mean - reference["random"].mean)
    assert (everything["score"], everything["cost"], everything["survived"]) == (0, 1000, 0)


def test_an_undefined_score_is_a_dash_and_leaves_the_ranking_of_all(records):
    flat = [change(r, scores={"score": None}) if r.cell.task == "cartpole@1" else r for r in records]
    board = leaderboard.build(flat)
    mine = [r for r in board.rows if r["task"] == "cartpole@1"]
    assert [r["score"] for r in mine] == [None] * 3
    assert all(r["undefined"] and r["minus_baseline"] is None for r in mine)
    titles = [t.title for t in board.tables]
    assert titles[:2] == ["All 3 tasks", "The 2 of 3 tasks that all of these ran on"]
    assert "no better than a random policy: cartpole@1 H=500 n=3000" in board.tables[0].notes[1]
    shown = leaderboard.text(board)
    assert re.search(r"\nbc +- +- ", shown.split("cartpole@1, H")[1])
    json.dumps(board.as_json(), allow_nan=False)


def test_one_undefined_score_takes_the_setting_from_all(records):
    flat = [
        change(r, scores={"score": None}) if r.cell.task == "cartpole@1" and r.cell.algorithm == "ccil" else r
        for r in records
    ]
    for found in overall.rankings(groups.group(flat)):
        assert found["undefined"] == ["cartpole@1 H=500 n=3000"]
        assert "cartpole@1" not in {s["task"] for s in found["settings"]}


def test_no_number_of_a_diverged_seed_is_read(records):
    (g,) = groups.group([diverged(r, survived=1.0, cost=0.0) for r in some(records, "hopper@1", "bc")])
    assert np.isnan([g.values(name) for name in ("survived", "cost", "return", "gap")]).all()


def test_a_missing_score_takes_the_row_alone_out_of_the_ranking(records):
    def without(r):
        scores = {k: v for k, v in r.scores.items() if k != "score"}
        return r.model_copy(update={"scores": scores})

    found = ranking([without(r) if r.cell.algorithm == "ccil" else r for r in records])
    assert {name for labels in found.values() for name in labels} == {"bc", "dagger"}
    assert "All 4 tasks" in found


def test_failed_seeds_are_missing_and_said(records):
    bc = some(records, "hopper@1", "bc")
    lost = [r.model_copy(update={"status": "failed", "reason": "x", "scores": {}}) for r in bc[:2]]
    found = row(lost + bc[2:], algorithm="bc")
    assert (found["seeds"], found["failed"]) == (8, 2)
    assert found["score"] == pytest.approx(np.mean([r.scores["score"] for r in bc[2:]]))


# ------------------------------------------------------------------------------ rows that differ
def swapped(records, head, shift, **config):
    """Records of another head, shifted in score."""
    out = []
    for r in records:
        own = {f"{head}.{k.split('.', 1)[1]}" if k.startswith("mse.") else k: v for k, v in r.cell.config.items()}
        changed = change(r, head=head, scores={"score": r.scores["score"] + shift})
        out.append(
            change(changed.model_copy(update={"cell": changed.cell.model_copy(update={"config": own})}), config=config)
        )
    return out


def test_heads_are_rows_of_their_own_and_differences_pair_with_the_same_head(records):
    base = some(records, "hopper@1", "bc", "dagger") + some(records, "pendulum@1", "bc", "dagger")
    both = base + swapped(base, "flow", -0.3)
    for labels in ranking(both).values():
        assert set(labels) == {"bc+mse", "bc+flow", "dagger+mse", "dagger+flow"}
        assert {labels[0][-3:], labels[1][-3:]} == {"mse"}
    rows = [r for r in leaderboard.build(both).rows if r["name"] == "dagger"]
    assert {r["minus_baseline"]["baseline"] for r in rows if r["algorithm"] == "dagger+flow"} == {"bc+flow"}
    for task in ("hopper@1", "pendulum@1"):
        a, b = (r["minus_baseline"]["mean"] for r in rows if r["task"] == task)
        assert a == pytest.approx(b)


@pytest.mark.parametrize(
    ("cell", "says"),
    [
        ({"evaluation": {"episodes": 4}}, "episodes=4"),
        ({"config": {"task.slip": 0.2}}, "slip=0.2"),
        ({"evaluation": {"deltas": [0.5]}}, "deltas=[0.5]"),
    ],
)
def test_places_that_differ_are_tables_of_their_own_and_say_how(records, cell, says):
    base = some(records, "hopper@1", "bc", "dagger")
    other = []
    for r in base:
        evaluation = {**r.cell.evaluation, **cell.get("evaluation", {})}
        other.append(change(r, evaluation=evaluation, config=cell.get("config"), scores={"score": 0.1}))
    board = leaderboard.build(base + other)
    titles = [t.title for t in board.tables if t.title.startswith("hopper@1")]
    assert len(titles) == len(set(titles)) == 2
    assert sum(says in t for t in titles) == 1
    differences = {r["apart"]: r["minus_baseline"]["mean"] for r in board.rows if r["name"] == "dagger"}
    assert len(differences) == 2
    assert sorted(differences.values())[1] == 0  # .1 - .1, and not .1 minus the other protocol's bc


def test_the_baseline_is_of_the_same_place(records):
    found = groups.group(some(records, "hopper@1", "bc", "dagger"))
    dagger, bc = found[::-1]
    assert groups.baseline(dagger, found) is bc
    assert groups.baseline(dagger, [bc._replace(place="another"), dagger]) is None


def test_counts_say_what_survives_holm_first():
    def d(mean, half, p, same=False):
        return {"x": {"mean": mean, "lo": mean - half, "hi": mean + half, "p": p, "same": same}}

    rows = [d(1, 0.5, 1e-6), d(1, 0.9, 0.04), d(-1, 0.9, 0.03), d(0, 1, 0.9), d(0, 0, 1, same=True), {"x": None}]
    assert settings._count(rows, "x") == ("4", "1 (2)", "0 (1)", "3")
    assert settings._count([rows[4]], "x") == ("0", "-", "-", "-")


def test_percentages_are_of_the_baselines_mean_return(records):
    dagger, bc = groups.group(some(records, "hopper@1", "bc", "dagger"))[::-1]
    expected = 100 * (dagger.values("return").mean() / bc.values("return").mean() - 1)
    assert settings._percent(dagger, bc, "return") == f"{expected:+.0f}"
    assert settings._percent(dagger, bc, "nothing") == "-"


def test_a_row_whose_fit_differs_has_no_partner_and_that_is_said(records):
    base = some(records, "hopper@1", "bc", "dagger")
    other = [change(r, config={"fit.updates": 9}) for r in base if r.cell.algorithm == "dagger"]
    board = leaderboard.build(base + other)
    found = {r["algorithm"]: r["minus_baseline"] for r in board.rows}
    assert set(found) == {"bc", "dagger[updates=5000]", "dagger[updates=9]"}
    assert found["dagger[updates=9]"] is None
    assert found["dagger[updates=5000]"] is not None
    assert "No bc shares head and settings of: dagger[updates=9]." in board.tables[-1].notes


def test_labels_say_only_what_differs(records):
    base = some(records, "hopper@1", "bc")
    sets = [
        {"mse.width": w, "mse.activation": a, "fit.updates": u}
        for w, a, u in ((8, "tanh", 1), (16, "relu", 2), (16, "relu", 3))
    ]
    rows = [change(r, config=c) for r in base for c in sets]
    labels = [g.label for g in groups.group(rows)]
    assert sorted(labels) == ["bc[updates=1]", "bc[updates=2]", "bc[updates=3]"]
    assert "bc[updates=1]: mse.activation=tanh, mse.width=8" in groups.also(groups.group(rows))


def test_a_long_value_is_cut_and_still_told_apart(records):
    base = some(records, "hopper@1", "bc")
    rows = [change(r, config={"mse.activation": "x" * 300 + end}) for r in base for end in "ab"]
    labels = {g.label for g in groups.group(rows)}
    assert len(labels) == 2
    assert max(map(len, labels)) < 50


@pytest.mark.parametrize(
    ("mine", "theirs", "paired"),
    [
        ({"versions.mse": 2}, {"versions.mse": 2}, True),
        ({"versions.mse": 2}, {}, False),
        ({"versions.dagger": 2, "plugins.dagger/data.npz": "1" * 64}, {"versions.bc": 3}, True),
        ({"plugins.mse": "heads==1"}, {"plugins.mse": "heads==2"}, False),
        ({"dagger.rounds": 7}, {}, True),
        ({"fit.batch": 7}, {}, False),
    ],
)
def test_versions_count_when_rows_are_paired(records, mine, theirs, paired):
    dagger, bc = groups.group(some(records, "hopper@1", "dagger") + some(records, "hopper@1", "bc"))[::-1]
    dagger, bc = (g._replace(settings={**g.settings, **more}) for g, more in ((dagger, mine), (bc, theirs)))
    assert (groups.baseline(dagger, [dagger, bc]) is bc) == paired
    assert groups.baseline(bc, [dagger, bc]) is None


def test_records_of_another_expert_are_of_another_task(records):
    hopper = some(records, "hopper@1", "bc", "dagger")
    other = [change(r, expert="0" * 64) for r in hopper]
    rows = leaderboard.build([*hopper, *other]).rows
    assert {r["task"] for r in rows} == {f"hopper@1 (expert {hopper[0].cell.expert[:8]})", "hopper@1 (expert 00000000)"}
    differences = [r["minus_baseline"]["mean"] for r in rows if r["name"] == "dagger"]
    np.testing.assert_allclose(differences[0], differences[1])


# ---------------------------------------------------------------------------------- what is printed
def test_one_statistic_is_printed(records):
    """Scores, differences, variants and ranks are of the mean, so none of them contradicts another."""
    board = leaderboard.build(records)
    for r in board.rows:
        if r["minus_baseline"] is not None:
            (base,) = [
                b for b in board.rows if (b["task"], b["algorithm"]) == (r["task"], r["minus_baseline"]["baseline"])
            ]
            assert r["score"] - base["score"] == pytest.approx(r["minus_baseline"]["mean"])
        if r["name"] == "dagger":
            assert any(v == pytest.approx(r["score"]) for v in r["variants"].values())


@pytest.mark.parametrize("n", [1, 2, 4, 5])
def test_few_seeds_are_shown_as_points(records, n):
    board = leaderboard.build([r for r in records if r.cell.seed < n])
    for r in board.rows:
        assert (r["score_ci"] == [None, None]) == (n < 5)
        assert (r["score_points"] is not None) == (n < 5)
        if r["minus_baseline"] is not None:
            assert (r["minus_baseline"]["lo"] is None) == (n < 5)
    assert ("Fewer than 5 seeds" in leaderboard.text(board).split("\n\nMeans over")[0]) == (n < 5)


def test_seeds_that_tie_have_a_width(records):
    found = row(records, task="cartpole@1", algorithm="bc")
    assert found["score"] == 1
    assert found["score_ci"] == pytest.approx([0.025**0.1, 1])
    assert found["survived_ci"] == pytest.approx([0.025**0.1, 1])


def test_runs_that_are_the_same_are_said_to_be(records):
    assert row(records, task="cartpole@1", algorithm="ccil[dynamics=learned]")["minus_baseline"]["same"]
    assert not row(records, task="cartpole@1", algorithm="dagger")["minus_baseline"]["same"]  # ties, and errs elsewhere
    shown = leaderboard.text(leaderboard.build(records))
    assert shown.count("0 (the same)") == 1


def test_json_is_finite_and_holds_the_overall_ranking(records):
    wild = [change(r, scores={"score": None}) if r.cell.algorithm == "ccil" else r for r in records]
    wild = [r.model_copy(update={"references": {}}) for r in wild]
    found = json.loads(json.dumps(leaderboard.build(wild).as_json(), allow_nan=False))
    assert {"rows", "overall", "notes"} <= set(found)
    found = leaderboard.build(records).as_json()
    assert [r["algorithm"] for r in found["overall"][0]["rows"]] == ["dagger", "bc"]
    assert tables.plain({"a": [np.inf, {"b": np.nan}], "c": (1.0,)}) == {"a": [None, {"b": None}], "c": [1.0]}


def test_what_has_not_converged_or_is_worse_than_a_constant_is_marked(records):
    base = some(records, "hopper@1", "bc", "dagger")
    falling = {"held_out_loss": 0.945, "held_out_loss_half": 1.0, "worse_than_constant": 0.0}
    still = {"held_out_loss": 0.96, "held_out_loss_half": 1.0, "worse_than_constant": 1.0}
    board = leaderboard.build([change(r, scores=falling if r.cell.algorithm == "bc" else still) for r in base])
    names = {r[0] for r in board.tables[-1].rows}
    assert names == {"bc*", "dagger!"}
    assert board.lines[0].startswith("1 of 2 rows with a trained head had not converged")
    assert "1 row holds fits that are worse" in board.lines[1]
    assert "10 of 10 fits of dagger are worse" in " ".join(board.tables[-1].notes)
    assert leaderboard.build(base).lines == ("Whether fits had converged was not recorded.",)


@pytest.mark.parametrize(
    ("driven", "mark", "said"),
    [(0.0, "#", "never opened in 10 and never closed in 0"), (1.0, "#", "in 0 and never closed in 10"), (0.5, "", "")],
)
def test_a_gate_that_never_opens_or_never_closes_is_marked(records, driven, mark, said):
    base = some(records, "hopper@1", "bc", "dagger")
    board = leaderboard.build([change(r, scores={"own/driven": driven}) if r.cell.algorithm == "dagger" else r for r in base])
    table = board.tables[-1]
    assert {r[0] for r in table.rows} == {"bc", f"dagger{mark}"}
    assert said in " ".join(table.notes)
    assert ("#:" in " ".join(table.notes)) == bool(mark)


@pytest.mark.parametrize(("expert", "shown"), [(0.79, False), (0.81, True)])
def test_a_noise_that_the_expert_does_not_survive_shows_no_score(records, expert, shown):
    base = some(records, "hopper@1", "bc", "dagger")
    scores = {"noisy_score": 0.5, "noisy_return": 9.0, "noisy_expert_score": expert}
    noisy = [change(r, evaluation={**r.cell.evaluation, "noise": 0.1}, scores=scores) for r in base]
    board = leaderboard.build(noisy)
    assert [r["noisy_score"] is not None for r in board.rows] == [shown] * 2
    assert ("the expert itself cannot act under it (score 0.79)" in leaderboard.text(board)) == (not shown)


def test_shared_seconds_are_apart(records):
    base = some(records, "hopper@1", "bc")
    assert row(base)["shared_seconds"] is None
    assert "+" not in leaderboard.build(base).tables[-1].rows[0][-2]
    costs = {"shared_s": 51.1, "takeovers": 3, "takeover_steps": 40, "switches": 6}
    paid = [r.model_copy(update={"cost": r.cost.model_copy(update=costs)}) for r in base]
    board = leaderboard.build(paid)
    assert board.rows[0]["seconds"] == row(base)["seconds"]
    assert "(+ 51.1 shared)" in leaderboard.text(board, full=True)
    assert (board.rows[0]["takeovers"], board.rows[0]["takeover_steps"], board.rows[0]["switches"]) == (3, 40, 6)
    assert "3 (40 steps)" in leaderboard.text(board, full=True)


@pytest.mark.parametrize("width", [60, 80, 100, 160, None])
def test_tables_fit_the_terminal(records, width):
    board = leaderboard.build(records)
    shown = leaderboard.text(board, "first", width)
    lines = shown.splitlines()
    assert width is None or max(map(len, lines)) <= width
    rows = sum(len(t.rows) for t in board.tables)
    body = [line for line in lines if re.match(r"(\d(-\d)? +)?(bc|dagger|ccil)", line)]
    assert len(body) == rows  # no row takes a second line that begins like one, none is lost
    assert "score by policy" not in shown
    assert "score by policy" in leaderboard.text(board, "first", width, full=True)
    assert len(leaderboard.LEGEND) + 1 <= 4


# ------------------------------------------------------------------------------------- bad records
NAMES = [
    "\x1b[31mred\x1b[0m",
    "![x](http://evil.example/a.png)",
    "<img src=x>",
    "a|b",
    "[x](y)",
    "two\nlines",
    "\u202egnp",
]


@pytest.mark.parametrize("name", NAMES)
def test_names_from_records_are_inert(records, name):
    base = some(records, "hopper@1", "bc")
    wild = [r.model_copy(update={"variants": {name: {"score": 0.5}}}) for r in base]
    other = [change(r, config={"mse.activation": name}) for r in wild]
    board = leaderboard.build(wild + other)
    said, page = leaderboard.text(board, full=True), leaderboard.page(board, "quick@1")
    assert all(line.isprintable() for line in said.split("\n"))
    assert all(line.isprintable() for line in page.split("\n"))
    assert not re.search(r"(?<!\\)!\[|\](?!\\)\(|<img|http://|(?<!\\)\]\(", page)
    widths = {line.count("|") - line.count("\\|") for line in page.split("\n") if line.startswith("|")}
    assert len(widths) == 1


def test_problems_are_named_once_and_the_board_is_built(records, tmp_path, capsys):
    base = some(records, "hopper@1", "bc", "dagger")
    written = [store.write(tmp_path, r.model_copy(update={"sidecar": None})).path for r in base]
    store.write(tmp_path, change(base[0], evaluation={**base[0].cell.evaluation, "prefixes": ["ten"]}))
    for path in written[:7]:
        path.write_bytes(b"\x00")
    found = source.load("quick", tmp_path)
    said = capsys.readouterr().err
    assert said.count("\n") == 1 + 5 + 1
    assert "8 files set aside" in said
    assert len(found.records) == len(base) - 7
    assert sum(r["seeds"] for r in leaderboard.build(found.records).rows) == len(base) - 7
    assert "8 files set aside" in source.first_line(found)


@pytest.mark.parametrize(
    ("name", "curve", "says"),
    [
        ("prefix_cost", np.ones((3, 2)), "has the shape"),
        ("prefix_gap", np.full(5, np.nan), "no finite number"),
        ("prefix_gap", np.ones(()), "has the shape"),
    ],
)
def test_curves_of_no_use_set_their_record_aside(records, name, curve, says):
    record = some(records, "hopper@1", "bc")[0]
    assert source.unusable(record, {}) == ""
    assert says in source.unusable(record, {name: curve})


def test_the_first_line_says_what_the_report_was_made_from(records):
    found = source.load("quick@1", "results")
    said = source.first_line(found, "results/quick@1")
    assert said.startswith("quick@1")
    assert " in results/quick@1: " in said
    assert "480" in said
    assert found.records[0].provenance.git_sha[:7] in said
    assert "DIRTY" not in said
    assert " on " not in said.split(": ", 1)[1]  # one kind of device
    dirty = found.records[0].provenance.model_copy(update={"git_dirty": True, "git_sha": "f" * 40, "device": "NVIDIA H200"})
    mixed = found._replace(records=[found.records[0].model_copy(update={"provenance": dirty}), *found.records[1:]])
    said = source.first_line(mixed)
    assert "DIRTY: 1 of 480" in said
    assert "fffffff" in said
    assert said.endswith("; on NVIDIA H200 and cpu")


def test_cells_that_no_suite_declares_are_said():
    found = source.load("quick@1", "results")
    other = change(found.records[0], seed=1234)
    declared = [source.cell_key(r.cell.task[:-2], r.cell, r.cell.budget, r.cell.seed) for r in found.records]
    assert source._cells(found, declared) == ["480 of 480 declared cells"]
    assert source._cells(found._replace(records=[*found.records[1:], other]), declared) == [
        "479 of 480 declared cells",
        "NOT DECLARED: 1 more (other seeds or settings)",
    ]
    assert source._cells(found, None) == ["480 cells"]


def test_an_older_version_is_said_to_be_superseded():
    found = source.load("quick@1", "results")
    assert "superseded by quick@" in source.first_line(found._replace(suite="quick@0"))
    assert source.superseded("quick@999") == ""
    assert source.superseded("nobodys@1") == ""


def test_the_command_prints_where_it_read_and_json(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["ilbench", "leaderboard", "quick@1", "--results", "results", "--json"])
    with pytest.raises(SystemExit) as left:
        cli.main()
    assert left.value.code == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["suite"] == "quick@1"
    assert "results/quick@1" in shown["source"]
    assert shown["overall"][0]["rows"][0]["score_ci"][0] < shown["overall"][0]["rows"][0]["score"]


def test_a_setting_that_no_cell_states_is_no_label():
    assert groups.label("bc", {"policy.chunk": groups.ABSENT}) == "bc"
    assert groups.label("bc", {"policy.chunk": 4, "policy.decay": groups.ABSENT}) == "bc[chunk=4]"
