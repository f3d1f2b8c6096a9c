"""The workflow that checks a pull request's records: it may only read, runs no code of the request, and tells sound from unsound."""

import pathlib
import shutil
import subprocess
import sys

import pytest
import yaml

ROOT = pathlib.Path(__file__).parent.parent
FLOW = yaml.safe_load((ROOT / ".github" / "workflows" / "submissions.yml").read_text(encoding="utf-8"))
STEPS = FLOW["jobs"]["submit-check"]["steps"]


def step(name):
    return next(s for s in STEPS if s.get("name") == name)


def test_it_may_only_read_and_runs_no_code_of_the_request():
    assert list(FLOW[True]) == ["pull_request"]  # YAML reads `on` as true; pull_request_target would have secrets
    assert FLOW["permissions"] == {"contents": "read"}
    outs = [s["with"] for s in STEPS if s.get("uses", "").startswith("actions/checkout@")]
    assert [(o["path"], o["persist-credentials"]) for o in outs] == [("base", False), ("head", False)]
    assert "base.sha" in outs[0]["ref"]
    assert "head" not in step("Install from the lock")["run"]
    assert step("Install from the lock")["working-directory"] == "base"
    assert "${{" not in "".join(s.get("run", "") for s in STEPS)  # nothing of the request is pasted into a script


@pytest.mark.parametrize(("change", "code"), [("nothing", 0), ("damage", 1), ("tier", 1), ("whole", 0)])
def test_a_suite_that_differs_is_checked_and_an_unsound_one_fails(change, code, tmp_path):
    """The script as it stands, on a pull request that changes nothing, damages a pack, brings tiers, or a sound suite."""
    (tmp_path / "base" / ".venv" / "bin").mkdir(parents=True)
    program = tmp_path / "base" / ".venv" / "bin" / "ilbench"
    program.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m ilbench "$@"\n')
    program.chmod(0o755)
    for side in ("base", "head"):
        if change != "whole" or side == "head":
            shutil.copytree(ROOT / "results" / "quick+doubled@2", tmp_path / side / "results" / "quick+doubled@2")
    suite = tmp_path / "head" / "results" / "quick+doubled@2"
    if change == "damage":
        (suite / "records.jsonl.gz").write_bytes((suite / "records.jsonl.gz").read_bytes()[:-5000])
    if change == "tier":
        (suite / "VERIFIED.jsonl").write_text("{}\n")
    script = step("Check the suites that differ")["run"]
    done = subprocess.run(["bash", "-e", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    assert ("== quick+doubled@2" in done.stdout) == (change != "nothing")
