"""What will be run: suites of blocks, a block with every name looked up and every number checked, and its cells.

A block is the cells that differ only in their seed; it is trained and evaluated in one go.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ilbench import plugins, registry
from ilbench.configs import build_config, cast, read, spelled, stated
from ilbench.evaluation import deployment
from ilbench.evaluation.evidence import Protocol
from ilbench.records.schema import Cell
from ilbench.rollouts.keys import SEEDS
from ilbench.training import shapes
from ilbench.training.fit import FitConfig
from ilbench.types import Head, Task
from ilbench.wrappers.noisy import unfit
from ilbench.wrappers.policy import PolicyConfig, wrapped
from ilbench.wrappers.recorded import recorded


@dataclass(frozen=True)
class Block:
    """One line of a suite: a task, an algorithm and a head, a label budget, and the seeds that run together."""

    task: str
    algorithm: str
    head: str
    budget: int  # expert labels per seed: demonstrations and validation included
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
    algorithm: plugins.Algorithm
    config: Any  # the algorithm's Config
    fit: FitConfig
    resolved: dict[str, Any]  # every field of every config, as `--set` spells it: part of each cell's identity
    versions: dict[str, int]  # of its plug-ins, by id
    plugins: dict[str, str]  # third parties' distributions, and digests of the files that plug-ins read

    @property
    def label(self) -> str:
        """How a person refers to the block."""
        return f"{self.task.id} H={self.task.horizon} {self.block.algorithm}/{self.block.head}"


def load_suite(name: str) -> Suite:
    """The suite `quick`, or `quick@1` if that is its version; raises UnknownName with what there is."""
    stem, at, version = name.partition("@")
    suite: Suite = registry.load("suites", stem).suite()
    if at and version != str(suite.version):
        raise registry.UnknownName(
            f"suite {stem!r} has no version {version!r}; this ilbench runs {stem}@{suite.version} (ilbench list suites)"
        )
    return suite


# ---------------------------------------------------------------------------------------- resolving
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
    algorithm, kind = plugins.algorithm(block.algorithm), plugins.head(block.head)
    for key in block.config:
        if key.split(".", 1)[0] not in (block.algorithm, block.head, "fit", "policy", "task") or "." not in key:
            raise ValueError(f"{block.task}: config key {key!r} is of no use to {block.algorithm}/{block.head}")
    check_seeds(block.seeds)
    options = _part(block.config, "task")
    file = options.pop("demonstrations", None)  # any task's: what is in it is the cell's expert, its path is nobody's business
    task_config = _task_options(block.task, options)
    task: Task = registry.task(block.task, block.horizon, **task_config)
    if file is not None:
        task = recorded(task, str(file))
    if reason := kind.skip(task.spec):
        raise ValueError(f"{block.head} cannot run on {task.name}: {reason}")
    config = build_config(block.algorithm, algorithm.Config, _part(block.config, block.algorithm))
    head_config = build_config(block.head, kind.Config, _part(block.config, block.head))
    fit = build_config("fit", FitConfig, _part(block.config, "fit"))
    policy = build_config("policy", PolicyConfig, _part(block.config, "policy"))
    if policy.sample and task.expert is not None and task.expert.dist is not None:
        raise ValueError(
            f"policy.sample on {task.name}: its expert tells its law, against which one draw is no measure of what it is drawn from; "
            "leave policy.sample out, or take an algorithm that deploys draws with their law (on_policy_distillation)"
        )
    if not algorithm.instrument and block.budget < task.horizon:
        raise ValueError(
            f"{task.name}: a budget of {block.budget} labels buys no demonstration of {task.horizon} steps; "
            f"give at least {task.horizon}"
        )
    if block.protocol.noise and (reason := unfit(task)):
        raise ValueError(f"evaluation.noise on {task.name}: {reason}")
    deployment.check(task, block.protocol)
    resolved = {f"task.{k}": v for k, v in task_config.items()}
    resolved |= spelled(block.algorithm, config) | spelled(block.head, head_config) | spelled("fit", fit) | spelled("policy", policy)
    head = wrapped(lambda spec: kind.make(spec, head_config), task.spec, policy)
    try:
        shapes.check_head(head, task.env.obs, task.env.action, task.horizon)
    except ValueError as error:
        raise ValueError(f"{block.head} on {task.name}: {error}") from error
    if reason := algorithm.skip(task, head):
        raise ValueError(f"{block.algorithm} cannot run on {task.name}: {reason}")
    algorithm.check(block.budget, task, head, config)
    return Plan(block, task, head, algorithm, config, fit, resolved, *_identities(block))


def cells(plan: Plan) -> dict[int, Cell]:
    """The cell of every seed of a block."""
    from ilbench.experts import weights

    block, task = plan.block, plan.task
    evaluation = stated(block.protocol) | {"deltas": task.deltas}
    expert = task.demonstrator or weights.digest(task.ask().params)
    return {
        seed: Cell(
            task=task.name,
            expert=expert,
            algorithm=block.algorithm,
            head=block.head,
            config=plan.resolved,
            horizon=task.horizon,
            budget=block.budget,
            evaluation=evaluation,
            seed=seed,
            versions=plan.versions,
            plugins=plan.plugins,
        )
        for seed in block.seeds
    }
