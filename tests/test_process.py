"""The command as a process: closed and full streams, terminals, names that are no markup, paths, numbers, help."""

import contextlib
import dataclasses
import io
import os
import pathlib
import subprocess
import sys

import pytest

import ilbench
from ilbench import cli
from ilbench.commands import output
from ilbench.running import progress

ENV = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "NO_COLOR")}
COMMAND = [sys.executable, "-m", "ilbench"]


def _shell(line, **env):
    """Runs a line of bash in which `ilbench` is the command; its exit code is the command's."""
    script = f"ilbench() {{ '{sys.executable}' -m ilbench \"$@\"; }}; {line}"
    return subprocess.run(["bash", "-c", script], env=ENV | env, capture_output=True, text=True)


STREAMS = {  # a line of bash: exit code, a part of stdout, of stderr
    "ilbench --help | head -1; exit ${PIPESTATUS[0]}": (0, "usage: ilbench", ""),
    "ilbench run --help | true; exit ${PIPESTATUS[0]}": (0, "", ""),
    "ilbench list tasks | true; exit ${PIPESTATUS[0]}": (0, "", ""),
    "ilbench --help >&-": (0, "", ""),
    "ilbench list tasks --json >&-": (0, "", ""),
    "ilbench list tasks 2>&-": (0, "hopper", ""),
    "ilbench list task 2>&-": (2, "", ""),
    "ilbench leaderbord >&- 2>&-": (2, "", ""),
    "ilbench list tasks <&- >&- 2>&-": (0, "", ""),
    "ilbench leaderbord 2> >(true); sleep .1": (0, "", ""),
    "ilbench list tasks > /dev/full": (1, "", "ilbench: cannot write: No space left on device\n"),
    "ilbench list task 2> /dev/full": (2, "", ""),
}


@pytest.mark.parametrize("line", STREAMS)
def test_streams_that_are_closed_full_or_not_read(line):
    code, out, err = STREAMS[line]
    if "/dev/full" in line and not pathlib.Path("/dev/full").exists():
        pytest.skip("/dev/full is Linux's")
    done = _shell(line)
    assert done.returncode == code, done.stderr
    assert out in done.stdout
    assert done.stderr == err


def test_work_goes_on_when_nobody_reads_its_progress():
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as broken, contextlib.redirect_stderr(cli._Progress(broken)):
        for _ in range(3):
            output.say("a line")
            sys.stderr.flush()
        assert sys.stderr.fileno() == broken.fileno()


# ------------------------------------------------------------------------------------------------ what is shown
NAMES = ["br[old]", "br2[/x]", "bc[mdn.components=4]", "sum [l(s_t) 1{E_t}]", "[bold]", "[/]", "\\[x]"]


def test_square_brackets_are_no_markup(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    output.table([{"id [a]": name, "n": i} for i, name in enumerate(NAMES)], "title [b]")
    shown = capsys.readouterr().out
    for text in (*NAMES, "id [a]", "title [b]"):
        assert text in shown
    console = io.StringIO()
    with progress.reporter(3) as (counter, show), contextlib.redirect_stderr(console):
        for name in NAMES:
            assert name in counter.text(name)
            show(name)


def test_a_bar_shows_labels_as_they_are(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")
    with progress.reporter(len(NAMES)) as (counter, show):
        for name in NAMES:
            show(name)
            counter.done += 1
    assert f"ETA ?: {NAMES[0]}" in stream.getvalue() or "/7 cells" in stream.getvalue()
    assert "Error" not in stream.getvalue()


def test_every_check_is_listed_with_its_formula(capsys, monkeypatch):
    from ilbench import registry

    monkeypatch.delenv("COLUMNS", raising=False)  # as wide as it needs to be where it is piped

    assert cli._run(["list", "checks"]) == 0
    shown = capsys.readouterr().out
    for entry in registry.entries("checks").values():
        assert output.plain(entry.summary) in shown


@pytest.mark.parametrize(
    ("text", "shown"), [("a\x1b[31mb", "a\\x1b[31mb"), ("\u202eb\r\n", "\\u202eb\\r\n"), ("é\t-", "é\t-")]
)
def test_nothing_steers_the_terminal(text, shown, capsys):
    assert output.plain(text) == shown
    output.table([{"a": text.strip()}], text.strip())
    output.say(text)
    captured = capsys.readouterr()
    assert not {"\x1b", "\r", "\u202e"} & set(captured.out + captured.err)


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_tables_and_the_bar_fit(columns, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", str(columns))
    output.table([{"id": "x" * 30, "what": "word " * 40}, {"id": "y", "what": "z"}], "t" * 30)
    assert max(map(len, capsys.readouterr().out.splitlines())) <= columns
    counter = progress.Counter(12345, done=321, cached=4000, failed=2)
    label = "hopper@1 H=1000 dagger[mdn.components=4] n=6000 " * 3
    for room in (columns - progress.BAR - 2, 30):
        text = counter.short(label, room)
        assert len(text) <= room
        assert text.startswith("4323/12345 cells")
    assert counter.short("bc", 80).endswith(": bc")
    assert "2 failed" in counter.short("bc", 80)


def test_piped_a_row_is_a_line(monkeypatch, capsys):
    monkeypatch.delenv("COLUMNS", raising=False)
    output.table([{"id": "x" * 90, "what": "word " * 90, "n": i} for i in range(3)], "t")
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5
    assert all(line == line.rstrip() for line in lines)
    output.table([], "nothing")
    assert capsys.readouterr().out == "nothing\n"


# ------------------------------------------------------------------------------------------------ what is typed
TYPED = {  # what is typed: what is said; the exit code is 2
    "leaderbord": "Did you mean leaderboard?",
    "docter": "Did you mean doctor?",
    "zzz": "There are: run, list,",
    "expert train hopper --seconds -1": "--seconds must be at least 1, got -1.0",
    "expert train hopper --seconds nan": "--seconds must be at least 1, got nan",
    "expert clone hopper --trajectories 0": "--trajectories must be at least 1, got 0",
    "render cartpole bc:2 --episode -1": "count from 0",
    "render hopper bc:2 --horizon 0": "--horizon must be at least 1, got 0",
    "theory certify gridworld bc:2 --sigma -1": "--sigma must be at least 0, got -1.0",
    "theory certify gridworld bc:2 --sigma inf": "--sigma must be at least 0, got inf",
    "theory certify gridworld bc:2 --episodes 0": "--episodes must be at least 1, got 0",
}


@pytest.mark.parametrize("line", TYPED)
def test_what_cannot_be_meant_is_refused(line, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert cli._run(line.split()) == 2
    assert TYPED[line] in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_every_bounded_option_is_one_of_a_command():
    options = {field.name for command in cli.COMMANDS.values() for field in dataclasses.fields(command)}
    assert set(cli.LEAST) <= options


PATHS = [
    "run smoke --out=~/r --compile-cache=~/c",
    "leaderboard quick --results=~/r",
    "theory --plots=~/p --out=~/o --results=~/r",
    "theory certify hopper ~/r/a.json",
    "render hopper ~/r/a.json --out=~/a.html --gif=~/a.gif --results=~/r",
    "expert train hopper --out=~/e",
    "bench speed --out=~/b",
    "doctor --results=~/r",
]


@pytest.mark.parametrize("line", PATHS)
def test_a_tilde_is_the_home(line, monkeypatch):
    monkeypatch.setenv("HOME", "/h")
    command = cli._parsed(line.split())
    values = [v for f in dataclasses.fields(command) for v in [getattr(command, f.name)]]
    flat = [str(v) for value in values for v in (value if isinstance(value, tuple) else (value,))]
    assert not [v for v in flat if v.startswith("~")]
    assert sum(v.startswith("/h/") for v in flat) == line.count("~/")


def test_a_tilde_without_a_home_is_refused(monkeypatch, capsys):
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    assert cli._run(["doctor", "--results=~/r"]) == 2
    assert "no home folder" in capsys.readouterr().err


HOMELESS = """
import os, pwd, sys
os.environ.pop("HOME", None)
def unknown(uid): raise KeyError(uid)
pwd.getpwuid = unknown
from ilbench.cli import main
main()
"""


@pytest.mark.parametrize(
    "line", ["list tasks", "run smoke --tasks cliff --dry-run", "expert show hopper", "run smoke --out=~/r"]
)
def test_without_a_home_and_a_name(line, tmp_path):
    env = {k: v for k, v in ENV.items() if k not in ("HOME", "ILBENCH_CACHE")} | {"TMPDIR": str(tmp_path / "tmp")}
    (tmp_path / "tmp").mkdir()
    (tmp_path / "here").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", HOMELESS, *line.split()], env=env, cwd=tmp_path / "here", capture_output=True, text=True
    )
    assert "Traceback" not in done.stderr
    assert done.returncode == (2 if "~" in line else 0)
    assert done.stderr.count("\n") <= 1
    assert not list((tmp_path / "here").iterdir())


# ------------------------------------------------------------------------------------------------ help, version, names
def test_help_has_no_colour_where_none_is_wanted(monkeypatch, capsys):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    for wanted in ("1", ""):
        monkeypatch.setenv("NO_COLOR", wanted)
        with pytest.raises(SystemExit):
            cli._parsed(["run", "--help"])
        assert ("\x1b[" in capsys.readouterr().out) == (not wanted)
        assert os.environ["TERM"] == "xterm"


def test_version_and_names(capsys):
    assert cli._run(["--version"]) == 0
    assert capsys.readouterr().out.startswith(f"ilbench {ilbench.__version__} (Python 3.")
    assert {"run", "load_records", "setup", "__version__"} <= set(dir(ilbench))
