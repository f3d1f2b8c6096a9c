"""Trained experts on disk: a small tanh network in a safetensors file, read back only if every byte is as expected.

File `<task>@<version>.safetensors` holds the float32 tensors and, in its header, the task they belong to; beside it
`<task>@<version>.json` says how they were trained and what they reached. Where they lie: manifests.py. Nothing here can
execute a file's content.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import pathlib
import re
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as safetensors_load
from safetensors.numpy import save as safetensors_save

from ilbench.experts.manifests import FORMAT, find, known_name, manifest, refuse
from ilbench.records.files import write_atomic
from ilbench.training import nets
from ilbench.types import Array, Box, Policy, PyTree, Task, no_memory

HIDDEN = (64, 64)
MAX_BYTES = 4 << 20  # a 512 x 512 network is 1.2 MB; anything above is not one of ours
MAX_WIDTH, MAX_LAYERS = 512, 4
HEADER = {"format", "task", "hidden"}  # what a file says of itself beside its tensors


# -------------------------------------------------------------------------------------------- the policy
@lru_cache
def _act(inputs: int, sizes: tuple[int, ...]) -> Any:
    """The deterministic act function of one network shape; cached, because functions hash by identity."""
    _, apply = nets.mlp(inputs, sizes)

    def act(params: PyTree, key: Array, t: Array, memory: PyTree, obs: Array) -> tuple[PyTree, Array]:
        return memory, jnp.tanh(apply(params["net"], nets.features(Box(inputs), params["norm"], obs)))

    return act


def policy(params: PyTree) -> Policy:
    """The mode of the trained Gaussian, `tanh(net((obs - mean) / std))` in [-1, 1]; reads `obs [inputs]`, no memory."""
    layers = [params["net"][f"Dense_{i}"]["kernel"].shape for i in range(len(params["net"]))]
    return Policy(params, no_memory, _act(layers[0][-2], tuple(shape[-1] for shape in layers)))


def zeros(obs_dim: int, action_dim: int, hidden: tuple[int, ...] = HIDDEN) -> PyTree:
    """All-zero parameters of an expert network: the template of what a file must hold."""
    sizes = (obs_dim, *hidden, action_dim)
    layer = {
        f"Dense_{i}": {"kernel": np.zeros((a, b), np.float32), "bias": np.zeros((b,), np.float32)}
        for i, (a, b) in enumerate(itertools.pairwise(sizes))
    }
    return {"net": layer, "norm": {"mean": np.zeros((obs_dim,), np.float32), "std": np.ones((obs_dim,), np.float32)}}


def _named(params: PyTree) -> dict[str, np.ndarray]:
    """Leaves by dotted name, `net.Dense_0.kernel`, in alphabetical order."""
    leaves = jax.tree_util.tree_flatten_with_path(params)[0]
    named = {jax.tree_util.keystr(path, simple=True, separator="."): np.asarray(leaf) for path, leaf in leaves}
    return dict(sorted(named.items()))


def digest(params: PyTree) -> str:
    """sha256 (hex) of names, dtypes, shapes and bytes of all leaves: the identity of an expert in record ids."""
    total = hashlib.sha256()
    for name, leaf in _named(params).items():
        total.update(f"{name}|{leaf.dtype.str}|{leaf.shape}|".encode())
        total.update(np.ascontiguousarray(leaf).tobytes())
    return total.hexdigest()


# ------------------------------------------------------------------------------------------------- files
def save(path: pathlib.Path, params: PyTree, task: str) -> str:
    """Writes the weights of `task` ("hopper@1") and returns their digest; ValueError for what `load` would refuse."""
    known_name(task)
    tensors = _named(params)
    hidden = tuple(tensors[f"net.Dense_{i}.bias"].shape[0] for i in range(len(params["net"]) - 1))
    first, last = tensors["net.Dense_0.kernel"].shape[0], tensors[f"net.Dense_{len(hidden)}.bias"].shape[0]
    _check(path, tensors, zeros(first, last, hidden))
    header = {"format": FORMAT, "task": task, "hidden": ",".join(map(str, hidden))}
    write_atomic(path, safetensors_save(tensors, metadata=header))
    return digest(params)


def _header(path: pathlib.Path, content: bytes) -> dict[str, Any]:
    """The metadata of a safetensors file, after checking that it is one: a pickle in disguise ends here, unread."""
    length = int.from_bytes(content[:8], "little")
    if len(content) < 10 or length > len(content) - 8 or content[8:9] != b"{":
        pickled = content[:1] == b"\x80" or content[:2] == b"PK"
        found = "what looks like a Python pickle or archive" if pickled else "no safetensors header"
        raise refuse(path, found, "a safetensors file; pickles are never loaded")
    try:
        header = json.loads(content[8 : 8 + length].decode("utf-8"))
        metadata = header.get("__metadata__")
    except (ValueError, AttributeError, RecursionError) as error:
        raise refuse(path, f"a header that is not JSON ({type(error).__name__})", "a safetensors header") from error
    if not isinstance(metadata, dict) or metadata.get("format") != FORMAT:
        given = metadata.get("format") if isinstance(metadata, dict) else metadata
        raise refuse(path, f"format {given!r}", f"format {FORMAT!r}")
    # The digest is over the tensors. With one way to write what the header says, no byte of it is free either.
    text, padding = json.dumps(header, separators=(",", ":")).encode(), length % 8
    if padding or content[8 : 8 + length] != text.ljust(length) or length - len(text) > 7 or set(metadata) != HEADER:
        raise refuse(
            path, "a header with bytes that say nothing, or something else", f"{', '.join(sorted(HEADER))} and tensors"
        )
    return metadata


def _check(path: pathlib.Path, tensors: dict[str, np.ndarray], template: PyTree) -> None:
    """ValueError unless names, shapes and dtypes are the template's and all numbers are finite."""
    expected = _named(template)
    if missing := sorted(set(expected) - set(tensors)):
        raise refuse(path, f"no tensor {', '.join(missing)}", f"{len(expected)} tensors")
    if extra := sorted(set(tensors) - set(expected)):
        raise refuse(path, f"the extra tensor {', '.join(extra)[:200]}", f"only {', '.join(expected)}")
    for name, want in expected.items():
        got = tensors[name]
        if got.dtype != want.dtype:
            raise refuse(path, f"{name} of dtype {got.dtype}", str(want.dtype))
        if got.shape != want.shape:
            raise refuse(path, f"{name} of shape {got.shape}", str(want.shape))
        if not np.isfinite(got).all():
            raise refuse(path, f"{int((~np.isfinite(got)).sum())} non-finite values in {name}", "finite numbers")
    if (tensors["norm.std"] <= 0).any():
        raise refuse(path, f"norm.std down to {tensors['norm.std'].min()}", "positive standard deviations")


def read(path: pathlib.Path, task: str, *, obs_dim: int, action_dim: int) -> PyTree:
    """Parameters of `task` ("hopper@1") from one file; ValueError that says what was found and what was expected."""
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise refuse(path, f"{size} bytes", f"at most {MAX_BYTES}")
    content = path.read_bytes()
    header = _header(path, content)
    if header.get("task") != task:
        raise refuse(path, f"weights for task {header.get('task')!r}", f"{task!r}: other versions have other dynamics")
    hidden = header.get("hidden", "")
    if not re.fullmatch(r"[0-9]{1,4}(,[0-9]{1,4})*", hidden) or hidden.count(",") >= MAX_LAYERS:
        raise refuse(path, f"hidden layers {hidden[:40]!r}", f"widths such as '64,64', at most {MAX_LAYERS}")
    widths = tuple(int(width) for width in hidden.split(","))
    if not all(1 <= width <= MAX_WIDTH for width in widths):
        raise refuse(path, f"hidden layers {hidden!r}", f"widths of 1 to {MAX_WIDTH}")
    template = zeros(obs_dim, action_dim, widths)
    need = 4 * sum(math.prod(leaf.shape) for leaf in _named(template).values())
    try:
        tensors = safetensors_load(content)
    except (SafetensorError, KeyError, ValueError, TypeError) as error:
        found = f"a damaged file ({str(error)[:120]})"
        raise refuse(path, found, f"a safetensors file with {need} bytes of float32") from error
    _check(path, tensors, template)
    return jax.tree_util.tree_map_with_path(
        lambda key, _: jnp.asarray(tensors[jax.tree_util.keystr(key, simple=True, separator=".")]), template
    )


def load(task: str, *, obs_dim: int, action_dim: int) -> PyTree:
    """Parameters of the expert of `task` ("hopper@1"), every byte as its manifest says.

    FileNotFoundError if weights or manifest are missing, ValueError if they are not sound or not of each other.
    """
    path = find(task)
    params, stated = read(path, task, obs_dim=obs_dim, action_dim=action_dim), manifest(task).get("digest")
    found = digest(params)
    if found != stated:
        repair = f"restore both files, or train it again: ilbench expert train {task.rpartition('@')[0]}"
        raise refuse(path, f"the digest {found[:12]}", f"{str(stated)[:12]}, which its manifest states; {repair}")
    return params


def references(task: Task) -> dict[str, dict[str, Any]] | None:
    """`{"random": {mean, ci, n}, "expert": ...}` at the task's horizon, from the manifest of exactly its expert.

    None where no manifest speaks of this expert, of this horizon, or of this absorbing reward.
    """
    try:
        stated = manifest(task.name)
    except FileNotFoundError:
        return None
    same = stated["digest"] == digest(task.ask().params)
    same &= stated["absorbing_reward"] == float(task.env.absorbing_reward)
    return stated["references_by_horizon"].get(str(task.horizon)) if same else None
