"""Residual regression: a first answer, and a second one that is shown it. A second pass, and no noise in training.

|pi(o, 0, 0) - t* a|^2 + |pi(o, t* a, t*) - a|^2: the second pass is trained where the first one is right, so it need not mend anything.
The released code has no such loss.
Paper: Pan et al. 2025, Much Ado About Noising, https://arxiv.org/abs/2512.01809
"""

from __future__ import annotations

from ilbench.heads._networks import check_net
from ilbench.heads._passes import PassConfig as Config
from ilbench.heads._passes import Passes, two_passes
from ilbench.types import Head, Spec

NEEDS = ("continuous actions",)
TRY = ("scalar_stable",)  # what the contract test fits


def make(spec: Spec, config: Config) -> Head:
    """Actions `[*action]` from observations `[*obs]` by two passes."""
    check_net("residual", config)
    how = Passes(noise=0, middle=True, keep=config.at, blur=0, same=False, weights=(1, 1), feed=1)
    return two_passes(spec.obs, spec.action, config, how)
