"""One adversarial step: a classifier tells the learner's steps from the expert's, and its answer is the learner's reward.

Labels are spent on demonstrations alone; the learner's own episodes cost env steps. The policy step is a clipped surrogate with
advantages beside the rows.
Paper: Ho & Ermon 2016, GAIL, https://arxiv.org/abs/1606.03476; the surrogate: Schulman et al. 2017, PPO, https://arxiv.org/abs/1707.06347
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np

from ilbench.compute.parallel import per_seed
from ilbench.training.nets import fit_norm, identity_norm, mlp
from ilbench.types import Box, Data, Discrete, Model, Trained

NEEDS = ("demonstrations", "sample", "log_prob", "one step")
TRY = ("scalar_stable", "gaussian", 200)


@dataclass(frozen=True)
class Config:
    """The two players."""

    episodes: int = 4  # of the learner
    width: int = 16  # units of the classifier's hidden layer
    updates: int = 50  # gradient steps of the classifier
    clip: float = 0.2  # of the ratio of new to old probabilities


@lru_cache
def classifier(size, width):
    """Whether a step `[size]` is the expert's: the logit, by logistic regression on a hidden layer."""
    (init_net, apply), space = mlp(size, (width, 1)), Box(size)

    def logit(params, x):
        return apply(params["net"], (x - params["norm"]["mean"]) / params["norm"]["std"])[0]

    def loss(params, key, row):
        return jax.nn.softplus(jnp.where(row.action > 0, -1.0, 1.0) * logit(params, row.obs))

    def prepare(params, data):
        return {**params, "norm": fit_norm(space, data.obs, data.weight)}

    return Model(lambda key: {"net": init_net(key), "norm": identity_norm(space)}, loss, prepare), logit


def pairs(demos, actions, expert):
    """Rows of what was seen and done, `[S, N*H, o + a]`, to whether the expert did it."""
    obs, act = np.asarray(demos.obs), np.asarray(demos.action)
    act = np.eye(actions.n, dtype=np.float32)[act] if isinstance(actions, Discrete) else act
    both = np.concatenate([obs, act], axis=-1).astype(np.float32)
    flat = both.reshape(len(both), -1, both.shape[-1])
    alive = np.asarray(demos.alive, np.float32).reshape(len(both), -1)
    return Data(np.zeros(alive.shape, np.int32), flat, np.full(alive.shape, expert, np.float32), alive)


def _rewards(shared, item, *, logit):
    params, x = item
    return jax.vmap(lambda row: -jax.nn.softplus(-logit(params, row)))(x)  # log D


def _log_probs(shared, item, *, head):
    params, data = item
    return jax.vmap(lambda t, obs, a: head.log_prob(params, t, obs, a))(data.t, data.obs, data.action)


def surrogate(head, clip, params, key, row):
    """Minus the clipped advantage; `extra` holds it and the log-probability that the action was drawn with."""
    ratio = jnp.exp(head.log_prob(params, row.t, row.obs, row.action) - row.extra["old"])
    return -jnp.minimum(ratio * row.extra["advantage"], jnp.clip(ratio, 1 - clip, 1 + clip) * row.extra["advantage"])


def train(lab, config):
    """Cloning, its own episodes, the classifier, rewards to go, one policy step."""
    space, demos = lab.task.env.action, lab.demonstrate()
    params, _ = lab.fit(lab.rows(demos, lab.budget), stages=2)
    own = lab.rollout(lab.sampling(params), config.episodes)
    theirs, mine = pairs(demos, space, 1.0), pairs(own, space, 0.0)
    model, logit = classifier(theirs.obs.shape[-1], config.width)
    both = jax.tree.map(lambda a, b: np.concatenate([a, b], axis=1), theirs, mine)
    judge, told = lab.train(model, both, name="classifier", updates=config.updates, batch=64)
    reward = per_seed(_rewards, logit=logit)((), (judge, mine.obs)).reshape(own.alive.shape) * own.alive
    ahead = np.flip(np.cumsum(np.flip(reward, -1), -1), -1)
    live = np.asarray(own.alive)
    centred = ahead - np.stack([x[w].mean() for x, w in zip(ahead, live, strict=True)])[:, None, None]
    scale = np.stack([x[w].std() + 1e-6 for x, w in zip(centred, live, strict=True)])[:, None, None]
    data = lab.rows(own._replace(label=own.action, revealed=own.alive))
    advantage, old = np.float32(centred / scale), per_seed(_log_probs, head=lab.head)((), (params, data))
    extra = {"advantage": advantage.reshape(data.weight.shape), "old": old}
    clip = np.full(len(lab.seeds), config.clip, np.float32)
    params, losses = lab.fit(
        data._replace(extra=extra), objective=surrogate, given=clip, start=params, stage=1, stages=2, prepare=False
    )
    return Trained({"last": lab.policy(params)}, "last", {"loss": losses, "classifier": told})
