"""Which blocks a run has after `--horizons` and `--set`, and what a suite's name may look like."""

import dataclasses
import inspect
import json
import re
from collections import defaultdict

import numpy as np
import pytest

from ilbench import configs, registry
from ilbench.commands.run import Run
from ilbench.records import schema, shipped, store
from ilbench.running import plan, runner, select

STEPS = (10, 20)


@pytest.mark.parametrize("name", registry.entries("suites"))
def test_horizons_keep_every_block_apart(name):
    declared = plan.load_suite(name).blocks
    prepared = runner.prepare(name, horizons=STEPS)
    found = [p.block for p in prepared.plans]
    ids = [id for p in prepared.plans for id in map(repr, plan.cells(p).values())]
    assert len(set(ids)) == len(ids)
    assert prepared.suite == f"{name}+custom@{plan.load_suite(name).version}"

    def budgets(blocks, steps):
        """Episodes' worth of labels by what else a block is: `steps` gives a block's length of an episode."""
        out = defaultdict(set)
        for b in blocks:
            out[b.task, b.algorithm, b.head, json.dumps(b.config, sort_keys=True)].add(b.budget // steps(b))
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


def test_brax_keeps_its_budgets():
    found = runner.prepare("brax", tasks="ant", algorithms="bc", horizons=STEPS).plans
    assert [p.block.budget for p in found] == [20 * n for n in (2, 5, 25)]
    assert {p.task.horizon for p in found} == {20}


def test_prefixes_are_in_order_and_once():
    (one,) = runner.prepare("smoke", tasks="scalar*", horizons=(20, 5, 10, 5)).plans
    assert one.block.protocol.prefixes == (5, 10)


def test_fixed_horizons_share_a_step_budget():
    found = runner.prepare("quick", tasks="cliff", horizons=(32, 64)).plans
    assert {(p.task.horizon, p.block.protocol.episodes) for p in found} == {(32, 12_500), (64, 6250)}
    assert len(found) == 4  # two coverages each


def test_a_suite_may_be_named_with_its_version():
    assert plan.load_suite("quick@2") == plan.load_suite("quick")
    for wrong in ("quick@1", "quick@", "quick@one"):
        with pytest.raises(registry.UnknownName, match="quick@2"):
            plan.load_suite(wrong)


def test_options_of_a_task_have_its_makers_types():
    changes = select.parse_set(["task.slip=1e-3", "task.actions=3"])
    (one,) = runner.prepare("smoke", tasks="cliff", changes=changes).plans
    assert {k: v for k, v in one.resolved.items() if k.startswith("task.")} == {"task.slip": 1e-3, "task.actions": 3}
    (two,) = runner.prepare("smoke", tasks="cliff", changes={"task.slip": 0.001, "task.actions": 3}).plans
    assert two.task is one.task


@pytest.mark.parametrize(
    ("kind", "given", "read"),
    [
        (float, "1", 1.0),
        (float, ".5", 0.5),
        (float, "+2.e-1", 0.2),
        (float, np.float32(0.25), 0.25),
        (int, np.int64(3), 3),
        (bool, np.bool_(True), True),
        (tuple[int, ...], np.arange(2), (0, 1)),
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
        (int, np.float64(1.5)),
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


# ------------------------------------------------------------------------------------ the Python door
@pytest.mark.parametrize(
    "seeds", [np.arange(3), [np.int64(0), np.uint8(1), 2], range(3), "0-2", (0, 1, 1, 2, 0), iter(range(3))]
)
def test_seeds_are_integers_of_any_make(seeds):
    (one,) = runner.prepare("smoke", tasks=["cliff"], seeds=seeds).plans
    assert one.block.seeds == (0, 1, 2)
    assert {type(seed) for seed in plan.cells(one)} == {int}


def test_horizons_and_suites_may_be_numpys():
    (one,) = runner.prepare("smoke", tasks=("scalar*",), horizons=np.array([5, 20])).plans
    assert (one.task.horizon, one.block.protocol.prefixes) == (20, (5,))
    block = plan.Block("gridworld", "bc", "table", np.int64(200), horizon=np.int32(100), seeds=np.arange(2))
    (two,) = runner.prepare(plan.Suite("mine", 1, (block,)), changes={"table.smoothing": np.float32(0.5)}).plans
    cell = plan.cells(two)[1]
    assert (cell.budget, cell.horizon, cell.config["table.smoothing"]) == (200, 100, 0.5)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"seeds": 5}, r"seeds are integers, e\.g\. range\(10\)"),
        ({"seeds": [0.5]}, "seeds are integers"),
        ({"seeds": [True]}, "seeds are integers"),
        ({"seeds": [None]}, "seeds are integers"),
        ({"seeds": np.array([0.0, 1.0])}, "seeds are integers"),
        ({"seeds": []}, "at least one"),
        ({"seeds": [-1]}, "4294967295"),
        ({"horizons": 16}, "horizons are integers"),
        ({"horizons": [1.5]}, "horizons are integers"),
        ({"tasks": 3}, "names or globs"),
        ({"tasks": [3]}, "names or globs"),
        ({"tasks": []}, "choose from: cliff, gridworld"),
        ({"algorithms": ["bc", "dager"]}, "dagger"),
        ({"changes": {"updates": 5}}, r"'updates' should be NAME\.FIELD, e\.g\. fit\.updates"),
        ({"changes": {"rounds": 5}}, r"e\.g\. dagger\.rounds"),
        ({"changes": {"nonsense": 5}}, r"e\.g\. fit\.updates"),
        ({"changes": {".x": 5}}, "NAME.FIELD"),
        ({"changes": {5: 5}}, "NAME.FIELD"),
        ({"changes": ["fit.updates=5"]}, "changes are a dict"),
        ({"changes": {"fit.updates": [5]}}, "must be int"),
    ],
)
def test_what_python_hands_over_is_refused_in_words(options, said):
    with pytest.raises(ValueError, match=said):
        runner.prepare("smoke", **options)


def test_heads_can_be_swapped():
    changes = {"gaussian.min_std": "0.1", "block.head": "gaussian"}  # in any order
    found = runner.prepare("quick", tasks="pendulum", algorithms="bc", changes=changes)
    (one,) = found.plans
    assert (one.block.head, one.resolved["gaussian.min_std"], found.suite.split("@")[0]) == (
        "gaussian",
        0.1,
        "quick+custom",
    )
    assert not any(key.startswith("mse.") for key in one.resolved)
    block = plan.Block("gridworld", "bc", "table", 100, config={"table.unseen": "wrong", "fit.updates": 3})
    changed = select.override([block], {"block.head": "linear"})
    assert (changed[0].head, changed[0].config) == ("linear", {"fit.updates": 3})


def test_what_the_help_shows_works_with_the_default_suite():
    fields = {f.name: f for f in dataclasses.fields(Run)}
    text = inspect.getsource(Run)
    globs, names = (
        re.search(r"globs, e\.g\. '(.*?)'", text)[1],
        re.search(r"match these globs, e\.g\. '(.*?)'", text)[1],
    )
    settings = re.findall(r"--set ([a-z_.]+=\w+)", text)
    assert runner.prepare(
        fields["suite"].default, tasks=globs, algorithms=names, changes=select.parse_set(settings[:2])
    ).plans
    assert runner.prepare(fields["suite"].default, tasks=globs, changes=select.parse_set(settings[:2])).plans
    assert settings[2] == "block.head=linear"
    assert runner.prepare(
        fields["suite"].default, tasks=globs, algorithms="bc", changes=select.parse_set(settings[2:])
    ).plans


# ---------------------------------------------------------------------------------------- dry runs
def _record(seed, **changes):
    (one,) = runner.prepare("smoke", tasks="scalar*").plans
    cell = next(iter(plan.cells(one).values())).model_copy(update={"seed": seed, **changes})
    cost = {"run_s": 2.0 + seed, "compile_s": 5.0}
    return schema.make_record(cell, "smoke@1", status="ok", cost=cost)


def test_a_dry_run_says_how_long_where_records_tell():
    known = [_record(7), _record(8), _record(9), _record(3, budget=1)]
    cell = _record(0).cell
    told, none, nothing = shipped.estimates([(cell, 2), (cell.model_copy(update={"budget": 2}), 2), (cell, 0)], known)
    assert told == (2 * 10.0, 2 * 5.0, 3)
    assert none == (None, None, 0)
    assert nothing[:2] == (0.0, 0.0)


def test_dry_run_prints_the_time(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("ilbench.compute.parallel.setup", lambda *args: None)
    monkeypatch.setattr(shipped, "folders", lambda: ())
    store.write(tmp_path, _record(8), {})
    assert Run("smoke", tasks="scalar*,gridworld", algorithms="bc", out=str(tmp_path), dry_run=True).execute() == 0
    shown = capsys.readouterr().out
    assert "running about 20 s, compiling up to 10 s" in shown
    assert "2 cells more that no record tells of" in shown
    assert {line.split()[-1] for line in shown.splitlines()[2:4]} == {"-", "s"}, shown


def test_suites_know_how_long_a_robots_episode_is():
    from ilbench.bench import brax, compounding, repairs, replication

    for name, entry in registry.entries("tasks").items():
        if "brax" in entry.tags:
            assert {suite.HORIZON.get(name, 1000) for suite in (brax, compounding)} == {registry.task(name).horizon}
    for block in (*repairs.suite().blocks, *replication.suite().blocks):
        assert block.horizon == registry.task(block.task).horizon
