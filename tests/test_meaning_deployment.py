"""0-1 deployment: until its first mistake an episode is the expert's, its cost is dynamic programming's, and its bounds are theorems."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys

from ilbench import registry
from ilbench.evaluation import deployment
from ilbench.evaluation.evaluate import Session, evaluate
from ilbench.evaluation.evidence import Branched, Protocol, Snapped
from ilbench.exact import bounds, dp
from ilbench.measures import amplification, recovery
from ilbench.rollouts.behaviours import mixed
from ilbench.rollouts.erring import SOMEWHERE, erring
from ilbench.rollouts.keys import episode_keys
from ilbench.rollouts.rollout import rollout
from ilbench.running.execute import execute
from ilbench.running.plan import Block, resolve
from ilbench.testing import evidence
from ilbench.types import Box, Env, Policy, Step, no_memory

H = 30
FIELDS = deployment.FIELDS


# ---------------------------------------------------------- a chain whose action is a number: above one half is the wrong one
def _coded(env):
    def step(params, key, state, action):
        return env.step(params, key, state, (action[0] > 0.5).astype(jnp.int32))

    def reset(params, key):
        state, obs = env.reset(params, key)
        return state, obs[None].astype(jnp.float32)

    def moved(params, key, state, action):
        after = step(params, key, state, action)
        return Step(after.state, after.obs[None].astype(jnp.float32), after.reward, after.terminated)

    return Env(env.params, reset, moved, Box(1), Box(1, 0.0, 1.0), env.absorbing_reward)


def _learner(params, key, t, memory, obs):
    """Off by .1 but for every fourth step, or where it has fallen: there it does the opposite."""
    wrong = (t % 4 == 3) | (obs[0] > 0)
    return memory, jnp.where(wrong, params, jnp.float32([0.1]))


def _expert(params, key, t, memory, obs):
    return memory, jnp.float32([0.0])


def chain(name="cliff", **options):
    tabular = registry.task(name, H, **options)
    coded = dataclasses.replace(tabular, env=_coded(tabular.env), expert=Policy((), no_memory, _expert), mdp=None, deltas=(0.2,))
    return coded, tabular.mdp()


def roll(task, policy, behaviour, episodes=16, stream="evaluation", seeds=(0,)):
    keys = episode_keys(f"{stream}/{task.name}", seeds, episodes)
    return rollout(task.env, task.expert, policy, behaviour, keys, horizon=task.horizon, record=FIELDS, seeds=seeds)


def wild(size=0.9, seeds=1):
    return Policy(np.full((seeds, 1, 1), size, np.float32), no_memory, _learner)


@pytest.fixture(scope="module")
def pendulum():
    return registry.task("pendulum", H)


# ------------------------------------------------------------------------------------------------- the behaviour
def test_until_the_first_mistake_the_episode_is_the_experts_bit_for_bit(pendulum):
    learner = toys.constant(np.full((1, 1, 1), 0.3, np.float32))
    expert, snapped = (roll(pendulum, learner, erring(pendulum.env.action, H, [d])) for d in (np.inf, 1.5))
    wrong = np.asarray(snapped.error) > 1.5
    assert 0 < wrong.mean() < 1
    assert np.array_equal(np.asarray(snapped.error) > 0, wrong)
    before = np.cumsum(wrong, axis=-1) - wrong == 0  # up to the first mistake, its own state included
    np.testing.assert_array_equal(snapped.obs[before], expert.obs[before])
    assert not np.array_equal(snapped.obs, expert.obs)


def test_no_tolerance_is_the_learner_and_any_the_expert(pendulum):
    learner = toys.constant(np.full((1, 1, 1), 0.3, np.float32))
    own, expert = (roll(pendulum, learner, erring(pendulum.env.action, H, [d])) for d in (0.0, np.inf))
    keys = episode_keys(f"evaluation/{pendulum.name}", (0,), 16)
    for demos, beta in ((own, 0.0), (expert, 1.0)):
        acting = toys.repeat(mixed(pendulum.env.action, H, beta=beta), 1)
        plain = rollout(pendulum.env, pendulum.expert, learner, acting, keys, horizon=H, record=FIELDS)
        np.testing.assert_allclose(plain.obs, demos.obs, atol=1e-3)
    assert not np.asarray(expert.error).any()
    assert (np.asarray(own.error) > 0).all()


@pytest.mark.parametrize("name", ["cliff", "recoverable", "stable"])
def test_its_cost_on_a_chain_is_that_of_dynamic_programming(name):
    task, mdp = chain(name)
    demos = roll(task, wild(), erring(task.env.action, H, [0.2]), episodes=4096)
    table = np.zeros((H, mdp.R.shape[0], mdp.R.shape[1]))
    table[:, :, 0] = 1.0
    table[3::4, :, :] = table[:, 1, :] = 0.0
    table[3::4, :, 1] = table[:, 1, 1] = 1.0
    exact = -dp.total_return(mdp, table, H)
    toys.close_to(-np.asarray(demos.reward)[0].sum(-1), exact)
    right = np.zeros_like(table)
    right[:, :, 0] = 1.0
    toys.close_to((np.asarray(demos.error)[0] > 0.2).sum(-1), float(dp.expected_mistakes(mdp, table, right, H).sum()))
    assert exact > 1


def test_at_most_so_many_mistakes_and_none_before_the_first_step():
    task, _ = chain("recoverable")
    once = roll(task, wild(), erring(task.env.action, H, [0.2], most=1, first=10))
    assert (np.argmax(np.asarray(once.error) > 0, axis=-1) == 11).all()
    assert ((np.asarray(once.error) > 0).sum(-1) == 1).all()
    drawn = roll(task, wild(), erring(task.env.action, H, [0.2], most=1, first=SOMEWHERE), episodes=256)
    step = np.argmax(np.asarray(drawn.error) > 0, axis=-1)
    assert set(np.unique(step)) <= {0, *range(3, H, 4)}
    assert np.unique(step).size > 5


def test_at_the_tolerance_is_no_mistake():
    task, _ = chain("recoverable")
    demos = roll(task, wild(), erring(task.env.action, H, [0.9]))  # its two errors are .1 and .9
    assert not np.asarray(demos.error).any()
    assert np.asarray(roll(task, wild(), erring(task.env.action, H, [0.1])).error).max() == np.float32(0.9)


def test_a_push_has_its_size_at_its_step_whatever_the_learner_does(pendulum):
    task = dataclasses.replace(pendulum, env=dataclasses.replace(pendulum.env, action=Box(1)))
    demos = roll(task, toys.constant(np.full((1, 1, 1), 9.0, np.float32)), erring(Box(1), H, [np.inf], first=7, push=0.5))
    error = np.asarray(demos.error)[0]
    np.testing.assert_allclose(error[:, 7], 0.5, rtol=1e-5)
    assert not np.delete(error, 7, axis=1).any()


@pytest.mark.parametrize("wrong", [{"delta": [-1.0]}, {"delta": [np.nan]}, {"delta": 0.1}, {"first": H}, {"first": -2}, {"push": -0.1}])
def test_what_is_no_behaviour_is_refused(wrong):
    given = {"delta": [0.1], **wrong}
    with pytest.raises(ValueError, match=r"delta is a tolerance|first is a step"):
        erring(Box(1), H, given.pop("delta"), **given)


# ------------------------------------------------------------------------------------------------ the evaluation
def test_the_tolerance_is_the_order_statistic_that_is_asked_for():
    rng = np.random.default_rng(0)
    error, alive = rng.exponential(size=(3, 20, 50)).astype(np.float32), np.ones((3, 20, 50), bool)
    alive[1, :, 25:] = False
    for eps in (0.001, 0.01, 0.1, 0.45):
        delta = deployment.tolerances(error, alive, eps)
        assert [((e > d) & a).sum() for e, d, a in zip(error, delta, alive, strict=True)] == [int(eps * 1000)] * 3
    assert deployment.tolerances(error, alive, 0.9)[1] == 0  # fewer live steps than that
    assert deployment.tolerances(np.zeros((1, 2, 3)), np.ones((1, 2, 3), bool), 0.1) == [0.0]


def test_what_chooses_delta_is_not_what_measures_eps():
    """With two episodes each, the calibration's share above delta is exact, the measured one is whatever its own episodes say."""
    task, _ = chain("recoverable")
    policy, protocol = wild(seeds=2), Protocol(episodes=4, held_out=4, snap=(0.2,), calibration=6)
    asked = []

    def spied(task, policy, behaviour, seeds, episodes, stream, old=deployment._roll):
        asked.append((stream, episodes))
        return old(task, policy, behaviour, seeds, episodes, stream)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(deployment, "_roll", spied)
        found = deployment.deploy(task, policy, protocol, (0, 1), policy, Session())
    assert asked == [("calibration", 6), ("evaluation", 4), ("evaluation", 4), ("evaluation", 4)]
    for s, one in enumerate(found):
        (snap,) = one["snapped"]
        own = roll(task, policy, erring(task.env.action, H, [np.inf] * 2), 4, seeds=(0, 1))
        np.testing.assert_array_equal(snap.expert_alive, own.alive[s])
        assert snap.expert_error.shape == (4, H)
        assert set(one["branches"]) == {"own"}


def test_a_mistake_is_branched_off_at_the_first_target():
    task, _ = chain("recoverable")
    protocol = Protocol(episodes=8, held_out=4, snap=(0.3, 0.1), calibration=8)  # the second delta is .9, which nothing exceeds
    (one,) = deployment.deploy(task, wild(), protocol, (0,), wild(), Session())
    assert [s.delta for s in one["snapped"]] == pytest.approx([0.1, 0.9])
    assert (one["branches"]["own"].error.max(1) > 0.1).any()


def test_only_the_policy_that_is_scored_is_deployed_so(monkeypatch):
    deployed, original = [], deployment.deploy
    monkeypatch.setattr(deployment, "deploy", lambda *a: deployed.append(a[1]) or original(*a))
    block = Block(
        "scalar_stable", "dagger", "linear", 300, seeds=(0,), config={"dagger.rounds": 2, "dagger.validate": False},
        protocol=Protocol(episodes=8, held_out=8, snap=(0.2,), calibration=8),
    )  # fmt: skip
    done = execute(resolve(block), (0,), Session())
    assert len(done.outcomes[0].variants) == 2
    assert len(deployed) == 1
    assert "snap_eps@0.2" in done.outcomes[0].scores


def test_measured_through_evaluate_the_cost_is_its_parts_and_within_its_bounds():
    task, _ = chain("cliff")
    (values,) = evaluate(task, wild(), Protocol(episodes=256, held_out=8, snap=(0.3,), calibration=64, push=0.3), (0,)).values
    shown, live, fallen, floor = values["snap@0.3"][:, -1]
    assert values["snap_delta@0.3"] == pytest.approx(0.1)
    assert values["snap_cost@0.3"] == pytest.approx(live + fallen - floor)
    assert values["snap_eps@0.3"] == pytest.approx(shown) == pytest.approx(H // 4)  # every fourth step
    assert values["amplification@0.3"] == pytest.approx(values["snap_cost@0.3"] / shown)
    # On the cliff all that follows the first mistake, at step 3, is one: the bound is attained.
    assert values["snap_cost@0.3"] == pytest.approx(H - 3) == pytest.approx(values["snap_b2@0.3"])
    assert {"u_own", "fall_own", "u_push", "fall_push"} <= set(values)


@pytest.mark.parametrize(
    ("task", "protocol", "said"),
    [
        ("gridworld", {"snap": (0.01,)}, "identity"),
        ("pendulum", {"snap": (0.001,), "calibration": 32}, "6.4 expected mistakes.*calibration=150"),
        ("pendulum", {"snap": (0.0,)}, "error rates"),
        ("pendulum", {"snap": (0.01, 0.01)}, "different"),
        ("pendulum", {"push": 1.0}, "beside evaluation.snap"),
        ("pendulum", {"snap": (0.01,), "push": -1.0}, "at least 0"),
        ("pendulum", {"snap": (0.01,), "calibration": 0}, "calibration must be at least 1"),
    ],
)
def test_what_cannot_be_snapped_is_refused_before_anything_runs(task, protocol, said):
    with pytest.raises(ValueError, match=said):
        resolve(Block(task, "bc", "table" if task == "gridworld" else "mse", 2000, protocol=Protocol(**protocol)))


def test_an_expert_that_draws_or_that_is_not_there_is_refused(pendulum):
    def drawing(params, key, t, memory, obs):
        return memory, jax.random.normal(key, (1,))

    chance = dataclasses.replace(pendulum, expert=Policy((), no_memory, drawing))
    assert "draws its actions" in deployment.unfit(chance)
    assert "no expert" in deployment.unfit(dataclasses.replace(pendulum, expert=None))
    assert deployment.unfit(pendulum) is None


# --------------------------------------------------------------------------------- how long a mistake lasts, on `fork_one`
def _after_the_corner(params, key, t, memory, obs):
    """The expert's action, (1 + more) of it at the step into the lane; along the lane a share of the way back, and nothing below `low`."""
    back = jnp.clip((0.5 - obs[1]) / 0.1, -1, 1)
    answer = jnp.where(t == 5, (1 + params["more"]) * back, params["share"] * back)
    return memory, jnp.where(t < 5, back, jnp.maximum(answer, params["low"]))[None]


LASTING = {  # share, more, low; how often one mistake is made
    "it answers as the lane does": (0.0, 0.5, -1.0, 11.0),
    "a quarter of the way back": (0.25, 0.5, -1.0, None),
    "half of the way back": (0.5, -0.5, -1.0, None),
    "as the expert": (1.0, 0.5, -1.0, 1.0),
    "no action below those shown, passed": (1.0, 0.5, 0.0, 11.0),
    "no action below those shown, fallen short": (1.0, -0.5, 0.0, 1.0),
}


def test_a_mistake_is_made_again_for_as_long_as_the_state_is_new_and_the_answer_old():
    """y' = y + turn a: an error e at step 6 leaves the lane by e turns, and is (1 - share)^n e at the n-th step after it, of ten."""
    task, seeds = registry.task("fork_one"), tuple(range(len(LASTING)))
    columns = np.float32([row[:3] for row in LASTING.values()])
    leaves = {name: column[:, None] for name, column in zip(("share", "more", "low"), columns.T, strict=True)}
    policy = Policy(leaves, no_memory, _after_the_corner)
    found = deployment.deploy(task, policy, Protocol(episodes=128, snap=(0.01,), calibration=256), seeds, policy, Session())
    for one, (share, _, _, known) in zip(found, LASTING.values(), strict=True):
        values = amplification.measure(evidence(True)._replace(horizon=16, snapped=one["snapped"]))
        (snap,) = one["snapped"]
        size = snap.expert_error[snap.expert_error > snap.delta].astype(np.float64)
        lasts = ((1 - share) ** np.arange(11) * size[:, None] > snap.delta).sum(1)
        assert 5 < len(size) < 40
        assert values["amplification@0.01"] == pytest.approx(lasts.mean() if known is None else known)


def test_a_trained_head_that_keeps_to_the_actions_shown_cannot_come_back():
    """No demonstration of `fork_one` steers down: diffusion, cut off at the range of its rows, does once that is the action's."""
    protocol = Protocol(episodes=256, held_out=8, snap=(0.01,), calibration=256)
    fit = {"fit.updates": 2000, "fit.batch": 128}
    plan = resolve(Block("fork_one", "bc", "diffusion", 1600, seeds=(0,), config=fit, protocol=protocol))
    done = execute(plan, (0,), Session())
    params = done.policy.params
    scale = params["norm"]["action"]
    wide = {**scale, "low": (-1 - scale["centre"]) / scale["unit"]}
    free = dataclasses.replace(done.policy, params={**params, "norm": {**params["norm"], "action": wide}})
    (values,) = evaluate(plan.task, free, protocol, (0,)).values
    assert done.outcomes[0].scores["amplification@0.01"] > 4
    assert values["amplification@0.01"] < 2


# -------------------------------------------------------------------------------------------------- the measures
def test_amplification_of_numbers_that_are_known():
    """Two episodes of four steps; the expert falls in the second. On the learner's way: mistakes, and an earlier fall."""
    expert_alive = np.bool_([[1, 1, 1, 1], [1, 1, 1, 0]])
    asked = np.float64([[0, 2, 0, 0], [0, 0, 0, 2]])  # the last one is of a dead step
    alive = np.bool_([[1, 1, 1, 1], [1, 1, 0, 0]])
    error = np.float64([[0, 2, 2, 2], [0, 2, 2, 2]])
    given = evidence(True)._replace(horizon=4, snapped=(Snapped(0.1, 1.0, asked, expert_alive, error, alive),))
    found = amplification.measure(given)
    assert found["snap_eps@0.1"] == 0.5
    assert found["snap_cost@0.1"] == (3 + 1 + 2 - 1) / 2
    assert found["amplification@0.1"] == 5
    np.testing.assert_array_equal(found["snap@0.1"][:, -1], [0.5, 2, 1, 0.5])
    assert found["snap_b2@0.1"] == bounds.b2(np.float64([0, 0.5, 0, 0])) == 1.5
    assert found["snap_b0@0.1"] == 2.0
    none = given._replace(snapped=(Snapped(0.1, 3.0, asked, expert_alive, np.zeros((2, 4)), expert_alive),))
    assert amplification.measure(none)["amplification@0.1"] is None


def test_what_a_mistake_costs_of_numbers_that_are_known():
    error, alive = np.zeros((3, 20)), np.ones((3, 20), bool)
    error[0, 4] = error[1, 19] = 1.0  # the third episode has no deviation
    straight, reward = np.ones((3, 20)), np.ones((3, 20))
    reward[0, 5:15], alive[0, 15:], reward[0, 15:] = 0.0, False, 0.0
    refs = {"expert": 40.0, "random": 0.0}  # a step is worth 2
    given = evidence(True)._replace(
        horizon=20, references=refs, branches={"own": Branched(error, alive, reward, np.ones((3, 20), bool), straight)}
    )
    found = recovery.measure(given)
    assert found["u_own"] == 15 / 2 / 2
    assert found["fall_own"] == 0.5
    np.testing.assert_array_equal(np.nonzero(found["u_own_t"][0])[0], [2, 9])
    np.testing.assert_array_equal(found["u_own_t"][:, 2], [1, 7.5, 1])
    np.testing.assert_array_equal(found["u_own_t"][:, 9], [1, 0, 0])
    none = given._replace(branches={"own": given.branches["own"]._replace(error=np.zeros((3, 20)))})
    assert recovery.measure(none)["u_own"] is None
