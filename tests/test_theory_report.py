"""The theory reports: diverged seeds are said and cost the verdict, rates are the algorithms' own, the closing line counts."""

import json
import re
import subprocess
import sys

import pytest

from ilbench import cli, registry
from ilbench.records import store
from ilbench.report import checks as page
from ilbench.report import exponents, source, theory
from ilbench.running import checks
from ilbench.running.checks import Ran
from ilbench.stats.claims import Claim


@pytest.fixture(scope="module")
def found():
    return source.load("quick@1", "results")


def lose(record):
    """The record as it would have been had its training diverged."""
    scores = {k: v if k not in ("score", "gap", "return") else None for k, v in record.scores.items()}
    return record.model_copy(update={"status": "diverged", "reason": "non-finite return", "scores": scores})


def built(found, task, algorithm, lost):
    """Rows of one algorithm on one task when the seeds below `lost` diverge at its largest horizon."""
    mine = [r for r in found.records if (r.cell.task, r.cell.algorithm) == (task, algorithm)]
    top = max(r.cell.horizon for r in mine)
    records = [lose(r) if r.cell.horizon == top and r.cell.seed < lost else r for r in mine]
    rows = theory.build(records, found.arrays)
    json.dumps([r.as_json() for r in rows], allow_nan=False)
    return rows, theory.text(rows)


@pytest.mark.parametrize(
    ("task", "algorithm", "lost", "says"),
    [
        ("pendulum@1", "bc", 1, "1 of 10 diverged"),
        ("gridworld@1", "dagger", 3, "3 of 10 diverged"),
        ("gridworld@1", "bc", 9, "9 of 10 diverged"),
        ("reset_cliff@1", "bc", 2, "2 of 120 diverged"),
        ("reset_cliff@1", "bc", 29, "29 of 120 diverged"),
        ("cliff@1", "dialled", 1, "diverged"),
    ],
)
def test_diverged_seeds_are_said_and_leave_no_verdict(found, task, algorithm, lost, says):
    before, _ = built(found, task, algorithm, 0)
    rows, text = built(found, task, algorithm, lost)
    sweeps = [r for r in rows if isinstance(r, theory.Row)]
    budgets = [r for r in rows if isinstance(r, exponents.Row)]
    assert [r.kind for r in sweeps] == [r.kind for r in before if isinstance(r, theory.Row)]
    assert all(r.verdict for r in before if isinstance(r, theory.Row))
    assert not any(r.verdict for r in sweeps)
    assert budgets
    assert all(r.why == "unknown" for r in budgets)
    assert all(says in r.note for r in rows)
    assert theory.DIVERGED in text


@pytest.mark.parametrize(
    ("task", "algorithm", "closed"), [("cliff@1", "dialled", {"HOLDS", "INCONCLUSIVE"}), ("reset_cliff@1", "bc", {""})]
)
def test_one_seed_has_an_interval_only_where_episodes_give_it(found, task, algorithm, closed):
    mine = [r for r in found.records if (r.cell.task, r.cell.algorithm, r.cell.seed) == (task, algorithm, 0)]
    rows = theory.build(mine, found.arrays)
    assert rows
    assert {r.verdict for r in rows} <= closed
    assert "diverged" not in theory.text(rows)


def test_without_diverged_seeds_nothing_is_said(found):
    assert "diverged" not in theory.text(theory.build(found.records, found.arrays))


def test_rows_that_no_theorem_covers_show_no_rate(found):
    rows = [r for r in theory.build(found.records, found.arrays) if isinstance(r, theory.Row) and r.kind == "bound"]
    rates = {task: {r.rate for r in rows if r.task == task} for task in ("gridworld@1", "hopper@1", "pendulum@1")}
    assert rates == {"gridworld@1": {"<= 1", "<= 2"}, "hopper@1": {""}, "pendulum@1": {""}}


def test_rates_are_declared_by_the_algorithms():
    assert {
        name: theory._rate(name)
        for name in ("bc", "ccil", "noise_bc", "noise_injection", "dagger", "dialled", "nobody")
    } == {
        "bc": "<= 2",
        "ccil": "<= 2",
        "noise_bc": "<= 2",
        "noise_injection": "<= 2",
        "dagger": "<= 1",
        "dialled": "",
        "nobody": "",
    }


def test_reading_rates_and_listing_import_no_jax():
    code = (
        "import sys; from ilbench import registry; registry.entries('algorithms')\n"
        "from ilbench.commands.list import List; List('algorithms').execute(); assert 'jax' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
    assert dict(registry.entries("algorithms")["dagger"].literals)["RATE"] == "<= 1"


def ran(name, *verdicts):
    kind = {"REPLICATED": "E", "NOT REPLICATED": "E"}
    made = [Claim("x", kind.get(v, "T"), "monte-carlo", "holds", 0.0, 0.0, verdict=v) for v in verdicts]
    return Ran(name, "s", "p", tuple(made))


@pytest.mark.parametrize(
    ("verdicts", "says"),
    [
        (["HOLDS"], "No theorem came out against what is expected."),
        (["HOLDS", "REPLICATED"], "No theorem came out against what is expected."),
        (
            ["HOLDS", "NOT REPLICATED"],
            "No theorem came out against what is expected; 1 empirical claim did not replicate (T14).",
        ),
        (
            ["NOT REPLICATED", "NOT REPLICATED"],
            "No theorem came out against what is expected; 2 empirical claims did not replicate (T14).",
        ),
        (
            ["VIOLATED", "NOT REPLICATED"],
            "Against what is expected: T14; 1 empirical claim did not replicate (T14).",
        ),
        (["NOT REFUTED"], "Against what is expected: T14."),
    ],
)
def test_the_closing_line_counts_what_did_not_replicate(verdicts, says):
    made = [ran("t01_good", "HOLDS"), ran("t14_x", *verdicts)]
    assert says in page.overview(made)
    assert says in page.page(made)


# ------------------------------------------------------------------------------------ the command
@pytest.fixture
def no_compute(monkeypatch):
    monkeypatch.setattr(checks, "run", lambda *a, **k: pytest.fail("computed before the arguments were checked"))


def exit_of(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["ilbench", "theory", *arguments])
    with pytest.raises(SystemExit) as left:
        cli.main()
    return left.value.code


def test_a_changed_suite_is_found_by_its_folder(found, tmp_path, monkeypatch, capsys):
    for record in found.records:
        if record.cell.task == "cliff@1" and record.cell.horizon <= 64:
            store.write(tmp_path, record.model_copy(update={"suite": "quick+custom@1"}), found.arrays[record.id])
    for name in ("quick+custom", "quick+custom@1"):
        assert exit_of(monkeypatch, name, "--results", str(tmp_path)) in (0, 3)
        assert "Against closed forms" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (["quick@99"], "of this suite there are: quick@1"),
        (["quik"], "unknown check or suite 'quik'. Did you mean quick?"),
        (["T055"], "T05"),
        (["certfy", "gridworld", "bc:6"], "Did you mean certify"),
        (["quick", "T05"], "give one suite alone"),
        (["zzzzzzzzz"], "There are: "),
    ],
)
def test_unknown_names_are_refused_with_the_closest_of_checks_and_suites(names, says, monkeypatch, capsys, no_compute):
    assert exit_of(monkeypatch, *names) == 2
    assert says in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--plots", "--out"])
def test_an_impossible_folder_is_refused_before_compute(option, monkeypatch, capsys, no_compute):
    assert exit_of(monkeypatch, "T16", "--exact", option, "/dev/null/x") in (1, 2)
    assert "/dev/null/x" in capsys.readouterr().err


@pytest.mark.parametrize("seed", ["-1", "99999999999"])
def test_a_seed_that_is_no_word_is_refused_with_the_range(seed, monkeypatch, capsys):
    assert exit_of(monkeypatch, "certify", "gridworld", "bc:6", "--seed", seed) == 2
    assert "0 ... 4294967295" in capsys.readouterr().err


def test_many_trained_learners_stand_by_task_and_their_tables_are_folded():
    found = source.load("brax@1", "results")
    rows = theory.build(found.records, found.arrays)
    written = theory.page(rows, "brax@1")
    shown = re.sub(r"<details>.*?</details>", "", written, flags=re.S)
    assert len(shown.splitlines()) <= 80 < len(written.splitlines())
    hopper = [r for r in rows if isinstance(r, theory.Row) and (r.task, r.learner) == ("hopper@1", "dagger")]
    line = next(x for x in shown.splitlines() if x.startswith("| hopper@1 | dagger |"))
    assert len(hopper) == 5
    assert line.split(" | ")[2:] == [f"{r.slope.slope:.2f} [{r.slope.lo:.2f}, {r.slope.hi:.2f}]" for r in hopper[:-1]] + [
        f"{hopper[-1].slope.slope:.2f} [{hopper[-1].slope.lo:.2f}, {hopper[-1].slope.hi:.2f}] |"
    ]
    assert all(f"{t.title}: {len(t.rows)} rows" in written for t in theory.tables(rows))
