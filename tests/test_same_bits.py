"""Same inputs, same bits: a seed's record is its own, whichever seeds run beside it, in which order, after which interruptions."""

import numpy as np
import pytest

from ilbench.evaluation.evidence import Protocol
from ilbench.records import store
from ilbench.running import runner
from ilbench.running.plan import Block, Suite
from ilbench.training import lab as labs

SEEDS = tuple(range(6))
FIT = {"fit.updates": 40, "fit.batch": 16}
SMALL = {"seeds": SEEDS, "protocol": Protocol(episodes=12, held_out=10)}
SUITE = Suite(
    "again",
    1,
    (
        Block("gridworld", "bc", "table", 250, **SMALL),
        Block("gridworld", "dagger", "table", 700, config={"dagger.rounds": 3, "dagger.selected": "mixture"}, **SMALL),
        Block("scalar_unstable", "noise_bc", "gaussian", 210, config=FIT, **SMALL),
        Block("scalar_unstable", "ccil", "mse", 200, config={**FIT, "ccil.updates": 30}, **SMALL),
        Block("cartpole", "dagger", "mlp", 1600, config={**FIT, "dagger.rounds": 2}, **SMALL),
    ),
)


def _results(folder):
    records, problems = store.read_all(folder)
    assert not problems
    return {r.id: store._result(r) for r in records}  # with the digest of the arrays


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    assert runner.run(SUITE, out=folder, quiet=True).done == 30
    return _results(folder)


def test_a_run_interrupted_at_twenty_moments_with_seeds_in_any_order_and_grouping(uninterrupted, tmp_path, monkeypatch):
    draw, left = np.random.default_rng(0), [0]

    def interrupting(f):
        def call(*args, **kwargs):
            left[0] -= 1
            if left[0] == 0:
                raise KeyboardInterrupt
            out = f(*args, **kwargs)
            left[0] -= 1
            if left[0] == 0:
                raise KeyboardInterrupt
            return out

        return call

    for module, name in ((store, "write"), (labs, "rollout"), (labs.fitting, "fit"), (labs.fitting, "loss")):
        monkeypatch.setattr(module, name, interrupting(getattr(module, name)))
    stopped = 0
    while stopped < 20:
        seeds = tuple(int(s) for s in draw.permutation(SEEDS)[: draw.integers(1, 4)])
        left[0] = int(draw.integers(1, 12))
        try:
            runner.run(SUITE, seeds=seeds, out=tmp_path, quiet=True)
        except KeyboardInterrupt:
            stopped += 1
        else:  # nothing of these seeds was left to do: some records are lost, and made again
            records, _ = store.read_all(tmp_path)
            for record in records:
                if draw.random() < 0.3:
                    store.record_path(tmp_path, record.suite, record.id).unlink()
    left[0] = 0
    runner.run(SUITE, seeds=SEEDS[::-1], out=tmp_path, quiet=True)
    assert _results(tmp_path) == uninterrupted


def test_what_ran_before_in_the_same_process_changes_nothing(uninterrupted, tmp_path):
    """Blocks share demonstrations and expert rollouts: alone, a block ends in the same records."""
    for block in SUITE.blocks:
        runner.run(Suite("again", 1, (block,)), seeds=(3,), out=tmp_path / block.algorithm, quiet=True)
        found = _results(tmp_path / block.algorithm)
        assert found
        assert found.items() <= uninterrupted.items()


@pytest.mark.slow
def test_a_robots_seed_is_its_own_too(tmp_path):
    protocol = Protocol(episodes=3, held_out=2)
    block = Block("hopper", "dagger", "mse", 240, horizon=60, config={**FIT, "dagger.rounds": 2}, protocol=protocol)
    suite, folders = Suite("again", 1, (block,)), (tmp_path / "together", tmp_path / "alone")
    runner.run(suite, seeds=(0, 1, 2, 3, 4), out=folders[0], quiet=True)
    for seeds in ((4, 2), (0,), (3, 1)):
        runner.run(suite, seeds=seeds, out=folders[1], quiet=True)
    assert _results(folders[0]) == _results(folders[1])
