"""Memory is foreseen: the estimate is the record's size, and what does not fit is refused before any compute."""

import dataclasses

import jax
import numpy as np
import pytest

import ilbench
from ilbench import memory, parallel, registry
from ilbench.rollout import COLLECT, episode_keys, mixed, rollout

FULL = (*COLLECT, "error", "reward")


def _roll(task, episodes, horizon):
    behaviour = jax.tree.map(lambda x: np.asarray(x)[None], mixed(task.env.action, horizon, beta=1.0))
    keys = episode_keys("memory", (0,), episodes)
    policy = dataclasses.replace(
        task.expert, params=jax.tree.map(lambda x: np.asarray(x)[None, None], task.expert.params)
    )
    return rollout(task.env, task.expert, policy, behaviour, keys, horizon=horizon, record=FULL)


@pytest.mark.parametrize("name", ["cliff", "cartpole", "pendulum"])
def test_the_estimate_is_the_size_of_the_record(name):
    task = registry.task(name)
    demos = _roll(task, 4, 8)
    size = sum(leaf.nbytes for field, leaf in demos._asdict().items() if leaf is not None and field != "final_obs")
    assert memory.step_bytes(task.env, FULL) * 4 * 8 == size


def test_a_rollout_that_does_not_fit_is_refused_with_what_would(monkeypatch):
    task = registry.task("pendulum")
    each = memory.step_bytes(task.env, FULL) * 8 * memory.PEAK
    monkeypatch.setattr(memory, "available", lambda: int(10.5 * each / memory.SPARE))
    before = parallel.compiled_programs()
    with pytest.raises(memory.TooLarge, match="at most 10 episodes"):
        _roll(task, 4096, 8)
    assert parallel.compiled_programs() == before


def test_a_run_that_does_not_fit_is_refused_with_how_many_seeds_would(monkeypatch, tmp_path):
    task = registry.task("pendulum")
    each = memory.block_bytes(task.env, 10**9, 64, 64, task.horizon)
    monkeypatch.setattr(memory, "available", lambda: int(2.5 * each / memory.SPARE))
    with pytest.raises(memory.TooLarge, match="--seeds 0-1,"):
        ilbench.run(tasks="pendulum", algorithms="bc", changes={"block.labels": 10**9}, out=tmp_path, quiet=True)
    assert not list(tmp_path.rglob("*.json"))


def test_what_is_free_is_asked_of_the_machine():
    free = memory.available()
    assert free is None or free > 0
