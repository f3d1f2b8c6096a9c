"""Finds what can be plugged in: by scanning folders and entry points, without importing any plug-in.

A plug-in is a module with fixed names and its file name is its id (env files may hold a family: TASKS).
Names, summaries and papers are read from the syntax tree, so that `ilbench list` needs no JAX.
Third parties register modules under the entry-point groups `ilbench.algorithms`, `ilbench.tasks`, ...
"""

from __future__ import annotations

import ast
import difflib
import functools
import importlib
import inspect
import pathlib
import re
import typing
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import ilbench

# kind -> (sub-package, the name a module must define to be one)
KINDS = {
    "suites": ("bench", "suite"),
    "tasks": ("envs", "make"),
    "algorithms": ("algorithms", "train"),
    "heads": ("heads", "make"),
    "measures": ("measures", "measure"),
    "checks": ("theory", "measure"),
}


class UnknownName(ValueError):
    """A name that no plug-in has; the message holds what is allowed and the closest match."""


@dataclass(frozen=True)
class Entry:
    """One plug-in as `list` shows it: nothing of it has been imported."""

    kind: str
    id: str
    module: str
    summary: str
    paper: str
    tags: tuple[str, ...] = ()
    literals: tuple[tuple[str, Any], ...] = ()

    @property
    def version(self) -> int:
        """Of a task: its entry in the file's VERSIONS, else the file's VERSION."""
        found = dict(self.literals)
        return found.get("VERSIONS", {}).get(self.id, found.get("VERSION", 1))


def _literals(tree: ast.Module) -> dict[str, Any]:
    """Module-level constants such as TASKS, VERSION, TAGS; expressions that are not literals are left out."""
    found = {}
    node: Any
    for node in tree.body:
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        for target in targets:
            if isinstance(target, ast.Name) and target.id.isupper() and getattr(node, "value", None) is not None:
                try:
                    found[target.id] = ast.literal_eval(node.value)
                except ValueError:
                    continue
    return found


def _entries(kind: str, module: str, path: pathlib.Path) -> list[Entry]:
    tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    required = KINDS[kind][1]
    if not any(isinstance(node, ast.FunctionDef) and node.name == required for node in tree.body):
        return []
    doc = ast.get_docstring(tree) or ""
    summary = doc.strip().split("\n\n")[0].replace("\n", " ")
    found = re.search(r"^(?:Paper|Source): ((?:.+\n?)+)", doc, re.M)  # up to the end of the paragraph
    paper = re.sub(r"\s+", " ", found.group(1)).strip() if found else ""
    literals = _literals(tree)
    names = literals.get("TASKS", {path.stem: {}}) if kind == "tasks" else {path.stem: {}}
    summaries = literals.get("SUMMARY", {})
    if isinstance(summaries, str):
        summaries = dict.fromkeys(names, summaries)
    return [
        Entry(
            kind,
            name,
            module,
            summaries.get(name, summary),
            paper,
            tuple(literals.get("TAGS", ())),
            tuple(literals.items()),
        )
        for name in names
    ]


@functools.cache
def entries(kind: str) -> dict[str, Entry]:
    """All plug-ins of a kind by id, in alphabetical order; entry points of installed packages included."""
    folder = KINDS[kind][0]
    found: dict[str, Entry] = {}
    sources = []
    for root in ilbench.__path__:
        for path in sorted(pathlib.Path(root, folder).glob("*.py")):
            if not path.name.startswith("_"):
                sources.append((f"ilbench.{folder}.{path.stem}", path))
    for point in metadata.entry_points(group=f"ilbench.{kind}"):
        spec = find_spec(point.module)
        if spec is None or spec.origin is None:
            raise ImportError(
                f"entry point ilbench.{kind}:{point.name} names module {point.module!r}, which is not installed"
            )
        sources.append((point.module, pathlib.Path(spec.origin)))
    for module, path in sources:
        for entry in _entries(kind, module, path):
            if entry.id in found and found[entry.id].module != entry.module:
                raise ValueError(
                    f"two {kind} are called {entry.id!r}: {found[entry.id].module} and {entry.module}; rename one"
                )
            found[entry.id] = entry
    return dict(sorted(found.items()))


def hint(name: str, allowed: Iterable[str], before: str = "", after: str = "") -> str:
    """What a message on an unknown name ends with: the closest match, spelled in full, or all that there are."""
    there = list(allowed)
    close = difflib.get_close_matches(name, there, n=1)
    return f"Did you mean {before}{close[0]}{after}?" if close else f"There are: {', '.join(there) or 'none'}."


def unknown(kind: str, name: str, allowed: list[str]) -> UnknownName:
    """The error for a name that is not there: what was given, the closest matches, where to look."""
    close = difflib.get_close_matches(name, allowed, n=3, cutoff=0.5)
    near = f" Did you mean {' or '.join(close)}?" if close else f" There are: {', '.join(allowed)}."
    return UnknownName(f"unknown {kind.rstrip('s')} {name!r}.{near} (ilbench list {kind})")


def entry(kind: str, name: str) -> Entry:
    """The entry called `name`; raises UnknownName with the close matches."""
    known = entries(kind)
    if name not in known:
        raise unknown(kind, name, list(known))
    return known[name]


def load(kind: str, name: str) -> ModuleType:
    """Imports the module of a plug-in; its own import errors propagate."""
    return importlib.import_module(entry(kind, name).module)


def task_maker(name: str) -> Callable[..., Any]:
    """The function that makes the task `name`; raises UnknownName."""
    if name.startswith("brax:"):
        maker: Callable[..., Any] = importlib.import_module("ilbench.envs.brax").make_any
    else:
        maker = load("tasks", name).make
    return maker


def task_options(name: str) -> dict[str, Any] | None:
    """The options of the task `name` with their types; None where its maker takes any and checks them itself."""
    maker = task_maker(name)
    parameters = list(inspect.signature(maker).parameters.values())
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return None
    hints = typing.get_type_hints(maker)
    return {p.name: hints.get(p.name, Any) for p in parameters[1:] if p.name != "horizon"}


@functools.cache
def _make_task(name: str, horizon: int | None, kwargs: tuple[tuple[str, Any], ...]) -> Any:
    options = task_options(name) if kwargs else None
    for option, _ in kwargs:
        if options is not None and option not in options:
            raise ValueError(f"task {name!r} has no option {option!r}. {hint(option, options, before='task.')}")
    return task_maker(name)(name, horizon=horizon, **dict(kwargs))


def task(name: str, horizon: int | None = None, **kwargs: Any) -> Any:
    """Makes the task `name` (`brax:NAME/BACKEND` for any registered Brax env); the same call gives the same object.

    Raises UnknownName, and ValueError for a horizon below 1 and for options that the task does not have.
    """
    if horizon is not None and horizon < 1:
        raise ValueError(f"horizon must be at least 1, got {horizon}")
    return _make_task(name, horizon, tuple(sorted(kwargs.items())))
