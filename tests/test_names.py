"""What is said of a name that is not there, and that one file finds the closest ones."""

import pathlib
import re
import subprocess
import sys

import pytest

from ilbench.names import close, hint, meant

ROOT = pathlib.Path(__file__).parent.parent
THERE = ("dagger", "bc", "noise_bc", "dialled")


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (meant("dager", THERE), "Did you mean dagger?"),
        (meant("dager", THERE, before="--set ", after=".rounds"), "Did you mean --set dagger.rounds?"),
        (meant("_bc", THERE, n=3), "Did you mean bc or noise_bc?"),
        (meant("zzz", THERE), ""),
        (hint("dager", iter(THERE)), "Did you mean dagger?"),
        (hint("zzz", iter(THERE)), "There are: dagger, bc, noise_bc, dialled."),
        (hint("zzz", ()), "There are: none."),
    ],
)
def test_what_is_said(said, expected):
    assert said == expected


def test_half_a_name_is_close_and_the_best_comes_first():
    assert close("conv", ["run", "convergence"]) == ["convergence"]
    assert close("bc", ["abc", "bc", "bcd", "xbc"])[0] == "bc"
    assert len(close("bc", ["abc", "bc", "bcd", "xbc"])) == 3


def test_nobody_else_looks_for_close_matches():
    files = [file for folder in ("ilbench", "envs", "bench") for file in (ROOT / folder).rglob("*.py")]
    assert len(files) > 100
    found = [file.name for file in files if re.search(r"\bdifflib\b", file.read_text(encoding="utf-8"))]
    assert found == ["names.py"]


def test_it_needs_nothing_of_ours():
    code = "import sys, ilbench.names; print(sorted(m for m in sys.modules if m == 'jax' or m.startswith('ilbench')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['ilbench', 'ilbench.names']"
