"""Exact finite-horizon computations in NumPy float64; nothing here imports JAX."""
