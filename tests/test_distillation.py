"""Laws beside rows and on-policy distillation, against NumPy's divergences, finite differences and exact dynamic programming."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys
from scipy import optimize, special, stats

from ilbench import registry
from ilbench.algorithms import on_policy_distillation
from ilbench.compute import parallel
from ilbench.distributions import Categorical, Normal
from ilbench.exact import divergences as div
from ilbench.exact import dp
from ilbench.exact.mdp import MDP
from ilbench.running.plan import Block, resolve
from ilbench.training import fit, laws
from ilbench.training import gradients as gradients_of_rows
from ilbench.types import Box, Data, Discrete, Head, Spec, Task

SEEDS = (0, 1, 2)
FIT = {"updates": 300, "batch": 64, "learning_rate": 3e-2}
RNG = np.random.default_rng(0)
# Two states, three actions: a teacher, a student, and dynamics in which the student's actions decide where it is.
TEACHER, STUDENT = special.log_softmax(RNG.normal(size=(2, 2, 3)), axis=-1)
TINY = MDP(RNG.dirichlet(np.ones(2), (2, 3)), np.zeros((2, 3)), np.array([1.0, 0.0]))
EXACT = {
    "reverse_kl": lambda p, q: div.kl(p, q),
    "forward_kl": lambda p, q: div.kl(q, p),
    "jensen_shannon": div.js,
}


def tiny_head():
    """Logits [2, 3] of two states: what a linear head is on a table."""
    return registry.load("heads", "linear").make(
        Spec(Discrete(2), Discrete(3), 6), registry.load("heads", "linear").Config()
    )


def row(state, law):
    return Data(jnp.int32(0), state, jnp.int32(0), jnp.float32(1), None, law)


def of_logits(logits):
    net = {"Dense_0": {"kernel": jnp.asarray(logits, jnp.float32), "bias": jnp.zeros(3)}}
    return {"net": net, "norm": {"mean": jnp.zeros(2), "std": jnp.ones(2)}}


def gradients(objective, state, keys):
    """`[keys, 2, 3]` with respect to the student's logits, of one row."""

    def loss(logits, key):
        return objective(tiny_head(), (), of_logits(logits), key, row(state, Categorical(jnp.float32(TEACHER[state]))))

    return np.asarray(jax.jit(jax.vmap(jax.grad(loss), (None, 0)))(jnp.float32(STUDENT), keys), np.float64)


# ---------------------------------------------------------------------------------- what a fit minimises
@pytest.mark.parametrize("name", EXACT)
def test_gradients_are_those_of_numpy_with_the_states_held(name):
    """sum_s d(s) D(student(s), teacher(s)) where d is data: not the derivative that moves the states too."""
    q = np.exp(TEACHER)

    def occupied(logits):
        return dp.occupancy(TINY, special.softmax(logits.reshape(2, 3), -1), 6).sum(0)

    def value(logits, d=None):
        p = special.softmax(logits.reshape(2, 3), -1)
        return float((occupied(logits) if d is None else d) @ EXACT[name](p, q))

    d = occupied(STUDENT.ravel())
    held = optimize.approx_fprime(STUDENT.ravel(), value, 1e-6, d).reshape(2, 3)
    moved = optimize.approx_fprime(STUDENT.ravel(), value, 1e-6).reshape(2, 3)
    key = jax.random.split(jax.random.key(0), 1)
    found = sum(d[s] * gradients(on_policy_distillation.OBJECTIVES[name], s, key)[0] for s in range(2))
    np.testing.assert_allclose(found, held, atol=2e-4)
    assert np.abs(moved - held).max() > 0.02  # a hundred times what the two above may differ by


def test_one_draw_estimates_the_exact_gradient_and_varies():
    n = 20_000
    keys = jax.random.split(jax.random.key(1), n)
    for s in range(2):
        (exact,), drawn = (
            gradients(f, s, k) for f, k in ((laws.reverse_kl, keys[:1]), (laws.sampled_reverse_kl, keys))
        )
        mean, se = drawn[:, s].mean(0), drawn[:, s].std(0) / np.sqrt(n)
        assert (np.abs(mean - exact[s]) < 4.5 * se).all()
        assert (drawn[:, s].std(0) > 0.1 * np.abs(exact[s]).max()).all()  # of the exact one it is zero at a state
        given = row(s, Categorical(jnp.float32(TEACHER[s])))
        said = jax.vmap(lambda k, given=given: laws.sampled_reverse_kl(tiny_head(), (), of_logits(STUDENT), k, given))(
            keys
        )
        toys.close_to(said, float(div.kl(np.exp(STUDENT[s]), np.exp(TEACHER[s]))))


def test_a_rows_gradient_varies_as_the_draws_are_summed_by_hand():
    """Of logits: E |g|^2 = sum_a p_a r_a^2 |e_a - p|^2 by one draw, |E g|^2 exactly; twice over, a kernel's row and the bias."""
    p, q = np.exp(STUDENT), np.exp(TEACHER)
    ratio = np.log(p / q)
    scores = np.eye(3) - p[:, None]  # [s, a, 3]
    mean = np.einsum("sa,sa,sak->sk", p, ratio, scores)
    square = {"exact": (mean**2).sum(-1), "sampled": np.einsum("sa,sa,sak->s", p, ratio**2, scores**2)}
    states, weight = np.int32([0, 1, 1, 1, 0] * 60), np.float32([1, 1, 1, 1, 0] * 60)  # what has no weight is no row
    rows = Data(0 * states, states, 0 * states, weight, None, Categorical(np.float32(TEACHER)[states]))
    batched, params, keys = (jax.tree.map(lambda x: jnp.asarray(x)[None], x) for x in (rows, of_logits(STUDENT), jax.random.key(3)))
    share = np.array([0.25, 0.75])
    together = (share**2 * (mean**2).sum(-1)).sum() + ((share @ mean) ** 2).sum()  # |mean kernel|^2 + |mean bias|^2
    for name, objective, draws, near in (("exact", laws.reverse_kl, 1, 1e-4), ("sampled", laws.sampled_reverse_kl, 100, 0.03)):
        (found,) = gradients_of_rows.variance(tiny_head(), objective, keys, params, batched, draws)
        assert found == pytest.approx(2 * share @ square[name] - together, rel=near)
    assert square["sampled"].sum() > 2 * square["exact"].sum()


def test_of_gaussians_too():
    """d/d(mean, log std) of KL(N(m, s) || N(1, .5)) = ((m - 1) / .25, s^2 / .25 - 1)."""
    spec = Spec(Box(1), Box(1), 1)
    head = Head(None, None, None, dist=lambda v, t, obs: Normal(v[:1], jnp.exp(v[1:])))  # the parameters are the law
    given = Data(
        jnp.int32(0),
        jnp.zeros(spec.obs.shape),
        jnp.zeros(1),
        jnp.float32(1),
        None,
        Normal(jnp.ones(1), jnp.full(1, 0.5)),
    )
    at = jnp.float32([0.3, np.log(0.8)])
    wanted = np.array([-0.7 / 0.25, 0.64 / 0.25 - 1])
    np.testing.assert_allclose(jax.grad(lambda v: laws.reverse_kl(head, (), v, None, given))(at), wanted, rtol=1e-4)
    keys = jax.random.split(jax.random.key(2), 40_000)
    drawn = jax.vmap(jax.grad(lambda v, k: laws.sampled_reverse_kl(head, (), v, k, given)), (None, 0))(at, keys)
    for i in range(2):
        toys.close_to(drawn[:, i], wanted[i], sigmas=4.5)
    nobody = given._replace(
        weight=jnp.float32(0), extra=Normal(jnp.zeros(1), jnp.zeros(1))
    )  # as rows beyond the last are
    assert float(laws.reverse_kl(head, (), at, None, nobody)) == 0


GRID = np.linspace(-5, 5, 201)


def _single_gaussian(params, t, obs):
    """A Gaussian on a grid of actions: a class in which two modes cannot both be had."""
    return Categorical(-0.5 * jnp.square((jnp.float32(GRID) - params["mean"]) / jnp.exp(params["log_std"])))


@pytest.mark.parametrize("name", ["reverse_kl", "sampled", "forward_kl"])
def test_of_two_modes_one_is_sought_or_both_are_averaged(name):
    """The closed answers of ilbench.exact: mean 1 and sd .1 for the reverse KL, mean 0 and sd 1.005 for the forward one."""
    expert = div.TwoModes(1.0, 0.1, 0.3)
    mean, sd = div.gaussian_forward(expert) if name == "forward_kl" else div.gaussian_reverse(expert)[:2]
    law = np.logaddexp(*(stats.norm(m, 0.1).logpdf(GRID) for m in (-1, 1))).astype(np.float32)
    start = {"mean": jnp.float32([0.5]), "log_std": jnp.float32([-1.0])}
    head = Head(lambda key: jax.tree.map(lambda x: x[0], start), None, None, dist=_single_gaussian)
    data = Data(
        np.zeros((1, 1), np.int32),
        np.zeros((1, 1), np.float32),
        np.zeros((1, 1), np.int32),
        np.ones((1, 1), np.float32),
    )
    data = data._replace(extra=Categorical(law[None, None]))
    objective = laws.sampled_reverse_kl if name == "sampled" else on_policy_distillation.OBJECTIVES[name]
    settings = fit.FitConfig(updates=1500, batch=64, learning_rate=2e-2)
    found = fit.fit(head, jax.random.split(jax.random.key(0), 1), start, data, settings, 1500, objective).params
    near = 0.02 if name == "sampled" else 2e-3
    np.testing.assert_allclose(np.ravel(found["mean"]), mean, atol=near)
    np.testing.assert_allclose(np.exp(np.ravel(found["log_std"])), sd, rtol=10 * near if name == "sampled" else near)


# ------------------------------------------------------------------------------------------ the method
def probabilities(head, params, s):
    """What a head draws from in every state of a table `[states, actions]`, of seed s, in float64."""
    one = jax.tree.map(lambda x: x[s], params)
    states = jnp.arange(26, dtype=jnp.int32)
    return special.softmax(np.float64(jax.vmap(partial(head.dist, one, jnp.int32(0)))(states).logits), -1)


def soft(horizon=20, **kwargs):
    """The grid's soft task, its MDP, and softmax(Q / temperature) from dynamic programming."""
    task = registry.task("gridworld_soft", horizon, **kwargs)
    _, values = dp.value_iteration(task.mdp(), 0.99)
    return task, task.mdp(), special.softmax(values / kwargs.get("temperature", 0.1), axis=-1)


def trained(task, labels=1600, fitting=FIT, **config):
    return toys.trained(task, "on_policy_distillation", "linear", labels, SEEDS, config, **fitting)


def test_a_student_that_can_becomes_the_expert_where_it_goes():
    """KL of the trajectories by the chain rule: far below the cloned student's, and what the curve says of the states it saw."""
    task, mdp, expert = soft()
    result, lab = trained(task, teacher="expert", mixture=1.0)
    assert result.selected == "draws"
    assert lab.ledger.labels.tolist() == [1600] * 3  # the law of an action is a label, and all are bought
    (_, cloned), *_, (_, before), (_, after) = lab.of("fit")
    for s in range(3):
        first, last, end = (
            div.chain_rule(mdp, probabilities(lab.head, p, s), expert, 20) for p in (cloned, before, after)
        )
        assert end < 0.3 * first
        assert end < 0.1
        demos = lab.of("collect")[-1][0]
        told = div.kl(probabilities(lab.head, before, s), expert)[demos.obs[s][demos.revealed[s]]]
        rounding = np.finfo(np.float32).eps  # a sum of probabilities by logarithms, here of 1e-5 in all
        np.testing.assert_allclose(result.curve["divergence"][s, -1], told.mean(), rtol=1e-3, atol=rounding)
        assert abs(told.mean() - last / 20) < 5 * told.std() / np.sqrt(
            len(told) / 20
        )  # episodes are the independent ones


@pytest.mark.parametrize(("mixture", "rows"), [(0.0, 200), (0.5, 900), (1.0, 1600)])
def test_earlier_rows_stay_as_the_mixture_says(mixture, rows):
    task, _, expert = soft()
    _, lab = trained(task, fitting={**FIT, "updates": 1}, teacher="expert", mixture=mixture)
    *_, (data, _) = lab.of("fit")
    for s in range(3):
        there = toys.existing(data, s)
        assert abs(len(there.t) - rows) <= (0 if mixture in (0, 1) else 75)  # 4 sd of 1400 fair coins
        laws_there = special.softmax(np.float64(there.extra.logits), -1)
        np.testing.assert_allclose(laws_there, expert[there.obs], atol=1e-5)  # each row has the law of its own state
        own = lab.of("collect")[-1][0]
        new = set(
            zip(*(np.asarray(x) for x in (own.obs[s][own.revealed[s]], np.nonzero(own.revealed[s])[1])), strict=True)
        )
        assert (set(zip(there.obs, there.t, strict=True)) == new) == (mixture == 0)


def test_a_net_is_asked_for_nothing_and_rounds_compile_nothing():
    task = registry.task("gridworld", 20)
    small = {"width": 8, "depth": 1, "updates": 50, "episodes": 4}
    result, lab = trained(task, 100, {**FIT, "equal_steps": True}, rounds=2, **small)
    assert result.selected == "mode"  # as its expert, who takes one action
    assert lab.ledger.labels.tolist() == [100] * 3
    np.testing.assert_array_equal(lab.ledger.env_steps, 100 + 2 * 4 * 20)
    assert (lab.ledger.model_steps, lab.ledger.gradient_steps) == (50, 300)
    drawn, _ = trained(task, 100, {**FIT, "equal_steps": True}, rounds=2, estimator="sampled", **small)
    assert (drawn.scalars["gradient_variance"] > result.scalars["gradient_variance"]).all()  # of the same student on the same rows
    (_, teacher), *_, (visited, _) = [(None, result.policies["teacher"].params), *lab.of("fit")]
    head = registry.load("heads", "mlp").make(task.spec, registry.load("heads", "mlp").Config(width=8, depth=1))
    for s in range(3):  # beside each row is what the net says there
        there = toys.existing(visited, s)
        assert len(there.t) == 80
        says = jax.vmap(head.dist, (None, 0, 0))(jax.tree.map(lambda x, s=s: x[s, 0], teacher), there.t, there.obs)
        np.testing.assert_allclose(there.extra.logits, says.logits, atol=1e-5)
    count = parallel.compiled_programs()
    trained(task, 100, {**FIT, "updates": 500, "equal_steps": True}, rounds=4, **small)  # a hundred steps a fit again
    assert parallel.compiled_programs() == count


@pytest.mark.parametrize(
    ("task", "head", "labels", "config", "said"),
    [
        ("gridworld", "linear", 300, {"teacher": "expert"}, "tells the law"),
        ("gridworld_soft", "linear", 300, {"teacher": "expert", "rounds": 200}, "the demonstrations leave 150"),
        ("gridworld_soft", "table", 300, {}, "has no `dist`"),
        ("gridworld_soft", "linear", 300, {"divergence": "forward_kl", "estimator": "sampled"}, "take estimator=exact"),
        ("gridworld_soft", "linear", 300, {"mixture": 1.5}, r"\[0, 1\], got 1.5"),
        ("gridworld_soft", "linear", 300, {"divergence": "kl"}, "must be one of reverse_kl"),
    ],
)
def test_what_cannot_be_is_refused_before_any_compute(task, head, labels, config, said):
    with pytest.raises(ValueError, match=said):
        resolve(
            Block(
                task,
                "on_policy_distillation",
                head,
                labels,
                config={f"on_policy_distillation.{k}": v for k, v in config.items()},
            )
        )


# ------------------------------------------------------------------------------------ experts that draw
def test_the_soft_grid_draws_from_its_values_and_earns_what_that_is_worth():
    task, _, expert = soft(temperature=0.2)
    draw = jax.jit(jax.vmap(jax.vmap(task.expert.act, (None, 0, None, None, None)), (None, None, None, None, 0)))
    drawn = draw(
        task.expert.params, jax.random.split(jax.random.key(0), 4000), jnp.int32(0), (), jnp.arange(26, dtype=jnp.int32)
    )[1]
    often = (np.asarray(drawn)[..., None] == np.arange(4)).mean(1)
    assert (np.abs(often - expert) < 5 * np.sqrt(expert * (1 - expert) / 4000) + 1e-3).all()
    block = Block("gridworld_soft", "bc", "linear", 200, horizon=20, config={"task.temperature": 0.2, "fit.updates": 1})
    assert resolve(block).task.expert.params.temperature == np.float32(0.2)
    assert soft(temperature=0.1)[0].expert.act is task.expert.act  # another number is no other program


def test_what_a_record_says_of_a_student_of_the_soft_grid_is_exact():
    _, mdp, expert = soft()
    config = {f"fit.{k}": v for k, v in FIT.items()} | {
        "on_policy_distillation.teacher": "expert",
        "on_policy_distillation.rounds": 1,
    }
    done = toys.ran(
        "gridworld_soft", "on_policy_distillation", "linear", 200, SEEDS, 20, config=config, episodes=512, held_out=512
    )
    head = resolve(Block("gridworld_soft", "on_policy_distillation", "linear", 200, horizon=20)).head
    np.testing.assert_allclose(done.references["expert"]["mean"], dp.total_return(mdp, expert, 20), rtol=1e-6)
    for s, outcome in enumerate(done.outcomes):
        student = probabilities(head, jax.tree.map(lambda x: x[:, 0], done.policy.params), s)
        toys.close_to(outcome.costs, dp.expected_mistakes(mdp, student, expert, 20).sum())
        toys.close_to(outcome.returns, dp.total_return(mdp, student, 20))
        apart, d = np.abs(student - expert).sum(-1) / 2, dp.occupancy(mdp, expert, 20).mean(0)
        most = np.sqrt(d @ apart**2 - (d @ apart) ** 2)  # of an episode's mean, whose steps are not independent
        assert abs(outcome.scores["eps_bar"] - d @ apart) < 4 * most / np.sqrt(512)
        assert outcome.variants["mode"]["cost"] > 2 * outcome.variants["draws"]["cost"]  # one action is no law


def test_the_soft_regulator_is_a_gaussian_round_the_regulator():
    task, base = (registry.task(name, 20) for name in ("double_integrator_soft", "double_integrator"))
    assert isinstance(task, Task)
    x = jnp.float32([[0.3, -0.2], [-3.0, 1.0]])
    mean = jax.vmap(lambda o: base.expert.act(base.expert.params, None, 0, (), o)[1])(x)
    law = jax.vmap(lambda o: task.expert.dist(task.expert.params, 0, (), o))(x)
    np.testing.assert_allclose(law.mean, mean, atol=1e-6)
    np.testing.assert_allclose(law.std, 0.1, atol=1e-6)
    keys = jax.random.split(jax.random.key(0), 4000)
    drawn = np.asarray(jax.vmap(lambda k: task.expert.act(task.expert.params, k, 0, (), x[0])[1])(keys))
    toys.close_to(drawn, float(mean[0, 0]))
    assert drawn.std() == pytest.approx(0.1, rel=0.05)


def test_an_expert_that_draws_is_no_table_of_right_actions():
    with pytest.raises(ValueError, match="needs an expert that is a table"):
        resolve(Block("gridworld_soft", "bc", "table", 200, config={"table.unseen": "wrong"}))
    with pytest.raises(ValueError, match="the expert draws its actions"):
        resolve(Block("gridworld_soft", "dialled", "table", 0))
    with pytest.raises(ValueError, match="temperature must be in"):
        registry.task("gridworld_soft", temperature=0.0)
