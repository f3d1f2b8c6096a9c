"""Training in pieces: what a stopped training of an expert needs to go on, in one safetensors file.

Episodes in flight are not kept: a resumed training starts fresh ones, so that it is the same recipe but not bit for bit
the same run. Nothing in the file can be executed; leaves are read into the shapes of a fresh learner, or refused.
"""

from __future__ import annotations

import json
import pathlib
from typing import Any, NamedTuple

import jax
import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as safetensors_save

from ilbench.records.files import write_atomic
from ilbench.types import PyTree

FORMAT = "ilbench-training-2"


class Training(NamedTuple):
    """Where a training stands."""

    learner: PyTree
    best: PyTree  # parameters of the best checkpoint so far, in the form of `weights.zeros`; None before the first
    best_at: list[float]  # its [env steps, mean return, fraction surviving, action change]
    curve: list[list[float]]
    number: int  # of calls of the RL loop: the key of the next one
    seconds: float  # spent so far, all pieces together


def path_of(weights: pathlib.Path) -> pathlib.Path:
    """The checkpoint beside the weights that it will become."""
    return weights.with_name(weights.name.removesuffix(".safetensors") + ".training")


def _named(prefix: str, tree: PyTree) -> dict[str, np.ndarray]:
    leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
    return {prefix + jax.tree_util.keystr(p, simple=True, separator="."): np.asarray(leaf) for p, leaf in leaves}


def save(path: pathlib.Path, task: str, recipe: str, training: Training) -> None:
    """Writes atomically; `recipe` is whatever must be the same for the training to go on."""
    tensors = _named("learner.", training.learner)
    if training.best is not None:
        tensors |= _named("best.", training.best)
    header = {
        "format": FORMAT,
        "task": task,
        "recipe": recipe,
        "state": json.dumps([training.best_at, training.curve, training.number, training.seconds]),
    }
    write_atomic(path, safetensors_save(tensors, metadata=header))


def _fill(template: PyTree, prefix: str, tensors: dict[str, np.ndarray], path: pathlib.Path) -> PyTree:
    def leaf(key: Any, like: Any) -> np.ndarray:
        name = prefix + jax.tree_util.keystr(key, simple=True, separator=".")
        got, want = tensors.get(name), np.asarray(like)
        if got is None or got.shape != want.shape or got.dtype != want.dtype or not np.isfinite(got).all():
            found = "none" if got is None else f"{got.dtype}{list(got.shape)}"
            raise ValueError(
                f"refused training checkpoint {path.name}: {name} is {found}, expected finite "
                f"{want.dtype}{list(want.shape)}; delete the file to train from the start"
            )
        return got

    return jax.tree_util.tree_map_with_path(leaf, template)


def load(path: pathlib.Path, task: str, recipe: str, learner: PyTree, best: PyTree) -> Training | None:
    """The training that stopped, or None where there is none; `learner` and `best` give the shapes.

    Raises ValueError for a file of another task or recipe, with both named, and for a damaged one.
    """
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="numpy") as stored:
            header = stored.metadata() or {}
            tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
        state = json.loads(header.get("state", "null"))
    except (SafetensorError, ValueError) as error:
        raise ValueError(
            f"refused training checkpoint {path.name}: damaged ({error}); delete it to start anew"
        ) from error
    if header.get("format") != FORMAT or not isinstance(state, list) or len(state) != 4:
        raise ValueError(
            f"refused training checkpoint {path.name}: not in the format {FORMAT}; delete it to start anew"
        )
    for what, given, found in (("task", task, header.get("task")), ("recipe", recipe, header.get("recipe"))):
        if given != found:
            raise ValueError(
                f"refused training checkpoint {path.name}: its {what} is {found}, this training's is {given}; "
                "delete it to start anew, or train with the same settings"
            )
    best_at, curve, number, seconds = state
    return Training(
        _fill(learner, "learner.", tensors, path),
        _fill(best, "best.", tensors, path) if best_at else None,
        best_at,
        curve,
        int(number),
        float(seconds),
    )
