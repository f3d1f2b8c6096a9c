"""Task dynamics, one family per file; imported as `ilbench.envs`."""
