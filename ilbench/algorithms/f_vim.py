"""f-VIM on the expert's own states: an f-divergence between the two laws of the action at each, estimated by a judge of actions.

Unlike behaviour cloning, whose forward KL needs no estimate, it can seek a mode, and unlike f_divergence it needs no likelihood of the
expert, samples alone. Offline: the judge sees demonstrations, and actions that the learner draws at their states; no step is taken.

    repeat   judge V(s, a): max E[g(V)] over the expert's actions - E[f*(g(V))] over the learner's
             learner: min -E[f*(g(V))] over its own draws, by the score function with the mean of the others as baseline

Paper: Ke et al. 2021, Imitation learning as f-divergence minimization, https://arxiv.org/abs/1905.12888, of its equation 8 the form per
state; the estimator: Kool, van Hoof & Welling 2019, Buy 4 REINFORCE samples, get a baseline for free
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ilbench.compute import prng
from ilbench.compute.parallel import per_seed
from ilbench.names import meant
from ilbench.training import adversarial, variational
from ilbench.training.adversarial import Judge
from ilbench.training.lab import Lab
from ilbench.training.rows import concatenate
from ilbench.training.successors import halves
from ilbench.types import Array, Data, Head, Trained

NEEDS = ("demonstrations", "sample", "log_prob", "gradients", "one step")
TRY = ("gridworld", "linear", 300)  # what the contract test runs: task, head, labels
TRY_AT = {"f_vim.rounds": 2, "f_vim.width": 8, "f_vim.judge_updates": 5, "f_vim.policy_updates": 5, "fit.updates": 50}
DRAWS = 8  # of the learner, at every row of a step


@dataclass(frozen=True)
class Config:
    """The divergence, and the two players."""

    # kl, reverse_kl, jensen_shannon or total_variation, of the expert's law from the learner's
    divergence: str = "reverse_kl"
    rounds: int = 30  # of judging and a fit of the policy, after cloning
    width: int = 64  # units of the judge's two hidden layers
    judge_updates: int = 100  # gradient steps of the judge in a round
    policy_updates: int = 100  # of the policy
    judge_rate: float = 1e-3  # Adam, of the judge
    penalty: float = 0.0  # of the judge's squared gradient by the observation (that by the action is free)

    def __post_init__(self) -> None:
        if self.divergence not in variational.FORMS:
            near, allowed = meant(self.divergence, variational.FORMS), ", ".join(variational.FORMS)
            raise ValueError(f"f_vim.divergence must be one of {allowed}, got {self.divergence!r}. {near}".rstrip())
        for name in ("rounds", "width", "judge_updates", "policy_updates", "judge_rate"):
            if not getattr(self, name) > 0:
                raise ValueError(f"f_vim.{name} must be positive, got {getattr(self, name)}")
        if self.penalty < 0:
            raise ValueError(f"f_vim.penalty must be at least 0, got {self.penalty}")


@lru_cache(maxsize=64)
def objective(judge: Judge) -> Callable[..., Array]:
    """Minus the mean reward of the head's own draws at a row, `given` the judge's parameters; its gradient's mean is the gradient."""

    def loss(head: Head, given: Any, params: Any, key: Array, row: Data) -> Array:
        assert head.sample is not None
        assert head.log_prob is not None
        sample, log_prob = head.sample, head.log_prob
        actions = jax.vmap(lambda k: sample(params, k, row.t, row.obs))(jax.random.split(key, DRAWS))
        actions = jax.lax.stop_gradient(actions)
        own = jax.vmap(lambda a: judge.reward(judge.logit(given, row._replace(action=a))))(actions)
        ahead = (own - jnp.mean(own)) * (DRAWS / (DRAWS - 1.0))  # of the mean of the others
        log_q = jax.vmap(lambda a: log_prob(params, row.t, row.obs, a))(actions)
        return -jnp.mean(own) - jnp.mean(ahead * (log_q - jax.lax.stop_gradient(log_q)))

    return loss


def _drawn_one(shared: Any, item: Any, *, head: Head) -> Array:
    params, key, data = item
    assert head.sample is not None
    sample = head.sample
    keys = jax.random.split(prng.builtin(key), data.t.shape[0])  # the same bits as the key's own, which jaxlib 0.12 compiles for long
    return jax.vmap(lambda k, t, x: sample(params, k, t, x))(keys, data.t, data.obs)


def _beside(data: Data, config: Config, expert: float) -> Data:
    full = np.full(np.shape(data.weight), 1.0, np.float32)
    return data._replace(extra={"expert": expert * full, "penalty": np.float32(config.penalty) * full})


def train(lab: Lab, config: Config) -> Trained:
    """Cloning, then rounds: draws at the demonstrations' states, judging, a fit of the policy against the judge."""
    obs, space = lab.task.env.obs, lab.task.env.action
    data = lab.rows(lab.demonstrate(), lab.budget)
    params, _ = lab.fit(data)
    judge = variational.judge(obs, space, config.width, config.divergence)
    model, loss, known, curve = adversarial.model(judge, obs, space), objective(judge), None, []
    theirs = _beside(data, config, 1.0)
    for i in range(config.rounds):
        drawn = per_seed(_drawn_one, head=lab.head)((), (params, lab.keys(f"drawn{i}"), data))
        mine = _beside(data._replace(action=np.asarray(drawn)), config, 0.0)
        first, second = halves(theirs.weight, mine.weight)
        both = concatenate([theirs._replace(weight=first), mine._replace(weight=second)])
        settings = {"batch": lab.fit_config.batch, "learning_rate": config.judge_rate}
        known, losses = lab.train(model, both, name=f"judge{i}", start=known, updates=config.judge_updates, **settings)
        params, _ = lab.fit(
            data, objective=loss, given=known, start=params, stage=i + 1, prepare=False, updates=config.policy_updates
        )
        curve.append(-2.0 * losses[:, -1])
    return Trained(
        {"last": lab.policy(params), "draws": lab.sampling(params)}, "last", {"bound": np.stack(curve, axis=1)}
    )
