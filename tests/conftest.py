"""Two CPU devices and JAX's strict modes, before anything runs; Brax's adapter lifts the rules for itself."""

from ilbench import caches

caches.hush()

import jax  # noqa: E402

import ilbench  # noqa: E402

ilbench.setup(devices=2)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
