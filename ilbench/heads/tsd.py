"""Two-step denoising: a flow of two steps, whose first pass is shown noise and aims half way. mip with noise in its first pass.

Paper: |pi(o, z, 0) - I|^2 + |pi(o, I, t*) - a|^2 with I = t* a + (1 - t*) z. Released: I = a + (1 - t*) z' with noise of its own,
residuals divided by t* and 1 - t*. Both act from z = 0, and the first answer, which stands for I, is shown again as it is.
Paper: Pan et al. 2025, Much Ado About Noising, https://arxiv.org/abs/2512.01809
"""

from __future__ import annotations

from ilbench.heads._networks import check_net
from ilbench.heads._passes import FormConfig as Config
from ilbench.heads._passes import Passes, released, two_passes
from ilbench.types import Head, Spec

NEEDS = ("continuous actions",)
TRY = ("scalar_stable",)  # what the contract test fits


def make(spec: Spec, config: Config) -> Head:
    """Actions `[*action]` from observations `[*obs]` by two passes."""
    check_net("tsd", config)
    at = config.at
    paper = Passes(noise=1, middle=True, keep=at, blur=1 - at, same=True, weights=(1, 1), feed=1)
    code = Passes(noise=1, middle=True, keep=1, blur=1 - at, same=False, weights=released(at), feed=1)
    return two_passes(spec.obs, spec.action, config, paper if config.form == "paper" else code)
