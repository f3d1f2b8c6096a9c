"""The runner of checks: names, exit codes, one broken check among others, and what is kept on disk."""

import types

import pytest

from ilbench import cli, registry
from ilbench.registry import Entry, UnknownName
from ilbench.report import checks as report
from ilbench.running import checks
from ilbench.stats.claims import Result, at_most, equal


def _plot(result, figure):
    figure.subplots().plot(result.data["x"], result.data["x"])


def _break(mode, say):
    raise RuntimeError("no such luck")


MODULES = {
    "t01_good": lambda mode, say: Result((equal("1 + 1 = 2", 2, 1 + 1, tolerance=0),), {"x": [1.0, 2.0]}),
    "t02_false": lambda mode, say: Result((at_most("3 <= 2", 3, 2),), {"x": [1.0]}),
    "t03_counter": lambda mode, say: Result((at_most("3 <= 2", 3, 2, expected="fails"),)),
    "t04_broken": _break,
}


@pytest.fixture
def four(monkeypatch):
    entries = {n: Entry("checks", n, n, "s", "p", literals=(("MODES", ("exact",)),)) for n in MODULES}
    monkeypatch.setattr(registry, "entries", lambda kind: entries)
    load = {n: types.SimpleNamespace(measure=m, plot=_plot) for n, m in MODULES.items()}
    monkeypatch.setattr(registry, "load", lambda kind, name: load[name])


def test_a_broken_check_costs_no_other(four):
    ran = {r.short: r for r in checks.run()}
    assert [ran[t].failed for t in ("T01", "T02", "T03", "T04")] == [False, True, False, True]
    assert "no such luck" in ran["T04"].error
    assert [ran[t].claims[0].verdict for t in ("T01", "T02", "T03")] == ["HOLDS", "VIOLATED", "REFUTED AS EXPECTED"]


@pytest.mark.parametrize(("names", "code"), [(("T01",), 0), (("t03_counter", "good"), 0), (("T02",), 3), (("T04",), 3)])
def test_exit_code_says_whether_something_came_out_against_expectation(four, names, code, capsys):
    assert cli.Theory(names, exact=True, quiet=True).execute() == code
    assert names[0].upper()[:3] in capsys.readouterr().out


def test_unknown_check_names_the_closest(four):
    with pytest.raises(UnknownName, match="t01_good"):
        checks.run(["t01_goof"])


def test_kept_checks_are_read_back_and_foreign_files_are_named(four, tmp_path):
    ran = checks.run(["T01", "T03"])
    folder = report.save(ran, tmp_path)
    assert [r.claims for r in report.load(tmp_path)] == [r.claims for r in ran]
    assert report.page(report.load(tmp_path), ["t01_good.svg"]) == (folder / "CHECKS.md").read_text(encoding="utf-8")
    (folder / "t05_x.json").write_text('{"id": 3}')
    with pytest.raises(ValueError, match=r"t05_x.json"):
        report.load(tmp_path)
