"""`ilbench submit-check` on records as they were shipped, forged, damaged, missing and linked; `ilbench plot` in three formats."""

import json
import os
import shutil

import pytest
from test_compare import run

from ilbench.display import style
from ilbench.records import store
from ilbench.records.schema import seal
from ilbench.report import source, submission

SUITE = "quick@1"


@pytest.fixture
def folder(tmp_path):
    """Twenty records of quick with their arrays, as single files."""
    found = source.load(SUITE, "results")
    kept = [r for r in found.records if r.cell.task == "gridworld@1"]
    for r in kept:
        store.write(tmp_path, r, found.arrays.get(r.id) or {})
    return tmp_path


def file_of(folder, n=0):
    return sorted(folder.glob(f"{SUITE}/records/*/*.json"))[n]


def test_what_was_shipped_is_sound_and_what_is_missing_is_counted(folder, monkeypatch, capsys):
    found = submission.check(folder)
    assert (found.wrong, found.suites) == ([], {SUITE: 20})
    assert found.code == 1
    assert submission.check(folder / SUITE) == found
    lost = store.read_file(file_of(folder)).cell
    file_of(folder).unlink()
    said = f"{lost.algorithm} lacks seeds {lost.seed}"
    assert any(line.endswith(said) for line in submission.check(folder).open)
    assert run(monkeypatch, "submit-check", str(folder), "--json") == 1
    assert json.loads(capsys.readouterr().out)["verdict"] == "sound, not whole"


@pytest.mark.parametrize("what", ["score", "cell", "seal"])
def test_what_was_changed_is_found(what, folder, monkeypatch, capsys):
    """A better score, sealed anew; another seed under the old id; a number without a new seal."""
    file = file_of(folder)
    record = store.read_file(file)
    if what == "score":
        text = seal(record.model_copy(update={"scores": {**record.scores, "score": 1.25}})).model_dump_json()
    else:
        value = json.loads(file.read_text(encoding="utf-8"))
        value["cell" if what == "cell" else "cost"]["seed" if what == "cell" else "env_steps"] += 77
        text = json.dumps(value)
    file.write_text(text, encoding="utf-8")
    assert run(monkeypatch, "submit-check", str(folder)) == 2
    shown = capsys.readouterr().out
    assert record.id in shown
    assert {"score": "score 1.25", "cell": "is not that of the cell", "seal": "hash"}[what] in shown
    assert "not sound" in shown


def test_links_large_files_and_hostile_names_are_named_and_not_read(folder, tmp_path_factory, monkeypatch, capsys):
    outside = tmp_path_factory.mktemp("outside")
    shutil.copytree(folder / SUITE, outside / SUITE)
    os.symlink(outside / SUITE, folder / "stolen@1")
    one, two = file_of(folder, 0), file_of(folder, 1)
    other = outside / SUITE / one.relative_to(folder / SUITE)
    one.unlink()
    os.symlink(other, one)
    two.write_bytes(b" " * 100_000)
    (two.parent / "\x1b[31mred\u202e.json").write_text("{}", encoding="utf-8")
    assert run(monkeypatch, "submit-check", str(folder)) == 2
    shown = capsys.readouterr().out
    assert "stolen@1: a link that leads out of the folder" in shown
    assert f"{one.name}: a link that leads out of" in shown
    assert f"{two.name}: more than" in shown
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert str(folder) not in shown


@pytest.mark.parametrize("path", ["", "nowhere"])
def test_no_records_are_a_wrong_call(path, tmp_path, monkeypatch, capsys):
    assert run(monkeypatch, "submit-check", str(tmp_path / path)) == 2
    assert "is not a folder" in (said := capsys.readouterr().err) or "holds no records" in said


# -------------------------------------------------------------------------------------------------- plot
@pytest.mark.parametrize(("ending", "magic"), [("pdf", b"%PDF-"), ("png", b"\x89PNG"), ("svg", b"<?xml")])
def test_a_picture_has_the_format_of_its_name_and_the_same_bytes_twice(ending, magic, tmp_path, monkeypatch, capsys):
    def drawn():
        canvas = style.figure(2, 1)
        canvas.subplots().plot([0, 1], [0, 1])
        return style.saved(canvas, ending)

    assert drawn() == drawn()
    assert drawn().startswith(magic)
    monkeypatch.setattr("ilbench.report.figures.overview", lambda records, arrays, save: save(style.figure(1, 1)))
    line = ("plot", "overview", "--suite", "quick@1", "--results", "results", "-o", str(tmp_path / f"a.{ending}"))
    assert run(monkeypatch, *line) == 0
    assert (tmp_path / f"a.{ending}").read_bytes().startswith(magic)
    assert capsys.readouterr().out == ""


def test_what_cannot_be_drawn_is_said(tmp_path, monkeypatch, capsys):
    line = ("plot", "scores", "--suite", SUITE, "--results", "results", "-o")
    assert run(monkeypatch, *line, str(tmp_path / "a.gif")) == 2
    assert ".svg, .pdf, .png" in capsys.readouterr().err
    assert run(monkeypatch, *line, str(tmp_path / "a.svg")) == 2
    assert "no two tasks with three budgets" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
