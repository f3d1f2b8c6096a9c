"""What will be run: suites of blocks, their cells, `--set` overrides and filters; everything is checked before any compute.

A block is the cells that differ only in their seed; it is trained and evaluated in one go.
"""

from __future__ import annotations

import dataclasses
import fnmatch
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ilbench import registry
from ilbench.configs import build_config, cast, read, spelled
from ilbench.evidence import Protocol
from ilbench.fit import FitConfig
from ilbench.noise import unfit
from ilbench.rollout import SEEDS
from ilbench.types import Head, Task

NUMBERS = 100_000  # of seeds or horizons in one run at most


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
    versions: dict[str, int]  # of its plug-ins, by id
    plugins: dict[str, str]  # third parties' distributions, and digests of the files that plug-ins read

    @property
    def label(self) -> str:
        """How a person refers to the block."""
        return f"{self.task.id} H={self.task.horizon} {self.block.algorithm}/{self.block.head}"


# ------------------------------------------------------------------------------------------ configs
def _part(config: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    return {key.split(".", 1)[1]: value for key, value in config.items() if key.split(".", 1)[0] == prefix}


def _task_options(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """A task's options as the types that its maker declares; unknown ones stay, for the registry to refuse."""
    kinds = registry.task_options(name) if given else None
    if kinds is not None:
        return {key: cast("task", key, kinds[key], value) if key in kinds else value for key, value in given.items()}
    plain = {key: read(value) for key, value in given.items()}
    for key, value in plain.items():
        if isinstance(value, (list, dict)):
            raise ValueError(f"task.{key} must be a number or a word, got {value!r}")
    return plain


def check_seeds(seeds: Iterable[int]) -> None:
    """Raises ValueError unless there are seeds and each fits into one word of a key."""
    given = tuple(seeds)
    if not given:
        raise ValueError("no seeds; give at least one, e.g. --seeds 0-9")
    for seed in given:
        if not 0 <= seed < SEEDS:
            raise ValueError(f"seeds must lie in 0 ... {SEEDS - 1}, got {seed}")


def _identities(block: Block) -> tuple[dict[str, int], dict[str, str]]:
    """Versions of the block's plug-ins by id, and what third parties bring: `id -> "name==version"`, `id/file -> digest`."""
    versions, plugins = {}, {}
    for kind, name in (("algorithms", block.algorithm), ("heads", block.head)):
        found = registry.identity(kind, name)
        versions[name] = found.version
        if found.distribution is not None:
            plugins[name] = found.distribution
        plugins |= {f"{name}/{file}": digest for file, digest in found.digests.items()}
    return versions, plugins


def resolve(block: Block) -> Plan:
    """Looks every name up and builds every config; raises ValueError (UnknownName) before any compute."""
    algorithm, head_module = registry.load("algorithms", block.algorithm), registry.load("heads", block.head)
    for key in block.config:
        if key.split(".", 1)[0] not in (block.algorithm, block.head, "fit", "task") or "." not in key:
            raise ValueError(f"{block.task}: config key {key!r} is of no use to {block.algorithm}/{block.head}")
    check_seeds(block.seeds)
    task_config = _task_options(block.task, _part(block.config, "task"))
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
    resolved |= spelled(block.algorithm, config) | spelled(block.head, head_config) | spelled("fit", fit)
    check = getattr(algorithm, "check", None)
    if check is not None:
        check(block.labels // task.horizon, task, config)
    head = head_module.make(task, head_config)
    return Plan(block, task, head, algorithm, config, fit, resolved, *_identities(block))


# -------------------------------------------------------------------------------- overrides and filters
def load_suite(name: str) -> Suite:
    """The suite `quick`, or `quick@1` if that is its version; raises UnknownName with what there is."""
    stem, at, version = name.partition("@")
    suite: Suite = registry.load("suites", stem).suite()
    if at and version != str(suite.version):
        raise registry.UnknownName(
            f"suite {stem!r} has no version {version!r}; this ilbench runs {stem}@{suite.version} (ilbench list suites)"
        )
    return suite


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

    Prefixes are algorithm and head ids, `fit`, `task`, `evaluation` (all of Protocol but its name) and `block` (labels).
    Raises ValueError for a change that applies to no block.
    """
    out = tuple(blocks)
    for key, value in changes.items():
        prefix, name = key.split(".", 1)
        hit = [prefix in ("fit", "task", "evaluation", "block", b.algorithm, b.head) for b in out]
        if not any(hit):
            names = sorted({"fit", "task", "evaluation", "block"} | {b.algorithm for b in out} | {b.head for b in out})
            hint = registry.hint(prefix, names, after=f".{name}")
            raise ValueError(f"--set {key}: nothing in this run is called {prefix!r}. {hint}")
        out = tuple(_changed(b, prefix, name, value) if h else b for b, h in zip(out, hit, strict=True))
    return out


def _changed(block: Block, prefix: str, name: str, value: Any) -> Block:
    if prefix == "evaluation":
        # The protocol's name says how this ilbench evaluates: changing the word would not change what is done.
        fields = [f.name for f in dataclasses.fields(Protocol) if f.name != "name"]
        if name not in fields:
            hint = registry.hint(name, fields, before="evaluation.")
            raise ValueError(f"evaluation has no field {name!r} that --set may change. {hint}")
        protocol = dataclasses.asdict(block.protocol) | {name: value}
        return dataclasses.replace(block, protocol=build_config("evaluation", Protocol, protocol))
    if prefix == "block":
        if name != "labels":
            raise ValueError(f"block has no field {name!r} that --set may change; there is: labels")
        return dataclasses.replace(block, labels=cast("block", name, int, value))
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

    Where a suite reads prefixes off one rollout, or leaves the horizon to the task, a block gets H = max and reads the
    others off; where it has a block per horizon, there is one for each of those asked for. Raises UnknownName when a
    glob matches nothing, ValueError for horizons below 1, for seeds out of range and for an empty selection.
    """
    out = tuple(blocks)
    for kind, globs, attribute in (("tasks", tasks, "task"), ("algorithms", algorithms, "algorithm")):
        if globs is None:
            continue
        patterns = [p.strip() for p in globs.split(",") if p.strip()]
        if not patterns:
            there = ", ".join(sorted({getattr(b, attribute) for b in out}))
            raise ValueError(f"--{kind} {globs!r} selects nothing; leave it out for all, or choose from: {there}")
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
        check_seeds(seeds)
        out = tuple(dataclasses.replace(b, seeds=seeds) for b in out)
    return out


def _with_horizons(blocks: tuple[Block, ...], horizons: tuple[int, ...]) -> tuple[Block, ...]:
    longest, prefixes = max(horizons), tuple(sorted(h for h in set(horizons) if h < max(horizons)))
    out: dict[str, Block] = {}
    for b in blocks:
        if b.horizon is None or b.protocol.prefixes:  # a prefix sweep: one rollout of the longest gives the others
            steps = b.horizon or registry.task(b.task).horizon
            protocol = dataclasses.replace(b.protocol, prefixes=prefixes)
            episodes = max(1, b.labels // steps) if b.labels else 0
            new = dataclasses.replace(b, horizon=longest, protocol=protocol, labels=episodes * longest)
            out.setdefault(_key(new), new)
        else:  # independent runs per horizon at an equal step budget
            for h in horizons:
                scaled = dataclasses.replace(b.protocol, episodes=max(1, b.protocol.episodes * b.horizon // h))
                episodes = max(1, b.labels // b.horizon) if b.labels else 0
                new = dataclasses.replace(b, horizon=h, protocol=scaled, labels=episodes * h)
                out.setdefault(_key(new), new)
    return tuple(out.values())


def _key(block: Block) -> str:
    """What a block is, but for its evaluation episodes: an equal step budget is not equal after rounding."""
    fields = dataclasses.asdict(dataclasses.replace(block, protocol=dataclasses.replace(block.protocol, episodes=1)))
    return json.dumps(fields, sort_keys=True, default=str)


def parse_numbers(text: str, what: str) -> tuple[int, ...]:
    """`"0-9"` or `"16,32,64"` to integers; raises ValueError that says the form, and for more than NUMBERS of them."""
    ranges: list[range] = []
    for part in text.split(","):
        found = re.fullmatch(r"([0-9]+)(?:-([0-9]+))?", part.strip(), re.ASCII)
        if found is None:
            raise ValueError(f"--{what} takes numbers and ranges such as 0-9 or 16,32,64; got {text!r}")
        first, last = int(found[1]), int(found[2] or found[1])
        if last < first:
            raise ValueError(f"--{what} {part.strip()!r} runs backwards; write {last}-{first}")
        if what == "seeds":
            check_seeds((first, last))
        ranges.append(range(first, last + 1))
    # Counted before they are written out: a slip in the last digit must not fill the memory.
    if (count := sum(r.stop - r.start for r in ranges)) > NUMBERS:
        raise ValueError(f"--{what} {text!r} are {count} numbers; give at most {NUMBERS}")
    return tuple(dict.fromkeys(n for r in ranges for n in r))
