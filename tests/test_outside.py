"""A package of somebody else's, as a wheel: listed, run, ranked, and kept to the contracts by a test of its own."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import zipfile

import pytest

ROOT = pathlib.Path(__file__).parent.parent
HERE = ROOT / "tests" / "outside"


@pytest.mark.slow
def test_a_package_from_outside_is_listed_run_ranked_and_checked(tmp_path):
    shutil.copytree(HERE, tmp_path / "package", ignore=shutil.ignore_patterns("__pycache__"))
    site = tmp_path / "site"

    def python(*words, cwd=tmp_path):
        environment = {**os.environ, "PYTHONPATH": f"{site}{os.pathsep}{ROOT}"}
        done = subprocess.run([sys.executable, *words], cwd=cwd, env=environment, capture_output=True, text=True, timeout=500)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout

    python("-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path / "dist"), str(tmp_path / "package"))
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    assert not [name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("tests")]
    python("-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--target", str(site), str(wheel))

    def listed(kind):
        return {row["id"]: row for row in json.loads(python("-m", "ilbench", "list", kind, "--json"))}

    assert listed("algorithms")["fading"]["needs"] == "demonstrations"
    assert listed("heads")["median"]["what"].startswith("A linear map fitted by absolute error")
    assert {"reach"} <= listed("measures").keys()
    assert {"outside"} <= listed("suites").keys()

    python("-m", "ilbench", "run", "outside", "--out", "here", "--quiet")
    records = [json.loads(file.read_text()) for file in (tmp_path / "here").rglob("records/*/*.json")]
    assert len(records) == 4
    for record in records:
        assert record["status"] == "ok"
        assert record["scores"]["reach"] > 0
        assert record["cell"]["plugins"]["median"] == "ilbench-outside==0.1.0"
    board = python("-m", "ilbench", "leaderboard", "outside", "--results", "here", "--full")
    assert "fading" in board
    assert "reach: largest entry of an observation within an episode, mean over episodes." in board
    python("-m", "pytest", "-q", "-p", "no:cacheprovider", "tests", cwd=tmp_path / "package")
