"""A multi-layer perceptron with a softmax over discrete actions, trained by cross-entropy.

Paper: Pomerleau 1989, ALVINN: the first policy cloned by a neural network, https://papers.nips.cc/paper/1988/hash/812b4ba287f5ee0bc9d43bbf5bbe87fb-Abstract.html
"""

from __future__ import annotations

from functools import lru_cache

from ilbench.heads._networks import NetConfig as Config
from ilbench.heads._networks import actions_of, categorical, check_net, network, standardise
from ilbench.types import Head, Space, Spec

NEEDS = ("discrete actions",)
TRY = ("cartpole",)  # what the contract test fits


@lru_cache
def _head(obs: Space, action: Space, config: Config) -> Head:
    return categorical(*network(obs, config, actions_of(action)), standardise(obs))


def make(spec: Spec, config: Config) -> Head:
    """Logits `[n]` from observations `[*obs]`."""
    check_net("mlp", config)
    return _head(spec.obs, spec.action, config)
