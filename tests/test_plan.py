"""Which blocks a run has after `--horizons` and `--set`, and what a suite's name may look like."""

import json
from collections import defaultdict

import pytest

from ilbench import configs, plan, registry, runner

STEPS = (10, 20)


@pytest.mark.parametrize("name", registry.entries("suites"))
def test_horizons_keep_every_block_apart(name):
    declared = plan.load_suite(name).blocks
    prepared = runner.prepare(name, horizons=STEPS)
    found = [p.block for p in prepared.plans]
    ids = [id for p in prepared.plans for id in map(repr, runner.cells(p).values())]
    assert len(set(ids)) == len(ids)
    assert prepared.suite == f"{name}+custom@1"

    def budgets(blocks, steps):
        """Episodes' worth of labels by what else a block is: `steps` gives a block's length of an episode."""
        out = defaultdict(set)
        for b in blocks:
            out[b.task, b.algorithm, b.head, json.dumps(b.config, sort_keys=True)].add(b.labels // steps(b))
        return out

    assert budgets(found, lambda b: b.horizon) == budgets(
        declared, lambda b: b.horizon or registry.task(b.task).horizon
    )
    swept = {b.task for b in declared if b.horizon is None or b.protocol.prefixes}
    for b in found:
        if b.task in swept:
            assert (b.horizon, b.protocol.prefixes) == (20, (10,))
        else:
            assert b.horizon in STEPS
            assert b.protocol.prefixes == ()


def test_brax_keeps_its_five_budgets():
    found = runner.prepare("brax", tasks="ant", algorithms="bc", horizons=STEPS).plans
    assert [p.block.labels for p in found] == [20 * n for n in (1, 2, 5, 10, 25)]
    assert {p.task.horizon for p in found} == {20}


def test_prefixes_are_in_order_and_once():
    (one,) = runner.prepare("smoke", tasks="scalar*", horizons=(20, 5, 10, 5)).plans
    assert one.block.protocol.prefixes == (5, 10)


def test_fixed_horizons_share_a_step_budget():
    found = runner.prepare("quick", tasks="cliff", horizons=(32, 64)).plans
    assert {(p.task.horizon, p.block.protocol.episodes) for p in found} == {(32, 12_500), (64, 6250)}
    assert len(found) == 4  # two coverages each


def test_a_suite_may_be_named_with_its_version():
    assert plan.load_suite("quick@1") == plan.load_suite("quick")
    for wrong in ("quick@2", "quick@", "quick@one"):
        with pytest.raises(registry.UnknownName, match="quick@1"):
            plan.load_suite(wrong)


def test_options_of_a_task_have_its_makers_types():
    changes = plan.parse_set(["task.slip=1e-3", "task.actions=3"])
    (one,) = runner.prepare("smoke", tasks="cliff", changes=changes).plans
    assert {k: v for k, v in one.resolved.items() if k.startswith("task.")} == {"task.slip": 1e-3, "task.actions": 3}
    (two,) = runner.prepare("smoke", tasks="cliff", changes={"task.slip": 0.001, "task.actions": 3}).plans
    assert two.task is one.task


@pytest.mark.parametrize(
    ("kind", "given", "read"),
    [
        (float, "1", 1.0),
        (float | None, "2", 2.0),
        (float | None, "None", None),
        (int | None, 3, 3),
        (bool, "True", True),
        (tuple[int, ...], "[1, 2]", (1, 2)),
        (tuple[int, ...], (1, 2), (1, 2)),
        (str, "1", "1"),
    ],
)
def test_a_value_takes_the_type_of_its_field(kind, given, read):
    found = configs.cast("a", "b", kind, given)
    assert found == read
    assert type(found) is type(read)


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        (int, "1.5"),
        (int, True),
        (int | None, "x"),
        (float, "NaN"),
        (float, 10**400),
        (float, "-1e999"),
        (tuple[int, ...], "[true]"),
    ],
)
def test_a_value_of_another_type_is_refused(kind, given):
    with pytest.raises(ValueError, match=r"a\.b"):
        configs.cast("a", "b", kind, given)
