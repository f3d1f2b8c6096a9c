"""What env files share: checks of arguments before any compute, and a policy without memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def known(tasks: Mapping[str, Any], task_id: str, horizon: int | None, default: int) -> int:
    """The horizon to use; raises ValueError for a task id that is not in the file or a horizon below 1."""
    if task_id not in tasks:
        raise ValueError(f"unknown task {task_id!r}; this file makes {', '.join(tasks)}")
    if horizon is not None and horizon < 1:
        raise ValueError(f"horizon must be at least 1, got {horizon}")
    return default if horizon is None else horizon


def within(name: str, value: float, low: float, high: float) -> None:
    """Raises ValueError unless low <= value <= high."""
    if not low <= value <= high:
        raise ValueError(f"{name} must be in [{low}, {high}], got {value}")
