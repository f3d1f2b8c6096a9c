"""One line changed at a time: the tests have to notice. Not collected by pytest.

    python -m tests.mutants            every mutant of tests/mutants.txt, a line each; 1 if one lives
    python -m tests.mutants dagger fit those whose file or reason holds one of the words

Each mutant is applied to a copy of the source in a temporary folder, and the tests of meaning run there with -x: first
those named for its file, then the others. A mutant whose text is not found exactly once is an error: the code it was
written for has changed. mutants.txt holds, file by file,

    === FILE  first: NAME [WORDS]  tests/test_meaning_NAME.py runs first, of it those that -k WORDS selects
    # why                      what would be wrong with the numbers
    -old text                  one line or several
    +new text
"""

from __future__ import annotations

import os
import pathlib
import re
import shutil
import sys
import tempfile
import time
from typing import NamedTuple

# Once for all runs: most of the seconds of a short test are these imports.
import flax.linen  # noqa: F401
import jax  # noqa: F401
import matplotlib.pyplot  # noqa: F401
import optax  # noqa: F401
import pandas  # noqa: F401
import pydantic  # noqa: F401
import pytest
import scipy.stats  # noqa: F401

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.dont_write_bytecode = True  # a file that changes twice in a second, to the same size, would keep the old code
ROOT = pathlib.Path(__file__).resolve().parent.parent
LIST = pathlib.Path(__file__).with_name("mutants.txt")
TESTS = ("measures", "fit", "report", "rollout", "lab", "algorithms", "continuity", "deployment")


class Mutant(NamedTuple):
    """Text that is wrong in one place, and what that would do to a number."""

    file: str
    first: str  # the file of tests that should notice
    words: str  # what -k selects of it first; empty: all
    why: str
    old: str
    new: str


def read(text: str) -> list[Mutant]:
    """The mutants of a list; raises ValueError for a line that is none of the four kinds, or a mutant without its parts."""
    out: list[Mutant] = []
    file = first = words = why = ""
    old: list[str] = []
    new: list[str] = []

    def close() -> None:
        nonlocal why, old, new
        if why:
            if not old or not file:
                raise ValueError(f"the mutant {why!r} has no file or no old text")
            out.append(Mutant(file, first, words, why, "\n".join(old), "\n".join(new)))
        why, old, new = "", [], []

    for line in text.splitlines():
        if found := re.fullmatch(r"=== (\S+)  first: (\w+)(?: (.+))?", line):
            close()
            file, first, words = found[1], found[2], found[3] or ""
            if first not in TESTS:
                raise ValueError(f"{file}: no tests called {first}; there are: {', '.join(TESTS)}")
        elif line.startswith("# "):
            close()
            why = line[2:]
        elif line.startswith("-"):
            old.append(line[1:])
        elif line.startswith("+"):
            new.append(line[1:])
        elif line:
            raise ValueError(f"{line!r} is neither a file (===), a reason (#), old text (-) nor new text (+)")
    close()
    return out


def unfound(mutants: list[Mutant]) -> list[str]:
    """Mutants whose old text is not there exactly once, or that change nothing: a line each."""
    out = []
    for m in mutants:
        path = ROOT / m.file
        count = path.read_text(encoding="utf-8").count(m.old) if path.is_file() else 0
        if count != 1 or m.old == m.new:
            out.append(f"{m.file}: {m.old!r} is there {count} times, not once ({m.why})")
    return out


def _files(names: list[str]) -> list[str]:
    return [f"tests/test_meaning_{name}.py" for name in names]


def _run(folder: pathlib.Path, files: list[str], words: str = "") -> tuple[bool, str]:
    """Whether the tests pass in a copy of the source, and the first that fails.

    In a child of this process, which has imported what all of them need: nothing of ilbench, and no device is open yet.
    """
    said = folder / "said.txt"
    options = ["-q", "-x", "-p", "no:cacheprovider", "--tb=no", *(["-k", words] if words else []), *files]
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        code = 3
        try:
            with said.open("w") as out:
                os.dup2(out.fileno(), 1)
                os.dup2(out.fileno(), 2)
                os.chdir(folder)
                os.environ["PYTHONPATH"] = str(folder)  # for what the tests start themselves
                sys.path[:] = [str(folder), *(p for p in sys.path if p and pathlib.Path(p).resolve() != ROOT)]
                code = int(pytest.main(options))
                sys.stdout.flush()
        finally:
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    text = said.read_text(encoding="utf-8", errors="replace")
    if (
        code < 0 or code == 5 or code > 2
    ):  # 1: a test failed; 2: a file of tests could not be imported; killed: by the mutant
        if code == 5:
            raise RuntimeError(f"-k {words!r} selects no test of {', '.join(files)}")
        return False, f"ended with {code}"
    failed = re.findall(r"^(?:FAILED|ERROR) \S+::(\S+)", text, re.M)
    return code == 0, failed[0] if failed else "not even imported"


def _copy(folder: pathlib.Path) -> None:
    for part in ("ilbench", "envs", "bench", "tests"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)


def _lives(folder: pathlib.Path, m: Mutant) -> tuple[bool, str]:
    """Whether all tests pass with the mutant in the copy, and else the one that fails; the copy is right again after."""
    file = folder / m.file
    right = file.read_text(encoding="utf-8")
    file.write_text(right.replace(m.old, m.new), encoding="utf-8")
    try:
        passes, failed = _run(folder, _files([m.first]), m.words)
        if passes and m.words:
            passes, failed = _run(folder, _files([m.first]))
        if passes:
            passes, failed = _run(folder, _files([name for name in TESTS if name != m.first]))
    finally:
        file.write_text(right, encoding="utf-8")
    return passes, failed


def main(words: list[str]) -> int:
    """Runs the mutants that `words` select; 0 when all die, 1 when one lives, 2 when they cannot be run."""
    mutants = read(LIST.read_text(encoding="utf-8"))
    if lost := unfound(mutants):
        print("\n".join(lost), file=sys.stderr)
        return 2
    chosen = [m for m in mutants if not words or any(word in f"{m.file} {m.why}" for word in words)]
    if not chosen:
        print(f"none of {len(mutants)} mutants has {' or '.join(words)} in its file or reason", file=sys.stderr)
        return 2
    lived = 0
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        _copy(folder)
        passes, failed = _run(folder, _files(list(TESTS)))
        if not passes:
            print(f"the tests fail without any mutant: {failed}", file=sys.stderr)
            return 2
        for m in chosen:
            started = time.perf_counter()
            passes, failed = _lives(folder, m)
            lived += passes
            end = f"{time.perf_counter() - started:4.0f} s  {m.file}: {m.why}"
            print(f"LIVED  {end}" if passes else f"killed {end} ({failed})", flush=True)
    print(f"{len(chosen) - lived} of {len(chosen)} killed")
    return int(lived > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
