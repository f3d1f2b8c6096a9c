"""What measures mean: numbers computed by hand on arrays without symmetry, and exact dynamic programming on whole cells."""

import dataclasses

import jax
import numpy as np
import pytest
import toys
from scipy import stats as laws

from ilbench import registry
from ilbench.algorithms import dialled
from ilbench.evaluation import evidence as ev
from ilbench.evaluation.evidence import Evidence, Protocol
from ilbench.evaluation.references import references
from ilbench.exact import dp
from ilbench.measures import bounds, convergence, cost, eps, noise, returns, survival
from ilbench.rollouts.behaviours import mixed
from ilbench.rollouts.keys import seed_keys
from ilbench.rollouts.random import random_policy
from ilbench.training import fit
from ilbench.training.deployed import to_policy
from ilbench.training.fit import FitConfig
from ilbench.training.lab import Lab
from ilbench.types import Box, Demos, Discrete
from ilbench.wrappers.noisy import noisy

# Three rollouts of the learner, eight of the expert, four steps; at delta = .5 the mistakes are
#   learner  0 0 1 0 | 1 0 x x | 0 0 0 0 (at .25: 0 1 0 0)      x: after a fall
#   expert   step 2: one of eight, step 4: one of eight and one after a fall; at .25 also one at step 1
HELD_OUT = np.zeros((8, 4))
HELD_OUT[2, 1], HELD_OUT[5, 3], HELD_OUT[7, 0] = 0.7, 0.9, 0.3
EXPERT_ALIVE = np.ones((8, 4), bool)
EXPERT_ALIVE[4, 3] = False
ERROR = np.array([[0, 0, 0.6, 0.5], [0.6, 0.2, 0.0, 0.0], [0.1, 0.3, 0.0, 0.0]])
ALIVE = np.array([[1, 1, 1, 1], [1, 1, 0, 0], [1, 1, 1, 1]], bool)
REWARD = np.array([[1.0, 2, 0, 1], [4, 0, -1, -1], [3, 3, 3, 3.5]])
EXPERT_REWARD = np.array([[5.0, 4, 3, 2], [2, 2, 2, 9], [1, 1, 6, 5], *[[100.0, 0, 0, 0]] * 5])
REFERENCES = {"random": 2.0, "expert": 10.0}
GIVEN = Evidence(
    4, (0.5, 0.25), (1, 3, 4), (0.0, 9.0), REFERENCES,
    HELD_OUT, EXPERT_ALIVE, EXPERT_REWARD, ERROR, ALIVE, REWARD, 2 * REWARD, ALIVE[:, ::-1],
)  # fmt: skip


def _is(found, wanted):
    for name, value in wanted.items():
        np.testing.assert_allclose(found[name], value, atol=1e-12, err_msg=name)


def test_a_mistake_is_an_error_above_delta_and_every_step_after_a_fall():
    wrong = ev.mistakes(ERROR, ALIVE, 0.5)
    np.testing.assert_array_equal(wrong, [[0, 0, 1, 0], [1, 0, 1, 1], [0, 0, 0, 0]])
    np.testing.assert_array_equal(ev.mistakes(ERROR, ALIVE, 0.0)[2], [1, 1, 0, 0])
    np.testing.assert_array_equal(ev.mistakes(np.array([[np.inf]]), np.ones((1, 1), bool), 9.0), [[1]])


def test_cost():
    found = cost.measure(GIVEN)
    _is(
        found,
        {
            "cost": 4 / 3,
            "eps_on": 1 / 3,
            "cost_t": [1 / 3, 0, 2 / 3, 1 / 3],
            "prefix_cost": [[0, 1, 1], [1, 2, 3], [0, 0, 0]],
            "cost@0.25": (2 + 3 + 1) / 3,
        },
    )


def test_eps():
    _is(
        eps.measure(GIVEN),
        {
            "eps_bar": 3 / 32,
            "eps_max": 2 / 8,
            "eps_t": [0, 1 / 8, 0, 2 / 8],
            "prefix_eps": [0, 1 / 24, 3 / 32],
            "held_out_error": 1.9 / 31,
            "eps_bar@0.25": 4 / 32,
        },
    )
    broken = np.where(HELD_OUT == 0.9, np.inf, HELD_OUT)
    found = eps.measure(GIVEN._replace(held_out_error=broken))
    assert found["held_out_error"] is None
    assert found["eps_bar"] == 3 / 32


def test_a_fit_is_held_against_the_best_constant_action_and_against_its_own_half():
    for constant, worse in ((0.1, 0.0), (0.01, 1.0)):
        found = eps.measure(GIVEN._replace(constant_error=np.full((8, 4), constant)))
        assert found["worse_than_constant"] == worse  # the fit's error is 1.9 / 31
    assert "worse_than_constant" not in eps.measure(GIVEN)
    _is(
        convergence.measure(GIVEN._replace(held_out_loss=(0.5, 0.4))), {"held_out_loss_half": 0.5, "held_out_loss": 0.4}
    )
    assert convergence.measure(GIVEN) == {}


def test_the_best_constant_action_is_the_commonest_or_the_mean_of_the_seeds_own():
    label, alive = np.array([[[1, 2, 2, 0]], [[0, 0, 1, 3]]]), np.array([[[1, 1, 1, 0]], [[1, 1, 1, 1]]], bool)
    found = ev.constant_errors(Discrete(4), Demos(label=label, alive=alive))
    np.testing.assert_array_equal(found, [[[1, 0, 0, 1]], [[0, 0, 1, 1]]])
    vectors = np.stack([label, 2.0 * label], -1)
    found = ev.constant_errors(Box(2, -1.0, 10.0), Demos(label=vectors, alive=alive))
    np.testing.assert_allclose(found, 2 * np.abs(label - np.array([5 / 3, 1])[:, None, None]))


def test_returns():
    found = returns.measure(GIVEN)
    # Pairs: the first three of the expert's episodes start where the learner's three do.
    gap = EXPERT_REWARD[:3].sum(1).mean() - (4 + 2 + 12.5) / 3
    _is(
        found,
        {
            "return": 18.5 / 3,
            "score": (18.5 / 3 - 2) / 8,
            "gap": gap,
            "prefix_gap": [8 / 3 - 8 / 3, (12 + 6 + 8) / 3 - (3 + 3 + 9) / 3, gap],
            "prefix_return": [[1, 3, 4], [4, 3, 2], [3, 9, 12.5]],
        },
    )
    assert gap > 0  # the expert is better, and that is positive
    few = returns.measure(GIVEN._replace(expert_reward=EXPERT_REWARD[:2]))
    _is(few, {"gap": 14.5 - 18.5 / 3, "return": 18.5 / 3})


def test_no_score_where_the_expert_is_no_better_than_chance():
    for best in (10.0, 9.0):
        assert returns.measure(GIVEN._replace(references={"random": 10.0, "expert": best}))["score"] is None


def test_survival():
    _is(
        survival.measure(GIVEN),
        {
            "survived": 2 / 3,
            "faultless": 1 / 3,
            "faultless_t": [1, 2 / 3, 2 / 3, 1 / 3],
            "union_bound_t": [1, 3 / 4, 2 / 4, 1 / 4],
            "alive_t": [1, 1, 2 / 3, 2 / 3],
        },
    )
    always = np.where(np.arange(4) >= 1, 0.9, 0.0) * np.ones((8, 1))
    np.testing.assert_array_equal(
        survival.measure(GIVEN._replace(held_out_error=always))["union_bound_t"], [1, 0, 0, 0]
    )


def test_bounds():
    first = 1 / 8 + 1 / 8 + 3 / 8
    _is(
        bounds.measure(GIVEN),
        {"bound_b1": 2 / 8 * 10, "bound_b0": 16 * 3 / 32, "bound_b2": first, "bound_ratio": 4 / 3 / first},
    )
    always = bounds.measure(GIVEN._replace(held_out_error=np.ones((8, 4))))
    _is(always, {"bound_b1": 4, "bound_b0": 4, "bound_b2": 4})  # nobody pays more than H
    sure = GIVEN._replace(held_out_error=np.zeros((8, 4)), expert_alive=np.ones((8, 4), bool))
    assert bounds.measure(sure)["bound_ratio"] is None


def test_noise():
    found = noise.measure(GIVEN)
    _is(found, {"noisy_return": 37 / 3, "noisy_survived": 1.0})
    assert noise.measure(GIVEN._replace(noisy_alive=ALIVE))["noisy_survived"] == 2 / 3
    assert noise.measure(GIVEN._replace(noisy_reward=None, noisy_alive=None)) == {}


def test_log_spaced_steps():
    np.testing.assert_array_equal(ev.log_spaced(10), np.arange(1, 11))
    long = ev.log_spaced(1000)
    assert (long[0], long[-1]) == (1, 1000)
    assert len(long) <= 32
    assert (np.diff(long) > 0).all()
    ratios = long[16:] / long[15:-1]
    np.testing.assert_allclose(ratios, 1000 ** (1 / 31), rtol=0.05)
    np.testing.assert_array_equal(ev.log_spaced(1), [1])


# --------------------------------------------------------------------------------------------- where evidence is from
def _dialled(task, seeds, **config):
    lab = Lab(task, None, seeds, 0, FitConfig())
    policy = dialled.train(lab, dialled.Config(**config)).policies["last"]
    return policy, lab


def test_evidence_is_the_experts_states_and_the_learners_own_at_the_same_keys():
    task, seeds = registry.task("gridworld", 12), (4, 7)
    rng = np.random.default_rng(0)
    table = rng.integers(0, 4, (2, 1, 12, 26))
    learner = ev.roll(task, toys.tabled(table), seeds, 5, beta=0.0)
    expert = ev.roll(task, toys.tabled(table), seeds, 6, beta=1.0)
    experts = np.asarray(task.expert.params)
    np.testing.assert_array_equal(expert.label, experts[expert.obs])
    assert not expert.error.any()
    np.testing.assert_array_equal(learner.obs[:, :, 0], expert.obs[:, :5, 0])  # paired: the same first states
    held_out = ev.held_out_errors(task, toys.tabled(table), seeds, expert)
    t = np.arange(12)
    for s in range(2):
        np.testing.assert_array_equal(held_out[s], table[s, 0, t, expert.obs[s]] != experts[expert.obs[s]])
        np.testing.assert_array_equal(learner.error[s], table[s, 0, t, learner.obs[s]] != experts[learner.obs[s]])
    protocol = Protocol(prefixes=(20, 3, 12, 5))
    pieces = ev.split(task, protocol, REFERENCES, expert, held_out, learner)
    for s, piece in enumerate(pieces):
        assert (piece.horizon, piece.deltas, piece.prefixes) == (12, (0.0,), (3, 5, 12))
        for name, value in (
            ("held_out_error", held_out),
            ("expert_alive", expert.alive),
            ("expert_reward", expert.reward),
            ("error", learner.error),
            ("alive", learner.alive),
            ("reward", learner.reward),
        ):
            np.testing.assert_array_equal(getattr(piece, name), value[s], err_msg=name)
        assert piece.noisy_reward is None
    shaken = ev.split(task, protocol, REFERENCES, expert, held_out, learner, expert)[1]
    np.testing.assert_array_equal(shaken.noisy_reward, expert.reward[1])
    np.testing.assert_array_equal(shaken.noisy_alive, expert.alive[1])


def test_distance_at_the_experts_states_is_the_largest_over_dimensions():
    task = toys.counter(8, stop=9)
    expert = ev.roll(task, toys.constant(np.zeros((1, 1, 2), np.float32)), (0,), 3, beta=1.0)
    held_out = ev.held_out_errors(task, toys.constant(np.array([[[0.5, 0.25]]], np.float32)), (0,), expert)
    want = np.abs([0.5, 0.25] - toys.expert_of_counter(np.arange(8))).max(-1)
    np.testing.assert_allclose(held_out[0], np.broadcast_to(want, (3, 8)), atol=1e-6)
    # Of what the env makes of an action: beyond its bounds, +-10, nothing more is wrong.
    beyond = ev.held_out_errors(task, toys.constant(np.array([[[50.0, 0]]], np.float32)), (0,), expert)
    np.testing.assert_allclose(beyond[0], np.broadcast_to(9.9 - 0.01 * np.arange(8), (3, 8)), atol=1e-5)
    lost = ev.held_out_errors(task, toys.constant(np.array([[[np.nan, 0]]], np.float32)), (0,), expert)
    assert (lost == np.inf).all()


def test_evaluation_starts_from_other_states_than_training_and_each_seed_from_its_own():
    task, module = registry.task("double_integrator", 6), registry.load("heads", "linear")
    head = module.make(task.spec, module.Config())
    learner = to_policy(head, fit.init(head, seed_keys("init", (0, 1))))
    starts = [ev.roll(task, learner, (0, 1), 64, beta=beta).obs[:, :, 0] for beta in (0.0, 1.0)]
    np.testing.assert_array_equal(*starts)
    lab = Lab(task, head, (0, 1), 200 * 6, FitConfig())
    shown = lab.demonstrate(64).obs[:, :, 0]
    asked = [lab.collect(64, lab.same(mixed(task.env.action, 6)), learner).obs[:, :, 0] for _ in range(2)]
    everything = np.concatenate([x.reshape(-1, x.shape[-1]) for x in (starts[0], shown, *asked)])
    assert len(np.unique(everything, axis=0)) == len(everything) == 4 * 2 * 64


# ------------------------------------------------------------------------------------------------ whole cells
def test_a_cell_on_a_random_mdp_measures_what_dynamic_programming_says():
    H, error, n = 12, 0.15, 3000
    made = toys.ran(
        "random_mdp", "dialled", "table", 0, (0, 3), H, prefixes=(4, 7), episodes=n, held_out=n,
        config={"dialled.eps": error, "dialled.coverage": "own", "task.states": 6, "task.actions": 3},
    )  # fmt: skip
    task = registry.task("random_mdp", H, states=6, actions=3)
    mdp, expert = task.mdp(), np.asarray(task.expert.params)
    worst = dp.worst_actions(mdp, expert, H)
    learner = (1 - error) * np.eye(3)[expert] + error * np.eye(3)[worst]
    mine, best = (np.cumsum(dp.rewards(mdp, pi, H)) for pi in (learner, expert))
    chance = dp.total_return(mdp, np.full((6, 3), 1 / 3), H)
    for outcome in made.outcomes:
        toys.close_to(outcome.returns, mine[-1])
        toys.close_to(outcome.costs, error * H)
        s = outcome.scores
        assert s["return"] == pytest.approx(outcome.returns.mean(), rel=1e-6)
        assert s["score"] == pytest.approx((s["return"] - chance) / (best[-1] - chance), rel=1e-6)
        np.testing.assert_allclose(s["cost"], outcome.costs.mean())
        tolerance = 4 * outcome.returns.std() * np.sqrt(2 / n)
        assert abs(s["gap"] - (best[-1] - mine[-1])) < tolerance
        curves = outcome.curves
        for k, h in enumerate((4, 7, H)):
            assert abs(np.mean(curves["prefix_return"][:, k]) - mine[h - 1]) < tolerance
            assert abs(curves["prefix_gap"][k] - (best[h - 1] - mine[h - 1])) < tolerance
            assert abs(np.mean(curves["prefix_cost"][:, k]) - error * h) < 4 * np.sqrt(error * (1 - error) * h / n)
        assert abs(s["eps_bar"] - error) < 4 * np.sqrt(error * (1 - error) / n / H)
        assert s["survived"] == 1
        assert abs(s["faultless"] - (1 - error) ** H) < 4 * np.sqrt(0.25 / n)
    assert made.references["random"]["mean"] == pytest.approx(chance)
    assert made.references["expert"]["mean"] == pytest.approx(best[-1])
    assert made.gradient_steps == 0
    assert not any(made.outcomes[0].spent.values())


def test_errors_on_the_experts_states_and_on_ones_own_are_two_things():
    H, error, n = 16, 0.05, 3000
    made = toys.ran(
        "recoverable", "dialled", "table", 0, (1,), H, episodes=n, held_out=n, config={"dialled.eps": error}
    )
    task = registry.task("recoverable", H)
    mdp, expert = task.mdp(), np.array([0, 0])
    learner = dp.erring_policy(expert, [error, 1.0], 2)  # what the expert never shows, it does not know
    s = made.outcomes[0].scores
    own = dp.expected_mistakes(mdp, learner, expert, H)
    assert own.sum() > 5 * error * H
    toys.close_to(made.outcomes[0].costs, own.sum())
    np.testing.assert_allclose(dp.expert_errors(mdp, learner, expert, H), error)
    assert abs(s["eps_bar"] - error) < 4 * np.sqrt(error * (1 - error) / n / H)
    assert s["gap"] > 0
    assert abs(s["gap"] - (dp.total_return(mdp, expert, H) - dp.total_return(mdp, learner, H))) < 0.4
    assert abs(s["bound_b0"] - H * H * error) < 4 * H * H * np.sqrt(error * (1 - error) / n / H)
    assert s["bound_ratio"] == pytest.approx(s["cost"] / s["bound_b2"])


def test_a_fall_costs_every_step_that_is_left():
    """cartpole pushed one way falls at once: what dies costs the rest of the horizon, in every column."""
    task, H = registry.task("cartpole", 60), 60
    left = toys.constant(np.zeros((1, 1), np.int32))
    demos = ev.roll(task, left, (0,), 8, beta=0.0)
    lived = demos.alive.sum(-1)
    assert (lived < 20).all()
    np.testing.assert_array_equal(demos.reward.sum(-1), lived)
    found = ev.mistakes(demos.error, demos.alive, 0.0)[0]
    live = (demos.error[0] > 0) & demos.alive[0]
    np.testing.assert_array_equal(found.sum(-1), live.sum(-1) + H - lived[0])


# ------------------------------------------------------------------------------------------------ references
def test_references_are_the_exact_returns_of_chance_and_expert():
    task = registry.task("gridworld", 9)
    mdp = task.mdp()
    table = np.asarray(task.expert.params)
    law, random, best = np.stack([mdp.rho, mdp.rho]), 0.0, 0.0
    for _ in range(9):  # by hand: push both laws forward
        random += law[0] @ mdp.R.mean(1)
        best += law[1] @ mdp.R[np.arange(26), table]
        law = np.stack([law[0] @ mdp.P.mean(1), law[1] @ mdp.P[np.arange(26), table]])
    exact = references(task)
    for name, value in (("random", random), ("expert", best)):
        assert exact[name]["mean"] == pytest.approx(value)
        assert (exact[name]["ci"], exact[name]["n"]) == ([exact[name]["mean"]] * 2, 0)
    sampled = references(dataclasses.replace(task, mdp=None))
    own = toys.constant(np.zeros((1, 1), np.int32))
    for name, value, policy, beta in (
        ("random", random, random_policy(task.env.action), 0.0),
        ("expert", best, own, 1.0),
    ):
        (lo, hi), mean, n = (sampled[name][key] for key in ("ci", "mean", "n"))
        sd = ev.roll(task, policy, (3,), 1024, beta=beta).reward[0].sum(-1).std()
        assert (hi - lo) / 2 == pytest.approx(1.96 * sd / np.sqrt(n), rel=0.15)
        assert (lo + hi) / 2 == pytest.approx(mean)
        assert abs(mean - value) < 4 * sd / np.sqrt(n)


def test_a_random_policy_is_uniform_over_the_actions():
    task = registry.task("double_integrator", 20)
    demos = ev.roll(task, random_policy(task.env.action), (0,), 64, beta=0.0)
    moved = np.diff(demos.obs[0, :, :, 1], axis=1) / 0.1  # the velocity changes by dt u, and a little noise
    toys.close_to(moved, 0)
    toys.close_to(moved**2, 1 / 3 + (0.005 / 0.1) ** 2)
    chain = registry.task("recoverable", 20, actions=5)
    policy, keys = random_policy(chain.env.action), toys.episode_keys("meaning", (0,), 4000)[0]
    drawn = jax.vmap(lambda k: policy.act((), k, 0, (), 0)[1])(keys)
    assert laws.chisquare(np.bincount(drawn, minlength=5)).pvalue > 1e-3


# ------------------------------------------------------------------------------------------------ noise
def test_noise_at_sensors_and_actuators_has_its_formula():
    task = registry.task("double_integrator", 5, noise=0.0)
    sigma, state = 0.3, np.array([0.4, -0.8], np.float32)
    env, keys = noisy(task, sigma).env, toys.episode_keys("meaning", (0,), 4000)[0]
    blind = noisy(task, sigma, blind=True).env  # the same world, and an expert that sees what the learner sees
    for action, clipped in ((0.5, 0.5), (3.0, 1.0)):
        push = np.full((len(keys), 1), action, np.float32)
        after = jax.vmap(lambda k, a: env.step(env.params, k, (state, state), a))(keys, push)
        (true, seen_true), seen = after.state, np.asarray(after.obs, np.float64)
        np.testing.assert_array_equal(true, seen_true)
        moved = (np.float64(true)[:, 1] - state[1]) / 0.1
        drawn = (moved - (1 - sigma) * clipped) / sigma  # uniform over the action space
        assert laws.kstest(drawn, laws.uniform(-1, 2).cdf).pvalue > 1e-3
        sensed = (seen - (1 - sigma) * np.float64(true)) / sigma
        for i in range(2):
            assert laws.kstest(sensed[:, i], laws.norm.cdf).pvalue > 1e-3
        found = np.corrcoef(np.column_stack([sensed, drawn]).T)
        assert np.abs(found - np.eye(3)).max() < 4 / np.sqrt(4000)
        asked = jax.vmap(lambda s, o: env.expert_obs(env.params, s, o))(after.state, after.obs)
        np.testing.assert_array_equal(asked, true)
        asked = jax.vmap(lambda s, o: blind.expert_obs(blind.params, s, o))(after.state, after.obs)
        np.testing.assert_array_equal(asked, after.obs)
        cost = 0.25 * np.sum(np.float64(state) ** 2) + 0.05 * moved**2
        np.testing.assert_allclose(after.reward, -np.minimum(cost, 1), atol=1e-5)


def test_a_score_under_noise_is_a_return_under_noise_on_another_scale():
    made = toys.ran("scalar_unstable", "bc", "linear", 60, (0, 1, 2, 3), 30, episodes=16, held_out=4, noise=0.3)
    scores = [(o.scores["noisy_return"], o.scores["noisy_score"], o.scores["return"]) for o in made.outcomes]
    shaken, normalised, clean = np.array(scores).T
    assert (shaken < clean).all()
    chance, best = (made.references[name]["mean"] for name in ("random", "noisy_expert"))
    # The score is 1 for the expert under the same noise, seeing what the learner sees.
    task, nobody = registry.task("scalar_unstable", 30), toys.constant(np.zeros((1, 1, 1), np.float32))
    shown = ev.roll(noisy(task, 0.3, blind=True), nobody, (5,), 256, beta=1.0).reward[0].sum(-1)
    assert abs(best - shown.mean()) < 4 * shown.std() * np.sqrt(2 / 256)
    assert chance < best < made.references["expert"]["mean"] - 8 * shown.std() / 16
    np.testing.assert_allclose(normalised, (shaken - chance) / (best - chance), atol=1e-6)
    assert made.outcomes[0].scores["noisy_expert_return"] == best
    assert all(o.scores["noisy_survived"] <= 1 for o in made.outcomes)
