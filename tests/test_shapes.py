"""What does not fit is refused before anything compiles: the part, the shape that it gave, the shape wanted, or what is needed."""

import dataclasses
import json
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
import plugins
import pytest
from plugins import misfits

from ilbench import cli, registry
from ilbench.compute import parallel
from ilbench.rollouts.behaviours import mixed
from ilbench.running import validate
from ilbench.running.plan import Block, resolve
from ilbench.training import shapes
from ilbench.training.fit import FitConfig
from ilbench.training.lab import Lab
from ilbench.types import Box, Data, Discrete, Model, Policy, Trained, no_memory

SEEDS = (0, 1)


@pytest.fixture(autouse=True)
def _nothing_compiles():
    with plugins.registered("heads", misfits="plugins.misfits"), plugins.registered("tasks", file="plugins.file"):
        count = parallel.compiled_programs()
        yield
        assert parallel.compiled_programs() == count


@pytest.fixture
def lab():
    task = registry.task("scalar_stable", 10)
    return Lab(task, misfits.make(task.spec, misfits.Config()), SEEDS, 100, FitConfig(updates=2, batch=4))


# ------------------------------------------------------------------------------------------------ heads
@pytest.mark.parametrize("fault", misfits.FAULTS)
def test_a_head_whose_parts_do_not_fit_is_refused_by_the_planner(fault):
    block, said = Block("scalar_stable", "bc", "misfits", 100, config={"misfits.fault": fault}), misfits.FAULTS[fault][1]
    if said is None:
        resolve(block)
        return
    with pytest.raises(ValueError, match=f"misfits on scalar_stable@1: .*{said}"):
        resolve(block)


def test_what_fitted_once_costs_nothing_again():
    task = registry.task("double_integrator")
    module = registry.load("heads", "mse")
    given = module.make(task.spec, module.Config(width=5)), task.env.obs, task.env.action, task.horizon
    before = shapes.check_head.cache_info().hits
    shapes.check_head(*given)
    started = time.perf_counter()
    for _ in range(100):
        shapes.check_head(*given)
    assert time.perf_counter() - started < 0.1  # a millisecond each
    assert shapes.check_head.cache_info().hits == before + 100


@pytest.mark.parametrize("name", registry.entries("heads"))
def test_every_head_of_ours_fits(name):
    """Alone, with a history, in chunks, as an ensemble: wherever the planner lets it."""
    said, resolved = [], 0
    for settings in ({}, {"policy.history": 3}, {"policy.chunk": 4, "policy.delay": 1}, {"policy.members": 2}):
        for task in ("scalar_stable", "cartpole", "gridworld"):
            try:
                resolve(Block(task, "bc", name, 500, config=settings))
                resolved += 1
            except ValueError as error:
                said.append(str(error))
    assert resolved >= 1
    assert not [text for text in said if "of shape" in text or "Error" in text]


# ------------------------------------------------------------------------------------------------- fits
def data(seeds=2, **changes):
    vectors = np.zeros((seeds, 6, 1), np.float32)
    return Data(np.zeros((seeds, 6), np.int32), vectors, vectors, np.ones((seeds, 6), np.float32))._replace(**changes)


def vector(head, given, params, key, row):
    return row.obs


def double(head, given, params, key, row):
    return jnp.sum(row.obs).astype(jnp.int32)


def reads(head, given, params, key, row):
    return jnp.sum(given["w"] @ params["w"])


ON = r"the objective on a row of obs \[1\] and action \[1\]"
SHORT, OLD = {"w": np.zeros((1, 1, 1), np.float32), "norm": np.ones((1, 1), np.float32)}, {"w": np.zeros((2, 1, 1), np.float32)}
FITS = {
    "vector": ({"objective": vector}, ON + r" gives is of shape \[1\] float32; wanted \[\] float32"),
    "type": ({"objective": double}, ON + r" gives is of shape \[\] int32; wanted \[\] float32"),
    "given": ({"objective": reads, "given": {"w": np.zeros((3, 1))}}, r"given: w has the shape \[3, 1\]; leaves are \[S, ...\]"),
    "reads": ({"objective": reads, "given": {"w": np.zeros((2, 4), np.float32)}}, ON + ": TypeError"),
    "start": ({"start": SHORT}, r"start: norm has the shape \[1, 1\]; leaves are \[S, ...\]"),
    "old start": ({"start": OLD}, r"start lacks norm, of shape \[1\]"),
}


@pytest.mark.parametrize("case", FITS)
def test_a_fit_is_refused_for_what_its_objective_gives_and_reads(case, lab):
    settings, said = FITS[case]
    with pytest.raises(ValueError, match=said):
        lab.fit(data(), **settings)
    assert lab.ledger.gradient_steps == 0


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (data(seeds=3), r"data: weight has the shape \[3, 6\]; wanted \[S, R\] with S = 2 seeds"),
        (data(t=np.zeros((2, 5), np.int32)), r"data: t has the shape \[2, 5\]; leaves are \[S, R, ...\], here \[2, 6\]"),
        (data(extra={"advantage": np.zeros(12, np.float32)}), r"extra/advantage has the shape \[12\]"),
        (data(obs=np.zeros((2, 6, 3), np.float32)), r"head.loss on a row of obs \[3\] and action \[1\]: TypeError"),
    ],
)
def test_rows_of_another_shape_are_refused(rows, said, lab):
    with pytest.raises(ValueError, match=said):
        lab.fit(rows)


def test_models_are_held_to_the_same(lab):
    start = lambda key: {"w": jnp.zeros(1)}  # noqa: E731
    loss = lambda params, key, row: jnp.sum(params["w"])  # noqa: E731
    for model, said in (
        (Model(start, lambda params, key, row: params["w"]), r"what model.loss .* gives is of shape \[1\]"),
        (Model(start, loss, after=lambda params: {}), r"what model.after gives lacks w"),
        (Model(start, loss, prepare=lambda params, rows: {"w": rows.obs}), r"what model.prepare gives is of shape"),
    ):
        with pytest.raises(ValueError, match=said):
            lab.train(model, data(), name="x")


# ------------------------------------------------------------------------------------------- behaviours
def chosen(**parts):
    """A behaviour that lets the expert act, with other parts; leaves [2, ...]."""
    one = mixed(Box(1, -1.0, 1.0), 10, beta=1.0)
    choose = parts.pop("choose", None)
    made = dataclasses.replace(one, params=jax.tree.map(lambda x: np.stack([x, x]), one.params), **parts)
    if choose is None:
        return made
    sound = made.choose
    return dataclasses.replace(made, choose=lambda *given: sound(*given)._replace(**choose))


@pytest.mark.parametrize(
    ("behaviour", "said"),
    [
        (mixed(Box(1, -1.0, 1.0), 10), r"the behaviour: beta has the shape \[10\]; leaves are \[S, ...\]"),
        (chosen(choose={"action": jnp.zeros(2)}), r"the action that behaviour.choose gives is of shape \[2\] float32; wanted \[1\]"),
        (chosen(choose={"actor": jnp.float32(0)}), r"the actor that behaviour.choose gives is of shape \[\] float32; wanted \[\] int32"),
        (chosen(choose={"reveal": jnp.int32(1)}), r"the reveal that behaviour.choose gives is of shape \[\] int32; wanted \[\] bool"),
        (chosen(choose={"memory": jnp.zeros(1)}), r"the memory that behaviour.choose gives holds an array"),
        (chosen(init=misfits._raise), r"behaviour.init\(params, key\): ZeroDivisionError"),
    ],
)
def test_behaviours_that_do_not_fit_are_refused(behaviour, said, lab):
    params = jax.tree.map(lambda x: np.stack([x, x]), misfits._init(None))
    with pytest.raises(ValueError, match=said):
        lab.collect(1, behaviour, lab.policy(params))
    assert lab.ledger.env_steps.tolist() == [0, 0]


def test_a_policy_whose_memory_changes_is_named():
    task = registry.task("scalar_stable")
    bad = Policy(np.zeros((2, 1, 1)), no_memory, lambda p, k, t, m, o: (o, o))
    with pytest.raises(ValueError, match=r"'last': the memory that act gives holds an array, of shape \[1\]"):
        validate.trained(Trained({"last": bad}, "last"), "mine", 2, task)


# ------------------------------------------------------------------------------------ what is not there
REFUSED = {  # case: (task algorithm head), settings, what is said
    "no density": ("scalar_stable adversarial mse", {}, "adversarial needs sample: this head has no `sample`"),
    "members": ("scalar_stable adversarial gaussian", {"policy.members": 2}, "this head has no `sample`"),
    "chunks": ("scalar_stable teacher gaussian", {"policy.chunk": 4}, "teacher needs one step: this head sees a history or"),
    "nobody to ask": ("hand dagger linear", {}, "dagger needs expert: this task has none to ask"),
    "no camera": ("scalar_stable camera linear", {}, "camera needs views: this task has no further sensors"),
    "no table": ("scalar_stable dialled linear", {}, "dialled needs mdp: this task is no table"),
    "other actions": ("gridworld bc mse", {}, "mse needs continuous actions; heads that do not: linear, mlp, table"),
    "other observations": ("cartpole bc table", {}, "table needs discrete observations"),
    "a long chunk": ("scalar_stable bc mse", {"policy.chunk": 101}, "policy.chunk: a chunk has 1 ... 100 actions, as an episode"),
    "a long history": ("scalar_stable bc mse", {"policy.history": 101}, "policy.history: a history has 1 ... 100 observations"),
    "images": ("scalar_stable bc cnn", {}, "cnn looks at images"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_there_is_refused_with_the_reason(case):
    names, config, said = REFUSED[case]
    task, algorithm, head = names.split()
    more = {name: f"plugins.{name}" for name in ("adversarial", "teacher", "camera")}
    labels = 0 if algorithm == "dialled" else 600
    with plugins.registered("algorithms", **more), plugins.registered("heads", cnn="plugins.cnn"):
        with pytest.raises(ValueError) as error:  # noqa: PT011  the text is held below
            resolve(Block(task, algorithm, head, labels, config=config))
        assert said in str(error.value)


def test_nobody_demonstrates_where_there_is_nobody(lab):
    alone = Lab(dataclasses.replace(lab.task, expert=None), lab.head, SEEDS, 100, lab.fit_config)
    params = jax.tree.map(lambda x: np.stack([x, x]), misfits._init(None))
    acting = alone.same(mixed(alone.task.env.action, 10))
    for ask in (alone.demonstrate, lambda: alone.branch(alone.policy(params), 1), lambda: alone.collect(1, acting, alone.policy(params))):
        with pytest.raises(ValueError, match="has no expert to ask"):
            ask()
    with pytest.raises(ValueError, match="no `sample`"):
        lab.sampling(params)
    with pytest.raises(ValueError, match="0 episodes to roll out"):
        lab.rollout(lab.policy(params), 0)


def test_lists_say_what_is_needed(monkeypatch, capsys):
    monkeypatch.setattr(parallel, "setup", lambda *args: None)
    found = {}
    for kind in ("algorithms", "heads", "measures"):
        monkeypatch.setattr(sys, "argv", ["ilbench", "list", kind, "--json"])
        with pytest.raises(SystemExit):
            cli.main()
        found |= {row["id"]: row["needs"] for row in json.loads(capsys.readouterr().out)}
    assert found["dagger"] == "expert"
    assert found["table"] == "discrete observations, discrete actions"
    assert (found["linear"], found["eps"]) == ("", "expert")


@pytest.mark.parametrize(
    ("kind", "text", "said"),
    [
        ("algorithms", 'NEEDS = ("exprt",)\ndef train(lab, config): ...', "NEEDS holds 'exprt'. Did you mean expert?"),
        ("algorithms", 'NEEDS = ("expert", 1)\ndef train(lab, config): ...', "NEEDS must be a literal tuple of words"),
        ("measures", "SHOWS = ['jerk']\ndef measure(evidence): ...", "SHOWS must be a literal dict"),
        ("measures", "SHOWS = {'jerk': ''}\ndef measure(evidence): ...", "SHOWS must be a literal dict"),
    ],
)
def test_needs_and_shows_are_literals_of_known_words(kind, text, said, tmp_path, monkeypatch, capsys):
    text = f'"""A sound one.\n\nPaper: somebody 2026\n"""\n{text}\nclass Config: ...\n'
    with plugins.installed(tmp_path, {"askew.py": text}, {(kind, "askew"): "askew"}, monkeypatch):
        if "askew" in registry.entries(kind):
            with pytest.raises(ValueError) as error:  # noqa: PT011  the text is held below
                resolve(Block("scalar_stable", "askew", "mse", 100))
            assert said in str(error.value)
        else:
            assert said in capsys.readouterr().err
    sys.modules.pop("askew", None)


def test_spaces_are_what_they_look_like():
    assert (shapes.one(Discrete(3)).shape, shapes.one(Discrete(3)).dtype) == ((), np.int32)
    assert (shapes.one(Box((2, 3), 0, 255, "uint8")).shape, shapes.one(Box(2)).dtype) == ((2, 3), np.float32)
