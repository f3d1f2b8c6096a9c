"""What an algorithm hands back, checked at once: what is wrong is said in the author's words, not in NumPy's."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from ilbench.compute import prng
from ilbench.names import hint
from ilbench.training import shapes
from ilbench.types import Discrete, Policy, Task, Trained

POLICIES = 16  # each is rolled out and stands in the record, which has 8 kB
WORD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,39}")  # of a policy or a curve: it becomes a key of the record


def _numeric(leaf: Any) -> str | None:
    """Why something is no array of numbers, or None."""
    try:
        dtype = leaf.dtype if hasattr(leaf, "dtype") else np.asarray(leaf).dtype
    except ValueError:
        return "rows of different lengths"
    if jax.dtypes.issubdtype(dtype, jax.dtypes.prng_key):
        return "a JAX key; hand over jax.random.key_data(key)"
    return None if np.dtype(dtype).kind in "biuf" else f"of type {dtype}"


def _words(what: str, names: Any, who: str) -> None:
    for name in names:
        if not isinstance(name, str) or not WORD.fullmatch(name):
            raise ValueError(f"{who} called a {what} {name!r:.60}; a name has letters, digits, _ . + and -, 40 at most")


def _policy(name: str, policy: Any, who: str, seeds: int) -> None:
    what = f"{who}: policy {name!r}"
    if not isinstance(policy, Policy):
        raise ValueError(f"{what} is a {type(policy).__name__}; it must be a Policy, e.g. lab.policy(params)")
    mixed: tuple[str, int] | None = None
    for path, leaf in jax.tree_util.tree_flatten_with_path(policy.params)[0]:
        place, shape = jax.tree_util.keystr(path, simple=True, separator="/") or "params", np.shape(leaf)
        if reason := _numeric(leaf):
            raise ValueError(f"{what} has the leaf {place}, {reason}; leaves are arrays of numbers [S, M, ...]")
        if len(shape) < 2 or shape[0] != seeds or shape[1] < 1:
            lost = " (lab.policy(params) adds the axis M)" if len(shape) and shape[0] == seeds else ""
            raise ValueError(
                f"{what} has the leaf {place} of shape {list(shape)}; leaves are [S, M, ...] with S = {seeds} seeds and "
                f"M iterates, M = 1 for a plain policy{lost}"
            )
        if mixed is not None and shape[1] != mixed[1]:
            raise ValueError(
                f"{what} has {mixed[1]} iterates in the leaf {mixed[0]} and {shape[1]} in {place} of shape {list(shape)}; leaves are "
                "[S, M, ...] with one M, 1 for a plain policy (lab.policy(params) adds that axis)"
            )
        mixed = mixed or (place, shape[1])


def _acts(name: str, policy: Policy, who: str, task: Task) -> None:
    """Traces one action, without computing any: what is wrong in a policy's shapes shows here, under its name."""
    what, space = f"{who}: policy {name!r}", task.env.action

    def spec(leaf: Any) -> Any:
        dtype = leaf.dtype if hasattr(leaf, "dtype") else np.asarray(leaf).dtype
        return jax.ShapeDtypeStruct(np.shape(leaf)[2:], jax.dtypes.canonicalize_dtype(dtype))

    params, key = jax.tree.map(spec, policy.params), jax.eval_shape(lambda: prng.key(0))
    kind = np.int32 if isinstance(task.env.obs, Discrete) else np.dtype(task.env.obs.dtype)
    t, obs = jax.ShapeDtypeStruct((), np.int32), jax.ShapeDtypeStruct(task.env.obs.shape, kind)
    try:
        memory = jax.eval_shape(policy.init, params, key)
        after, action = jax.eval_shape(policy.act, params, key, t, memory, obs)
    except Exception as error:
        first = (str(error).strip().splitlines() or [""])[0]
        raise ValueError(
            f"{what} cannot act on one observation {list(obs.shape)} of {task.name}: {type(error).__name__}: {first:.200}"
        ) from error
    if action.shape != space.shape:
        raise ValueError(
            f"{what} gives actions of shape {list(action.shape)}; those of {task.name} have {list(space.shape)}"
        )
    shapes.alike(f"{what}: the memory that act gives", after, memory)


def _numbers(what: str, given: Any, who: str, seeds: int, form: tuple[str, ...]) -> None:
    """Named arrays of numbers whose axes are `form`, ("S", "k") or ("S",), the first one `seeds` long."""
    axes = f"[{', '.join(form)}]"
    if not isinstance(given, Mapping):
        raise ValueError(f"{who}: {what}s are a {type(given).__name__}; they must be a dict of arrays {axes} by name")
    _words(what, given, who)
    for name, values in given.items():
        wanted = f"{what}s are numbers {axes} with S = {seeds} seeds"
        if reason := _numeric(values):
            raise ValueError(f"{who}: {what} {name!r} is {reason}; {wanted}")
        if len(shape := np.shape(values)) != len(form) or shape[0] != seeds:
            raise ValueError(f"{who}: {what} {name!r} has the shape {list(shape)}; {wanted}")


def trained(result: Any, algorithm_id: str, seeds: int | tuple[int, ...], task: Task | None = None) -> None:
    """Raises ValueError that says what is wrong with what `train` returned, and what is wanted.

    It must be a Trained whose policies have leaves `[S, M, ...]`, whose `selected` is one of them, and whose curves are
    numbers `[S, k]`; given the task, its policies must be able to act on it. Numbers that are not finite pass: training may
    diverge, and the record says so.
    """
    who, count = f"algorithm {algorithm_id!r}", seeds if isinstance(seeds, int) else len(seeds)
    if not isinstance(result, Trained):
        found = "nothing (None)" if result is None else f"a {type(result).__name__}"
        raise ValueError(f"{who}: train returned {found}; it must return Trained(policies, selected, curve)")
    if not isinstance(result.policies, Mapping) or not result.policies:
        raise ValueError(
            f"{who}: policies is {result.policies!r:.60}; it must be a dict of at least one policy by name"
        )
    _words("policy", result.policies, who)
    if len(result.policies) > POLICIES:
        raise ValueError(
            f"{who} returned {len(result.policies)} policies; each is evaluated and recorded, give at most {POLICIES}"
        )
    if not isinstance(result.selected, str) or result.selected not in result.policies:
        near = hint(str(result.selected), result.policies)
        raise ValueError(f"{who} selected {result.selected!r:.60}, which is none of its policies. {near}")
    for name, policy in result.policies.items():
        _policy(name, policy, who, count)
        if task is not None:
            _acts(name, policy, who, task)
    _numbers("curve", result.curve, who, count, ("S", "k"))
    _numbers("scalar", result.scalars, who, count, ("S",))
