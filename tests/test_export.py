"""`ilbench export`: the same numbers in every format, and no name from a record comes to life in any of them."""

import csv
import io
import json
import random
import re

import pytest
from test_compare import run
from test_leaderboard import change

from ilbench.display import latex, sheets
from ilbench.display.tables import shown
from ilbench.report import export, leaderboard, source

HARM = (
    "=1+1",
    "@SUM(A1)",
    "-2+3",
    "\t=1",
    "%\n\\input{x}",
    "$x^{2}_i~&#",
    "*[2em]",
    "<b>|`",
    "\u202eabc\u0000",
    "a,b;\"c'",
)


@pytest.fixture(scope="module")
def records():
    return [r for r in source.load("quick@1", "results").records if r.cell.task in ("pendulum@1", "gridworld@1")]


@pytest.fixture(scope="module")
def board(records):
    return leaderboard.build(records)


def test_csv_and_json_hold_the_numbers_of_the_board(board):
    lines = list(csv.DictReader(io.StringIO(export.document("csv", board, "quick@1", ""))))
    rows = json.loads(export.document("json", board, "quick@1", ""))["rows"]
    assert len(lines) == len(rows) == len(board.rows) > 3
    for line, row, own in zip(lines, rows, board.rows, strict=True):
        assert (
            (float(line["score"]), float(line["cost_hi"]))
            == (own["score"], own["cost_ci"][1])
            == (row["score"], row["cost_hi"])
        )
        assert (line["task"], int(line["seeds"]), line["undefined"]) == (own["task"], own["seeds"], "false")
        d = own["minus_baseline"]
        said = [line[f"score_minus_bc{end}"] for end in ("", "_lo", "_hi", "_p")]
        assert said == (["", "", "", ""] if d is None else [repr(d[k]) for k in ("mean", "lo", "hi", "p")])


def test_every_cell_of_the_tables_is_a_macro_with_the_same_text(records, board):
    made = latex.macros(export.cells(board))
    assert all(re.fullmatch(r"ilb[A-Za-z]+", name) for name in made)
    bc = next(r for r in board.rows if (r["task"], r["algorithm"]) == ("pendulum@1", "bc"))
    assert made["ilbPendulumBcScoreMean"] == f"{bc['score']:.3f}"
    assert made["ilbPendulumBcScoreLow"] == f"{bc['score_ci'][0]:.3f}"
    assert made["ilbPendulumBcScore"].startswith(made["ilbPendulumBcScoreMean"])
    assert made["ilbPendulumBcSeeds"] == "10"
    texts = {text for table in export.tables(board) for row in table.rows for text in row[1:]}
    assert texts <= set(made.values())
    shuffled = random.Random(0).sample(records, len(records))
    again = leaderboard.build(shuffled)
    assert export.document("macros", again, "quick@1", "") == export.document("macros", board, "quick@1", "")


def test_a_macro_never_comes_to_mean_another_place(records, board):
    before = latex.macros(export.cells(board))
    more = [change(r, budget=5 * r.cell.budget) for r in records if r.cell.task == "pendulum@1"]
    after = latex.macros(export.cells(leaderboard.build([*records, *more])))
    assert not [name for name in before if "Pendulum" in name and name in after]
    assert {name for name in before if "Gridworld" in name} <= set(after)
    assert "ilbPendulumNOneTwoZeroZeroBcScore" in after


def test_names_that_letters_do_not_tell_apart_get_more_letters():
    cells = [(("a-b", "score"), "1"), (("a_b", "score"), "2"), (("c", "score"), "3")]
    made = latex.macros(cells)
    assert sorted(made.values()) == ["1", "2", "3"]
    assert made["ilbCScore"] == "3"
    assert "ilbABScore" not in made  # whose would it be?
    assert made == latex.macros(cells[::-1])
    with pytest.raises(ValueError, match="two cells are called"):
        latex.macros([(("a", "b"), "1"), (("a", "b"), "2"), (("a b",), "3")])


# --------------------------------------------------------------------------------------------- hostile names
NAMED = {
    "textbackslash": "\\",
    "textasciicircum": "^",
    "textasciitilde": "~",
    "textless": "<",
    "textgreater": ">",
    "textbar": "|",
}


def read_tex(text):
    """What TeX would set: plain characters, escaped ones and the few commands; anything that would act raises."""
    out, at = "", 0
    while at < len(text):
        found = re.compile(r"\\(?:char34\{\}|([a-z]+)\{\}|([{}$&#_%]))").match(text, at)
        if found:
            out += NAMED[found[1]] if found[1] else found[2] or '"'
        else:
            assert text[at] not in '\\{}$&#_%^~<>|"', text[at:]
            out += text[at]
        at = found.end() if found else at + 1
    return out


def test_text_of_any_kind_stays_text_in_latex_and_csv():
    drawn, alphabet = random.Random(0), "a1 =+-@\t\\{}$&#_%^~<>|\"'`[]*,;\n\u202e\u00e9"
    for text in [*HARM, *("".join(drawn.choices(alphabet, k=drawn.randint(1, 12))) for _ in range(500))]:
        assert read_tex(latex.escaped(text)) == shown(text)
        (name, cell) = (row[0] for row in csv.reader(io.StringIO(sheets.csv([{text: text}]))))
        assert name == cell
        assert cell in (shown(text), f"'{shown(text)}")
        assert not cell.lstrip().startswith(("=", "+", "-", "@"))
    assert sheets.csv([{"a": -0.5, "b": -2, "c": "-0.5", "d": "\t=1"}]).splitlines()[1] == "-0.5,-2,'-0.5,\\t=1"


@pytest.mark.parametrize("name", HARM)
def test_a_hostile_setting_is_inert_in_every_format(name, records):
    """As the value of a setting that tells two rows apart, which is the way for a stranger's text into a label."""
    bc = [r for r in records if r.cell.task == "pendulum@1" and r.cell.algorithm == "bc"]
    board = leaderboard.build([*bc, *(change(r, config={"bc.note": name}) for r in bc)])
    assert len(board.rows) == 2
    made = {kind: export.document(kind, board, "quick@1", f"{name} in results") for kind in export.TEXTS}
    assert all(re.fullmatch(r"[^\x00-\x09\x0b-\x1f\u202e]*", text) for text in made.values())
    assert len(list(csv.reader(io.StringIO(made["csv"])))) == 3
    assert len(json.loads(made["json"])["rows"]) == 2
    table = [line for line in made["markdown"].splitlines() if line.startswith("| ")]
    assert [len(re.findall(r"(?<!\\)\|", line)) for line in table] == [7, 7, 7]
    assert "<b>" not in made["markdown"]
    lines = made["macros"].splitlines()
    assert all(
        line.startswith("% ") or re.fullmatch(r"\\newcommand\{\\ilb[A-Za-z]+\}\{[^\\{}%]*\}", line) for line in lines
    )
    rows = [line for line in made["latex"].splitlines() if line.endswith(r" \\")]
    assert len(rows) == 3
    assert all(len(re.findall(r"(?<!\\)&", line)) == 5 for line in rows)
    assert "input{" not in made["latex"].replace(r"input\{", "")


def test_a_row_that_begins_with_a_bracket_is_no_option_of_the_line_before():
    assert latex._line(["[2em]", "*", "-"]) == r"{}[2em] & {}* & - \\"
    assert [latex.value(x) for x in ("-0.5 [-1, 2]", "1e-07", "-", "a-1")] == ["$-$0.5 [$-$1, 2]", "1e-07", "--", "a-1"]


# ------------------------------------------------------------------------------------------------- command
def test_the_command_writes_what_it_prints_and_refuses_early(tmp_path, monkeypatch, capsys):
    line = ("export", "--suite", "quick@1", "--results", "results", "--format")
    assert run(monkeypatch, *line, "macros") == 0
    shown = capsys.readouterr().out
    assert shown.count("\\newcommand") > 50
    assert run(monkeypatch, *line, "macros", "-o", str(tmp_path / "numbers.tex")) == 0
    assert (tmp_path / "numbers.tex").read_text(encoding="utf-8") == shown
    assert capsys.readouterr().out == ""
    assert run(monkeypatch, *line, "csv", "-o", str(tmp_path / "no" / "x.csv")) == 2
    assert "there is no folder" in capsys.readouterr().err
    assert run(monkeypatch, *line, "parquet") == 2
    assert "-o board.parquet" in capsys.readouterr().err


def test_parquet_is_read_back_or_what_to_install_is_said(board, monkeypatch):
    rows = export.flat(board, "quick@1")
    monkeypatch.setattr(sheets.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="pip install pyarrow, or give --format csv"):
        sheets.parquet(rows)
    monkeypatch.undo()
    reader = pytest.importorskip("pyarrow.parquet")
    assert reader.read_table(io.BytesIO(sheets.parquet(rows))).to_pylist() == rows
