"""Why generative policies win."""

CLAIM = "Flow and MIP beat regression, straight flow and residual on hard tasks, and all are equal on easy ones"
SOURCE = "Pan et al. 2025, Much Ado About Noising, https://arxiv.org/abs/2512.01809"
WHY = (
    "its heads are here (flow, straight_flow, residual, tsd, mip); the factorial "
    "on a peg task is a check of the theory, T15, where it did not replicate"
)
