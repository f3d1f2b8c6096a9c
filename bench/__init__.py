"""Suites and speed benchmarks; imported as `ilbench.bench`."""
