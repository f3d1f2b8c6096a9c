"""Memory is foreseen: the estimate is the record's size, and what does not fit is refused before any compute."""

import dataclasses
import pathlib

import jax
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

import ilbench
from ilbench import registry
from ilbench.compute import memory, parallel
from ilbench.evaluation.evidence import Protocol
from ilbench.rollouts.behaviours import mixed
from ilbench.rollouts.foresight import PEAK, step_bytes
from ilbench.rollouts.keys import episode_keys
from ilbench.rollouts.rollout import rollout
from ilbench.running import runner
from ilbench.running.foresight import _left, block_bytes, network
from ilbench.running.plan import Block, resolve
from ilbench.types import COLLECT, EVIDENCE

FULL = (*COLLECT, "error", "reward")


def _double(shared, item):
    return 2 * item


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
    assert step_bytes(task.env, FULL) * 4 * 8 == size


def test_a_rollout_that_does_not_fit_is_refused_with_what_would(monkeypatch):
    task = registry.task("pendulum")
    each = step_bytes(task.env, FULL) * 8 * PEAK
    monkeypatch.setattr(memory, "available", lambda: int(10.5 * each / memory.SPARE))
    before = parallel.compiled_programs()
    with pytest.raises(memory.TooLarge, match="at most 10 episodes"):
        _roll(task, 4096, 8)
    assert parallel.compiled_programs() == before


def test_a_run_that_does_not_fit_is_refused_with_how_many_seeds_would(monkeypatch, tmp_path):
    task = registry.task("pendulum")
    each = block_bytes(task.env, 10**9, 64, 64, task.horizon)
    monkeypatch.setattr(memory, "available", lambda: int(2.5 * each / memory.SPARE))
    with pytest.raises(memory.TooLarge, match="--seeds 0,1, then"):
        ilbench.run(tasks="pendulum", algorithms="bc", changes={"block.budget": 10**9}, out=tmp_path, quiet=True)
    assert not list(tmp_path.rglob("*.json"))


SETTINGS = {  # what is asked for, many times over: more is foreseen, and the refusal names what to lower
    "evaluation.episodes": (64, 10**7, "evaluation.episodes=N"),
    "evaluation.held_out": (64, 10**7, "evaluation.held_out=N"),
    "fit.batch": (64, 10**8, "fit.batch=N"),
    "mse.width": (64, 60_000, "fit.batch=N"),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_that_takes_memory_is_foreseen(name, monkeypatch, tmp_path):
    usual, many, way = SETTINGS[name]
    kind = {"tasks": "scalar_unstable", "algorithms": "bc", "seeds": (0,), "out": tmp_path, "quiet": True}
    monkeypatch.setattr(memory, "available", lambda: 2**30)
    before = parallel.compiled_programs()
    with pytest.raises(memory.TooLarge, match=way):
        ilbench.run("smoke", changes={name: many}, **kind)
    assert parallel.compiled_programs() == before
    assert not list(tmp_path.iterdir())
    assert ilbench.run("smoke", changes={name: usual, "fit.updates": 2}, **kind).done == 1


def _measured(name, task, **settings):
    kind, spec = registry.load("heads", name), registry.task(task).spec
    head = kind.make(spec, kind.Config(width=16, depth=2, **settings))
    return network(head, spec.obs, spec.action), jax.tree.leaves(head.init(jax.random.key(0)))


def test_a_network_is_measured_without_being_made():
    found, made = _measured("mse", "pendulum")
    assert found.parameters == sum(leaf.size for leaf in made)
    assert found.width == found.acting == 16 + 16 + 1


def test_what_a_head_tries_for_a_row_and_for_an_action_counts():
    """An energy of 16 + 16 + 1 numbers for each action; a search goes on in place, so that its iterations are free."""
    for iterations in (2, 9):
        found, _ = _measured("energy", "pendulum", negatives=100, candidates=700, iterations=iterations)
        assert (found.width, found.acting) == (101 * 33, 700 * 33)
    assert _measured("flow", "pendulum", start="mean", draws=40)[0].acting == 40 * 33
    assert _measured("shortcut", "pendulum")[0].width == 4 * 33  # its loss asks for four velocities


@pytest.mark.parametrize(("kept", "numbers"), [(True, 3 * 7 + 5 + 4 * 7), (False, 4 * 7)])
def test_of_every_turn_of_a_loop_counts_what_a_gradient_keeps(kept, numbers):
    def runs(w, x):
        x = jax.lax.fori_loop(0, 3, lambda i, x: w @ x, x)
        smooth = jax.numpy.convolve(x, w[0, :3], "valid")
        return smooth, jax.jit(jax.vmap(lambda row: w @ row))(jax.numpy.stack([x] * 4))

    assert _left(jax.make_jaxpr(runs)(np.ones((7, 7)), np.ones(7)).jaxpr, kept) == numbers


def _energies(held_out=64, **settings):
    config = {f"energy.{name}": value for name, value in settings.items()} | {"fit.batch": 64, "fit.updates": 1}
    return resolve(Block("scalar_stable", "bc", "energy", 300, config=config, protocol=Protocol(held_out=held_out)))


@pytest.mark.parametrize(
    ("name", "way"),
    [
        ("negatives", "a row leaves 8,454,273 numbers in its loss"),
        ("candidates", "one action leaves 8,454,144 numbers"),
    ],
)
def test_more_samples_than_memory_holds_are_refused_with_the_numbers(name, way, monkeypatch):
    monkeypatch.setattr(memory, "available", lambda: 2**30)
    before = parallel.compiled_programs()
    with pytest.raises(memory.TooLarge, match=way):
        runner._foresee(_energies(**{name: 65_536}), (0,))
    assert parallel.compiled_programs() == before


@pytest.mark.parametrize(
    ("rows", "held_out", "settings"),
    [(512 * 65, 64, {}), (128 * 4096, 64, {"candidates": 4096}), (16 * 128 * 256, 2048, {})],
)
def test_what_is_worked_on_at_once_is_what_is_foreseen(rows, held_out, settings, monkeypatch):
    """512 rows of a loss; a block of 128 lanes acts, or 16 pieces of 128 held-out episodes; energies of 64 + 64 + 1 numbers."""
    monkeypatch.setattr(memory, "available", lambda: 2**50)
    plan = _energies(held_out, **settings)
    own = block_bytes(plan.task.env, 300, 64, held_out, plan.task.horizon)
    assert runner._foresee(plan, (0,)) - own == rows * 4 * 129
    wide = dataclasses.replace(plan, task=dataclasses.replace(plan.task, block=2**14))
    assert runner._foresee(wide, (0,)) - own == 2**14 * settings.get("candidates", 256) * 4 * 129


def test_noise_keeps_another_rollout():
    env = registry.task("pendulum").env
    clean, noisy = (block_bytes(env, 100, 1000, 64, 200, noise=noise) for noise in (False, True))
    assert noisy - clean == 1000 * 200 * step_bytes(env, EVIDENCE)


def test_limits_of_every_container_around_count_and_cached_files_are_free(monkeypatch, tmp_path):
    own = pathlib.Path("/proc/self/cgroup")
    if not own.is_file() or "0::" not in own.read_text():
        pytest.skip("cgroup v2 is Linux's")
    inner = tmp_path / next(x for x in own.read_text().splitlines() if x.startswith("0::"))[3:].lstrip("/")
    inner.mkdir(parents=True, exist_ok=True)
    for folder, limit in ((inner, "max"), (tmp_path, "1000")):
        (folder / "memory.max").write_text(limit)
        (folder / "memory.current").write_text("700")
        (folder / "memory.stat").write_text("anon 400\nactive_file 200\ninactive_file 100\n")
    assert memory._containers(tmp_path) == [1000 - 700 + 300]
    assert 0 < memory.available() < 2**50


def test_programs_are_dropped_before_the_system_gives_no_more_mappings():
    double = parallel.per_seed(_double)
    before, count = double((), np.arange(3.0)), parallel.compiled_programs()
    assert not parallel.spare_mappings(10**9)
    if not pathlib.Path("/proc/self/maps").is_file():
        pytest.skip("mappings are counted on Linux")
    assert parallel.spare_mappings(0)
    assert not parallel._PROGRAMS
    np.testing.assert_array_equal(double((), np.arange(3.0)), before)
    assert parallel.compiled_programs() == count  # what comes back was not compiled for anything new


def test_arrays_reach_the_host_whole():
    mesh = parallel.mesh()
    x = np.arange(8 * mesh.size * 3, dtype=np.float32).reshape(-1, 3)
    for spec in (PartitionSpec("item"), PartitionSpec()):
        placed = jax.device_put(x, NamedSharding(mesh, spec))
        found = parallel.to_host({"a": placed, "b": x, "c": jax.numpy.asarray(x)})
        for leaf in found.values():
            assert isinstance(leaf, np.ndarray)
            np.testing.assert_array_equal(leaf, x)
