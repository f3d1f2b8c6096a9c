"""The command line: one file per command in ilbench/commands/.

Tables for people go to stdout, progress and problems to stderr; with `--json` stdout is one JSON document.
Exit codes: 0 ok, 1 error, 2 usage, 3 some cells failed or a check was violated, 130 interrupted.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import math
import os
import pathlib
import platform
import sys
from collections.abc import Callable, Iterator
from typing import Annotated, Any, Union

import tyro
from tyro.conf import OmitArgPrefixes, subcommand

import ilbench
from ilbench.commands.bench import Bench
from ilbench.commands.cite import Cite
from ilbench.commands.compare import Compare
from ilbench.commands.compounding import Compounding
from ilbench.commands.convergence import Convergence
from ilbench.commands.data import Data
from ilbench.commands.doctor import Doctor
from ilbench.commands.evaluate import Evaluate
from ilbench.commands.expert import Expert
from ilbench.commands.export import Export
from ilbench.commands.leaderboard import Leaderboard
from ilbench.commands.lecture import Lecture
from ilbench.commands.list import List
from ilbench.commands.new import New
from ilbench.commands.output import say
from ilbench.commands.pack import Pack
from ilbench.commands.plot import Plot
from ilbench.commands.query import Query
from ilbench.commands.render import Render
from ilbench.commands.replicate import Replicate
from ilbench.commands.report import Report
from ilbench.commands.run import Run
from ilbench.commands.serve import Serve
from ilbench.commands.smoke_test import Smoke
from ilbench.commands.submit_check import SubmitCheck
from ilbench.commands.theory import Theory
from ilbench.commands.tune import Tune
from ilbench.commands.verify import Verify
from ilbench.compute import caches
from ilbench.names import hint
from ilbench.running import interrupt

COMMANDS: dict[str, Any] = {
    "run": Run,
    "list": List,
    "leaderboard": Leaderboard,
    "compare": Compare,
    "evaluate": Evaluate,
    "data": Data,
    "convergence": Convergence,
    "tune": Tune,
    "theory": Theory,
    "compounding": Compounding,
    "replicate": Replicate,
    "lecture": Lecture,
    "export": Export,
    "query": Query,
    "plot": Plot,
    "cite": Cite,
    "new": New,
    "smoke": Smoke,
    "report": Report,
    "serve": Serve,
    "expert": Expert,
    "render": Render,
    "bench": Bench,
    "pack": Pack,
    "submit-check": SubmitCheck,
    "verify": Verify,
    "doctor": Doctor,
}
Command: Any = Union[tuple(Annotated[command, subcommand(name)] for name, command in COMMANDS.items())]  # noqa: UP007
# The least that an option may be, in every command that has it; those of --set are checked where they belong.
LEAST = {"episodes": 1, "demos": 1, "horizon": 1, "trajectories": 1, "sigma": 0, "seconds": 1, "workers": 1}
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


def _line(error: Exception) -> str:
    """What is printed of an error: of the operating system's its reason and path, of pydantic's the first of its list."""
    if isinstance(error, OSError) and error.strerror:
        if error.filename is None:
            return f"cannot write: {error.strerror}" if error.errno in FULL else error.strerror
        return f"{error.strerror}: {error.filename!r}"
    listed = getattr(error, "errors", None)
    if callable(listed):
        first, what = listed(include_url=False, include_input=False)[0], getattr(error, "title", "")
        return f"{'.'.join(map(str, (what, *first['loc'])))}: {first['msg']}"
    return str(error)


# ------------------------------------------------------------------------------------- streams that are closed or break
def _sink(stream: Any) -> None:
    """Lets what is still to come through a stream vanish: its reader has gone."""
    with contextlib.suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)


class _Progress:
    """A stderr whose reader may go: progress and problems vanish then, and the work goes on."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            return int(self._stream.write(text))
        except OSError:
            _sink(self._stream)
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError:
            _sink(self._stream)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextlib.contextmanager
def _streams() -> Iterator[None]:
    """Gives a process started without stdout or stderr (`>&-`) ones that lead nowhere, before a file takes their place."""
    if sys.stdout is None or sys.stderr is None:
        while (null := os.open(os.devnull, os.O_RDWR)) <= 2:
            pass
        os.close(null)
        sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
        sys.stderr = sys.stderr or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    with contextlib.redirect_stderr(_Progress(sys.stderr)):  # type: ignore[type-var]
        yield


# ----------------------------------------------------------------------------------------------- what was typed
def _expanded(value: Any) -> Any:
    """A path that starts with `~`, as the user's: the shell leaves `--out=~/r` alone."""
    if isinstance(value, tuple):
        return tuple(map(_expanded, value))
    if not isinstance(value, (str, pathlib.Path)) or str(value).split("/")[0] != "~":
        return value
    found = os.path.expanduser(value)
    if found == str(value):
        raise ValueError(f"no home folder to put for the ~ of {str(value)!r}; set HOME or give the whole path")
    return type(value)(found)


def _checked(command: Any) -> Any:
    """The command with its paths expanded; ValueError for a number that cannot be meant."""
    found = {field.name: getattr(command, field.name) for field in dataclasses.fields(command)}
    for name, value in found.items():
        least = LEAST.get(name)
        if least is not None and isinstance(value, (int, float)) and not (value >= least and math.isfinite(value)):
            raise ValueError(f"--{name} must be at least {least}, got {value}")
    return dataclasses.replace(command, **{k: _expanded(v) for k, v in found.items() if k != "set"})


@contextlib.contextmanager
def _colours() -> Iterator[None]:
    """tyro colours what it prints unless the terminal is a dumb one; $NO_COLOR asks for the same."""
    before = os.environ.get("TERM")
    if os.environ.get("NO_COLOR"):
        os.environ["TERM"] = "dumb"
    try:
        yield
    finally:
        if before is not None:
            os.environ["TERM"] = before
        elif os.environ.get("NO_COLOR"):
            del os.environ["TERM"]


def _parsed(words: list[str]) -> Any:
    """The command that was typed; ValueError for one that there is not, SystemExit from the parser."""
    if words and not words[0].startswith("-") and words[0] not in COMMANDS:
        raise ValueError(f"unknown command {words[0]!r}. {hint(words[0], COMMANDS)} (ilbench --help)")
    with _colours():
        return _checked(
            tyro.cli(
                OmitArgPrefixes[Command],  # type: ignore[misc]
                prog="ilbench",
                description="Imitation learning, measured: run suites, rank algorithms, hold them against the theory.",
                args=words,
            )
        )


def _version() -> str:
    from importlib import metadata

    names = ("jax", "jaxlib", "brax")
    found = ", ".join(f"{name} {metadata.version(name)}" for name in names)
    return f"ilbench {ilbench.__version__} (Python {platform.python_version()}, {found})"


def _told(error: Exception) -> int:
    """Says in one line what a user can mend, and returns the exit code; anything else is raised: it is a fault of ours."""
    from ilbench.compute.arithmetic import WrongArithmetic
    from ilbench.records.store import StoreError

    if isinstance(error, BrokenPipeError):  # whoever read stdout has read enough
        _sink(sys.stdout)
        return 0
    if isinstance(error, OSError) and error.filename is None:
        _sink(sys.stdout)  # what is left in it would fail again at the end
    if isinstance(error, (ValueError, OSError, StoreError, WrongArithmetic)):
        say(_line(error))
        return 2 if isinstance(error, (ValueError, FileNotFoundError)) else 1
    raise error


def _run(words: list[str], check: Callable[[], None] = lambda: None) -> int:
    """What was typed, and its exit code; `check` raises KeyboardInterrupt where an error is what became of one."""
    try:
        if words in (["--version"], ["-V"]):
            print(_version())
            code = 0
        else:
            code = int(_parsed(words).execute())
        sys.stdout.flush()
        return code
    except Exception as error:
        check()
        return _told(error)


def main() -> None:
    """The command of this process; raises SystemExit with its code."""
    caches.hush()
    with _streams():
        try:
            with interrupt.remembered(final=True) as check:
                code = _run(sys.argv[1:], check)
        except KeyboardInterrupt:
            say(interrupt.LINE.removeprefix("ilbench: "))
            code = interrupt.CODE
        except SystemExit as stop:  # of the parser: --help, or what it refuses
            try:
                sys.stdout.flush()
            except OSError:
                _sink(sys.stdout)
            code = stop.code if isinstance(stop.code, int) else 2
    raise SystemExit(code)
