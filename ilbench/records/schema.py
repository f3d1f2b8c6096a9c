"""The Record: what one Cell leaves behind. Schema, identity and provenance; ilbench/records/store.py puts it on disk.

A Cell's id is the sha256 of its canonical JSON and of nothing else: hardware, versions and times are stated, and are
never part of which record it is. What changes results changes a cell: a task's version, an expert's digest, a setting.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import json
import math
import operator
import os
import pathlib
import platform
import re
import subprocess
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    ValidationInfo,
    model_validator,
)

import ilbench

SCHEMA = "ilbench.record/1"
KNOWN = {"bytes": "found sound before"}  # the context in which a record's id is not computed again, for ilbench/records/index.py alone
MAX_BYTES = 8192  # of one JSON file
MAX_EPISODES = 256  # above this the per-episode lists give way to their mean and sd
LEAST_BYTES = 1000  # of a record beside its cell and its lists of episodes: field names, hashes, provenance
PACKAGES = ("jax", "jaxlib", "brax", "mujoco", "mujoco-mjx", "flax", "optax", "numpy", "scipy")
# A path that starts at a root (with two parts or more), a home or a drive: it would tell on the machine.
PATH = re.compile(r"(?:(?<![\w.~/:-])/(?:[^\s/'\":,;()]+/)+|(?<![\w/])~/|\b[A-Za-z]:\\|file://)[^\s'\":,;()]*")


# ------------------------------------------------------------------------------------------- schema
def _plain(value: Any, where: str = "setting") -> Any:
    """`value` as JSON: tuples become lists; raises ValueError for what has no canonical form."""
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{where} is {value}; allowed are finite numbers, and null for 'none'")
        return float(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, (list, tuple)):
        return [_plain(v, f"{where}[{i}]") for i, v in enumerate(value)]
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise ValueError(f"{where} has the key {key!r}; keys are strings")
        return {k: _plain(v, f"{where}.{k}") for k, v in value.items()}
    raise ValueError(
        f"{where} is a {type(value).__module__}.{type(value).__qualname__}; allowed are bool, int, float, str, None, "
        "lists and dicts of them: convert arrays and NumPy scalars with .tolist()"
    )


Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._+-]{0,79}$")]
Versioned = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._+-]{0,63}@[0-9]{1,9}$")]
# hopper@1, brax:ant/mjx@1
TaskName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._+-]{0,63}(:[a-z0-9_]+/[a-z0-9_]+)?@[0-9]{1,9}$")]
Settings = Annotated[dict[str, JsonValue], BeforeValidator(_plain)]
Count = Annotated[int, Field(ge=0)]
Scores = dict[Annotated[str, Field(min_length=1, max_length=80)], float | None]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Model(BaseModel):
    model_config = ConfigDict(
        strict=True, extra="forbid", frozen=True, allow_inf_nan=False, validate_by_name=True, serialize_by_alias=True
    )


def neutral(default: Any) -> Any:
    """A field that is not spelled while it has its default: added later, it changes no id and no seal of older records.

    Only for what leaves every number as it was at the default; anything else makes a new cell.
    """
    # No Python code in the callback: an interrupt that arrives in one is swallowed, and the field would be spelled.
    return Field(default=default, exclude_if=functools.partial(operator.eq, default))


def _other_than_1(versions: dict[str, int]) -> dict[str, int]:
    """Version 1 and no version are one thing, so that they are one id."""
    return {name: version for name, version in versions.items() if version != 1}


Versions = Annotated[dict[Name, Annotated[int, Field(ge=1)]], AfterValidator(_other_than_1)]
Texts = dict[Annotated[str, Field(min_length=1, max_length=120)], Annotated[str, Field(max_length=200)]]


class Cell(_Model):
    """One thing to run: everything that decides its outcome, and nothing else."""

    task: TaskName
    expert: Annotated[str, Field(pattern=r"^[0-9a-f]{8,64}$")]  # digest of the expert's weights
    algorithm: Name
    head: Name
    config: Settings  # fully resolved: algorithm, head, optimiser
    horizon: Annotated[int, Field(ge=1)]
    budget: Count  # expert labels
    evaluation: Settings  # episodes, protocol name and version, deltas, prefixes
    seed: Count
    versions: Versions = neutral({})  # of algorithm and head plug-ins by id, where other than 1
    plugins: Texts = neutral({})  # of third parties: id -> "distribution==version", id/file -> digest of what it reads


class Reference(_Model):
    """A reference return: mean, 95 % interval, episodes (0: exact)."""

    mean: float | None
    ci: Annotated[tuple[float, float], Field(strict=False)] | None = None
    n: Count = 0


class Episodes(_Model):
    """Evaluation episodes: return and total 0-1 cost, each value only when there are at most 256."""

    n: Count = 0
    n_failing: Count = 0  # episodes with a cost above zero
    return_mean: float | None = None
    return_sd: float | None = None
    cost_mean: float | None = None
    cost_sd: float | None = None
    returns: list[float | None] | None = None
    costs: list[float | None] | None = None

    @model_validator(mode="after")
    def _lengths(self) -> Self:
        for name in ("returns", "costs"):
            values = getattr(self, name)
            if values is not None and (len(values) != self.n or self.n > MAX_EPISODES):
                raise ValueError(
                    f"episodes.{name} holds {len(values)} values for n = {self.n}; it holds n values when n is at most "
                    f"{MAX_EPISODES} and is null otherwise: use summarise_episodes"
                )
        return self


class Cost(_Model):
    """What the cell was charged: counts, and seconds with compiling apart (of the block divided by its seeds).

    `gradient_steps` are the policy's; `eval_steps` those of the clean evaluation, and a noisy one takes as many again, as does
    each target and each kind of branch of 0-1 deployment.
    """

    labels: Count = 0
    env_steps: Count = 0
    gradient_steps: Count = 0
    eval_steps: Count = 0
    compile_s: float | None = None
    run_s: float | None = None
    shared_s: float | None = neutral(None)  # apart from run_s: what this block made first and others of its task use too
    takeovers: Count = neutral(0)  # times that control went from the learner to the expert
    takeover_steps: Count = neutral(0)  # live steps that followed, up to the hand-over
    switches: Count = neutral(0)  # changes of control in either direction
    model_steps: Count = neutral(0)  # gradient steps of whatever else was trained: dynamics, critics, classifiers


class Provenance(_Model):
    """Where the numbers come from. No part of what a cell is: records of other code count as present."""

    ilbench: str
    python: str
    git_sha: str | None = None
    git_dirty: bool | None = None
    packages: dict[str, str] = {}
    device: str | None = None  # kind, e.g. "cpu"
    devices: Count | None = None
    block: Count | None = None
    precision: str | None = None
    prng: str | None = None
    settings: Settings = neutral({})  # process-wide settings that move bits, where other than usual
    distributions: Texts = neutral({})  # name -> version of what third-party plug-ins came in


class Record(_Model):
    """What one Cell leaves behind. Build it with `make_record`; `ilbench.records.store.write` seals and stores it."""

    schema_: Literal["ilbench.record/1"] = Field(default="ilbench.record/1", alias="schema")
    id: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    suite: Versioned
    cell: Cell
    status: Literal["ok", "diverged", "failed"]
    reason: Annotated[str, Field(max_length=500)] | None = None
    scores: Scores = {}
    episodes: Episodes = Episodes()
    references: dict[str, Reference] = {}  # "random" and "expert"
    cost: Cost = Cost()
    variants: dict[str, Scores] = {}  # e.g. dagger's last, best, mixture
    provenance: Provenance
    sidecar: Sha256 | None = None  # of the safetensors file
    self_hash: Sha256 | None = None  # of everything else in this record

    @model_validator(mode="after")
    def _consistent(self, info: ValidationInfo) -> Self:
        if info.context is KNOWN:
            return self
        if self.id != cell_id(self.cell):
            raise ValueError(f"id {self.id} is not that of the cell, {cell_id(self.cell)}: one of them was changed")
        if (self.status == "ok") != (self.reason is None):
            raise ValueError(f"status {self.status} with reason {self.reason!r}: ok has none, the others need one")
        return self


# ------------------------------------------------------------------------------------------ identity
def canonical(value: Any) -> str:
    """Canonical JSON: sorted keys, no spaces, ASCII, floats by repr, ints as ints; raises ValueError for NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def cell_id(cell: Cell) -> str:
    """The first 32 hex digits of the sha256 of the Cell's canonical JSON."""
    return hashlib.sha256(canonical(cell.model_dump()).encode()).hexdigest()[:32]


def seal(record: Record) -> Record:
    """The record with its hash of itself filled in."""
    return record.model_copy(update={"self_hash": content_hash(record)})


def content_hash(record: Record) -> str:
    """sha256 hex of the record without its own hash."""
    return hashlib.sha256(canonical(record.model_dump(exclude={"self_hash"})).encode()).hexdigest()


# ------------------------------------------------------------------------------------------ building
def check_cell(cell: Cell) -> None:
    """Raises ValueError, before any compute, for a cell that no record can hold: with a path in it, or too large."""
    for part, value in cell.model_dump().items():
        for name, one in value.items() if isinstance(value, dict) else [("", value)]:
            found = PATH.search(canonical({name: one}))
            if found:
                where = f"{part}.{name}" if name and part != "config" else name or part
                raise ValueError(
                    f"{where} holds the path {found[0]!r}; records name no machine and go to others: give a path relative "
                    "to the folder of the run, or a name"
                )
    episodes = cell.evaluation.get("episodes")
    listed = episodes if isinstance(episodes, int) and episodes <= MAX_EPISODES else 0
    least = len(canonical(cell.model_dump())) + LEAST_BYTES + 2 * len("0.0,") * listed
    if least > MAX_BYTES:
        sizes = {f"config.{k}": len(canonical(v)) for k, v in cell.config.items()}
        largest = max(sizes, key=lambda key: sizes[key], default="config")
        raise ValueError(
            f"the cell's record would have {least} bytes or more, allowed are {MAX_BYTES}; the largest setting is {largest} "
            f"with {sizes.get(largest, 0)}: put long values into a file and name it"
        )


def make_record(cell: Cell, suite: str, *, reason: str | None = None, **fields: Any) -> Record:
    """A Record with its id; `reason` is scrubbed and cut to 500 characters. Raises ValueError as the schema does."""
    reason = None if reason is None else scrub(reason)[:500]
    return Record(id=cell_id(cell), suite=suite, cell=cell, reason=reason, **{"provenance": provenance(), **fields})


def scrub(text: str) -> str:
    """`text` with every absolute path cut down to its last part (exception messages are full of them)."""
    text = text.replace(os.path.expanduser("~") + os.sep, "~/")
    return PATH.sub(lambda m: re.split(r"[\\/]", m[0].rstrip("\\/"))[-1] or "path", text)


def summarise_episodes(returns: Iterable[float], costs: Iterable[float]) -> Episodes:
    """Episodes from returns `[N]` and total 0-1 costs `[N]`; lists at float32's seven digits, non-finite as null."""
    pair = [[float(x) for x in xs] for xs in (returns, costs)]
    if len(pair[0]) != len(pair[1]):
        raise ValueError(f"{len(pair[0])} returns but {len(pair[1])} costs; give one of each per episode")
    n = len(pair[0])
    (r_mean, r_sd), (c_mean, c_sd) = (_mean_sd(xs) for xs in pair)
    lists = [[float(f"{x:.7g}") if math.isfinite(x) else None for x in xs] for xs in pair if n <= MAX_EPISODES]
    return Episodes(
        n=n,
        n_failing=sum(x != 0 for x in pair[1]),
        return_mean=r_mean,
        return_sd=r_sd,
        cost_mean=c_mean,
        cost_sd=c_sd,
        returns=lists[0] if lists else None,
        costs=lists[1] if lists else None,
    )


def _mean_sd(values: list[float]) -> tuple[float | None, float | None]:
    if not values or not all(map(math.isfinite, values)):
        return None, None
    mean = math.fsum(values) / len(values)
    if len(values) == 1:
        return mean, None
    return mean, math.sqrt(math.fsum((x - mean) ** 2 for x in values) / (len(values) - 1))


def provenance(*, settings: Mapping[str, Any] | None = None, **known: Any) -> Provenance:
    """Versions and git state, importing none of it; `known`: device, devices, block, precision, prng.

    `settings`: what of the process moves bits; texts among them are scrubbed and cut to 300 characters.
    """
    sha, dirty = _git(pathlib.Path(ilbench.__file__).resolve().parent.parent)
    return Provenance(
        ilbench=ilbench.__version__,
        python=platform.python_version(),
        git_sha=sha,
        git_dirty=dirty,
        packages=dict(_versions()),
        settings={k: scrub(v)[:300] if isinstance(v, str) else v for k, v in (settings or {}).items()},
        **known,
    )


@functools.cache
def _versions() -> tuple[tuple[str, str], ...]:
    found = []
    for name in PACKAGES:
        try:
            found.append((name, importlib.metadata.version(name)))
        except importlib.metadata.PackageNotFoundError:
            continue
    return tuple(found)


@functools.cache
def _git(root: pathlib.Path) -> tuple[str | None, bool | None]:
    """(sha, dirty) of a checkout of ilbench; (None, None) for an installed wheel, even inside somebody's repository."""
    # A hook of another repository sets GIT_DIR and its kind for its children: they must not answer for this checkout.
    env = {name: value for name, value in os.environ.items() if not name.upper().startswith("GIT_")}

    def git(*words: str) -> str:
        command = ["git", "--no-optional-locks", "-C", str(root), *words]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10, env=env)
        return done.stdout.strip()

    try:
        own = (root / "pyproject.toml").is_file()
        if not own or pathlib.Path(git("rev-parse", "--show-toplevel")).resolve() != root:
            return None, None
        code = ("ilbench", "envs", "bench", "pyproject.toml")  # results that a run adds do not make the code dirty
        return git("rev-parse", "HEAD"), bool(git("status", "--porcelain", "--", *code))
    except (OSError, subprocess.SubprocessError):
        return None, None
