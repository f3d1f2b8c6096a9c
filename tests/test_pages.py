"""Pages and pictures: whose README is written, that nothing is half written, colours that mean the same everywhere."""

import pathlib
import re

import numpy as np
import pytest

import ilbench
from ilbench.display import style, tables
from ilbench.report import figures, pages, source

ROOT = pathlib.Path(ilbench.__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def found():
    return source.load("quick@1", ROOT / "results")


@pytest.mark.parametrize("project", [False, True])
def test_only_the_readme_of_this_checkout_is_written(project, tmp_path, monkeypatch, found):
    (tmp_path / "README.md").write_text("<!-- leaderboard:begin -->\nmine\n<!-- leaderboard:end -->\n")
    (tmp_path / "results" / found.suite).mkdir(parents=True)
    if project:
        (tmp_path / "pyproject.toml").write_text("[project]\nname='another'\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["pages", "quick", "results"])
    here = found._replace(folder=tmp_path / "results" / found.suite)
    monkeypatch.setattr(source, "load", lambda *a: here)
    monkeypatch.setattr(pages, "render", lambda f: {"LEADERBOARD.md": "page"})
    pages.main()
    assert "mine" in (tmp_path / "README.md").read_text()
    assert (here.folder / "LEADERBOARD.md").read_text() == "page"
    monkeypatch.chdir(ROOT)
    assert pages.own_pages() == [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_a_page_is_written_whole_or_not_at_all(tmp_path, monkeypatch, found):
    here = found._replace(folder=tmp_path)
    source.write_page(here, "LEADERBOARD.md", "before")

    def full(*a, **k):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(OSError, match="No space"):
        source.write_page(here, "LEADERBOARD.md", "after")
    assert [p.name for p in tmp_path.iterdir()] == ["LEADERBOARD.md"]
    assert (tmp_path / "LEADERBOARD.md").read_text() == "before"


def test_an_algorithm_has_one_colour_on_every_picture():
    few = style.looks([("dagger", "dagger"), ("bc", "bc")])
    many = style.looks([("bc", "bc+mse"), ("bc", "bc+mdn"), ("dagger", "dagger"), ("mine", "mine"), ("also", "also")])
    assert few["bc"][0] == many["bc+mse"][0] == many["bc+mdn"][0]
    assert few["dagger"][0] == many["dagger"][0]
    assert many["bc+mse"][1] != many["bc+mdn"][1]
    assert len({look[0] for look in many.values()}) == 4
    assert len(set(many.values())) == 5


def test_more_rows_of_an_algorithm_than_there_are_marks_have_colours_of_their_own():
    found = style.looks([("dagger", "dagger"), *(("bc", f"bc+{i}") for i in range(len(style.MARKS) + 1))])
    assert len({colour for colour, _ in found.values()}) == len(style.MARKS) + 2


def test_a_board_of_many_algorithms_tells_them_apart():
    names = [*style.OWN, *(f"method{i:02}" for i in range(9))]
    found = style.looks((name, name) for name in names)
    assert len({look[0] for look in found.values()}) == len(names) == len(style.COLOURS)


def test_bars_are_the_limits_and_run_off_the_axis_where_they_reach_zero():
    axis = style.figure().subplots()
    figures._points(axis, [1, 2], [2.0, 3.0], [0.0, 1.0], [5.0, np.nan], ("#000000", "o"), "-", "x")
    axis.set_yscale("log")
    figures._from_below(axis, [2.0, 3.0])
    (bars,) = axis.containers[0][2]
    first, second = (segment[:, 1] for segment in bars.get_segments())
    np.testing.assert_allclose(first, [0, 5])
    np.testing.assert_allclose(second, [1, 3])
    assert axis.get_ylim()[0] > 0


def test_pictures_say_budget_and_what_was_bought_and_which_panel_was_chosen(found):
    drawn = figures.overview(found.records, found.arrays)
    text = " ".join(re.findall(r"<text[^>]*>([^<]*)</text>", drawn))
    assert "hopper@1, budget 6,000" in text
    assert "where mistakes differ most" in text
    assert "dagger (3,812 labels bought)" in text


@pytest.mark.parametrize("value", [0.0, -0.0001, 0.9999, 1.0, -1.5, float("inf"), None])
def test_scores_have_fixed_decimals(value):
    said = tables.fixed(value)
    assert said == "-" or re.fullmatch(r"-?\d+\.\d{3}", said)
    assert said != "-0.000"


def test_text_is_cut_into_lines_between_words_and_columns_that_can_be_spared_go_first():
    table = tables.Table(
        "t", ("name", "a", "b", "c"), [("row", "x" * 30, "y y y " * 5, "z" * 20)], ("note " * 30,), ("c",), ("a",)
    )
    shown = tables.text([table], 40)
    assert "z" not in shown
    assert "x" not in shown
    assert "c (--full" in shown.splitlines()[-1] + shown.splitlines()[-2]
    assert max(map(len, shown.splitlines())) <= 40
    assert "z" * 20 in tables.text([table], 40, full=True)
    assert "y y y y y" in " ".join(shown.split())


def test_scores_against_the_budget_are_of_one_horizon(monkeypatch):
    """A suite that trains anew for every horizon has other budgets at each: those are no sweep of budgets."""
    drawn, found = [], source.load("compounding@1", ROOT / "results")
    monkeypatch.setattr(figures, "_budgets", lambda axis, rows, look, legend: drawn.append({r["horizon"] for r in rows}))
    kept = [r for r in found.records if r.cell.task == "hopper@1"]
    figures.overview(kept, {r.id: found.arrays[r.id] for r in kept})
    assert drawn == [{1000}]
