"""GAIL: the learner's occupancy is matched to the expert's by a classifier of single steps.

Unlike behaviour cloning it trains on its own states: a step is rewarded with -log(1 - D(s, a)), D being the probability that it is the
expert's. Rewards are positive, so that not falling pays wherever the expert does not fall. It pays for env steps, not for labels.
Paper: Ho & Ermon 2016, https://arxiv.org/abs/1606.03476
"""

from __future__ import annotations

from functools import lru_cache

import jax
import jax.numpy as jnp

from ilbench.training import adversarial
from ilbench.training.adversarial import Config, Judge, vector
from ilbench.training.lab import Lab
from ilbench.training.nets import features, identity_norm, mlp, width_of
from ilbench.types import Array, Data, PyTree, Space, Trained

NEEDS = ("demonstrations", "sample", "log_prob", "gradients", "one step")
SPACE = {  # what `ilbench tune` tries; rounds, its currency, are not tuned
    "gail.policy_rate": (0.0001, 0.0003, 0.001),
    "gail.judge_rate": (0.0003, 0.001),
    "gail.penalty": (0.1, 1.0, 10.0),
    "gail.gamma": (0.95, 0.99),
}
TRY = ("scalar_stable", "gaussian", 200)  # what the contract test runs: task, head, labels
TRY_AT = {
    "gail.rounds": 2,
    "gail.episodes": 2,
    "gail.width": 8,
    "gail.judge_updates": 5,
    "gail.value_updates": 5,
    "gail.policy_updates": 5,
    "fit.updates": 50,
}


@lru_cache
def judge(obs: Space, action: Space, width: int) -> Judge:
    """A network of observation and action: the logit of D."""
    size = width_of(obs) + width_of(action)
    init_net, apply = mlp(size, (width, width, 1))

    def init(key: Array) -> PyTree:
        return {"net": init_net(key), "norm": identity_norm(obs)}

    def logit(params: PyTree, row: Data) -> Array:
        return apply(
            params["net"], jnp.concatenate([features(obs, params["norm"], row.obs), vector(action, row.action)])
        )[0]

    return Judge(init, logit, jax.nn.softplus)  # -log(1 - sigmoid(x))


def train(lab: Lab, config: Config) -> Trained:
    """Cloning, then rounds of judging and policy steps."""
    env = lab.task.env
    return adversarial.play(lab, config, judge(env.obs, env.action, config.width))
