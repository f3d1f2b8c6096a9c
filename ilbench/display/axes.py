"""Axes that several pictures of the theory share."""

from __future__ import annotations

from typing import Any


def log_ticks(axis: Any, values: Any) -> None:
    """Ticks of a logarithmic x axis exactly at `values`, none between them."""
    axis.set_xscale("log")
    axis.set_xticks(list(values), [f"{v:g}" for v in values])
    axis.set_xticks([], minor=True)
