"""Training of an expert goes on where it stopped, refuses a checkpoint that is not its own, and picks survivors."""

import dataclasses

import numpy as np
import pytest

from ilbench.experts import weights
from ilbench.experts.training import checkpoint, train
from ilbench.experts.training.recipes import Recipe
from ilbench.training.ppo import Config

RECIPE = Recipe(
    4096, every=1024, ppo=Config(lanes=32, unroll=8, epochs=1, minibatches=4, hidden=(8,), value_hidden=(8,))
)
TASK = "inverted_pendulum"


@pytest.mark.slow
def test_training_goes_on_from_its_checkpoint(tmp_path):
    said = []
    assert train.train_expert(TASK, seconds=0.01, out=tmp_path, recipe=RECIPE, log=said.append) is None
    resume = checkpoint.path_of(tmp_path / "inverted_pendulum@1.safetensors")
    assert resume.is_file()
    other = dataclasses.replace(RECIPE, steps=8192)
    with pytest.raises(ValueError, match=r"its recipe is .*4096.*this training's is .*8192"):
        train.train_expert(TASK, out=tmp_path, recipe=other, log=said.append)
    path = train.train_expert(TASK, out=tmp_path, recipe=RECIPE, log=said.append)
    assert any("goes on from 0.00M" in line for line in said)
    assert not resume.exists()
    params = weights.read(path, "inverted_pendulum@1", obs_dim=4, action_dim=1)
    assert all(np.isfinite(leaf).all() for leaf in params["norm"].values())
    resume.write_bytes(b"\x80\x04 not a checkpoint")
    with pytest.raises(ValueError, match="damaged"):
        train.train_expert(TASK, out=tmp_path, recipe=RECIPE, log=said.append)


@pytest.mark.parametrize(
    ("one", "other", "wins"),
    [
        ([1, 100.0, 1.0, 0.1], [], True),
        ([1, 900.0, 0.5, 0.1], [2, 100.0, 0.97, 0.1], False),
        ([1, 900.0, 0.95, 0.1], [2, 100.0, 1.0, 0.1], False),
        ([1, 900.0, 0.96, 0.1], [2, 100.0, 1.0, 0.1], True),
        ([3, 100.0, 1.0, 0.1], [2, 100.0, 1.0, 0.1], True),
        ([3, 100.1, 1.0, 1.0], [2, 100.0, 1.0, 0.0], False),
        ([3, -100.0, 1.0, 0.0], [2, -99.9, 1.0, 1.0], True),
        ([3, float("nan"), 1.0, 0.1], [], False),
    ],
)
def test_a_checkpoint_that_survives_beats_any_that_does_not(one, other, wins):
    assert train.better(one, other) == wins
