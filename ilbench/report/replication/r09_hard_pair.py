"""Costs of the policy class on a pair of systems that cannot be told apart."""

CLAIM = "On the hard stable pair rollout cost falls from L2-BC to diffusion to chunks of 4 and of 8, while validation loss falls too"
SOURCE = "Simchowitz, Pfrommer, Jadbabaie 2025, https://arxiv.org/abs/2503.09722"
WHY = "the pair is no task here yet"
