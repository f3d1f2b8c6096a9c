"""Monte Carlo through the product's rollouts agrees with exact dynamic programming, on every tabular task."""

import jax
import numpy as np
import pytest

from ilbench import registry
from ilbench.algorithms import ccil, dialled
from ilbench.evaluation.evidence import roll
from ilbench.exact import dp
from ilbench.rollouts.behaviours import mixed
from ilbench.training.fit import FitConfig
from ilbench.training.lab import Lab
from ilbench.types import Policy

TABULAR = [name for name, entry in registry.entries("tasks").items() if "tabular" in entry.tags]
H, SEEDS, EPISODES = 20, (0, 1), 1500


@pytest.mark.parametrize("name", TABULAR)
def test_dialled_learner_costs_what_dynamic_programming_says(name):
    task = registry.task(name, H)
    mdp, eps = task.mdp(), 0.1
    lab = Lab(task, None, SEEDS, 0, FitConfig())
    policy = dialled.train(lab, dialled.Config(eps=eps, coverage="own")).policies["last"]
    expert = np.broadcast_to(np.asarray(task.expert.params), (H, len(mdp.rho)))
    worst, (actions, states) = np.asarray(policy.params["worst"])[0, 0], (mdp.R.shape[1], len(mdp.rho))
    table = (1 - eps) * np.eye(actions)[expert] + eps * np.eye(actions)[worst]
    demos = roll(task, policy, SEEDS, EPISODES, beta=0.0)
    returns, mistakes = demos.reward.sum(-1, dtype=np.float64).ravel(), demos.error.sum(-1).ravel()
    assert table.shape == (H, states, actions)
    for sample, exact in ((returns, dp.total_return(mdp, table, H)), (mistakes, eps * H)):
        se = sample.std(ddof=1) / np.sqrt(sample.size)
        assert abs(sample.mean() - exact) < 4 * se + 1e-5 * H


def test_beta_is_the_share_of_the_expert_and_reveal_of_labels():
    from ilbench.rollouts.keys import episode_keys
    from ilbench.rollouts.rollout import rollout
    from ilbench.types import COLLECT

    task = registry.task("cliff", 50)
    policy = Policy(
        jax.tree.map(lambda x: np.asarray(x)[None, None], task.expert.params), task.expert.init, task.expert.act
    )
    behaviour = jax.tree.map(lambda x: x[None], mixed(task.env.action, 50, beta=0.3, reveal=0.6))
    demos = rollout(task.env, task.expert, policy, behaviour, episode_keys("t", (0,), 400), horizon=50, record=COLLECT)
    assert abs(demos.actor.mean() - 0.3) < 4 * np.sqrt(0.21 / demos.actor.size)
    assert abs(demos.revealed.mean() - 0.6) < 4 * np.sqrt(0.24 / demos.actor.size)
    assert not demos.label[~demos.revealed].any()
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        mixed(task.env.action, 50, beta=1.1)


@pytest.mark.parametrize("name", ["scalar_unstable", "double_integrator", "pendulum"])
def test_corrective_labels_of_true_dynamics_land_on_the_demonstrated_state(name):
    task = registry.task(name)
    dyn, params, rng = task.dynamics, task.env.params, np.random.default_rng(0)
    targets = rng.normal(0, 0.2, (64, dyn.dim)).astype(np.float32)
    actions = rng.uniform(-0.2, 0.2, (64, task.env.action.dim)).astype(np.float32)
    x, found = jax.vmap(lambda s, a: ccil.invert(dyn, params, s, a))(targets, actions)
    landed = jax.vmap(lambda s, a: dyn.step_vec(params, s, a))(x, actions)
    assert found.all()
    np.testing.assert_allclose(landed, targets, atol=2e-4)
