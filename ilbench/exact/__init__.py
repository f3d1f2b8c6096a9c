"""The exact theory of finite horizons in NumPy float64: dynamic programming, closed forms, the bounds in eps H^2.

Nothing here imports JAX or anything else of ours: it is what the rest is held against.
"""
