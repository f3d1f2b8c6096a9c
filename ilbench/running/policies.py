"""Policies by name: read back from a record that `ilbench run --save-policies` left, or trained now from demonstrations.

A saved policy is arrays by path in the record's sidecar, leaves `[M, ...]` of M mixed iterates. Nothing in the file is
executed: the head is rebuilt from the record's own config, and every array must have the head's name, type and shape
and be finite.
"""

from __future__ import annotations

import dataclasses
import pathlib
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from ilbench import registry
from ilbench.names import meant
from ilbench.records import store
from ilbench.records.schema import Record
from ilbench.running import plan, trained_now
from ilbench.running.plan import Block
from ilbench.training.deployed import untrained
from ilbench.types import Policy, Task

PREFIX = "policy/"
FOLDERS = ("runs", "results")
TRAINED = re.compile(r"([a-z][a-z0-9_]*)(?:/([a-z][a-z0-9_]*))?:([0-9]+)")  # ALGORITHM[/HEAD]:EPISODES
MAX_MIXED = 10_000  # iterates of a mixture


class Loaded(NamedTuple):
    """A policy of one seed, leaves `[1, M, ...]`, the task it was trained on, and where it comes from."""

    policy: Policy
    task: Task
    source: str
    told: tuple[str, ...] = ()  # of one trained now: whose settings it has


def find(
    text: str,
    task: str,
    *,
    results: str | None = None,
    seed: int = 0,
    horizon: int | None = None,
    changes: Mapping[str, Any] | None = None,
    suite: str | None = None,
) -> Any:
    """What POLICY means, before any compute: a `Training`, or a `Record` and the folder it lies in.

    POLICY is `ALGORITHM[/HEAD]:EPISODES`, a record id (or the first 6 digits or more) or the path of a record's JSON file or sidecar.
    What is trained has the settings of `suite`, by default of the first that runs the algorithm on the task.
    Raises ValueError (UnknownName for names, with the closest match) or StoreError.
    """
    path = pathlib.Path(text)
    named = TRAINED.fullmatch(text)
    if named:
        return trained_now.training(named[1], named[2], int(named[3]), task, seed, horizon, changes or {}, suite)
    if path.suffix in (".json", ".safetensors"):
        found = by_file(path)
    elif re.fullmatch(r"[0-9a-f]{6,32}", text):
        found = by_id(text, results)
    else:
        near = meant(text.split(":")[0].split("/")[0], registry.entries("algorithms"), after=":20")
        raise ValueError(
            f"{text!r} names no policy. {near}{near and ' '}Give ALGORITHM:EPISODES (bc:20 trains bc on 20 demonstrations "
            "now), the id of a record (6 hex digits or more), or the path of a record's JSON file"
        )
    _fits(found[0], task, horizon)
    if suite is not None:
        raise ValueError(f"record {found[0].id[:8]} is trained already; --suite {suite} needs ALGORITHM:EPISODES")
    if changes:
        raise ValueError(
            f"record {found[0].id[:8]} is trained already; settings such as {next(iter(changes))} need ALGORITHM:EPISODES"
        )
    return found


def by_file(path: pathlib.Path) -> tuple[Record, pathlib.Path]:
    """A record by its file `RESULTS/SUITE/records/<id[:2]>/<id>.json`, or its sidecar's, if it holds what its name and place say."""
    if path.suffix == ".safetensors":
        found = by_file(path.with_name(f"{path.name.split('.')[0]}.json"))
        if store.sidecar_name(found[0]) != path.name:
            raise ValueError(f"{str(path)!r} is not the sidecar of record {found[0].id[:8]}; give its JSON file, or its id")
        return found
    if not path.is_file():
        raise ValueError(f"no file {str(path)!r}; give the JSON file of a record, or its id")
    file = path.resolve()
    if len(file.parents) < 4 or file.parents[1].name != "records":
        raise ValueError(
            f"{str(path)!r} lies in no folder of records, RESULTS/SUITE/records/ab/ab....json; its arrays lie there"
        )
    try:
        return store.read_file(file), file.parents[3]
    except (OSError, ValueError) as error:
        raise ValueError(f"{str(path)!r} is not the record that its name says: {error}") from error


def by_id(prefix: str, results: str | None) -> tuple[Record, pathlib.Path]:
    """The one record whose id starts so, and its folder of results; ValueError for none and for several."""
    folders = [pathlib.Path(f) for f in ([results] if results is not None else FOLDERS) if pathlib.Path(f).is_dir()]
    found = [(folder, suite, id) for folder in folders for suite, id in store.find(folder, prefix)]
    if not found:
        where = " or ".join(f"{f}/" for f in ([results] if results is not None else FOLDERS))
        raise ValueError(f"no record {prefix} under {where}; give its JSON file, or its folder with --results")
    ids = sorted({id for _, _, id in found})
    if len(ids) > 1:
        raise ValueError(f"{len(ids)} records start with {prefix}; give more digits: {', '.join(ids[:4])}")
    folder, suite, id = found[0]
    return store.get(folder, suite, id), folder


def _fits(record: Record, task: str, horizon: int | None) -> None:
    of, version = record.cell.task.rsplit("@", 1)
    if task not in (of, record.cell.task):
        raise ValueError(f"record {record.id[:8]} is of {record.cell.task}, not of {task}; give TASK {of}")
    if horizon is not None and horizon != record.cell.horizon:
        raise ValueError(f"record {record.id[:8]} was trained for H = {record.cell.horizon}; leave --horizon out")
    if record.status != "ok":
        raise ValueError(f"record {record.id[:8]} is {record.status} ({record.reason}): there is nothing to certify")
    if record.sidecar is None:
        raise ValueError(_unsaved(record))
    now = registry.task(spelled(of), record.cell.horizon).version
    if now != int(version):
        raise ValueError(
            f"record {record.id[:8]} is of {record.cell.task}; this ilbench has version {now}: run it again"
        )


def spelled(task: str) -> str:
    """`brax-ant-mjx`, as records name it, is `brax:ant/mjx`, as tasks are asked for."""
    name = re.fullmatch(r"brax-([a-z0-9_]+)-([a-z]+)", task)
    return f"brax:{name[1]}/{name[2]}" if name else task


def _unsaved(record: Record) -> str:
    return (
        f"record {record.id[:8]} holds no policy; `ilbench run {record.suite.split('@')[0]} --save-policies --out ...` into its "
        "folder runs it again and keeps it"
    )


def task_of(found: Any) -> Task:
    """The task of what `find` found."""
    if isinstance(found, trained_now.Training):
        return found.plan.task
    cell = found[0].cell
    task: Task = registry.task(spelled(cell.task.rsplit("@", 1)[0]), cell.horizon, **_task_config(cell.config))
    return task


def _task_config(config: Mapping[str, Any]) -> dict[str, Any]:
    return {key.split(".", 1)[1]: value for key, value in config.items() if key.startswith("task.")}


# ------------------------------------------------------------------------------------------- building
def build(found: Any, sigma: float | None = None) -> Loaded:
    """Trains a `Training` (with sigma: on rollouts that carry the noise), or reads a record's policy.

    Raises ValueError for arrays that do not fit their head or a training that diverged, StoreError for damaged files.
    """
    if isinstance(found, trained_now.Training):
        policy, source, told = trained_now.train(found, sigma)
        return Loaded(policy, found.plan.task, source, told)
    record, folder = found
    return read(record, store.read_sidecar(folder, record))


def read(record: Record, arrays: Mapping[str, np.ndarray]) -> Loaded:
    """The policy in a record's sidecar; raises ValueError that names the first array that does not fit its head."""
    from ilbench.experts import weights

    cell = record.cell
    name = spelled(cell.task.rsplit("@", 1)[0])
    block = Block(
        name, cell.algorithm, cell.head, cell.budget, horizon=cell.horizon, seeds=(cell.seed,), config=cell.config
    )
    resolved = plan.resolve(block)
    if resolved.algorithm.instrument:
        raise ValueError(
            f"record {record.id[:8]}: {cell.algorithm} is an instrument, its policy is no head's; give {cell.algorithm}:1"
        )
    if weights.digest(resolved.task.ask().params) != cell.expert:
        raise ValueError(
            f"record {record.id[:8]}: the expert of {cell.task} has changed since, or it learnt from a file; run the cell again"
        )
    saved = {key[len(PREFIX) :]: np.asarray(v) for key, v in arrays.items() if key.startswith(PREFIX)}
    if not saved:
        raise ValueError(_unsaved(record))
    template = untrained(resolved.head, block.seeds)
    params = _checked(saved, template.params, f"record {record.id[:8]}")
    label = f"{cell.algorithm}/{cell.head}, {cell.budget} labels, seed {cell.seed}, record {record.id[:8]}"
    return Loaded(dataclasses.replace(template, params=params), resolved.task, label)


def _checked(saved: Mapping[str, np.ndarray], template: Any, what: str) -> Any:
    """The template's tree `[1, 1, ...]` with the saved arrays `[M, ...]` in it, leaves `[1, M, ...]`."""
    leaves, tree = jax.tree_util.tree_flatten_with_path(template)
    wanted = {jax.tree_util.keystr(path, simple=True, separator="/"): np.asarray(leaf) for path, leaf in leaves}
    if set(saved) != set(wanted):
        missing, extra = sorted(set(wanted) - set(saved)), sorted(set(saved) - set(wanted))
        raise ValueError(f"{what}: its policy is not that of its head; missing {missing[:4]}, unknown {extra[:4]}")
    mixed = next(iter(saved.values())).shape[:1]
    if mixed == () or not 1 <= mixed[0] <= MAX_MIXED:
        raise ValueError(f"{what}: a policy has 1 ... {MAX_MIXED} iterates in front, got the shape {mixed}")
    for name, want in wanted.items():
        got, shape = saved[name], (*mixed, *want.shape[2:])
        if got.dtype != want.dtype or got.shape != shape:
            raise ValueError(
                f"{what}: {name} is {got.dtype} {list(got.shape)}, its head takes {want.dtype} {list(shape)}"
            )
        if got.dtype.kind == "f" and not np.isfinite(got).all():
            raise ValueError(f"{what}: {name} holds {int((~np.isfinite(got)).sum())} non-finite numbers")
        if name.endswith("norm/std") and (got <= 0).any():
            raise ValueError(f"{what}: {name} goes down to {got.min()}; standard deviations are positive")
    return jax.tree_util.tree_unflatten(tree, [saved[name][None] for name in wanted])
