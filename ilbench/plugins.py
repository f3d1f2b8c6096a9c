"""Plug-ins as everybody else sees them: a module's parts by name, with defaults for those that it may leave out."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

from ilbench import registry


class Algorithm(NamedTuple):
    """A module of algorithms/: `train` and `Config`, and what it may leave out."""

    name: str
    train: Callable[..., Any]  # (lab, config) -> Trained
    Config: type
    skip: Callable[..., str | None]  # (task, head) -> why it cannot run on them, or None
    check: Callable[..., None]  # (budget, task, head, config): ValueError for numbers that do not fit, before any compute
    rows_per_label: Callable[[Any], int]  # (config) -> rows that it makes of each label: what memory is foreseen by
    instrument: bool  # built to show a theorem: buys no labels, never on a board


class Head(NamedTuple):
    """A module of heads/: `make` and `Config`, and what it may leave out."""

    name: str
    make: Callable[..., Any]  # (spec, config) -> types.Head
    Config: type
    skip: Callable[..., str | None]  # (spec) -> why it cannot be made for it, or None


def _fits(*_: Any) -> None:
    """Nothing to say against it."""


def _one(config: Any) -> int:
    return 1


def _part(module: ModuleType, name: str, default: Any, form: str) -> Any:
    """A function of a plug-in; ValueError where it cannot be called as everybody calls it."""
    part = getattr(module, name, default)
    if part is None:
        raise ValueError(f"{module.__name__} defines no {name}{form}; see ilbench/types.py and CONTRIBUTING.md")
    try:
        inspect.signature(part).bind(*form.strip("()").split(", "))
    except TypeError:
        given = inspect.signature(part)
        raise ValueError(f"{module.__name__}: {name}{given} cannot be called as {name}{form}, which is how it will be") from None
    return part


def algorithm(name: str) -> Algorithm:
    """The algorithm `name`; raises UnknownName, its own import errors, and ValueError for parts of another form."""
    module = registry.load("algorithms", name)
    return Algorithm(
        name,
        _part(module, "train", None, "(lab, config)"),
        module.Config,
        _part(module, "skip", _fits, "(task, head)"),
        _part(module, "check", _fits, "(budget, task, head, config)"),
        _part(module, "rows_per_label", _one, "(config)"),
        bool(getattr(module, "INSTRUMENT", False)),
    )


def head(name: str) -> Head:
    """The head `name`; raises UnknownName, its own import errors, and ValueError for parts of another form."""
    module = registry.load("heads", name)
    return Head(
        name, _part(module, "make", None, "(spec, config)"), module.Config, _part(module, "skip", _fits, "(spec)")
    )
