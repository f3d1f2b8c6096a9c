"""Variational f-divergences: the bound's optimum is the divergence, rewards are its gradient, occupancies are recovered."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys
from scipy import optimize, special

from ilbench import registry
from ilbench.algorithms import f_vim
from ilbench.exact import dp
from ilbench.running.plan import Block, resolve
from ilbench.training import variational
from ilbench.training.adversarial import Judge
from ilbench.types import Data, Head

P, Z = special.softmax([0.3, -1.2, 0.9, -0.4]), np.array([-0.5, 0.4, 0.1, 1.0])
DIRECT = {
    "kl": lambda p, q: special.rel_entr(p, q).sum(),
    "reverse_kl": lambda p, q: special.rel_entr(q, p).sum(),
    "jensen_shannon": lambda p, q: special.rel_entr(p, (p + q) / 2).sum() + special.rel_entr(q, (p + q) / 2).sum(),
    "total_variation": lambda p, q: np.abs(p - q).sum() / 2,
}


@pytest.mark.parametrize("name", variational.FORMS)
def test_the_best_judge_of_one_step_tells_the_divergence_and_its_reward_is_the_gradient(name):
    """max over V of the bound = D(p || q); and dD / dq = -f*(g(V)) at that V, since V's own change moves nothing there."""
    q, lose = special.softmax(Z), variational.told(name)

    def bound(v, q=q):
        v = jnp.float32(v)
        return -float(P @ np.float64(lose(v, jnp.ones(4))) + q @ np.float64(lose(v, jnp.zeros(4))))

    slope = jax.jit(jax.grad(lambda v: jnp.float32(P) @ lose(v, jnp.ones(4)) + jnp.float32(q) @ lose(v, jnp.zeros(4))))
    jac = lambda v: np.float64(slope(jnp.float32(v)))  # noqa: E731
    best = optimize.minimize(lambda v: -bound(v), np.zeros(4), jac=jac, method="BFGS", options={"gtol": 1e-6, "maxiter": 500})
    assert bound(best.x) == pytest.approx(DIRECT[name](P, q), abs=1e-3 if name == "total_variation" else 2e-5)
    if name == "total_variation":
        np.testing.assert_array_equal(best.x > 0, q < P)
    else:
        np.testing.assert_allclose(best.x, np.log(P / q) + (name == "kl"), atol=2e-2)
    for v in np.random.default_rng(0).normal(size=(20, 4)):  # no judge says more
        assert bound(v) <= DIRECT[name](P, q)
    gain = np.float64(variational.reward(name)(jnp.float32(np.sign(best.x) * 20 if name == "total_variation" else best.x)))
    want = optimize.approx_fprime(Z, lambda z: DIRECT[name](P, special.softmax(z)), 1e-7)
    np.testing.assert_allclose(-q * (gain - q @ gain), want, atol=5e-3)


def test_rewards_of_jensen_shannon_and_the_reverse_kl_are_gails_and_airls():
    v = jnp.linspace(-4, 4, 9)
    np.testing.assert_allclose(variational.reward("jensen_shannon")(v), -np.log(1 - special.expit(np.float64(v))), rtol=1e-5)
    np.testing.assert_allclose(variational.reward("reverse_kl")(v), v, atol=1e-6)


def test_the_learners_step_has_the_gradient_of_its_mean_reward():
    head = Head(
        None, None, None,
        sample=lambda v, key, t, obs: jax.random.categorical(key, v).astype(jnp.int32),
        log_prob=lambda v, t, obs, a: jax.nn.log_softmax(v)[a],
    )  # fmt: skip
    table = jnp.float32([0.5, -1.0, 2.0, 0.3])
    judge = Judge(None, lambda params, row: params[row.action], variational.reward("kl"), variational.told("kl"))
    row = Data(jnp.int32(0), jnp.zeros(1), jnp.int32(0), jnp.float32(1))
    one = jax.grad(lambda v, key: f_vim.objective(judge)(head, table, v, key, row))
    drawn = np.asarray(jax.jit(jax.vmap(one, (None, 0)))(jnp.float32(Z), jax.random.split(jax.random.key(0), 4000)))
    q, gain = special.softmax(Z), np.exp(np.float64(table) - 1)
    for found, want in zip(drawn.T, -q * (gain - q @ gain), strict=True):
        toys.close_to(found, want, 4.5)
        assert found.std() > 0.01


SMALL = {"width": 16, "judge_updates": 40, "policy_updates": 20, "judge_rate": 1e-2}


def occupancy(task, lab, params, s):
    """The mean law `[26, 4]` of a step of the head's draws, by dynamic programming."""
    one = jax.tree.map(lambda x: x[s], params)
    logits = jax.vmap(lambda x: lab.head.dist(one, jnp.int32(0), x).logits)(jnp.arange(26, dtype=jnp.int32))
    pi = special.softmax(np.float64(logits), -1)
    return dp.occupancy(task.mdp(), pi, task.horizon).mean(0)[:, None] * pi


@pytest.mark.parametrize("name", ["f_vim", "f_vim_occupancy"])
def test_a_learner_that_is_not_cloned_comes_to_do_what_the_expert_does(name):
    """From a fresh head (one cloning step of next to no size), judged on its own steps or on the expert's states."""
    task = registry.task("gridworld_soft", 10)
    _, values = dp.value_iteration(task.mdp(), 0.99)
    pi = special.softmax(values / 0.1, -1)
    expert = dp.occupancy(task.mdp(), pi, 10).mean(0)[:, None] * pi
    more = {"rounds": 25} if name == "f_vim" else {"rounds": 25, "episodes": 16, "value_updates": 20, "penalty": 0.0}
    result, lab = toys.trained(task, name, "linear", 1600, (0, 1), SMALL | more, updates=20, batch=128, learning_rate=2e-2)
    fits = [params for _, params in lab.of("fit")]
    for s in range(2):
        first, last = (np.abs(occupancy(task, lab, p, s) - expert).sum() / 2 for p in (fits[0], fits[-1]))
        print(name, s, first, last)
        assert last < 0.5 * first
    assert lab.ledger.labels.tolist() == [1600] * 2
    np.testing.assert_array_equal(lab.ledger.env_steps - 1600, 0 if name == "f_vim" else 25 * 16 * 10)
    assert set(result.policies) == ({"last", "draws"} if name == "f_vim" else {"last"})


@pytest.mark.parametrize("name", ["f_vim", "f_vim_occupancy"])
def test_divergences_that_have_no_variational_form_here_are_refused_by_name(name):
    with pytest.raises(ValueError, match=f"{name}.divergence must be one of kl, reverse_kl.*got 'reverse'"):
        resolve(Block("gridworld", name, "linear", 400, config={f"{name}.divergence": "reverse"}))
    with pytest.raises(ValueError, match="closed form"):
        resolve(Block("gridworld", name, "table", 400))
