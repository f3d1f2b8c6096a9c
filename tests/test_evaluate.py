"""`ilbench evaluate`: a policy from outside against exact returns and the lab's own numbers, stored ones against their records."""

import json
import sys

import numpy as np
import pytest
from scipy import stats

from ilbench import cli, plugins, registry
from ilbench.algorithms import constant
from ilbench.commands.evaluate import evaluation
from ilbench.compute import parallel
from ilbench.evaluation.evaluate import evaluate
from ilbench.evaluation.evidence import Protocol
from ilbench.exact import dp
from ilbench.records import store
from ilbench.report import judgement
from ilbench.running import outside, runner
from ilbench.running.plan import Block, Suite
from ilbench.running.subject import declared
from ilbench.training.fit import FitConfig
from ilbench.training.lab import Lab
from ilbench.types import Box

MINE = """
import numpy as np
print("my own words")
GAIN = np.array({gain}, np.float32)
TABLE = np.array({table})
lqr = lambda obs, t: (obs @ GAIN > 0).reshape(len(obs))
def table(obs, t): return TABLE[obs]
def down(obs, t):
    obs[:] = 0  # its own copy
    return np.full(len(obs), 2)
def per_seed(obs, t, seed): return np.full(len(obs), seed % 4)
def one(obs): return 1
def shape(obs, t): return np.zeros((len(obs), 4))
def half(obs, t): return np.full(len(obs), 0.5)
def much(obs, t): return np.full(len(obs), 2)
def late(obs, t): return np.where(t == 3, np.nan, 1)
def boom(obs, t): return {{}}["key"]
class Net: pass
"""


@pytest.fixture(scope="module")
def mine(tmp_path_factory):
    """A user's file, with the rules of two experts in NumPy."""
    grid, cart = registry.task("gridworld", 20), registry.task("cartpole", 30)
    text = MINE.format(gain=np.asarray(cart.ask().params).tolist(), table=np.asarray(grid.ask().params).tolist())
    file = tmp_path_factory.mktemp("mine") / "mine.py"
    file.write_text(text)
    return file


@pytest.fixture(autouse=True)
def _path(monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))


def judged(mine, task, name, **options):
    return evaluation(task, f"{mine}:{name}", **options)


# ------------------------------------------------------------------------------------------ known numbers
def test_the_experts_own_rule_scores_one(mine):
    cart = judged(mine, "cartpole", "lqr", horizon=30, episodes=8, seeds=(0, 1))
    means = {name: row["mean"] for name, row in cart["measures"].items()}
    assert means == {"score": 1.0, "return": 30.0, "cost": 0.0, "eps_bar": 0.0, "survived": 1.0}
    assert all(row["over"] == "episodes" and row["n"] == 16 for row in cart["measures"].values())
    low, high = (cart["measures"]["survived"][k] for k in ("lo", "hi"))  # 16 of 16: Clopper & Pearson
    np.testing.assert_allclose([low, high], [stats.beta.ppf(0.025, 16, 1), 1.0], rtol=1e-9)
    assert cart["measures"]["return"]["hi"] == 30.0


@pytest.fixture(scope="module")
def down(mine):
    """Always down, 6 x 96 episodes of the grid."""
    return judged(mine, "gridworld", "down", horizon=20, episodes=96, seeds=range(6))


def test_a_constant_action_returns_what_dynamic_programming_says(down):
    mdp, expert = registry.task("gridworld", 20).mdp(), np.asarray(registry.task("gridworld").ask().params)
    exact, random, best = (dp.total_return(mdp, p, 20) for p in (np.full(26, 2), np.full((26, 4), 0.25), expert))
    total, score = down["measures"]["return"], down["measures"]["score"]
    assert total["n"] == 576
    assert total["lo"] < exact < total["hi"] < total["lo"] + 3
    for end in ("mean", "lo", "hi"):
        np.testing.assert_allclose(score[end], (total[end] - random) / (best - random), rtol=1e-6)
    assert (
        0
        < down["measures"]["eps_bar"]["lo"]
        < down["measures"]["eps_bar"]["mean"]
        < down["measures"]["eps_bar"]["hi"]
        < 1
    )
    spread = [r["return"] for r in down["per_seed"]]
    np.testing.assert_allclose(np.mean(spread), total["mean"])


@pytest.fixture(scope="module")
def each(mine):
    """Seed s goes s mod 4, the same episodes."""
    return judged(mine, "gridworld", "per_seed", horizon=20, episodes=96, seeds=range(6))


def test_a_constant_action_has_the_numbers_of_the_constant_learner(each):
    task = registry.task("gridworld", 20)
    lab = Lab(task, plugins.head("table").make(task.spec, plugins.head("table").Config()), (0,), 60, FitConfig())
    policy = constant.train(lab, constant.Config()).policies["last"]
    seed = int(policy.params[0, 0])  # that goes where the learner goes
    (learnt,) = evaluate(task, policy, Protocol(episodes=96, held_out=96), (seed,)).values
    assert each["per_seed"][seed] == {"seed": seed} | {name: float(learnt[name]) for name in each["measures"]}


def test_a_policy_for_each_seed_has_limits_over_seeds(each, down):
    assert each["per_seed"][2] == down["per_seed"][2]
    assert each["per_seed"][1] != down["per_seed"][1]
    x, row = np.array([r["score"] for r in each["per_seed"]]), each["measures"]["score"]
    half = stats.t.ppf(1 - 0.0125, 5) * x.std(ddof=1) / np.sqrt(6)  # what boards print as 95 %
    assert (row["over"], row["n"]) == ("seeds", 6)
    np.testing.assert_allclose([row["mean"], row["hi"]], [x.mean(), x.mean() + half], rtol=1e-9)
    assert x.mean() - half <= row["lo"] < x.mean()


def test_limits_are_normal_where_many_episodes_differ_and_hold_for_any_law_where_few_do():
    falls = np.where(np.arange(400) % 4 == 0, np.arange(400.0), 500.0)  # 100 of 400 fall, somewhere
    low, high = judgement._limits(falls, 0.0, 1000.0, "episodes")
    half = 1.96 * falls.std(ddof=1) / 20
    np.testing.assert_allclose([falls.mean() - low, high - falls.mean()], half, rtol=0.15)
    (low, high), all_of = judgement._limits(np.full(320, 500.0), 0.0, 1000.0, "episodes"), -np.log(0.025) / 320
    assert (
        0 < 500 - low < 1.5 * 500 * all_of
    )  # what 320 episodes without an exception leave room for, up to betting's price
    assert 0 < high - 500 < 1.5 * 500 * all_of
    assert judgement._limits(np.full(320, 500.0), -np.inf, np.inf, "episodes") == (None, None)
    assert judgement._limits(falls[:4], 0.0, 1000.0, "seeds") == (None, None)


# --------------------------------------------------------------------------------------- stored policies
@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A folder with a record and its policy."""
    folder = tmp_path_factory.mktemp("results")
    block = Block("gridworld", "bc", "table", 60, horizon=20, seeds=(3,), protocol=Protocol(96, 96))
    assert not runner.run(Suite("saved", 1, (block,)), out=folder, save_policies=True, quiet=True).failed
    return folder, store.read_all(folder)[0][0]


def test_a_stored_policy_has_its_records_numbers_however_it_is_named(saved):
    folder, record = saved
    file = store.record_path(folder, record.suite, record.id)
    sidecar = file.with_name(store.sidecar_name(record))
    named = [evaluation("gridworld", str(n), results=str(folder)) for n in (record.id[:8], file, sidecar)]
    assert named[0] == named[1] == named[2]
    assert named[0]["seeds"] == [3]
    for name, row in named[0]["measures"].items():
        assert float(f"{row['mean']:.7g}") == record.scores[name]  # as records spell numbers
    more = evaluation("gridworld", record.id, results=str(folder), seeds=(3, 4))
    assert more["per_seed"][0] == named[0]["per_seed"][0] != more["per_seed"][1]
    assert more["measures"]["score"]["n"] == 192
    with pytest.raises(ValueError, match="is not the sidecar of record"):
        evaluation("gridworld", str(file.with_name(f"{record.id}.0123456789ab.safetensors")))


def test_the_protocol_is_the_suites(monkeypatch):
    few = {k: registry.entries("suites")[k] for k in ("quick", "smoke")}  # the others load Brax
    monkeypatch.setattr(
        registry, "entries", lambda kind, every=registry.entries: few if kind == "suites" else every(kind)
    )
    assert declared("cartpole", None, None) == (Protocol(64, 64), 500, "protocol of quick@2")
    assert declared("cliff", 16, "quick")[:2] == (Protocol(25_000, 16), 16)
    with pytest.raises(ValueError, match=r"judges cliff in 6 ways; choose with --horizon: 16, 32"):
        declared("cliff", None, "quick")
    with pytest.raises(ValueError, match="suite smoke does not run cartpole; suites that do: quick"):
        declared("cartpole", None, "smoke")


# -------------------------------------------------------------------------------------------- bad input
BAD = {  # the policy: what is said, with exit code 2
    "mine.py": "give mine.py:FUNCTION",
    "min.py:lqr": "Did you mean mine.py?",
    "mine.py:lqrr": "Did you mean lqr?",
    "mine.py:np": "is module, not a function",
    "mine.py:Net": "is a class, not a function",
    "mine.py:one": "takes (obs); wanted f(obs",
    "mine.py:shape": "gave actions of shape [2, 4] for 2 observations; wanted [2]",
    "mine.py:half": "that are none of 0 ... 1 at step 0, the first is 0.5",
    "mine.py:much": "that are none of 0 ... 1 at step 0, the first is 2",
    "mine.py:boom": "raised KeyError: 'key' (mine.py, line 17)",
    "broken.py:f": "'broken.py' cannot be imported: ZeroDivisionError",
    "mines:lqr": "Did you mean mine:...?",
    "bc": "a policy of your own is ./NAME.py:FUNCTION",
    "abcdef": "no record abcdef",
}


def command(words, monkeypatch, folder):
    monkeypatch.chdir(folder)
    monkeypatch.setattr(parallel, "setup", lambda *args: None)  # the session's devices stay
    return cli._run(["evaluate", "cartpole", "--horizon", "30", "--episodes", "8", "--seeds", "0", *words])


@pytest.mark.parametrize("policy", BAD)
def test_what_cannot_be_judged_is_named_before_anything_is_rolled_out(policy, mine, monkeypatch, capsys):
    (mine.parent / "broken.py").write_text("1 / 0")
    count = parallel.compiled_programs()
    assert command(["--policy", policy], monkeypatch, mine.parent) == 2
    shown = capsys.readouterr()
    assert BAD[policy] in shown.err
    assert not shown.out
    assert parallel.compiled_programs() == count


def test_what_goes_wrong_later_is_one_line(mine, monkeypatch, capsys, caplog):
    assert command(["--policy", "mine.py:late", "--quiet"], monkeypatch, mine.parent) == 2
    shown = capsys.readouterr()
    assert shown.err.split("\n")[1:] == [
        "ilbench: mine.py:late gave actions that are not finite at step 3, the first is nan",
        "",
    ]
    assert not caplog.records  # nor in JAX's words


def test_stdout_is_one_document_whatever_the_policy_prints(mine, monkeypatch, capsys):
    assert command(["--policy", "mine:lqr", "--json"], monkeypatch, mine.parent) == 0
    shown = capsys.readouterr()
    assert "my own words" in shown.err
    made = json.loads(shown.out)
    assert (made["measures"]["score"]["mean"], made["task"], made["horizon"]) == (1.0, "cartpole@1", 30)


def test_actions_after_exploded_physics_are_no_fault_of_the_policy():
    watched = outside.Watched(outside.Outside("f", lambda obs, t: obs[:, :1] / 0.5, False), Box(1))
    gone, t = np.array([[np.nan, 0], [1, 0], [2, 0]], np.float32), np.arange(3)
    assert np.array_equal(watched.checked([], gone, t), [[np.nan], [2], [4]], equal_nan=True)
    endless = outside.Watched(outside.Outside("f", lambda obs, t: obs[:, :1] / 0 * 1.0, False), Box(1))
    with np.errstate(divide="ignore"), pytest.raises(ValueError, match="not finite at step 1, the first is \\[inf\\]"):
        endless.checked([], gone, t)
