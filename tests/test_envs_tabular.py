"""Every tabular task: the sampled env, the exact MDP and the expert are one thing; the known answers come out."""

import jax
import numpy as np
import pytest

from ilbench import registry
from ilbench.envs import copy_chain, disjoint
from ilbench.exact import bounds, dp
from ilbench.exact import closed_forms as cf
from ilbench.exact.mdp import check

NAMES = sorted(name for name, entry in registry.entries("tasks").items() if "tabular" in entry.tags)
SMALL = {"disjoint": 10, "random_mdp": 8}


@pytest.fixture(params=NAMES)
def task(request):
    return registry.task(request.param, horizon=SMALL.get(request.param, 20))


def far_off(samples, p, z=6.0):
    """Largest deviation of frequencies `[..., n]` of states from `p [..., S]`, in units of z standard errors."""
    n = samples.shape[-1]
    counts = (samples[..., None] == np.arange(p.shape[-1])).sum(-2)
    return np.max((np.abs(counts - n * p) - 1) / (z * np.sqrt(n * p * (1 - p)) + 1e-9))


def test_samples_follow_the_exact_mdp(task):
    mdp, env, n = check(task.mdp()), task.env, 2000
    S, A = mdp.R.shape
    assert (env.obs.n, env.action.n) == (S, A)
    every = jax.vmap(jax.vmap(jax.vmap(env.step, (None, 0, None, None)), (None, None, None, 0)), (None, None, 0, None))
    keys = jax.random.split(jax.random.key(7), n)
    out = jax.jit(every)(env.params, keys, np.arange(S, dtype=np.int32), np.arange(A, dtype=np.int32))
    assert out.obs.dtype == np.int32
    assert out.reward.dtype == np.float32
    assert not out.terminated.any()
    reward = np.asarray(out.reward, np.float64)
    assert far_off(np.asarray(out.obs), mdp.P) <= 1
    start, _ = jax.jit(jax.vmap(env.reset, (None, 0)))(env.params, keys)
    assert far_off(np.asarray(start), mdp.rho) <= 1
    low, high = task.reward_range
    assert low <= reward.min()
    assert reward.max() <= high
    spread = 6 * reward.std(-1) / np.sqrt(n) + 1e-6
    assert (np.abs(reward.mean(-1) - mdp.R) <= spread).all()


def test_expert_is_optimal(task):
    mdp, H, table = task.mdp(), task.horizon, np.asarray(task.expert.params)
    if task.id == "gridworld":
        best, _ = dp.value_iteration(mdp, 0.99)
        np.testing.assert_array_equal(table, best)
        return
    best, _ = dp.optimal_policy(mdp, H)
    np.testing.assert_allclose(dp.total_return(mdp, table, H), dp.total_return(mdp, best, H), rtol=1e-12, atol=1e-12)


def test_new_numbers_never_retrace():
    def one(env, policy, key):
        state, obs = env.reset(env.params, key)
        _, action = policy.act(policy.params, key, np.int32(0), policy.init(policy.params, key), obs)
        return env.step(env.params, key, state, action).reward

    compiled, key = jax.jit(one), jax.random.key(0)
    for name in ("cliff", "recoverable", "stable"):
        for kwargs in ({}, {"slip": 0.1}, {"expert_action": 1}):
            task = registry.task(name, **kwargs)
            assert compiled(task.env, task.expert, key) in (0, -1)
    assert compiled._cache_size() == 1


def test_disjoint_attains_the_bound_and_first_step_refutes_the_mean():
    for H, eps in ((1, 0.3), (20, 0.01), (100, 0.01), (150, 0.01)):
        task = registry.task("disjoint", horizon=H, eps=eps)
        mdp, K = task.mdp(), len(task.mdp().rho) - 2
        pi = disjoint.learner(H, K)
        rate = dp.expert_errors(mdp, pi, task.expert.params, H)
        loss = -dp.total_return(mdp, pi, H)
        np.testing.assert_allclose([loss / cf.disjoint(eps, H, K), loss / bounds.b1_clipped(rate)], 1, atol=1e-12)
        if H * eps <= 1:
            np.testing.assert_allclose(loss / bounds.b1(rate), 1, atol=1e-12)
    task = registry.task("first_step", horizon=100, eps=0.01)
    pi = disjoint.learner(100, 1)
    rate = dp.expert_errors(task.mdp(), pi, task.expert.params, 100)
    loss = -dp.total_return(task.mdp(), pi, 100)
    np.testing.assert_allclose([loss / bounds.b0(rate), loss / bounds.b1_of_mean(rate)], [1, 200 / 101], atol=1e-12)


def test_copy_chain_follows_its_formula():
    for H, eps in ((1, 0.1), (100, 1e-6), (100, 0.01), (1000, 0.3)):
        mdp = registry.task("copy_chain").mdp()
        np.testing.assert_allclose(-dp.total_return(mdp, copy_chain.learner(eps), H), cf.copy_chain(eps, H), rtol=1e-10)


def test_reset_cliff_closed_form_is_the_average_over_demonstrations():
    # N = 100, S = 12, ten rare states, always-wrong rule: slope 1.74 and 19.6 at H = 40; uniform rule 14.9.
    H, rho = np.array([5, 10, 20, 40]), cf.reset_cliff_rho(12, 100)
    gap = cf.reset_cliff(H, rho, 100)
    np.testing.assert_allclose([gap[-1], cf.reset_cliff(40, rho, 100, 2 / 3)], [19.60, 14.90], atol=6e-3)
    np.testing.assert_allclose(cf.slope(H, gap), 1.745, atol=1e-3)
    N = 10**4
    limit = cf.reset_cliff(64, cf.reset_cliff_rho(12, N), N, 0.75) * N / (12 * 64**2)
    np.testing.assert_allclose(limit, 0.1161, atol=5e-5)
    rng, H = np.random.default_rng(0), 10
    for name in ("reset_cliff", "reset_cliff_recoverable"):  # BC never learns b, so both cost the same
        task = registry.task(name, horizon=H, n=20, states=6)
        mdp, expert = task.mdp(), np.asarray(task.expert.params)
        gaps = []
        for _ in range(200):
            seen = (rng.choice(6, p=mdp.rho, size=(20, H, 1)) == np.arange(6)).any(0)
            pi = np.where(seen, expert, 0)  # an empty row takes action 0, which is never the expert's
            gaps.append(H - dp.total_return(mdp, pi, H))
        predicted, error = cf.reset_cliff(H, mdp.rho[:-1], 20), np.std(gaps) / np.sqrt(len(gaps))
        assert abs(np.mean(gaps) - predicted) <= 4 * error < 0.1 * predicted
    assert dp.advantage_range(mdp, expert, H) == pytest.approx(2)


def test_parameter_sharing_removes_one_horizon():
    H, N = 2 ** np.arange(2, 7), 10**4
    apart = cf.reset_cliff_exponent(H, 12, N, 0.75)
    shared = [cf.reset_cliff(h, cf.reset_cliff_rho(12, N * h), N * h, 0.75) for h in H]
    np.testing.assert_allclose([apart, cf.slope(H, shared)], [1.926, 0.928], atol=6e-4)
    np.testing.assert_allclose(shared[-1] * N / (12 * 64), 0.117, atol=5e-4)
    moved = [cf.reset_cliff(10, cf.reset_cliff_rho(12, n), n, 0.75) for n in (100, 200, 400, 800)]
    np.testing.assert_allclose(cf.slope([100, 200, 400, 800], moved), -0.964, atol=5e-4)


def test_gridworld_shows_the_table_of_the_lecture():
    _, Q = dp.value_iteration(registry.task("gridworld").mdp(), 0.99)
    values = np.round(Q.max(-1)[:25].reshape(5, 5), 2)
    printed = """8.67 8.93 9.11 9.30 9.42 8.49 nan 9.09 9.42 9.68 8.33 nan 1.00 nan 10.00
                 7.13 5.04 3.15 5.68 8.45 -10 -10 -10 -10 -10"""
    printed = np.array(printed.split(), float).reshape(5, 5)
    values[np.isnan(printed)] = np.nan
    np.testing.assert_allclose(values, printed, atol=1e-9)


@pytest.mark.parametrize(
    ("name", "kwargs"),
    [
        ("cliff", {"horizon": 0}),
        ("cliff", {"slip": 1.5}),
        ("recoverable", {"expert_action": 2}),
        ("disjoint", {"eps": 0.3, "states": 4}),
        ("reset_cliff", {"states": 2}),
        ("gridworld", {"gamma": 1.0}),
        ("random_mdp", {"states": 0}),
    ],
)
def test_refuses_numbers_out_of_range(name, kwargs):
    with pytest.raises(ValueError, match=r"must be|needs"):
        registry.task(name, **kwargs)
