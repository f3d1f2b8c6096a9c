"""Which blocks of a suite run, and with what changed: globs, `--horizons`, `--seeds` and `--set`, from text or from Python."""

from __future__ import annotations

import dataclasses
import fnmatch
import json
import math
import operator
import re
from collections.abc import Iterable, Mapping
from typing import Any

from ilbench import plugins, registry
from ilbench.configs import build_config, cast
from ilbench.evaluation.evidence import Protocol
from ilbench.names import close, hint
from ilbench.running.plan import Block, check_seeds, load_suite
from ilbench.training.fit import FitConfig
from ilbench.wrappers.policy import PolicyConfig

NUMBERS = 100_000  # of seeds or horizons in one run at most
SHARED = ("fit", "policy", "task", "evaluation", "block")  # prefixes of `--set` that every block has


def parse_set(items: Iterable[str]) -> dict[str, str]:
    """`["dagger.rounds=10"]` to `{"dagger.rounds": "10"}`; raises ValueError for anything else."""
    out = {}
    for item in items:
        key, equals, value = item.partition("=")
        name, dot, field = key.strip().partition(".")
        if not (equals and name and dot and field):
            raise ValueError(f"--set takes NAME.FIELD=VALUE, e.g. dagger.rounds=10; got {item!r}")
        out[key.strip()] = value.strip()
    return out


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


def _integers(given: Any, what: str) -> tuple[int, ...]:
    """Integers, each once, from `"0-9"` or from any iterable of integers, NumPy's too; raises ValueError for anything else."""
    if isinstance(given, str):
        return parse_numbers(given, what)
    try:
        numbers = [n if isinstance(n, bool) else operator.index(n) for n in given]
    except TypeError:
        numbers = [True]
    if any(n is True or n is False for n in numbers):
        raise ValueError(f"{what} are integers, e.g. range(10), (0, 1, 2) or '0-9', got {given!r:.80}")
    return tuple(dict.fromkeys(numbers))


# ------------------------------------------------------------------------------------------ changes
def _fields(block: Block) -> list[str]:
    """What `changes` may name of a block's algorithm, head and optimiser, as `fit.updates`."""
    of: dict[str, Any] = {"fit": FitConfig, "policy": PolicyConfig}
    of |= {b: registry.load(kind, b).Config for kind, b in (("algorithms", block.algorithm), ("heads", block.head))}
    return [f"{prefix}.{f.name}" for prefix, config in of.items() for f in dataclasses.fields(config)]


def _checked(blocks: tuple[Block, ...], changes: Any) -> Mapping[str, Any]:
    """`{"fit.updates": 5}`, blocks' own fields first; raises ValueError for what has another form."""
    if not isinstance(changes, Mapping):
        raise ValueError(f'changes are a dict such as {{"fit.updates": 500}}, got {changes!r:.80}')
    for key in changes:
        if not isinstance(key, str) or not all(key.partition(".")):
            same = sorted({f for b in blocks for f in _fields(b) if f.split(".")[1] == key}) or ["fit.updates"]
            raise ValueError(f"changes: {key!r:.80} should be NAME.FIELD, e.g. {' or '.join(same)}")
    # A head that is swapped in has fields of its own, which other changes may set.
    return dict(sorted(changes.items(), key=lambda item: not item[0].startswith("block.")))


def override(blocks: Iterable[Block], changes: Mapping[str, Any]) -> tuple[Block, ...]:
    """Blocks with config fields changed where the prefix applies.

    Prefixes are algorithm and head ids, `fit`, `policy`, `task`, `evaluation` (all of Protocol but its name) and `block` (budget, head).
    Raises ValueError for a change that applies to no block.
    """
    out = tuple(blocks)
    for key, value in _checked(out, changes).items():
        prefix, name = key.split(".", 1)
        hit = [prefix in (*SHARED, b.algorithm, b.head) for b in out]
        if not any(hit):
            there = sorted({*SHARED} | {b.algorithm for b in out} | {b.head for b in out})
            near = hint(prefix, there, after=f".{name}")
            raise ValueError(f"--set {key}: nothing in this run is called {prefix!r}. {near}")
        if key == "block.head":
            _fits_all(out, value)
        out = tuple(_changed(b, prefix, name, value) if h else b for b, h in zip(out, hit, strict=True))
    return out


def _fits_all(blocks: tuple[Block, ...], head: Any) -> None:
    """Raises UnknownName for a head that is none, and ValueError naming the tasks of these blocks that it cannot run on."""
    skip = plugins.head(str(head)).skip
    reasons = {name: skip(registry.task(name).spec) for name in sorted({b.task for b in blocks})}
    if bad := {name: reason for name, reason in reasons.items() if reason}:
        good = [name for name in reasons if name not in bad]
        which = f"; it can run with --tasks {','.join(good)}" if good else ""
        raise ValueError(f"--set block.head={head}: {next(iter(bad.values()))}; not on {', '.join(bad)}{which}")


def _changed(block: Block, prefix: str, name: str, value: Any) -> Block:
    if prefix == "evaluation":
        # The protocol's name says how this ilbench evaluates: changing the word would not change what is done.
        fields = [f.name for f in dataclasses.fields(Protocol) if f.name != "name"]
        if name not in fields:
            near = hint(name, fields, before="evaluation.")
            raise ValueError(f"evaluation has no field {name!r} that --set may change. {near}")
        protocol = dataclasses.asdict(block.protocol) | {name: value}
        return dataclasses.replace(block, protocol=build_config("evaluation", Protocol, protocol))
    if prefix == "block":
        if name == "head":  # what was set of the old head goes with it
            kept = {
                key: v for key, v in block.config.items() if key.split(".", 1)[0] != block.head or value == block.head
            }
            return dataclasses.replace(block, head=str(value), config=kept)
        if name in ("horizon", "seeds"):
            raise ValueError(f"block.{name} is not for --set; give --{name.rstrip('s')}s {value}")
        if name != "budget":
            raise ValueError(f"block has no field {name!r} that --set may change; there are: budget, head")
        return dataclasses.replace(block, budget=cast("block", name, int, value))
    return dataclasses.replace(block, config={**block.config, f"{prefix}.{name}": value})


# ---------------------------------------------------------------------------------------- selection
def _patterns(given: Any, kind: str, there: Iterable[str]) -> list[str]:
    """Globs from `"cliff,grid*"` or `["cliff", "grid*"]`; raises ValueError for other types and for none at all."""
    parts = given.split(",") if isinstance(given, str) else list(given) if isinstance(given, Iterable) else None
    if parts is None or not all(isinstance(p, str) for p in parts):
        raise ValueError(f"{kind} are names or globs, 'a,b*' or ['a', 'b*'], got {given!r:.80}")
    if not (patterns := [p.strip() for p in parts if p.strip()]):
        choices = ", ".join(sorted(set(there)))
        raise ValueError(f"--{kind} {given!r} selects nothing; leave it out for all, or choose from: {choices}")
    return patterns


def _plain(block: Block) -> Block:
    """A block whose numbers are Python's: a suite that was written with NumPy gives the same cells."""
    steps = None if block.horizon is None else operator.index(block.horizon)
    budget = operator.index(block.budget)
    return dataclasses.replace(block, seeds=_integers(block.seeds, "seeds"), budget=budget, horizon=steps)


def _elsewhere(
    kind: str, name: str, attribute: str, all_blocks: tuple[Block, ...], left: tuple[Block, ...]
) -> Exception:
    """The error for a name that none of the blocks left has: unknown, or known and of another suite or another task."""
    allowed = sorted({getattr(b, attribute) for b in left})
    known = set(registry.entries(kind)) | {getattr(b, attribute) for b in all_blocks}
    if name not in known:
        elsewhere = not close(name, allowed) and close(name, known)
        return registry.unknown(kind, name, sorted(known) if elsewhere else allowed)
    here = ", ".join(allowed)
    if any(getattr(b, attribute) == name for b in all_blocks):
        tasks = ", ".join(sorted({b.task for b in left}))
        return registry.UnknownName(f"{name} is not run on {tasks} here; what is: {here}")
    suites = {suite: load_suite(suite).blocks for suite in registry.entries("suites")}
    this = next((f"suite {suite}" for suite, blocks in suites.items() if blocks == all_blocks), "this suite")
    others = ", ".join(suite for suite, blocks in suites.items() if any(getattr(b, attribute) == name for b in blocks))
    what = "an algorithm" if kind == "algorithms" else f"a {kind.rstrip('s')}"
    where = f"suites that have: {others}" if others else "no suite has"
    return registry.UnknownName(
        f"{name} is {what}, but {this} has no block of it; {where}; in {this} there are: {here}"
    )


def select(
    blocks: Iterable[Block],
    *,
    tasks: str | Iterable[str] | None = None,
    algorithms: str | Iterable[str] | None = None,
    horizons: str | Iterable[int] | None = None,
    seeds: str | Iterable[int] | None = None,
) -> tuple[Block, ...]:
    """Blocks that match comma-separated globs, with horizons and seeds replaced where given.

    Where a suite reads prefixes off one rollout, or leaves the horizon to the task, a block gets H = max and reads the
    others off; where it has a block per horizon, there is one for each of those asked for. Raises UnknownName when a
    glob matches nothing (and says which suites have what is known), ValueError for what is no name and no integer, for
    horizons below 1, for seeds out of range and for an empty selection.
    """
    every = tuple(blocks)
    out = tuple(map(_plain, every))
    for kind, globs, attribute in (("tasks", tasks, "task"), ("algorithms", algorithms, "algorithm")):
        if globs is None:
            continue
        allowed = sorted({getattr(b, attribute) for b in out})
        patterns = _patterns(globs, kind, allowed)
        for pattern in patterns:
            if not fnmatch.filter(allowed, pattern):
                raise _elsewhere(kind, pattern, attribute, every, out)
        out = tuple(b for b in out if any(fnmatch.fnmatch(getattr(b, attribute), p) for p in patterns))
    if horizons is not None:
        steps = _integers(horizons, "horizons")
        if not steps or min(steps) < 1:
            raise ValueError(f"horizons must be at least 1, got {horizons}")
        out = _with_horizons(out, steps)
    if seeds is not None:
        numbers = _integers(seeds, "seeds")
        check_seeds(numbers)
        out = tuple(dataclasses.replace(b, seeds=numbers) for b in out)
    return out


def _with_horizons(blocks: tuple[Block, ...], horizons: tuple[int, ...]) -> tuple[Block, ...]:
    longest, prefixes = max(horizons), tuple(sorted(h for h in set(horizons) if h < max(horizons)))
    out: dict[str, Block] = {}
    for b in blocks:
        if b.horizon is None or b.protocol.prefixes:  # a prefix sweep: one rollout of the longest gives the others
            steps = b.horizon or registry.task(b.task).horizon
            protocol = dataclasses.replace(_calibrated(b.protocol, steps, longest), prefixes=prefixes)
            episodes = max(1, b.budget // steps) if b.budget else 0
            new = dataclasses.replace(b, horizon=longest, protocol=protocol, budget=episodes * longest)
            out.setdefault(_key(new), new)
        else:  # independent runs per horizon at an equal step budget
            for h in horizons:
                protocol = _calibrated(b.protocol, b.horizon, h)
                scaled = dataclasses.replace(protocol, episodes=max(1, b.protocol.episodes * b.horizon // h))
                episodes = max(1, b.budget // b.horizon) if b.budget else 0
                new = dataclasses.replace(b, horizon=h, protocol=scaled, budget=episodes * h)
                out.setdefault(_key(new), new)
    return tuple(out.values())


def _calibrated(protocol: Protocol, steps: int, horizon: int) -> Protocol:
    """The protocol with as many calibration steps at another horizon, where 0-1 deployment takes some: targets stay resolved."""
    if not protocol.snap:
        return protocol
    return dataclasses.replace(protocol, calibration=math.ceil(protocol.calibration * steps / horizon))


def _key(block: Block) -> str:
    """What a block is, but for its evaluation episodes: an equal step budget is not equal after rounding."""
    fields = dataclasses.asdict(dataclasses.replace(block, protocol=dataclasses.replace(block.protocol, episodes=1)))
    return json.dumps(fields, sort_keys=True, default=str)
