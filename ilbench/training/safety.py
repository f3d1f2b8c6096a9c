"""A safety classifier: is the learner's action at this observation far from the expert's? Known from the observation alone.

It is fitted by cross-entropy on all labels so far, a share of the demonstrations among them that the learner is not fitted on: on its
own rows a learner looks safer than it is.
Paper: Zhang & Cho 2017, SafeDAgger, https://arxiv.org/abs/1605.06450 (its D_safe)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np

from ilbench.training.lab import Lab
from ilbench.training.nets import features, fit_norm, identity_norm, mlp, width_of
from ilbench.training.rounds import Novice, RoundsConfig, check_rounds, labelled, misses
from ilbench.types import Array, Data, Demos, Model, PyTree, Space


@dataclass(frozen=True)
class SafetyConfig(RoundsConfig):
    """What is safe, and the classifier."""

    tau: float = 0.008  # unsafe where ||a - a*||^2 as a share of the squared action range is above (LazyDAgger's; discrete: a != a*)
    held_out: float = 0.2  # share of the demonstrations that only the classifier is fitted on, until the last fit
    width: int = 32  # units of the classifier's two hidden layers
    updates: int = 500  # its gradient steps, each round anew; not the policy's
    batch: int = 128  # rows per step of the classifier
    learning_rate: float = 3e-3  # Adam, cosine to 0


def check_safety(name: str, config: SafetyConfig) -> None:
    """Raises ValueError, as settings of the algorithm `name`, for numbers out of range."""
    check_rounds(name, config)
    if not (0 < config.tau < 1 and 0 <= config.held_out < 1):
        raise ValueError(
            f"{name}.tau must lie between 0 and 1 and {name}.held_out in [0, 1), got {config.tau} and {config.held_out}"
        )
    for field in ("width", "updates", "batch", "learning_rate"):
        if not getattr(config, field) > 0:
            raise ValueError(f"{name}.{field} must be positive, got {getattr(config, field)}")


@lru_cache(maxsize=64)
def classifier(obs: Space, width: int) -> tuple[Model, Callable[[PyTree, Array], Array]]:
    """`(model, logit(params, obs) -> [])` of unsafe observations: rows whose `action` is 1 where unsafe, else 0."""
    init_net, apply = mlp(width_of(obs), (width, width, 1))

    def init(key: Array) -> PyTree:
        return {"net": init_net(key), "norm": identity_norm(obs)}

    def logit(params: PyTree, x: Array) -> Array:
        return apply(params["net"], features(obs, params["norm"], x))[0]

    def loss(params: PyTree, key: Array, row: Data) -> Array:
        return jax.nn.softplus(jnp.where(row.action > 0, -1.0, 1.0) * logit(params, row.obs))

    def prepare(params: PyTree, data: Data) -> PyTree:
        return {**params, "norm": fit_norm(obs, data.obs, data.weight)}

    return Model(init, loss, prepare), logit


def shown(data: Data, demonstrated: np.ndarray, held_out: float) -> Data:
    """Rows without the last share of the `demonstrated [S]` first ones."""
    place = np.arange(data.weight.shape[1])[None]
    last, first = demonstrated[:, None], np.ceil((1 - held_out) * demonstrated)[:, None]
    return data._replace(weight=np.where((place >= first) & (place < last), 0, data.weight).astype(np.float32))


def learn(lab: Lab, config: SafetyConfig, parts: list[Demos], before: Novice | None) -> Novice:
    """A fit, and the classifier of where it is unsafe; the last fit, which nobody gates, is on all labels."""
    data, stage = labelled(lab, parts), len(parts) - 1
    count = np.asarray(parts[0].revealed).sum((1, 2))
    own = data if stage == config.rounds else shown(data, count, config.held_out)
    params, losses = lab.fit(
        own, stage=stage, stages=config.rounds + 1, start=None if before is None else before.params
    )
    if stage == config.rounds:
        return Novice(params, lab.policy(params), losses)
    unsafe = misses(lab, lab.head, params, data, lab.task.env.action) > config.tau
    model, _ = classifier(lab.task.env.obs, config.width)
    judge, _ = lab.train(
        model, data._replace(action=unsafe.astype(np.float32)), name="safety", updates=config.updates, batch=config.batch,
        learning_rate=config.learning_rate,
    )  # fmt: skip
    return Novice(params, lab.policy(params), losses, judge)
