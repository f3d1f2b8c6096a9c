"""Noise at deployment: none at sigma = 0, as declared at sigma, the expert is asked at the clean state, and bad input is told."""

import dataclasses

import jax
import numpy as np
import pytest

from ilbench import registry
from ilbench.compute import prng
from ilbench.evaluation.evidence import Protocol
from ilbench.running.execute import Session, execute
from ilbench.running.plan import Block, resolve
from ilbench.wrappers.noisy import noisy


def test_noise_is_what_it_says():
    task = registry.task("scalar_stable", 10)
    keys = jax.random.split(prng.key(0), 4000)
    for sigma in (0.0, 0.3):
        env = noisy(task, sigma).env
        (_, clean), seen = jax.vmap(lambda k, e=env: e.reset(e.params, k))(keys)
        shown = (np.asarray(seen) - (1 - sigma) * np.asarray(clean)).ravel()
        assert abs(shown.std() - sigma) < 0.02
        asked = jax.vmap(lambda s, o, e=env: e.expert_obs(e.params, s, o))((clean, clean), seen)
        np.testing.assert_array_equal(asked, clean)
    assert noisy(task, 0.0).env.step is noisy(task, 0.3).env.step


def test_evaluation_under_noise_is_a_second_score():
    protocol = Protocol(episodes=16, held_out=8, noise=0.2)
    block = Block("scalar_unstable", "bc", "linear", 300, seeds=(0, 1), protocol=protocol)
    scores = execute(resolve(block), block.seeds, Session()).outcomes[0].scores
    plain = dataclasses.replace(block, protocol=dataclasses.replace(protocol, noise=0.0))
    clean = execute(resolve(plain), block.seeds, Session()).outcomes[0].scores
    assert scores["noisy_return"] < scores["return"]
    assert "noisy_return" not in clean


@pytest.mark.parametrize(("task", "noise", "said"), [("gridworld", 0.1, "continuous"), ("pendulum", 1.5, "fraction")])
def test_noise_that_does_not_fit_is_told_before_any_compute(task, noise, said):
    head = "table" if task == "gridworld" else "mse"
    with pytest.raises(ValueError, match=said):
        resolve(Block(task, "bc", head, 2000, protocol=Protocol(noise=noise)))
