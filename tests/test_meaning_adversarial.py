"""Occupancy matching: what follows a step, what the judges say, where soft Q-learning is at rest, what rounds are charged."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys
from scipy import optimize, special

from ilbench import registry
from ilbench.algorithms import airl, gail, iq_learn, sqil
from ilbench.distributions import Categorical
from ilbench.training import adversarial
from ilbench.training.successors import halves, successors
from ilbench.types import Box, Data, Demos, Discrete, Head

TABLE = Head(lambda key: {}, lambda p, k, r: 0.0, lambda *a: a, dist=lambda params, t, obs: Categorical(params["q"][obs]))


def row(**beside):
    """A row at state 0 with action 1, and what stands beside it."""
    return Data(np.int32(0), np.int32(0), np.int32(1), np.float32(1), extra={k: jnp.asarray(v) for k, v in beside.items()})


def test_what_follows_a_step_and_whether_it_was_a_fall():
    alive = np.array([[[1, 1, 0], [1, 1, 1]]], bool)
    seen = np.arange(6.0).reshape(1, 2, 3, 1)
    demos = Demos(obs=seen, final_obs=np.full((1, 2, 1), 9.0), alive=alive, final_alive=np.array([[False, False]]))
    whole, cut = successors(demos, whole=True), successors(demos._replace(final_alive=None), whole=False)
    assert whole.obs[0, :, 0].tolist() == [1, 2, 9, 4, 5, 9]
    assert whole.on[0].tolist() == [1, 0, 0, 1, 1, 0]
    assert whole.known[0].tolist() == [True, True, False, True, True, True]
    assert cut.on[0].tolist() == [1, 0, 0, 1, 1, 1], "without final_alive it is time that has run out"
    assert cut.known[0].tolist() == [True, False, False, True, True, True], "a cut is not told from a fall"


def test_each_side_weighs_a_half():
    first, second = halves(np.array([[1, 1, 1, 0]]), np.array([[1, 0]]))
    assert first.sum() == second.sum() == 2
    assert first[0, 3] == second[0, 1] == 0


def test_advantages_are_the_sum_of_later_surprises():
    rng = np.random.default_rng(0)
    reward, now, later = rng.normal(size=(3, 2, 3, 5))
    alive = np.arange(5) < np.array([5, 3, 1])[None, :, None] * np.ones((2, 1, 1))
    on = np.where(np.arange(5) == np.array([9, 2, 0])[None, :, None], 0.0, 1.0) * np.ones((2, 1, 1))
    found = adversarial.advantages(reward, now, later, on, alive, 0.9, 0.8)
    for s, n, t in np.ndindex(2, 3, 5):
        if not alive[s, n, t]:
            continue
        total, share = 0.0, 1.0
        for k in range(t, 5):
            if not alive[s, n, k]:
                break
            total += share * (reward[s, n, k] + 0.9 * on[s, n, k] * later[s, n, k] - now[s, n, k])
            share *= 0.9 * 0.8 * on[s, n, k]
        assert found[s, n, t] == pytest.approx(total)


def test_iq_learn_rests_where_its_objective_says():
    """At gamma = 0: softmax(Q)(a) = p(a) (1 - Q(a) / 2 alpha), solved in NumPy; there the gradient over rows of p is 0."""
    p, alpha = np.array([0.7, 0.2, 0.1]), 0.5
    solved = optimize.root(lambda q: special.softmax(q) - p * (1 - q / (2 * alpha)), np.zeros(3), tol=1e-12)
    assert solved.success

    def mean(q):
        rows = [row(on=1.0, next_obs=np.int32(0), expert=1.0)._replace(action=np.int32(a)) for a in range(3)]
        return sum(p[a] * iq_learn.objective(TABLE, (0.0, alpha), {"q": q[None]}, None, rows[a]) for a in range(3))

    gradient = jax.grad(mean)(jnp.asarray(solved.x, jnp.float32))
    np.testing.assert_allclose(gradient, 0, atol=1e-6)
    assert np.abs(jax.grad(mean)(jnp.asarray(solved.x + np.eye(3)[0] / 10, jnp.float32))).max() > 1e-2


@pytest.mark.parametrize("expert", [0.0, 1.0, 2.0])
@pytest.mark.parametrize("on", [0.0, 1.0])
def test_iq_learn_and_sqil_of_one_row(expert, on):
    q = np.array([[0.3, -0.4, 0.2], [1.0, 0.5, -0.1]])
    beside = {"on": np.float32(on), "next_obs": np.int32(1)}
    gamma, alpha = 0.9, 0.7
    after = on * special.logsumexp(q[1])
    r = q[0, 1] - gamma * after
    want = special.logsumexp(q[0]) - gamma * after + r**2 / (4 * alpha) - expert * r
    params = {"q": jnp.asarray(q, jnp.float32)}
    got = iq_learn.objective(TABLE, (gamma, alpha), params, None, row(**beside, expert=np.float32(expert)))
    assert float(got) == pytest.approx(want, abs=1e-5)
    target = {"q": params["q"] + 1.0}
    got = sqil.objective(TABLE, (target, gamma), params, None, row(**beside, reward=np.float32(expert)))
    assert float(got) == pytest.approx((q[0, 1] - expert - gamma * on * (special.logsumexp(q[1]) + 1)) ** 2, abs=1e-5)


def test_the_judges_say_what_their_papers_say():
    obs, action = Box(2), Discrete(3)
    beside = {"next_obs": np.float32([0.5, -1]), "on": np.float32(1), "log_prob": np.float32(-0.7), "gamma": np.float32(0.9)}
    step = Data(np.int32(0), np.float32([0.2, 0.1]), np.int32(2), np.float32(1), extra=beside)
    own = gail.judge(obs, action, 4)
    logit = float(own.logit(own.init(jax.random.key(0)), step))
    assert float(own.reward(logit)) == pytest.approx(-np.log(1 - special.expit(logit)), rel=1e-5)  # -log(1 - D)
    shaped = airl.judge(obs, action, 4)
    params = shaped.init(jax.random.key(0))
    d = special.expit(float(shaped.logit(params, step)))
    assert float(shaped.reward(shaped.logit(params, step))) == pytest.approx(np.log(d) - np.log(1 - d), rel=1e-4)
    f = float(shaped.logit(params, step)) - 0.7
    assert d == pytest.approx(np.exp(f) / (np.exp(f) + np.exp(-0.7)), rel=1e-4)  # D = exp f / (exp f + pi)
    lifted = {**params, "h": jax.tree.map(lambda x: x, params["h"])}
    last = sorted(lifted["h"])[-1]
    lifted["h"] = {**lifted["h"], last: {**lifted["h"][last], "bias": lifted["h"][last]["bias"] + 1.0}}
    assert float(shaped.logit(lifted, step)) - float(shaped.logit(params, step)) == pytest.approx(0.9 - 1, abs=1e-5)


def test_rounds_are_charged_env_steps_and_demonstrations_alone_are_labels():
    task, rounds, episodes = registry.task("scalar_stable", 10), 2, 3
    small = {"rounds": rounds, "episodes": episodes, "width": 4, "judge_updates": 3, "value_updates": 3, "policy_updates": 3}
    result, lab = toys.trained(task, "gail", "gaussian", 40, (0, 1), small, updates=20, batch=16)
    assert lab.ledger.labels.tolist() == [40, 40]
    assert lab.ledger.env_steps.tolist() == [40 + rounds * episodes * 10] * 2
    assert lab.ledger.gradient_steps == 20 + rounds * 3
    assert result.curve["judge"].shape == (2, rounds)
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(result.policies["last"].params))


def test_a_judge_is_fooled_by_nobody_it_can_tell_apart():
    """Two states, the expert only in the first: the logit is log of the ratio of what was seen, 3 : 1 and 0 : 1."""
    judge = gail.judge(Discrete(2), Discrete(2), 8)
    model = adversarial.model(judge, Discrete(2), Discrete(2))
    obs, expert = np.int32([0, 0, 0, 0, 1]), np.float32([1, 1, 1, 0, 0])
    rows = Data(np.zeros(5, np.int32), obs, np.zeros(5, np.int32), np.ones(5, np.float32), extra={"expert": expert})
    params = model.init(jax.random.key(1))
    net, rest = {k: params[k] for k in ("net",)}, {"norm": params["norm"]}

    @jax.jit
    def descend(net):
        def loss(net):
            return jnp.mean(jax.vmap(lambda r: model.loss({**net, **rest}, None, r))(rows))

        return jax.lax.fori_loop(0, 3000, lambda i, n: jax.tree.map(lambda w, g: w - 0.3 * g, n, jax.grad(loss)(n)), net)

    logits = jax.vmap(lambda r: judge.logit({**descend(net), **rest}, r))(rows)
    assert float(logits[0]) == pytest.approx(np.log(3), abs=0.05)
    assert float(logits[4]) < -4


def _share(data, name, s=0):
    """The weighted mean of what stands beside the rows of one seed."""
    weight = np.asarray(data.weight)[s]
    return float((weight * np.asarray(data.extra[name])[s]).sum() / weight.sum())


def test_sqil_keeps_all_of_its_own_steps_and_the_experts_are_a_half():
    task, rounds, episodes = registry.task("gridworld", 6), 3, 2
    small = {"rounds": rounds, "episodes": episodes, "steps": 3}
    _, lab = toys.trained(task, "sqil", "mlp", 24, (0, 1), small, updates=5, batch=8)
    fits = [data for data, _ in lab.of("fit")][1:]
    assert len(fits) == rounds
    for i, data in enumerate(fits):
        reward, exists = np.asarray(data.extra["reward"])[0], np.asarray(data.weight)[0] > 0
        assert exists[reward == 0].sum() == (i + 1) * episodes * 6, "own steps of every round so far"
        assert exists[reward == 1].sum() == 24
        assert _share(data, "reward") == pytest.approx(0.5)
    assert lab.ledger.gradient_steps == 5 + rounds * 3


def test_iq_learn_online_counts_the_experts_half_twice():
    task = registry.task("gridworld", 6)
    _, lab = toys.trained(task, "iq_learn", "mlp", 24, (0, 1), {"online": True, "rounds": 1, "episodes": 2}, updates=5, batch=8)
    offline, online = (data for data, _ in lab.of("fit"))
    assert _share(offline, "expert") == _share(online, "expert") == pytest.approx(1.0)
    assert set(np.unique(np.asarray(online.extra["expert"]))) == {0.0, 2.0}


def test_a_policy_step_goes_where_the_judge_pays(monkeypatch):
    """A judge that pays for action 1 alone: the policy takes it more often, whatever the expert does."""
    paid = adversarial.Judge(lambda key: {"x": jnp.zeros(()), "norm": {}}, _pays, lambda logit: logit)
    monkeypatch.setattr(gail, "judge", lambda *given: paid)
    monkeypatch.setattr(adversarial, "model", lambda *given: adversarial.Model(paid.init, lambda params, key, row: params["x"] ** 2))
    task = registry.task("gridworld", 6)
    small = {"rounds": 6, "episodes": 8, "width": 4, "judge_updates": 1, "value_updates": 5, "policy_updates": 30}
    done, lab = toys.trained(task, "gail", "mlp", 24, (0, 1), small, updates=2, batch=64, learning_rate=1e-2)
    last = jax.tree.map(lambda leaf: leaf[:, 0], done.policies["last"].params)
    for s in (0, 1):
        law = lab.head.dist(jax.tree.map(lambda x, s=s: x[s], last), 0, lab.demos()[0].obs[s, 0, 0])
        assert float(jax.nn.softmax(law.logits)[1]) > 0.6


def _pays(params, row):
    return (row.action == 1).astype(jnp.float32)


def test_the_judge_is_told_whose_steps_are_whose(monkeypatch):
    seen = []
    train = toys.Spy.train

    def spied(self, model, data, *, name, **more):
        seen.append((name, data))
        return train(self, model, data, name=name, **more)

    monkeypatch.setattr(toys.Spy, "train", spied)
    small = {"rounds": 1, "episodes": 2, "width": 4, "judge_updates": 2, "value_updates": 2, "policy_updates": 2}
    _, lab = toys.trained(registry.task("gridworld", 6), "gail", "mlp", 24, (0, 1), small, updates=5, batch=8)
    data = dict(seen)["judge0"]
    theirs = np.asarray(data.extra["expert"])[0] > 0
    (demos,) = lab.demos()
    np.testing.assert_array_equal(np.asarray(data.action)[0][theirs], np.asarray(demos.label)[0].ravel())
    assert (~theirs).sum() == 2 * 6, "the learner's episodes"
    weight = np.asarray(data.weight)[0]
    assert weight[theirs].sum() == pytest.approx(weight[~theirs].sum())


def test_the_policys_steps_have_a_rate_of_their_own():
    def last(rate):
        small = {"rounds": 2, "episodes": 2, "width": 4, "judge_updates": 5, "value_updates": 5, "policy_updates": 9, "policy_rate": rate}
        done, _ = toys.trained(registry.task("gridworld", 6), "gail", "mlp", 24, (0, 1), small, updates=5, batch=8, learning_rate=1e-2)
        return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(done.policies["last"].params)])

    given, same, slow, fast = (last(rate) for rate in (0.0, 1e-2, 1e-9, 0.1))
    np.testing.assert_array_equal(given, same)  # 0 is that of the cloning before
    assert np.abs(slow - given).max() > 1e-3
    assert np.abs(fast - slow).max() > 5 * np.abs(given - slow).max()
