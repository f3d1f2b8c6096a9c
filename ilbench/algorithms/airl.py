"""AIRL: GAIL with a judge whose optimum is a reward: D = exp f / (exp f + pi), f = g(s, a) + gamma h(s') - h(s).

Unlike GAIL's its reward, log D - log(1 - D) = f - log pi, can be negative, and what shapes it (h) is apart from what is wanted (g).
Paper: Fu, Luo & Levine 2018, https://arxiv.org/abs/1710.11248, section 6 (there g is of the state alone; state and action here)
"""

from __future__ import annotations

from functools import lru_cache

import jax.numpy as jnp

from ilbench.training import adversarial
from ilbench.training.adversarial import Config, Judge, vector
from ilbench.training.lab import Lab
from ilbench.training.nets import features, identity_norm, mlp, width_of
from ilbench.types import Array, Data, PyTree, Space, Trained

NEEDS = ("demonstrations", "sample", "log_prob", "gradients", "one step")
SPACE = {  # what `ilbench tune` tries; rounds, its currency, are not tuned
    "airl.policy_rate": (0.0001, 0.0003, 0.001),
    "airl.judge_rate": (0.0003, 0.001),
    "airl.penalty": (0.1, 1.0, 10.0),
    "airl.gamma": (0.95, 0.99),
}
TRY = ("scalar_stable", "gaussian", 200)  # what the contract test runs: task, head, labels
TRY_AT = {
    "airl.rounds": 2,
    "airl.episodes": 2,
    "airl.width": 8,
    "airl.judge_updates": 5,
    "airl.value_updates": 5,
    "airl.policy_updates": 5,
    "fit.updates": 50,
}


@lru_cache
def judge(obs: Space, action: Space, width: int) -> Judge:
    """f - log pi, which is the logit of D; its reward is the logit itself."""
    (init_g, g), (init_h, h) = (mlp(n, (width, width, 1)) for n in (width_of(obs) + width_of(action), width_of(obs)))

    def init(key: Array) -> PyTree:
        return {"g": init_g(key), "h": init_h(key), "norm": identity_norm(obs)}

    def logit(params: PyTree, row: Data) -> Array:
        now, later = (features(obs, params["norm"], x) for x in (row.obs, row.extra["next_obs"]))
        wanted = g(params["g"], jnp.concatenate([now, vector(action, row.action)]))[0]
        shaped = row.extra["gamma"] * row.extra["on"] * h(params["h"], later)[0] - h(params["h"], now)[0]
        return wanted + shaped - row.extra["log_prob"]

    return Judge(init, logit, _itself)


def _itself(logit: Array) -> Array:
    return logit


def train(lab: Lab, config: Config) -> Trained:
    """Cloning, then rounds of judging and policy steps."""
    env = lab.task.env
    return adversarial.play(lab, config, judge(env.obs, env.action, config.width))
