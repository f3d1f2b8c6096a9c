"""Two CPU devices and JAX's strict modes, before anything runs; Brax's adapter lifts the rules for itself."""

from ilbench.compute import caches

caches.hush()

import signal  # noqa: E402

import jax  # noqa: E402
import pytest  # noqa: E402

import ilbench  # noqa: E402

ilbench.setup(devices=2)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
collect_ignore = ["outside"]  # a package of its own, with tests of its own: test_outside.py


@pytest.fixture(autouse=True)
def _process(monkeypatch):
    """As a command finds its process: piped output as wide as it needs to be, and Ctrl-C as it was before the test."""
    monkeypatch.delenv("COLUMNS", raising=False)
    before = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, before)
