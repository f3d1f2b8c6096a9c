"""Plug-ins that cheat or break: what was bought stands in the record or the block fails, and one broken block costs no other."""

import pathlib

import numpy as np
import plugins
import pytest
from plugins import broken_tasks, thief

from ilbench import registry
from ilbench.evaluation.evidence import Protocol
from ilbench.records import store
from ilbench.running import runner
from ilbench.running.execute import Session, execute
from ilbench.running.plan import Block, Suite, resolve
from ilbench.types import Policy

PROTOCOL = Protocol(episodes=2, held_out=2)


@pytest.mark.parametrize("more", [False, True])
@pytest.mark.parametrize("trick", thief.TRICKS)
def test_what_was_bought_stands_in_the_record_or_the_block_fails(trick, more):
    with plugins.registered("algorithms", thief="plugins.thief"):
        config = {"thief.trick": trick, "thief.more": more}
        plan = resolve(Block("gridworld", "thief", "table", 200, seeds=(0, 1), protocol=PROTOCOL, config=config))
        try:
            done = execute(plan, (0, 1), Session())
        except (ValueError, AttributeError, TypeError):
            assert trick != "nothing" or more
            return
    assert not more
    assert [o.spent["labels"] for o in done.outcomes] == [200, 200]
    assert [o.spent["env_steps"] for o in done.outcomes] == [200, 200]


def test_one_broken_block_costs_no_other_and_is_named(tmp_path):
    with plugins.registered("tasks", toys="plugins.broken_tasks"):
        blocks = [
            Block(name, "bc", "linear", 20, seeds=(0, 1), protocol=PROTOCOL)
            for name in broken_tasks.TASKS
            if registry.task(name) is not None
        ]
        done = runner.run(Suite("broken", 1, tuple(blocks)), out=tmp_path, quiet=True)
    records, problems = store.read_all(tmp_path)
    assert not problems
    assert {r.cell.seed for r in records if r.cell.task == "sound@1"} == {0, 1}
    assert {r.status for r in records if r.cell.task == "sound@1"} == {"ok"}
    failed = {label.split()[0] for label, _ in done.failed}
    diverged = {r.cell.task.split("@")[0] for r in records if r.status == "diverged"}
    assert failed | diverged >= set(broken_tasks.TASKS) - {"sound"}
    assert done.done + 2 * len(done.failed) == 2 * len(blocks)
    said = pathlib.Path(done.log).read_text()
    assert said.count("Traceback (most recent call last)") == len(done.failed)
    assert broken_tasks.MESSAGE in said


def _coin(params, key, t, memory, obs):
    import jax

    return memory, jax.random.randint(key, (), 0, 4, np.int32)


def test_mistakes_of_a_stochastic_expert_are_undefined(monkeypatch):
    """Two draws of one expert differ: a perfect copy would err on most steps."""
    import dataclasses

    task = registry.task("gridworld", 20)
    random = dataclasses.replace(task, expert=Policy(task.expert.params, task.expert.init, _coin))
    plan = resolve(Block("gridworld", "bc", "table", 200, horizon=20, seeds=(0,), protocol=PROTOCOL))
    (outcome,) = execute(dataclasses.replace(plan, task=random), (0,), Session()).outcomes
    assert outcome.scores["cost"] is outcome.scores["eps_bar"] is outcome.scores["bound_b0"] is None
    assert np.isnan(outcome.costs).all()
    assert outcome.scores["return"] is not None
    (sane,) = execute(plan, (0,), Session()).outcomes
    assert sane.scores["cost"] is not None
