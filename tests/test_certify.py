"""Certificates: limits that cover, policies read back or refused, errors before compute, and what deployment says."""

import dataclasses
import json
import shutil

import jax
import numpy as np
import pytest
from scipy import stats

from ilbench import registry
from ilbench.commands.theory import certificate
from ilbench.evaluation import certify, coupling
from ilbench.evaluation.evidence import Protocol
from ilbench.exact import closed_forms
from ilbench.records import packing, schema, store
from ilbench.render import show
from ilbench.running import policies, runner
from ilbench.running.plan import Block, Suite
from ilbench.stats import bounded
from ilbench.types import Policy

R, N, H = 2000, 64, 50


def first_mistakes(rng, eps, shape):
    """sum_t (1 - w_t) of a deterministic learner whose first mistake is geometric, and its mean."""
    return np.maximum(0, H + 1 - rng.geometric(eps, shape)), float(closed_forms.cliff(eps, H))


@pytest.mark.parametrize("law", ["rare", "first 1e-3", "first 1e-2", "first .1", "beta", "two points"])
def test_limits_cover(law):
    rng = np.random.default_rng(1)
    if law.startswith("first"):
        x, mean, top = *first_mistakes(rng, float(law[6:]), (N, R)), float(H)
    elif law == "rare":
        x, mean, top = (rng.uniform(size=(N, R)) < 0.01).astype(float), 0.01, 1.0
    elif law == "beta":
        x, mean, top = rng.beta(0.05, 0.5, (N, R)), 0.05 / 0.55, 1.0
    else:
        x, mean, top = rng.choice([0.3, 0.9], (N, R)), 0.6, 1.0
    missed = 0.05 + 3 * np.sqrt(0.05 * 0.95 / R)
    assert (bounded.upper_limit(x, np.full(R, top)) < mean).mean() <= missed
    assert (bounded.lower_limit(x, np.full(R, top)) > mean).mean() <= missed


def test_limits_are_sharp_enough():
    for n in (20, 64, 256):
        assert 1 - 0.05 ** (1 / n) <= bounded.upper_limit(np.zeros(n)) <= 1 - (0.4 * 0.05) ** (1 / n) + 1e-9
    x = np.random.default_rng(0).uniform(size=1000)
    normal = stats.norm.ppf(0.95) * x.std() / np.sqrt(1000)
    assert normal < bounded.upper_limit(x) - x.mean() < 2.2 * normal
    assert bounded.upper_limit(np.ones(5)) == 1.0
    for bad in ([-0.1, 0.2], [1.2], [], [np.nan]):
        with pytest.raises(ValueError, match=r"values"):
            bounded.upper_limit(bad)


def paths(rng, eps, n):
    """Deterministic mistakes, independent over time, on the cliff's expert rollouts `[n, H]`."""
    wrong = (rng.uniform(size=(n, H)) < eps).astype(float)
    failed = np.maximum.accumulate(wrong, axis=1)
    return coupling.Paths(wrong, failed, failed)


@pytest.mark.slow
def test_every_rung_covers_its_bound():
    rng, eps = np.random.default_rng(2), 0.004
    exact = {
        "B3": float(closed_forms.cliff(eps, H)),
        "B2": float(np.minimum(1, eps * np.arange(1, H + 1)).sum()),
        "B1": eps * H * (H + 1) / 2,
        "B0": eps * H * H,
    }
    limits = [certify._limits(paths(rng, eps, N), 0.95) for _ in range(300)]
    for name, value in exact.items():
        assert np.mean([x[name][1] < value for x in limits]) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 300)
    assert all(x["B3"][0] <= x["B2"][0] + 1e-12 for x in limits)


def test_vacuous_is_said():
    hopeless = coupling.Paths(*[np.ones((N, H))] * 3)
    assert {r.verdict for r in certify._rungs("0-1 cost", hopeless, ("B3", "B2", "B1", "B0"), 1.0, 0.95)} == {"vacuous"}
    good = certify._rungs("0-1 cost", paths(np.random.default_rng(0), 1e-3, N), ("B3",), 1.0, 0.95)
    assert [r.verdict for r in good] == ["certified"]


@pytest.mark.parametrize(
    ("gap", "outcome"), [((1, 0.5, 2), "held"), ((1, 0.5, 9), "consistent"), ((5, 1, 9), "undecided"), ((5, 4, 9), "exceeded")]
)  # fmt: skip
def test_outcomes(gap, outcome):
    rung = certify.Rung("0-1 cost", "B3", "", 2.0, 3.0, 10.0, 0.3, "certified")
    assert certify._deployed(rung, *gap).outcome == outcome


@pytest.mark.parametrize(
    ("task", "policy", "options", "says"),
    [
        ("gridwrld", "bc:5", {}, "Did you mean gridworld"),
        ("gridworld", "bcc:5", {}, "Did you mean bc"),
        ("gridworld", "bc", {}, "bc:20"),
        ("gridworld", "bc:0", {}, "at least 1 demonstration"),
        ("gridworld", "bc/mse:2", {}, "needs continuous actions"),
        ("gridworld", "bc:5", {"sigma": 1.0}, "discrete actions"),
        ("gridworld", "bc:5", {"episodes": 1}, "at least 2"),
        ("gridworld", "bc:5", {"changes": {"fitt.updates": 3}}, "fitt.updates"),
        ("gridworld", "bc:6", {"seed": -1}, r"0 ... 4294967295, got -1"),
        ("gridworld", "bc:6", {"seed": 99999999999}, r"0 ... 4294967295, got 99999999999"),
        ("gridworld", "abcdef0123", {"seed": 2**32}, r"0 ... 4294967295"),
        ("gridworld", "abcdef0123", {}, "no record abcdef0123"),
        ("gridworld", "nowhere.json", {}, "no file"),
        ("pendulum", "bc:5", {}, "Give sigma"),
        ("pendulum", "bc:5", {"sigma": -1.0}, "positive"),
        ("pendulum", "bc:5", {"sigma": float("nan")}, "positive"),
    ],
)
def test_errors_come_before_compute(task, policy, options, says, monkeypatch):
    monkeypatch.setattr(policies, "build", lambda *a, **k: pytest.fail("compute before the check"))
    with pytest.raises(ValueError, match=says):
        certificate(task, policy, **options)


def random_act(params, key, t, memory, obs):
    return memory, jax.random.randint(key, (), 0, 4, np.int32)


def test_a_stochastic_expert_is_refused():
    task = registry.task("gridworld", 10)
    stochastic = dataclasses.replace(task, expert=Policy((), lambda params, key: (), random_act))
    assert not any(coupling.random_expert(registry.task(name)) for name in ("gridworld", "cartpole", "pendulum"))
    with pytest.raises(ValueError, match="stochastic expert"):
        certify.check(stochastic, None, 64)


def test_smoothing_adds_the_noise_and_nothing_else():
    task = registry.task("pendulum", 5)
    still, loud = coupling.smoothed_task(task, 0.0), coupling.smoothed_task(task, 1.0)
    key, action = jax.random.key(3), np.zeros(1, np.float32)
    state, obs = task.env.reset(task.env.params, key)
    plain, same, other = (t.env.step(t.env.params, key, state, action).obs for t in (task, still, loud))
    assert np.array_equal(still.env.reset(still.env.params, key)[1], obs)
    assert np.array_equal(plain, same)
    assert not np.array_equal(plain, other)


def test_certificate_of_a_policy_trained_now():
    c = certificate("gridworld", "bc:6", episodes=64, deploy=True, horizon=30)
    values = json.loads(json.dumps(c.as_json(), allow_nan=False))
    assert [(r["of"], r["bound"]) for r in values["rungs"][:2]] == [("return gap", "B3"), ("return gap", "B2")]
    assert all(r.estimate <= r.upper + 1e-9 for r in c.rungs)
    assert not c.exceeded
    assert "held-out demonstrations" in c.text()


@pytest.mark.slow
def test_certificate_of_a_smoothed_pair():
    c = certificate("pendulum", "bc:8", sigma=2.0, episodes=64, deploy=True, horizon=30)
    by = {(r.of, r.bound): r for r in c.rungs}
    assert by["return gap", "path"].estimate <= by["return gap", "B3"].estimate < by["return gap", "B3"].trivial
    assert not c.exceeded
    assert "smoothed pair only" in c.text()


# ------------------------------------------------------------------------------------ saved policies
def suite(task, algorithm, head, horizon, config):
    block = Block(
        task, algorithm, head, 6 * horizon, horizon=horizon, seeds=(3,), config=config, protocol=Protocol(8, 8)
    )
    return Suite("saved", 1, (block,))


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A folder with the record and the policy of a DAgger mixture on the grid."""
    folder = tmp_path_factory.mktemp("results")
    config = {"dagger.rounds": 2, "dagger.selected": "mixture", "table.unseen": "fixed"}
    summary = runner.run(suite("gridworld", "dagger", "table", 20, config), out=folder, save_policies=True, quiet=True)
    assert not summary.failed
    record = store.read_all(folder)[0][0]
    return folder, record, store.read_sidecar(folder, record)


def test_a_saved_policy_is_read_back(saved):
    folder, record, arrays = saved
    loaded = policies.read(record, arrays)
    counts = arrays["policy/counts"]
    assert counts.shape[0] > 1  # a mixture
    assert np.array_equal(loaded.policy.params["counts"], counts[None])
    path = store.record_path(folder, record.suite, record.id)
    certificates = [
        certificate("gridworld", name, results=str(folder), episodes=16) for name in (record.id[:8], str(path))
    ]
    assert certificates[0] == certificates[1]
    assert certificates[0].horizon == 20


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda a: a | {"policy/counts": a["policy/counts"][:, :, :-1]}, "its head takes"),
        (lambda a: a | {"policy/counts": a["policy/counts"].astype(np.float16)}, "float16"),
        (lambda a: a | {"policy/counts": a["policy/counts"] * np.nan}, "non-finite"),
        (lambda a: a | {"policy/extra": np.zeros(3)}, "unknown"),
        (lambda a: {k: v for k, v in a.items() if k != "policy/counts"}, "missing"),
        (lambda a: a | {"policy/counts": a["policy/counts"][:1]}, "its head takes"),
        (lambda a: {k: v for k, v in a.items() if not k.startswith("policy/")}, "--save-policies"),
    ],
)
def test_a_damaged_policy_is_refused(saved, change, says):
    _, record, arrays = saved
    with pytest.raises(ValueError, match=says):
        policies.read(record, change(arrays))


def test_a_record_must_fit_what_is_asked(saved):
    folder, record, _ = saved
    for task, options, says in (
        ("cliff", {}, "is of gridworld@1, not of cliff"),
        ("gridworld", {"horizon": 30}, "trained for H = 20"),
        ("gridworld", {"changes": {"fit.updates": 1}}, "trained already"),
    ):
        with pytest.raises(ValueError, match=says):
            certificate(task, record.id, results=str(folder), **options)
    cell = record.cell.model_copy(update={"expert": "0" * 64})
    other = record.model_copy(update={"cell": cell})
    with pytest.raises(ValueError, match="expert of gridworld@1 has changed"):
        policies.read(other, saved[2])


def test_a_record_is_read_only_if_it_is_the_one_asked_for(saved, tmp_path):
    """B's content in A's file certifies nothing, by file and by id, for certify and render alike."""
    folder, record, _ = saved
    results = tmp_path / "results"
    shutil.copytree(folder, results)
    path = store.record_path(results, record.suite, record.id)
    other = schema.make_record(record.cell.model_copy(update={"seed": 4}), record.suite, **{
        name: getattr(record, name) for name in ("status", "scores", "episodes", "references", "cost", "sidecar")
    })  # fmt: skip
    b = store.write(results, other.model_copy(update={"scores": {}})).path
    content = path.read_bytes()
    moved = tmp_path / f"{record.id}.json"
    moved.write_bytes(content)
    raw = json.loads(content)
    for change, says in (
        (lambda: path.write_bytes(b.read_bytes()), f"holds the record {other.id}"),
        (lambda: path.write_text(json.dumps(raw | {"cell": raw["cell"] | {"seed": 5}})), "not that of the cell"),
        (lambda: path.write_text(json.dumps(raw | {"status": "ok", "scores": {"score": 1.0}})), "own hash"),
        (lambda: path.write_bytes(b"{"), "truncated"),
    ):
        change()
        for name in (str(path), record.id):
            for read in (certificate, show.make):
                with pytest.raises((ValueError, store.StoreError), match=says):
                    read("gridworld" if read is certificate else "cartpole", name, results=str(results))
    with pytest.raises(ValueError, match="lies in no folder of records"):
        certificate("gridworld", str(moved))


def test_a_packed_policy_is_read_back(saved, tmp_path):
    folder, record, arrays = saved
    results = tmp_path / "results"
    shutil.copytree(folder, results)
    packing.do(results, record.suite)
    found = policies.find(record.id[:8], "gridworld", results=str(results))
    loaded = policies.build(found)
    assert found[0] == record
    assert np.array_equal(loaded.policy.params["counts"], arrays["policy/counts"][None])
    assert store.sound(results, record.suite, record.id, policy=True)
