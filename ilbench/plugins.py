"""Plug-ins as everybody else sees them: a module's parts by name, with defaults for those that it may leave out."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

from ilbench import registry
from ilbench.names import hint
from ilbench.types import Box, Discrete, Spec


def _has(part: str) -> Callable[[Any, Any], bool]:
    return lambda task, head: getattr(head, part) is not None


# Words of a literal NEEDS, which `ilbench list` shows; what a head needs of a task's spaces:
SPACES: dict[str, Callable[[Spec], bool]] = {
    "discrete observations": lambda spec: isinstance(spec.obs, Discrete),
    "continuous observations": lambda spec: isinstance(spec.obs, Box),
    "discrete actions": lambda spec: isinstance(spec.action, Discrete),
    "continuous actions": lambda spec: isinstance(spec.action, Box),
}
# and what an algorithm needs beside: whether (task, head) have it, and how it is said that they have not.
PARTS: dict[str, tuple[Callable[[Any, Any], bool], str]] = {
    "demonstrations": (lambda task, head: (task.expert or task.recorded) is not None, "there is neither an expert nor a file of them"),
    "expert": (lambda task, head: task.expert is not None, "this task has none to ask"),
    "mdp": (lambda task, head: task.mdp is not None, "this task is no table"),
    "dynamics": (lambda task, head: task.dynamics is not None, "this task does not tell its own"),
    "views": (lambda task, head: task.env.views is not None, "this task has no further sensors"),
    "one step": (lambda task, head: head.window == (1, 1), "this head sees a history or predicts chunks"),
    "gradients": (lambda task, head: head.solve is None, "this head is solved in closed form"),
    **{part: (_has(part), f"this head has no `{part}`") for part in ("sample", "log_prob", "dist", "complete")},
}  # fmt: skip


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


def _needs(module: ModuleType, known: Any) -> tuple[str, ...]:
    """A plug-in's literal NEEDS; ValueError for a word that nothing is known of."""
    needs: tuple[str, ...] = tuple(getattr(module, "NEEDS", ()))
    for word in needs:
        if word not in known:
            raise ValueError(f"{module.__name__}: NEEDS holds {word!r}. {hint(word, known)}")
    return needs


def _instead(word: str) -> str:
    """Heads that do without: `; there are mlp, table`."""
    others = [name for name, entry in registry.entries("heads").items() if word not in dict(entry.literals).get("NEEDS", ())]
    return f"; heads that do not: {', '.join(others)}" if others else ""


def _one(config: Any) -> int:
    return 1


def _part(module: ModuleType, name: str, default: Any, form: str) -> Any:
    """A function of a plug-in; ValueError where it cannot be called as everybody calls it."""
    part = getattr(module, name, default)
    if part is None:
        raise ValueError(f"{module.__name__} defines no {name}{form}; see ilbench/types.py and docs/plugins.md")
    try:
        inspect.signature(part).bind(*form.strip("()").split(", "))
    except TypeError:
        given = inspect.signature(part)
        raise ValueError(f"{module.__name__}: {name}{given} cannot be called as {name}{form}, which is how it will be") from None
    return part


def algorithm(name: str) -> Algorithm:
    """The algorithm `name`; raises UnknownName, its own import errors, and ValueError for parts of another form."""
    module = registry.load("algorithms", name)
    needs, skips = _needs(module, SPACES | PARTS), _part(module, "skip", _fits, "(task, head)")

    def skip(task: Any, head: Any) -> str | None:
        for word in needs:
            if word in SPACES and not SPACES[word](task.spec):
                return f"{name} needs {word}"
            if word in PARTS and not PARTS[word][0](task, head):
                return f"{name} needs {word}: {PARTS[word][1]}"
        reason: str | None = skips(task, head)
        return reason

    return Algorithm(
        name,
        _part(module, "train", None, "(lab, config)"),
        module.Config,
        skip,
        _part(module, "check", _fits, "(budget, task, head, config)"),
        _part(module, "rows_per_label", _one, "(config)"),
        bool(getattr(module, "INSTRUMENT", False)),
    )


def head(name: str) -> Head:
    """The head `name`; raises UnknownName, its own import errors, and ValueError for parts of another form."""
    module = registry.load("heads", name)
    needs, skips = _needs(module, SPACES), _part(module, "skip", _fits, "(spec)")

    def skip(spec: Spec) -> str | None:
        for word in needs:
            if not SPACES[word](spec):
                return f"{name} needs {word}{_instead(word)}"
        reason: str | None = skips(spec)
        return reason

    return Head(name, _part(module, "make", None, "(spec, config)"), module.Config, skip)
