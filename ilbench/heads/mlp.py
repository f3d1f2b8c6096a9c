"""A multi-layer perceptron with a softmax over discrete actions, trained by cross-entropy.

Paper: Pomerleau 1989, ALVINN: the first policy cloned by a neural network, https://papers.nips.cc/paper/1988/hash/812b4ba287f5ee0bc9d43bbf5bbe87fb-Abstract.html
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from ilbench.heads._parametric import actions_of, categorical, outputs
from ilbench.nets import mlp, width_of
from ilbench.types import Discrete, Head, Space, Task


@dataclass(frozen=True)
class Config:
    """The network."""

    width: int = 64  # units per hidden layer
    depth: int = 2  # hidden layers
    activation: str = "tanh"  # tanh, relu or silu


def skip(task: Task) -> str | None:
    """Needs discrete actions."""
    return (
        None
        if isinstance(task.env.action, Discrete)
        else "mlp is categorical and needs discrete actions; for continuous ones take mse or gaussian"
    )


@lru_cache
def _head(obs: Space, action: Space, config: Config) -> Head:
    sizes = (config.width,) * config.depth + (actions_of(action),)
    return categorical(*outputs(*mlp(width_of(obs), sizes, config.activation), obs))


def make(task: Task, config: Config) -> Head:
    """Logits `[n]` from observations `[*obs]`."""
    return _head(task.env.obs, task.env.action, config)
