"""A multi-layer perceptron that predicts a continuous action, trained by squared error; it averages modes.

Paper: Bain & Sammut 1995, A framework for behavioural cloning; squared error is maximum likelihood of a Gaussian of fixed width.
"""

from __future__ import annotations

from functools import lru_cache

from ilbench.heads._networks import NetConfig as Config
from ilbench.heads._networks import actions_of, check_net, network, squared, standardise
from ilbench.types import Box, Head, Space, Spec

NEEDS = ("continuous actions",)
TRY = ("scalar_stable",)  # what the contract test fits


@lru_cache
def _head(obs: Space, action: Space, config: Config) -> Head:
    assert isinstance(action, Box)
    return squared(*network(obs, config, actions_of(action)), action, standardise(obs))


def make(spec: Spec, config: Config) -> Head:
    """Actions `[*action]` from observations `[*obs]`."""
    check_net("mse", config)
    return _head(spec.obs, spec.action, config)
