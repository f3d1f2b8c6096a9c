"""Adversarial imitation: a judge tells the expert's steps from the learner's, and what it says is the learner's reward.

    demonstrations, own episodes --> judge (logistic, gradient penalty) --> rewards --> advantages (GAE) --> clipped policy step

The rounds, the value function and the policy step are the same for all; a method brings its judge. Labels are spent on demonstrations
alone, own episodes cost env steps. A fall ends the rewards.
Paper: Ho & Ermon 2016, GAIL, https://arxiv.org/abs/1606.03476; the policy step: Schulman et al. 2017, PPO, https://arxiv.org/abs/1707.06347;
advantages: Schulman et al. 2016, https://arxiv.org/abs/1506.02438; the penalty at the rows: Mescheder et al. 2018, https://arxiv.org/abs/1801.04406
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ilbench.compute.parallel import per_seed
from ilbench.training.lab import Lab
from ilbench.training.nets import features, fit_norm, identity_norm, mlp, width_of
from ilbench.training.rows import concatenate
from ilbench.training.successors import beside, done, halves, successors
from ilbench.types import Array, Data, Demos, Discrete, Head, Model, PyTree, Space, Trained


@dataclass(frozen=True)
class Config:
    """The two players. Few settings, the same for every judge."""

    rounds: int = 30  # of own episodes, judging and a policy step
    episodes: int = 8  # of the learner in each round
    width: int = 64  # units of the judge's and the value's two hidden layers
    judge_updates: int = 100  # gradient steps of the judge in a round
    value_updates: int = 100  # of the value
    policy_updates: int = 100  # of the policy
    judge_rate: float = 1e-3  # Adam, of judge and value
    penalty: float = 1.0  # of the judge's squared gradient, at the rows (0: none)
    gamma: float = 0.99  # discount per step
    lam: float = 0.95  # of generalised advantage estimation
    clip: float = 0.2  # of the ratio of new to old probabilities
    # Adam, of the policy's steps in a round; 0: fit.learning_rate, which is that of the cloning before them.
    policy_rate: float = field(default=0.0, metadata={"neutral": True})

    def __post_init__(self) -> None:
        for name in (
            "rounds",
            "episodes",
            "width",
            "judge_updates",
            "value_updates",
            "policy_updates",
            "judge_rate",
            "clip",
        ):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} of an adversarial method must be positive, got {getattr(self, name)}")
        for name in ("penalty", "policy_rate"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be at least 0, got {getattr(self, name)}")
        for name in ("gamma", "lam"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must lie in [0, 1), got {getattr(self, name)}")


def logistic(logit: Array, expert: Array) -> Array:
    """The loss `[]` of a classifier, of a row that is the expert's (1) or is not (0)."""
    return jax.nn.softplus(jnp.where(expert > 0, -1.0, 1.0) * logit)


class Judge(NamedTuple):
    """What tells steps apart: `logit(params, row) -> []`, > 0 for the expert's; `reward(logit) -> []` is what the learner gets for it.

    `init(key) -> params`, `params["norm"]` holding the statistics of observations. Rows are those of `judged`. `told(logit, expert) -> []`
    is what the judge minimises.
    """

    init: Callable[[Array], PyTree]
    logit: Callable[[PyTree, Data], Array]
    reward: Callable[[Array], Array]
    told: Callable[[Array, Array], Array] = logistic


def vector(space: Space, action: Array) -> Array:
    """An action as numbers `[A]`: one-hot where they are discrete."""
    return jax.nn.one_hot(action, space.n) if isinstance(space, Discrete) else action.reshape(-1)


@lru_cache(maxsize=64)
def model(judge: Judge, obs: Space, actions: Space) -> Model:
    """The judge for the supervised loop: logistic loss of rows whose `extra` has expert (1 or 0), and the gradient's penalty."""

    def loss(params: PyTree, key: Array, row: Data) -> Array:
        told = judge.told(judge.logit(params, row), row.extra["expert"])
        if isinstance(obs, Discrete):
            return told  # nothing to differentiate by
        slope = jax.grad(lambda x: judge.logit(params, row._replace(obs=x)))(row.obs) * params["norm"]["std"].reshape(
            row.obs.shape
        )
        return told + 0.5 * row.extra["penalty"] * jnp.sum(jnp.square(slope))

    def prepare(params: PyTree, data: Data) -> PyTree:
        return {**params, "norm": fit_norm(obs, data.obs, data.weight)}

    return Model(judge.init, loss, prepare)


@lru_cache(maxsize=64)
def value(obs: Space, width: int) -> tuple[Model, Callable[[PyTree, Array], Array]]:
    """The value of a state as a model, whose targets are `extra["target"]`, and as a function `(params, obs) -> []`."""
    init_net, apply = mlp(width_of(obs), (width, width, 1), "relu")

    def init(key: Array) -> PyTree:
        return {"net": init_net(key), "norm": identity_norm(obs)}

    def of(params: PyTree, x: Array) -> Array:
        return apply(params["net"], features(obs, params["norm"], x))[0]

    def loss(params: PyTree, key: Array, row: Data) -> Array:
        return jnp.square(of(params, row.obs) - row.extra["target"])

    def prepare(params: PyTree, data: Data) -> PyTree:
        return {**params, "norm": fit_norm(obs, data.obs, data.weight)}

    return Model(init, loss, prepare), of


def _log_probs(shared: Any, item: Any, *, head: Head) -> Array:
    params, data = item
    assert head.log_prob is not None
    log_prob = partial(head.log_prob, params)
    return jax.vmap(log_prob)(data.t, data.obs, data.action)


def _rewards(shared: Any, item: Any, *, judge: Judge) -> Array:
    params, data = item
    return judge.reward(jax.vmap(lambda row: judge.logit(params, row))(data))


def _values(shared: Any, item: Any, *, of: Any) -> tuple[Array, Array]:
    params, data = item
    each = jax.vmap(lambda x: of(params, x))
    return each(data.obs), each(data.extra["next_obs"])


def surrogate(head: Head, clip: PyTree, params: PyTree, key: Array, row: Data) -> Array:
    """Minus the clipped advantage of one row; `extra` holds it and the log-probability that the action was drawn with."""
    assert head.log_prob is not None
    ratio = jnp.exp(head.log_prob(params, row.t, row.obs, row.action) - row.extra["log_prob"])
    return -jnp.minimum(ratio * row.extra["advantage"], jnp.clip(ratio, 1 - clip, 1 + clip) * row.extra["advantage"])


def advantages(
    reward: np.ndarray, now: np.ndarray, later: np.ndarray, on: np.ndarray, alive: np.ndarray, gamma: float, lam: float
) -> np.ndarray:
    """Generalised advantage estimates `[S, N, H]`: after a fall comes nothing, when time runs out the value of what is seen last."""
    delta = np.where(alive, reward + gamma * on * later - now, 0.0)
    out, ahead = np.zeros_like(delta), np.zeros_like(delta[:, :, 0])
    for t in reversed(range(delta.shape[2])):
        ahead = delta[:, :, t] + gamma * lam * on[:, :, t] * ahead
        out[:, :, t] = ahead
    return out


def judged(lab: Lab, config: Config, params: PyTree, demos: Demos, *, whole: bool, expert: float) -> Data:
    """Steps as rows with what the judge reads beside: what follows, what the policy thinks of the action, and whose they are."""
    rows = beside(lab.rows(done(demos) if whole else demos), successors(demos, whole=whole))
    told = per_seed(_log_probs, head=lab.head)((), (params, rows))

    def full(x: float) -> np.ndarray:
        return np.full(np.shape(rows.weight), x, np.float32)

    numbers = {"expert": full(expert), "penalty": full(config.penalty), "gamma": full(config.gamma)}
    return rows._replace(extra={**rows.extra, "log_prob": np.asarray(told), **numbers})


def play(lab: Lab, config: Config, judge: Judge) -> Trained:
    """Behaviour cloning first, then rounds; the scored policy is the last one's mode."""
    obs, space, horizon = lab.task.env.obs, lab.task.env.action, lab.task.horizon
    demos = lab.demonstrate()
    params, _ = lab.fit(lab.rows(demos))
    critic, of = value(obs, config.width)
    told, worth, curve = None, None, []
    clip = np.full(len(lab.seeds), config.clip, np.float32)
    for i in range(config.rounds):
        own = lab.rollout(lab.sampling(params), config.episodes, record=("final_alive",))
        mine = judged(lab, config, params, own, whole=True, expert=0.0)
        theirs = judged(lab, config, params, demos, whole=False, expert=1.0)
        first, second = halves(theirs.weight, mine.weight)
        both = concatenate([theirs._replace(weight=first), mine._replace(weight=second)])
        settings = {"batch": lab.fit_config.batch, "learning_rate": config.judge_rate}
        told, losses = lab.train(
            model(judge, obs, space), both, name=f"judge{i}", start=told, updates=config.judge_updates, **settings
        )
        reward = np.asarray(per_seed(_rewards, judge=judge)((), (told, mine)))
        if worth is None:
            worth, _ = lab.train(critic, _towards(mine, np.zeros_like(reward)), name="value", updates=1, **settings)
        now, later = (np.asarray(x) for x in per_seed(_values, of=of)((), (worth, mine)))
        rows, shape = np.shape(mine.weight), (len(lab.seeds), -1, horizon)
        on, alive = (np.asarray(x).reshape(shape) for x in (mine.extra["on"], own.alive))
        reward, now, later = (x.reshape(shape) for x in (reward, now, later))
        raw = advantages(reward, now, later, on, alive, config.gamma, config.lam)
        gain = _standard(raw, alive).reshape(rows).astype(np.float32)
        worth, _ = lab.train(
            critic, _towards(mine, (raw + now).reshape(rows).astype(np.float32)), name=f"value{i}", start=worth,
            updates=config.value_updates, **settings,
        )  # fmt: skip
        step = mine._replace(extra={"advantage": gain, "log_prob": mine.extra["log_prob"]})
        params, _ = lab.fit(
            step,
            objective=surrogate,
            given=clip,
            start=params,
            stage=i + 1,
            prepare=False,
            updates=config.policy_updates,
            rate=config.policy_rate or None,
        )
        curve.append(losses[:, -1])
    return Trained({"last": lab.policy(params)}, "last", {"judge": np.stack(curve, axis=1)})


def _towards(rows: Data, target: np.ndarray) -> Data:
    return rows._replace(extra={"target": target})


def _standard(x: np.ndarray, alive: np.ndarray) -> np.ndarray:
    """Advantages with mean 0 and spread 1 over a seed's live steps."""
    count = np.maximum(alive.sum((1, 2), keepdims=True), 1)
    centred = np.where(alive, x - (x * alive).sum((1, 2), keepdims=True) / count, 0.0)
    return np.asarray(centred / (np.sqrt((centred**2).sum((1, 2), keepdims=True) / count) + 1e-6))
