"""Programs as JAX traces them, walked: what lies inside an equation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from jax.extend import core


def inner(eqn: Any) -> Iterator[core.Jaxpr]:
    """The programs inside an equation: of a call, a loop, the branches of a condition."""
    for value in eqn.params.values():
        for one in value if isinstance(value, tuple | list) else (value,):
            if isinstance(one, core.ClosedJaxpr):
                yield one.jaxpr
            elif isinstance(one, core.Jaxpr):
                yield one
