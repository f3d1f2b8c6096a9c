"""Variational f-divergences: D(p || q) = sup_T E_p[T] - E_q[f*(T)], from samples of both, p the expert's law and q the learner's.

    T = g(V), V any number that a judge gives: g keeps T where the conjugate f* is finite. At the optimum T = f'(p / q):

                        f(u)                                g(v)               f*(t)             V there
    kl                  u log u                             v                  exp(t - 1)        1 + log p / q
    reverse_kl          -log u                              -exp(-v)           -1 - log(-t)      log p / q
    jensen_shannon      u log u - (u + 1) log((u + 1) / 2)  log 2 + log sig v  -log(2 - e^t)     log p / q
    total_variation     |u - 1| / 2                         tanh(v) / 2        t                 +-inf, whose side p > q tells

The learner is rewarded with its own half of the bound, f*(g(V)), and a constant: which, no divergence says (c (u - 1) added to f moves it
by c), though an episode that can end knows it. It is chosen such that the reward of Jensen and Shannon is GAIL's, -log(1 - sig V), and
that of the reverse KL AIRL's, log p / q. Jensen-Shannon is here twice its usual value.
Source: Nowozin, Cseke & Tomioka 2016, f-GAN, https://arxiv.org/abs/1606.00709; in imitation Ke et al. 2021, https://arxiv.org/abs/1905.12888
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ilbench.training.adversarial import Judge, vector
from ilbench.training.nets import features, identity_norm, mlp, width_of
from ilbench.types import Array, Data, PyTree, Space

LOG_2 = np.float32(np.log(2))
LIMIT = 10.0  # a judge's V is LIMIT tanh(v / LIMIT): ratios beyond e^10 are not told apart, and no gradient explodes


class Form(NamedTuple):
    """One divergence's halves, functions of V: `g(v)`, whose mean over p is made large, and `own(v)` = f*(g(v)), over q small."""

    g: Callable[[Array], Array]
    own: Callable[[Array], Array]
    constant: float = 0.0  # that the reward has beside own(v)


FORMS = {
    "kl": Form(lambda v: v, lambda v: jnp.exp(v - 1.0)),
    "reverse_kl": Form(lambda v: -jnp.exp(-v), lambda v: v - 1.0, 1.0),
    "jensen_shannon": Form(
        lambda v: LOG_2 + jax.nn.log_sigmoid(v), lambda v: -LOG_2 - jax.nn.log_sigmoid(-v), float(LOG_2)
    ),
    "total_variation": Form(lambda v: 0.5 * jnp.tanh(v), lambda v: 0.5 * jnp.tanh(v)),
}


@lru_cache
def told(divergence: str) -> Callable[[Array, Array], Array]:
    """`(V, expert) -> []`, minus the bound: its mean over as much of either side is minus half of it."""
    form = FORMS[divergence]

    def loss(v: Array, expert: Array) -> Array:
        return jnp.where(expert > 0, -form.g(v), form.own(v))

    return loss


@lru_cache
def reward(divergence: str) -> Callable[[Array], Array]:
    """`V -> []`, what the learner gets for a step."""
    form = FORMS[divergence]
    return lambda v: form.own(v) + form.constant


@lru_cache
def judge(obs: Space, action: Space, width: int, divergence: str) -> Judge:
    """A network of observation and action that tells V, the loss that makes it the divergence's, and the learner's reward."""
    init_net, apply = mlp(width_of(obs) + width_of(action), (width, width, 1))

    def init(key: Array) -> PyTree:
        return {"net": init_net(key), "norm": identity_norm(obs)}

    def value(params: PyTree, row: Data) -> Array:
        seen = jnp.concatenate([features(obs, params["norm"], row.obs), vector(action, row.action)])
        return LIMIT * jnp.tanh(apply(params["net"], seen)[0] / LIMIT)

    return Judge(init, value, reward(divergence), told(divergence))
