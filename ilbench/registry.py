"""Finds what can be plugged in: by scanning folders and entry points, without importing any plug-in.

A plug-in is a module with fixed names and its file name is its id (env files may hold a family: TASKS).
Names, summaries and papers are read from the syntax tree, so that `ilbench list` needs no JAX.
Third parties register modules under the entry-point groups `ilbench.algorithms`, `ilbench.tasks`, ...; the entry point's
name is the id. What cannot be read is left out, said once on stderr, and named again when somebody asks for it.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib
import inspect
import pathlib
import re
import sys
import typing
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from types import ModuleType
from typing import Any, NamedTuple

import ilbench
from ilbench.names import hint

# kind -> (sub-package, the name a module must define to be one)
KINDS = {
    "suites": ("bench", "suite"),
    "tasks": ("envs", "make"),
    "algorithms": ("algorithms", "train"),
    "heads": ("heads", "make"),
    "measures": ("measures", "measure"),
    "checks": ("theory", "measure"),
}

# What a file name, `--set NAME.FIELD=VALUE` and a record all take.
ID = re.compile(r"[a-z0-9][a-z0-9_+-]{0,63}")


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
    path: str = ""
    distribution: str | None = None  # name==version of the package that registered it; None: ilbench's own

    @property
    def version(self) -> int:
        """Of a task: its entry in the file's VERSIONS, else the file's VERSION."""
        found = dict(self.literals)
        return found.get("VERSIONS", {}).get(self.id, found.get("VERSION", 1))


class Identity(NamedTuple):
    """What beside its configuration decides the numbers of a plug-in."""

    version: int
    distribution: str | None  # name==version; None: ilbench's own
    digests: dict[str, str]  # of the files in READS: the first 16 hex digits of their sha256


class Source(NamedTuple):
    """A module that may hold plug-ins."""

    module: str
    path: pathlib.Path
    point: str | None  # the entry point's name; None: a file of ilbench's own folders
    distribution: str | None


def _bound(body: list[ast.stmt]) -> Iterator[tuple[str, ast.expr | None]]:
    """Names that a module's top level binds (defined, assigned, imported, under `if` and `try` too), with assigned values."""
    node: Any
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield node.name, None
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            yield from ((alias.asname or alias.name.split(".")[0], None) for alias in node.names)
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                names = target.elts if isinstance(target, (ast.Tuple, ast.List)) else [target]
                one = node.value if len(names) == 1 else None
                yield from ((name.id, one) for name in names if isinstance(name, ast.Name))
        elif isinstance(node, ast.AnnAssign) and node.value is not None and isinstance(node.target, ast.Name):
            yield node.target.id, node.value
        elif isinstance(node, (ast.If, ast.Try, ast.With)):
            for part in ("body", "orelse", "finalbody"):
                yield from _bound(getattr(node, part, []))
            for handler in getattr(node, "handlers", []):
                yield from _bound(handler.body)


def _literals(bound: Iterable[tuple[str, ast.expr | None]]) -> dict[str, Any]:
    """Module-level constants such as TASKS, VERSION, TAGS; expressions that are not literals are left out."""
    found = {}
    for name, value in bound:
        if name.isupper() and value is not None:
            try:
                found[name] = ast.literal_eval(value)
            except (ValueError, TypeError):
                found.pop(name, None)
    return found


def _of_identity(literals: dict[str, Any], bound: set[str]) -> None:
    """Raises ValueError for a VERSION or READS that cannot be known without importing the module."""
    version, reads = literals.get("VERSION", 1), literals.get("READS", ())
    if ("VERSION" in bound and "VERSION" not in literals) or type(version) is not int or version < 1:
        raise ValueError(
            f"VERSION must be a literal integer of at least 1, got {literals.get('VERSION', 'an expression')!r}"
        )
    strings = isinstance(reads, (tuple, list)) and all(isinstance(name, str) for name in reads)
    if ("READS" in bound and "READS" not in literals) or not strings:
        given = literals.get("READS", "an expression")
        raise ValueError(f"READS must be a literal tuple of file names relative to the module, got {given!r}")


def _of_lists(kind: str, literals: dict[str, Any], bound: set[str]) -> None:
    """Raises ValueError for NEEDS, WORDS and SHOWS that cannot be read without importing the module."""
    for name in ("NEEDS", *(("WORDS",) if kind == "checks" else ())):
        given = literals.get(name, ())
        words = isinstance(given, (tuple, list)) and all(isinstance(word, str) for word in given)
        if (name in bound and name not in literals) or not words:
            raise ValueError(f"{name} must be a literal tuple of words, got {literals.get(name, 'an expression')!r}")
    shows = literals.get("SHOWS", {})
    said = isinstance(shows, dict) and all(isinstance(x, str) and x for pair in shows.items() for x in pair)
    if kind == "measures" and (("SHOWS" in bound and "SHOWS" not in literals) or not said):
        given = literals.get("SHOWS", "an expression")
        raise ValueError(f"SHOWS must be a literal dict of a measure's keys and what each says, got {given!r}")


def _entries(kind: str, source: Source) -> list[Entry]:
    """The plug-ins in a file; raises ValueError, SyntaxError or OSError for what cannot be one."""
    tree = ast.parse(source.path.read_bytes(), filename=source.path.name)
    required, bound = KINDS[kind][1], list(_bound(tree.body))
    names = {name for name, _ in bound}
    if required not in names:
        if source.point is None:
            return []  # a helper beside the plug-ins
        raise ValueError(f"{source.module} defines no {required!r}; name it there, e.g. `from ... import {required}`")
    doc = ast.get_docstring(tree) or ""
    summary = doc.strip().split("\n\n")[0].replace("\n", " ")
    found = re.search(r"^(?:Paper|Source): ((?:.+\n?)+)", doc, re.M)  # up to the end of the paragraph
    paper = re.sub(r"\s+", " ", found.group(1)).strip() if found else ""
    literals = _literals(bound)
    _of_identity(literals, names)
    _of_lists(kind, literals, names)
    alone: dict[str, Any] = {source.point or source.path.stem: {}}
    ids, summaries = literals.get("TASKS", alone) if kind == "tasks" else alone, literals.get("SUMMARY", {})
    if isinstance(summaries, str):
        summaries = dict.fromkeys(ids, summaries)
    for name in ids:
        if not isinstance(name, str) or not ID.fullmatch(name):
            raise ValueError(f"{name!r:.80} is no name; one has letters a-z, digits, _ + and -, 64 at most")
    tags, constants = tuple(literals.get("TAGS", ())), tuple(literals.items())
    shared = (paper, tags, constants, str(source.path), source.distribution)
    return [Entry(kind, name, source.module, summaries.get(name, summary), *shared) for name in ids]


def _point(point: metadata.EntryPoint) -> Source:
    """Where the module of an entry point lies; raises whatever its package raises, ImportError where there is none."""
    spec = find_spec(point.module)
    if spec is None or spec.origin is None:
        raise ImportError(f"module {point.module!r} is not installed")
    if not spec.origin.endswith(".py"):
        raise ImportError(f"module {point.module!r} has no source to read")
    dist = point.dist
    return Source(
        point.module, pathlib.Path(spec.origin), point.name, None if dist is None else f"{dist.name}=={dist.version}"
    )


_ADDED: list[tuple[str, Source]] = []  # files that `add` took in, by kind


def add(kind: str, file: pathlib.Path) -> str:
    """Takes a file that nobody has installed in as a plug-in of this process, and returns its id, the file's name.

    Raises ValueError for what is none and for a name that another module or plug-in has.
    """
    path = file.resolve()
    if not path.is_file() or path.suffix != ".py":
        raise ValueError(f"{str(file)!r} is no Python file; give one such as ./mine.py, or the name of an installed {kind.rstrip('s')}")
    source = Source(path.stem, path, path.stem, None)
    try:
        (found,) = _entries(kind, source)
    except (ValueError, SyntaxError) as error:
        raise ValueError(f"{file}: {error}") from error
    if any(k == kind and one.path == path for k, one in _ADDED):
        return found.id
    if found.id in entries(kind):
        raise ValueError(f"{file}: there is another {kind.rstrip('s')} {found.id!r}; call the file otherwise")
    sys.path.insert(0, str(path.parent))
    spec = find_spec(path.stem)
    if path.stem in sys.modules or spec is None or spec.origin is None or pathlib.Path(spec.origin).resolve() != path:
        sys.path.remove(str(path.parent))
        raise ValueError(f"{file}: another module is called {path.stem!r}; call the file otherwise")
    _ADDED.append((kind, source))
    entries.cache_clear()
    return found.id


_LEFT_OUT: dict[tuple[str, str], str] = {}  # (kind, name) -> why it is none


def _leave_out(kind: str, name: str, where: str, reason: object) -> None:
    if (kind, name) not in _LEFT_OUT:
        _LEFT_OUT[kind, name] = f"{where}: {reason}"
        print(f"ilbench: left out {kind.rstrip('s')} {name!r:.80}: {where}: {reason}", file=sys.stderr)


@functools.cache
def entries(kind: str) -> dict[str, Entry]:
    """All plug-ins of a kind by id, in alphabetical order; entry points of installed packages included.

    What cannot be read is left out and said on stderr: one broken package must not end every command.
    """
    folder = KINDS[kind][0]
    own = [
        Source(f"ilbench.{folder}.{path.stem}", path, None, None)
        for root in ilbench.__path__
        for path in sorted(pathlib.Path(root, folder).glob("*.py"))
        if not path.name.startswith("_")
    ]
    named: dict[str, list[Entry]] = {}
    for source in [*own, *(source for k, source in _ADDED if k == kind)]:
        try:
            for entry in _entries(kind, source):
                named.setdefault(entry.id, []).append(entry)
        except (ValueError, SyntaxError, OSError) as error:
            _leave_out(kind, source.path.stem, source.module, error)
    for point in sorted(metadata.entry_points(group=f"ilbench.{kind}"), key=lambda p: (p.name, p.value)):
        try:
            for entry in _entries(kind, _point(point)):
                named.setdefault(entry.id, []).append(entry)
        except (Exception, SystemExit) as error:  # a parent package is imported to find the module: anything may come
            where = f"entry point {point.name!r} = {point.value!r}"
            _leave_out(kind, point.name, where, f"{type(error).__name__}: {error}")
    return {name: one for name, same in sorted(named.items()) if (one := _the_one(kind, name, same)) is not None}


def _the_one(kind: str, name: str, same: list[Entry]) -> Entry | None:
    """The plug-in that a name means: nobody can tell which of two; ilbench's own stays, so that its boards do."""
    if len({entry.module for entry in same}) == 1:
        return same[0]
    ours = [entry for entry in same if entry.module.startswith("ilbench.")]
    kept = ours[0] if len({entry.module for entry in ours}) == 1 else None
    others = " and ".join(sorted({entry.module for entry in same if entry is not kept}))
    _leave_out(
        kind,
        name,
        others,
        f"two of one name, {kept.module} stays; rename one" if kept else "two of one name; rename one",
    )
    return kept


def unknown(kind: str, name: str, allowed: list[str]) -> UnknownName:
    """The error for a name that is not there: what was given, the closest matches, where to look."""
    return UnknownName(f"unknown {kind.rstrip('s')} {name!r}. {hint(name, allowed, n=3)} (ilbench list {kind})")


def entry(kind: str, name: str) -> Entry:
    """The entry called `name`; raises UnknownName with the close matches."""
    known = entries(kind)
    if name not in known:
        if (kind, name) in _LEFT_OUT:
            raise UnknownName(f"{kind.rstrip('s')} {name!r} was left out: {_LEFT_OUT[kind, name]}")
        raise unknown(kind, name, list(known))
    return known[name]


def identity(kind: str, name: str) -> Identity:
    """What beside its configuration decides the numbers of a plug-in, without importing it.

    Its literal VERSION (1 without one), who distributes it, and the digests of the files that its literal READS names,
    relative to its module. Raises UnknownName, and ValueError for a file that is not there.
    """
    found, digests = entry(kind, name), {}
    for given in dict(found.literals).get("READS", ()):
        file = pathlib.Path(found.path).parent / given
        if pathlib.PurePath(given).is_absolute() or not file.is_file():
            raise ValueError(
                f"{kind.rstrip('s')} {name!r} reads {given!r}, which is no file relative to its module {found.module}"
            )
        with file.open("rb") as stream:
            digests[given] = hashlib.file_digest(stream, "sha256").hexdigest()[:16]
    return Identity(found.version, found.distribution, digests)


def load(kind: str, name: str) -> ModuleType:
    """Imports the module of a plug-in; its own import errors propagate."""
    return importlib.import_module(entry(kind, name).module)


def task_maker(name: str) -> Callable[..., Any]:
    """The function that makes the task `name`; `FAMILY:...` is for the file with that FAMILY. Raises UnknownName."""
    family, colon, _ = name.partition(":")
    for found in entries("tasks").values() if colon else ():
        if dict(found.literals).get("FAMILY") == family:
            any_of: Callable[..., Any] = importlib.import_module(found.module).make_any
            return any_of
    maker: Callable[..., Any] = load("tasks", name).make
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
