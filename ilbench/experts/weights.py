"""Trained experts on disk: a small tanh network in a safetensors file, read back only if every byte is as expected.

File `<task>@<version>.safetensors` holds the float32 tensors and, in its header, the task they belong to; beside it
`<task>@<version>.json` says how they were trained and what they reached. Nothing here can execute a file's content.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import os
import pathlib
import re
import tempfile
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as safetensors_load
from safetensors.numpy import save as safetensors_save

from ilbench import nets
from ilbench.types import Array, Box, Policy, PyTree, Task

FORMAT = "ilbench-expert-1"
HIDDEN = (64, 64)
MAX_BYTES = 4 << 20  # a 512 x 512 network is 1.2 MB; anything above is not one of ours
MAX_WIDTH, MAX_LAYERS = 512, 4
SHIPPED = pathlib.Path(__file__).parent / "data"
FOLDER_VARIABLE = "ILBENCH_EXPERTS"


# -------------------------------------------------------------------------------------------- the policy
def _no_memory(params: PyTree, key: Array) -> tuple[()]:
    return ()


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
    return Policy(params, _no_memory, _act(layers[0][-2], tuple(shape[-1] for shape in layers)))


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
def _known_name(task: str) -> str:
    """`task` itself; ValueError unless it is a name with a version, which is then safe as a file name too."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9._+-]{0,63}@[0-9]{1,9}", task):
        raise ValueError(f"{task!r} is not a task with its version, such as 'hopper@1'")
    return task


def user_folder() -> pathlib.Path:
    """Where experts trained here are kept: $ILBENCH_EXPERTS, else the user's data folder."""
    import platformdirs

    given = os.environ.get(FOLDER_VARIABLE)
    return pathlib.Path(given) if given else pathlib.Path(platformdirs.user_data_dir("ilbench"), "experts")


def folders() -> tuple[pathlib.Path, ...]:
    """Where experts are looked for, first match wins: shipped before home-made, unless $ILBENCH_EXPERTS is set."""
    return (user_folder(), SHIPPED) if os.environ.get(FOLDER_VARIABLE) else (SHIPPED, user_folder())


def find(task: str) -> pathlib.Path:
    """Path of the weights of `task` ("hopper@1"); FileNotFoundError that says how to train them."""
    name, places = _known_name(task), folders()
    for folder in places:
        if (folder / f"{name}.safetensors").is_file():
            return folder / f"{name}.safetensors"
    stem = name.rsplit("@", 1)[0]
    others = sorted({path.stem for folder in places for path in folder.glob(f"{stem}@*.safetensors")})
    hint = f" There is {', '.join(others)}, but weights are valid for one version of a task only." if others else ""
    raise FileNotFoundError(
        f"expert_missing: no trained expert for {task!r}.{hint} Train one with: ilbench expert train {stem}"
    )


def write_atomic(path: pathlib.Path, content: bytes) -> None:
    """Writes beside the target and renames, so that a reader never sees half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
        os.chmod(temporary, 0o644)  # mkstemp makes files that nobody else can read
        os.replace(temporary, path)
    except BaseException:
        pathlib.Path(temporary).unlink(missing_ok=True)
        raise


def save(path: pathlib.Path, params: PyTree, task: str) -> str:
    """Writes the weights of `task` ("hopper@1") and returns their digest; ValueError for what `load` would refuse."""
    _known_name(task)
    tensors = _named(params)
    hidden = tuple(tensors[f"net.Dense_{i}.bias"].shape[0] for i in range(len(params["net"]) - 1))
    first, last = tensors["net.Dense_0.kernel"].shape[0], tensors[f"net.Dense_{len(hidden)}.bias"].shape[0]
    _check(path, tensors, zeros(first, last, hidden))
    header = {"format": FORMAT, "task": task, "hidden": ",".join(map(str, hidden))}
    write_atomic(path, safetensors_save(tensors, metadata=header))
    return digest(params)


def _refuse(path: pathlib.Path, found: str, expected: str) -> ValueError:
    return ValueError(f"refused expert weights {path.name}: found {found}, expected {expected}")


def _header(path: pathlib.Path, content: bytes) -> dict[str, Any]:
    """The metadata of a safetensors file, after checking that it is one: a pickle in disguise ends here, unread."""
    length = int.from_bytes(content[:8], "little")
    if len(content) < 10 or length > len(content) - 8 or content[8:9] != b"{":
        pickled = content[:1] == b"\x80" or content[:2] == b"PK"
        found = "what looks like a Python pickle or archive" if pickled else "no safetensors header"
        raise _refuse(path, found, "a safetensors file; pickles are never loaded")
    try:
        header = json.loads(content[8 : 8 + length].decode("utf-8"))
        metadata = header.get("__metadata__")
    except (ValueError, AttributeError, RecursionError) as error:
        raise _refuse(path, f"a header that is not JSON ({type(error).__name__})", "a safetensors header") from error
    if not isinstance(metadata, dict) or metadata.get("format") != FORMAT:
        given = metadata.get("format") if isinstance(metadata, dict) else metadata
        raise _refuse(path, f"format {given!r}", f"format {FORMAT!r}")
    return metadata


def _check(path: pathlib.Path, tensors: dict[str, np.ndarray], template: PyTree) -> None:
    """ValueError unless names, shapes and dtypes are the template's and all numbers are finite."""
    expected = _named(template)
    if missing := sorted(set(expected) - set(tensors)):
        raise _refuse(path, f"no tensor {', '.join(missing)}", f"{len(expected)} tensors")
    if extra := sorted(set(tensors) - set(expected)):
        raise _refuse(path, f"the extra tensor {', '.join(extra)[:200]}", f"only {', '.join(expected)}")
    for name, want in expected.items():
        got = tensors[name]
        if got.dtype != want.dtype:
            raise _refuse(path, f"{name} of dtype {got.dtype}", str(want.dtype))
        if got.shape != want.shape:
            raise _refuse(path, f"{name} of shape {got.shape}", str(want.shape))
        if not np.isfinite(got).all():
            raise _refuse(path, f"{int((~np.isfinite(got)).sum())} non-finite values in {name}", "finite numbers")
    if (tensors["norm.std"] <= 0).any():
        raise _refuse(path, f"norm.std down to {tensors['norm.std'].min()}", "positive standard deviations")


def read(path: pathlib.Path, task: str, *, obs_dim: int, action_dim: int) -> PyTree:
    """Parameters of `task` ("hopper@1") from one file; ValueError that says what was found and what was expected."""
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise _refuse(path, f"{size} bytes", f"at most {MAX_BYTES}")
    content = path.read_bytes()
    header = _header(path, content)
    if header.get("task") != task:
        raise _refuse(path, f"weights for task {header.get('task')!r}", f"{task!r}: other versions have other dynamics")
    hidden = header.get("hidden", "")
    if not re.fullmatch(r"[0-9]{1,4}(,[0-9]{1,4})*", hidden) or hidden.count(",") >= MAX_LAYERS:
        raise _refuse(path, f"hidden layers {hidden[:40]!r}", f"widths such as '64,64', at most {MAX_LAYERS}")
    widths = tuple(int(width) for width in hidden.split(","))
    if not all(1 <= width <= MAX_WIDTH for width in widths):
        raise _refuse(path, f"hidden layers {hidden!r}", f"widths of 1 to {MAX_WIDTH}")
    template = zeros(obs_dim, action_dim, widths)
    need = 4 * sum(math.prod(leaf.shape) for leaf in _named(template).values())
    try:
        tensors = safetensors_load(content)
    except (SafetensorError, KeyError, ValueError, TypeError) as error:
        found = f"a damaged file ({str(error)[:120]})"
        raise _refuse(path, found, f"a safetensors file with {need} bytes of float32") from error
    _check(path, tensors, template)
    return jax.tree_util.tree_map_with_path(
        lambda key, _: jnp.asarray(tensors[jax.tree_util.keystr(key, simple=True, separator=".")]), template
    )


def load(task: str, *, obs_dim: int, action_dim: int) -> PyTree:
    """Parameters of the expert of `task` ("hopper@1"); FileNotFoundError if missing, ValueError if not sound."""
    return read(find(task), task, obs_dim=obs_dim, action_dim=action_dim)


def manifest(task: str) -> dict[str, Any]:
    """What is stated about the expert of `task`: training, curve, survival, references; FileNotFoundError if none."""
    path = find(task).with_suffix(".json")
    if not path.is_file():
        raise FileNotFoundError(f"the expert {task!r} has no manifest {path.name} beside its weights; train it again")
    stated = json.loads(path.read_text(encoding="utf-8"))
    if stated.get("format") != FORMAT or stated.get("task") != task:
        raise _refuse(path, f"a manifest of {stated.get('task')!r}", f"one of {task!r} in format {FORMAT!r}")
    return stated


def references(task: Task) -> dict[str, dict[str, Any]] | None:
    """`{"random": {mean, ci, n}, "expert": ...}` at the task's horizon, from the manifest of exactly its expert.

    None where no manifest speaks of this expert, of this horizon, or of this absorbing reward.
    """
    try:
        stated = manifest(task.name)
    except FileNotFoundError:
        return None
    same = stated["digest"] == digest(task.expert.params)
    same &= stated["absorbing_reward"] == float(task.env.absorbing_reward)
    return stated["references_by_horizon"].get(str(task.horizon)) if same else None
