"""The minimal iterative policy: regression, and a second pass that mends a disturbed action. Noise and a second pass, no density.

Paper, eq. 4.4: |pi(o, 0, 0) - a|^2 + |pi(o, I, t*) - a|^2 with I = t* a + (1 - t*) z; a0 = pi(o, 0, 0), then pi(o, t* a0, t*).
Released: I = a + (1 - t*) z, residuals divided by t* and 1 - t* (weights 1.23 and 100), and a0 is shown unscaled.
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
    check_net("mip", config)
    at = config.at
    paper = Passes(noise=0, middle=False, keep=at, blur=1 - at, same=False, weights=(1, 1), feed=at)
    code = Passes(noise=0, middle=False, keep=1, blur=1 - at, same=False, weights=released(at), feed=1)
    return two_passes(spec.obs, spec.action, config, paper if config.form == "paper" else code)
