"""Variational f-divergences: the bound's optimum is the divergence, rewards are its gradient, occupancies are recovered."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys
from scipy import optimize, special

from ilbench.algorithms import f_vim
from ilbench.exact import dp
from ilbench.exact.mdp import MDP
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
    best = optimize.minimize(
        lambda v: -bound(v), np.zeros(4), jac=jac, method="BFGS", options={"gtol": 1e-6, "maxiter": 500}
    )
    assert bound(best.x) == pytest.approx(DIRECT[name](P, q), abs=1e-3 if name == "total_variation" else 2e-5)
    if name == "total_variation":
        np.testing.assert_array_equal(best.x > 0, q < P)
    else:
        np.testing.assert_allclose(best.x, np.log(P / q) + (name == "kl"), atol=2e-2)
    for v in np.random.default_rng(0).normal(size=(20, 4)):  # no judge says more
        assert bound(v) <= DIRECT[name](P, q)
    gain = np.float64(
        variational.reward(name)(jnp.float32(np.sign(best.x) * 20 if name == "total_variation" else best.x))
    )
    want = optimize.approx_fprime(Z, lambda z: DIRECT[name](P, special.softmax(z)), 1e-7)
    np.testing.assert_allclose(-q * (gain - q @ gain), want, atol=5e-3)


def test_rewards_of_jensen_shannon_and_the_reverse_kl_are_gails_and_airls():
    v = jnp.linspace(-4, 4, 9)
    np.testing.assert_allclose(
        variational.reward("jensen_shannon")(v), -np.log(1 - special.expit(np.float64(v))), rtol=1e-5
    )
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


RNG = np.random.default_rng(0)
TINY = MDP(RNG.dirichlet(np.ones(3) / 2, (3, 3)), np.zeros((3, 3)), np.array([0.2, 0.3, 0.5]))
SMALL = {"width": 16, "judge_updates": 30, "policy_updates": 20, "judge_rate": 2e-2, "rounds": 15}


def occupancy(pi):
    """The mean law `[3, 3]` of a step, by dynamic programming."""
    return dp.occupancy(TINY, pi, 8).mean(0)[:, None] * pi


@pytest.mark.parametrize("name", ["f_vim", "f_vim_occupancy"])
def test_a_learner_that_is_not_cloned_comes_to_do_what_the_expert_does(name):
    """From a fresh head, one step of cloning in: its draws' occupancy by dynamic programming, against the expert's."""
    task = toys.aliased(TINY, np.int32([0, 1, 2]), np.arange(3), 8)
    more = {} if name == "f_vim" else {"episodes": 16, "value_updates": 20, "penalty": 0.0}
    result, lab = toys.trained(task, name, "linear", 400, (0, 1), SMALL | more, updates=1, batch=64, learning_rate=5e-2)
    fits = [params for _, params in lab.of("fit")]
    for s in range(2):
        apart = []
        for params in (fits[0], fits[-1]):
            one = jax.tree.map(lambda x, s=s: x[s], params)
            logits = jax.vmap(lambda x, one=one: lab.head.dist(one, jnp.int32(0), x).logits)(
                jnp.arange(3, dtype=jnp.int32)
            )
            apart.append(np.abs(occupancy(special.softmax(np.float64(logits), -1)) - occupancy(np.eye(3))).sum() / 2)
        assert apart[0] > 0.5
        assert apart[1] < 0.1
    assert lab.ledger.labels.tolist() == [400] * 2
    np.testing.assert_array_equal(lab.ledger.env_steps - 400, 0 if name == "f_vim" else 15 * 16 * 8)
    assert set(result.policies) == ({"last", "draws"} if name == "f_vim" else {"last"})


@pytest.mark.parametrize("name", ["f_vim", "f_vim_occupancy"])
def test_divergences_that_have_no_variational_form_here_are_refused_by_name(name):
    with pytest.raises(ValueError, match=f"{name}.divergence must be one of kl, reverse_kl.*got 'reverse'"):
        resolve(Block("gridworld", name, "linear", 400, config={f"{name}.divergence": "reverse"}))
    with pytest.raises(ValueError, match="has no `sample`"):
        resolve(Block("gridworld", name, "table", 400))
