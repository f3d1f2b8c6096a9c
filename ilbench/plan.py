"""What will be run: suites of blocks, their cells, `--set` overrides and filters; everything is checked before any compute.

A block is the cells that differ only in their seed; it is trained and evaluated in one go.
"""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import fnmatch
import json
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ilbench import registry
from ilbench.evidence import Protocol
from ilbench.fit import FitConfig
from ilbench.noise import unfit
from ilbench.types import Head, Task


@dataclass(frozen=True)
class Block:
    """One line of a suite: a task, an algorithm and a head, a label budget, and the seeds that run together."""

    task: str
    algorithm: str
    head: str
    labels: int  # budget of expert labels per seed: demonstrations and validation included
    horizon: int | None = None  # None: the task's own
    seeds: tuple[int, ...] = tuple(range(10))
    config: Mapping[str, Any] = field(default_factory=dict)  # "dagger.rounds": 5, "fit.updates": 2000, "task.n": 10
    protocol: Protocol = Protocol()  # noqa: RUF009  frozen, so that sharing it is safe
    unit: int = 0  # episodes per collect call and seed; 0: as the algorithm asks


@dataclass(frozen=True)
class Suite:
    """A named, versioned tuple of blocks."""

    name: str
    version: int
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Plan:
    """A block with every name resolved and every number checked."""

    block: Block
    task: Task
    head: Head
    algorithm: Any  # the module
    config: Any  # the algorithm's Config
    fit: FitConfig
    resolved: dict[str, Any]  # every field of every config, as `--set` spells it: part of each cell's identity

    @property
    def label(self) -> str:
        """How a person refers to the block."""
        return f"{self.task.id} H={self.task.horizon} {self.block.algorithm}/{self.block.head}"


# ------------------------------------------------------------------------------------------ configs
def _cast(prefix: str, name: str, kind: Any, value: Any) -> Any:
    """`value` as the type a config field declares; raises ValueError that names the field, the value and the type."""
    if isinstance(value, str) and kind is not str:
        with contextlib.suppress(json.JSONDecodeError):
            value = json.loads(value.lower() if value in ("True", "False") else value)
    if typing.get_origin(kind) in (typing.Union, types.UnionType) and value is None:
        return None
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if typing.get_origin(kind) is tuple and isinstance(value, list):
        return tuple(value)
    plain = kind if isinstance(kind, type) else None
    if plain in (int, float, bool, str) and (
        not isinstance(value, plain) or (plain is int and isinstance(value, bool))
    ):
        raise ValueError(f"{prefix}.{name} must be {plain.__name__}, got {value!r}")
    return value


def build_config(prefix: str, cls: Any, given: Mapping[str, Any]) -> Any:
    """A config dataclass from `{"field": value}`; raises ValueError for unknown fields, with the closest match."""
    hints = typing.get_type_hints(cls)
    known = {f.name: hints[f.name] for f in dataclasses.fields(cls)}
    for name in given:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f" Did you mean {prefix}.{close[0]}?" if close else f" There are: {', '.join(known) or 'none'}."
            raise ValueError(f"{prefix} has no field {name!r}.{hint}")
    return cls(**{name: _cast(prefix, name, known[name], value) for name, value in given.items()})


def _part(config: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    return {key.split(".", 1)[1]: value for key, value in config.items() if key.split(".", 1)[0] == prefix}


def _spelled(prefix: str, config: Any) -> dict[str, Any]:
    return {
        f"{prefix}.{name}": list(v) if isinstance(v, tuple) else v for name, v in dataclasses.asdict(config).items()
    }


def resolve(block: Block) -> Plan:
    """Looks every name up and builds every config; raises ValueError (UnknownName) before any compute."""
    algorithm, head_module = registry.load("algorithms", block.algorithm), registry.load("heads", block.head)
    for key in block.config:
        if key.split(".", 1)[0] not in (block.algorithm, block.head, "fit", "task") or "." not in key:
            raise ValueError(f"{block.task}: config key {key!r} is of no use to {block.algorithm}/{block.head}")
    if not block.seeds:
        raise ValueError(f"{block.task}: no seeds; give at least one, e.g. --seeds 0-9")
    task_config = _part(block.config, "task")
    task = registry.task(block.task, block.horizon, **task_config)
    for module, what in ((head_module, block.head), (algorithm, block.algorithm)):
        reason = getattr(module, "skip", lambda task: None)(task)
        if reason:
            raise ValueError(f"{what} cannot run on {task.name}: {reason}")
    config = build_config(block.algorithm, algorithm.Config, _part(block.config, block.algorithm))
    head_config = build_config(block.head, head_module.Config, _part(block.config, block.head))
    fit = build_config("fit", FitConfig, _part(block.config, "fit"))
    if not getattr(algorithm, "INSTRUMENT", False) and block.labels < task.horizon:
        raise ValueError(
            f"{task.name}: a budget of {block.labels} labels buys no demonstration of {task.horizon} steps; "
            f"give at least {task.horizon}"
        )
    if block.protocol.noise and (reason := unfit(task)):
        raise ValueError(f"evaluation.noise on {task.name}: {reason}")
    resolved = {f"task.{k}": v for k, v in task_config.items()}
    resolved |= _spelled(block.algorithm, config) | _spelled(block.head, head_config) | _spelled("fit", fit)
    return Plan(block, task, head_module.make(task, head_config), algorithm, config, fit, resolved)


# -------------------------------------------------------------------------------- overrides and filters
def load_suite(name: str) -> Suite:
    """The suite of that name; raises UnknownName with the close matches."""
    return registry.load("suites", name).suite()


def parse_set(items: Iterable[str]) -> dict[str, str]:
    """`["dagger.rounds=10"]` to `{"dagger.rounds": "10"}`; raises ValueError for anything else."""
    out = {}
    for item in items:
        key, equals, value = item.partition("=")
        if not equals or "." not in key:
            raise ValueError(f"--set takes NAME.FIELD=VALUE, e.g. dagger.rounds=10; got {item!r}")
        out[key.strip()] = value.strip()
    return out


def override(blocks: Iterable[Block], changes: Mapping[str, Any]) -> tuple[Block, ...]:
    """Blocks with config fields changed where the prefix applies.

    Prefixes are algorithm and head ids, `fit`, `task`, `evaluation` (episodes, held_out) and `block` (labels).
    Raises ValueError for a change that applies to no block.
    """
    out = tuple(blocks)
    for key, value in changes.items():
        prefix, name = key.split(".", 1)
        hit = [prefix in ("fit", "task", "evaluation", "block", b.algorithm, b.head) for b in out]
        if not any(hit):
            names = sorted({"fit", "task", "evaluation", "block"} | {b.algorithm for b in out} | {b.head for b in out})
            close = difflib.get_close_matches(prefix, names, n=1)
            hint = f" Did you mean {close[0]}.{name}?" if close else f" There are: {', '.join(names)}."
            raise ValueError(f"--set {key}: nothing in this run is called {prefix!r}.{hint}")
        out = tuple(_changed(b, prefix, name, value) if h else b for b, h in zip(out, hit, strict=True))
    return out


def _changed(block: Block, prefix: str, name: str, value: Any) -> Block:
    if prefix == "evaluation":
        protocol = dataclasses.asdict(block.protocol) | {name: value}
        return dataclasses.replace(block, protocol=build_config("evaluation", Protocol, protocol))
    if prefix == "block":
        if name != "labels":
            raise ValueError(f"block has no field {name!r} that --set may change; there is: labels")
        return dataclasses.replace(block, labels=_cast("block", name, int, value))
    return dataclasses.replace(block, config={**block.config, f"{prefix}.{name}": value})


def select(
    blocks: Iterable[Block],
    *,
    tasks: str | None = None,
    algorithms: str | None = None,
    horizons: tuple[int, ...] | None = None,
    seeds: tuple[int, ...] | None = None,
) -> tuple[Block, ...]:
    """Blocks that match comma-separated globs, with horizons and seeds replaced where given.

    A block whose own horizon is set keeps the horizons asked for that the suite has; a prefix sweep gets H = max
    and reads the others off. Raises UnknownName when a glob matches nothing, ValueError for horizons below 1.
    """
    out = tuple(blocks)
    for kind, globs, attribute in (("tasks", tasks, "task"), ("algorithms", algorithms, "algorithm")):
        if globs is None:
            continue
        patterns = [p.strip() for p in globs.split(",") if p.strip()]
        for pattern in patterns:
            allowed = sorted({getattr(b, attribute) for b in out})
            if not fnmatch.filter(allowed, pattern):
                raise registry.unknown(kind, pattern, allowed)
        out = tuple(b for b in out if any(fnmatch.fnmatch(getattr(b, attribute), p) for p in patterns))
    if horizons is not None:
        if not horizons or min(horizons) < 1:
            raise ValueError(f"horizons must be at least 1, got {horizons}")
        out = _with_horizons(out, horizons)
    if seeds is not None:
        if not seeds:
            raise ValueError("no seeds; give at least one, e.g. --seeds 0-9")
        out = tuple(dataclasses.replace(b, seeds=seeds) for b in out)
    return out


def _with_horizons(blocks: tuple[Block, ...], horizons: tuple[int, ...]) -> tuple[Block, ...]:
    out: dict[Any, Block] = {}
    for b in blocks:
        if b.horizon is None or b.protocol.prefixes:  # a prefix sweep: one rollout of the longest gives the others
            steps = b.horizon or registry.task(b.task).horizon
            protocol = dataclasses.replace(b.protocol, prefixes=tuple(h for h in horizons if h < max(horizons)))
            episodes = max(1, b.labels // steps)
            new = dataclasses.replace(b, horizon=max(horizons), protocol=protocol, labels=episodes * max(horizons))
            out[(b, max(horizons))] = new
        else:  # independent runs per horizon at an equal step budget
            for h in horizons:
                scaled = dataclasses.replace(b.protocol, episodes=max(1, b.protocol.episodes * b.horizon // h))
                episodes = max(1, b.labels // b.horizon) if b.labels else 0
                new = dataclasses.replace(b, horizon=h, protocol=scaled, labels=episodes * h)
                out.setdefault((b.task, b.algorithm, b.head, str(dict(b.config)), h), new)
    return tuple(out.values())


def parse_numbers(text: str, what: str) -> tuple[int, ...]:
    """`"0-9"` or `"16,32,64"` to integers; raises ValueError that says the form."""
    out: list[int] = []
    try:
        for part in text.split(","):
            first, dash, last = part.strip().partition("-")
            out += range(int(first), int(last) + 1) if dash else [int(first)]
    except ValueError:
        raise ValueError(f"--{what} takes numbers and ranges such as 0-9 or 16,32,64; got {text!r}") from None
    return tuple(dict.fromkeys(out))
