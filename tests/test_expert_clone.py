"""Whether an expert can be cloned is measured with the product's own pieces, and kept without touching the weights."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

from ilbench import registry
from ilbench.evaluation import references
from ilbench.experts import manifests
from ilbench.experts.training import clone
from ilbench.report import expert
from ilbench.training.fit import FitConfig
from ilbench.types import Demos

REFERENCES = {"random": {"mean": 10.0}, "expert": {"mean": 30.0}}


def test_the_score_of_the_expert_is_one_and_of_random_zero():
    rewards = np.array([[[1.0], [19.0]], [[30.0], [30.0]]]).repeat(10, axis=2) / 10  # [S, N, H], returns 1 19 | 30 30
    alive = np.ones((2, 2, 10), bool)
    alive[0, 0, 5:] = False
    found = clone.scored(Demos(reward=rewards, alive=alive), REFERENCES)
    np.testing.assert_allclose([found["score"], *found["score_by_seed"]], [0.5, 0.0, 1.0], atol=1e-12)
    assert found["ci"][0] < 0.5 < found["ci"][1]
    assert found["survived"] == 0.75


@pytest.mark.slow
def test_a_linear_expert_is_cloned_from_few_trajectories():
    task = registry.task("double_integrator", 50)
    known = references.references(task)
    fit = FitConfig(updates=3000, batch=64)
    assert clone.clone(task, known, 8, fit=fit)["score"] > 0.9 > clone.clone(task, known, 1, fit=FitConfig(1))["score"]
    with pytest.raises(ValueError, match="at least one trajectory, got 0"):
        clone.clone(task, known, 0)


def test_the_clone_is_kept_in_the_manifest_if_asked_and_shown(tmp_path, monkeypatch):
    for path in manifests.SHIPPED.glob("inverted_pendulum@1.*"):
        shutil.copy(path, tmp_path)
    monkeypatch.setenv(manifests.FOLDER_VARIABLE, str(tmp_path))
    found = {"score": 0.987, "ci": [0.98, 0.99], "score_by_seed": [0.987], "survived": 1.0, "seeds": 1, "episodes": 4}
    found |= {"trajectories": 7, "labels": 7000, "updates": 10, "batch": 8, "learning_rate": 1e-3, "seconds": 0.0}
    monkeypatch.setattr(clone, "clone", lambda task, references, trajectories: found)
    before = (tmp_path / "inverted_pendulum@1.safetensors").read_bytes()
    untouched = (tmp_path / "inverted_pendulum@1.json").read_bytes()
    stated = clone.clone_expert("inverted_pendulum", 7, log=lambda line: None)
    assert stated["cloned"] == found
    assert (tmp_path / "inverted_pendulum@1.json").read_bytes() == untouched
    stated = clone.clone_expert("inverted_pendulum", 7, keep=True, log=lambda line: None)
    kept = json.loads((tmp_path / "inverted_pendulum@1.json").read_text())
    assert kept == stated == manifests.manifest("inverted_pendulum@1")
    assert kept["cloned"] == found
    assert (tmp_path / "inverted_pendulum@1.safetensors").read_bytes() == before
    assert "from 7 trajectories to a score of 0.987" in expert.text(kept)
    assert manifests.line("inverted_pendulum@1", ("brax",)) == "return 1,000, 100% survive, clone 0.99"


def test_tasks_are_listed_with_their_experts_and_without_jax():
    code = "import sys, ilbench.cli as c; c.List('tasks', json=True).execute(); assert 'jax' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    experts = {row["id"]: row["expert"] for row in json.loads(done.stdout)}
    assert experts["cliff"] == "exact"
    assert experts["pendulum"] == "closed form"
    assert experts["hopper"].startswith("return 2,496, 99% survive")


def test_an_expert_that_is_missing_is_no_error_in_a_list(tmp_path, monkeypatch):
    monkeypatch.setattr(manifests, "SHIPPED", tmp_path)
    monkeypatch.setenv(manifests.FOLDER_VARIABLE, str(tmp_path))
    assert manifests.line("hopper@1", ("brax",)) == "none: expert_missing"
