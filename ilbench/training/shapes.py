"""Shapes: what heads, models, objectives and behaviours give, traced without computing anything, before anything compiles.

What does not fit raises ValueError that names the part, the shape that it gave and the shape that is wanted. What fitted once
is remembered, so that it costs nothing in later rounds.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import jax
import numpy as np

from ilbench.compute import prng
from ilbench.distributions import Categorical, Normal, mode
from ilbench.training.fit import Objective
from ilbench.types import Behaviour, Choice, Data, Discrete, Head, Model, Space

ROWS = 8  # of the data that `prepare` and `solve` are tried on


def _of(shape: Any, dtype: Any) -> Any:
    return jax.ShapeDtypeStruct(tuple(shape), dtype)


def one(space: Space) -> Any:
    """What an element of a space looks like."""
    return _of(space.shape, np.int32 if isinstance(space, Discrete) else np.dtype(space.dtype))


FLOAT, STEP = _of((), np.float32), _of((), np.int32)


def key() -> Any:
    """What a key looks like."""
    return jax.eval_shape(lambda: prng.key(0))


# ------------------------------------------------------------------------------------------ comparing
def _shown(x: Any) -> str:
    return f"{list(x.shape)} {x.dtype}"


def _by_path(tree: Any) -> dict[str, Any]:
    return {jax.tree_util.keystr(p, simple=True, separator="/"): x for p, x in jax.tree_util.tree_flatten_with_path(tree)[0]}


def alike(what: str, found: Any, wanted: Any) -> None:
    """Raises ValueError, beginning with `what`, unless two trees of shapes have the same leaves in the same places."""
    a, b = _by_path(found), _by_path(wanted)
    if lost := [path for path in b if path not in a]:
        raise ValueError(f"{what} lacks {lost[0] or 'an array'}, of shape {_shown(b[lost[0]])}")
    if more := [path for path in a if path not in b]:
        raise ValueError(f"{what} holds {more[0] or 'an array'}, of shape {_shown(a[more[0]])}, which is not wanted")
    for path, x in a.items():
        if (x.shape, x.dtype) != (b[path].shape, b[path].dtype):
            raise ValueError(f"{what} is of shape {_shown(x)}{f' in {path}' if path else ''}; wanted {_shown(b[path])}")
    if not jax.tree.structure(found) == jax.tree.structure(wanted):  # type: ignore[operator]
        raise ValueError(f"{what} is {jax.tree.structure(found)}; wanted {jax.tree.structure(wanted)}")


def traced(what: str, f: Callable[..., Any], *given: Any) -> Any:
    """The shapes that `f(*given)` gives; ValueError that begins with `what` and holds the first line of what it raises."""
    try:
        return jax.eval_shape(f, *given)
    except Exception as error:  # whatever the author's code raises is the author's to read
        first = (str(error).strip().splitlines() or [""])[0]
        raise ValueError(f"{what}: {type(error).__name__}: {first:.200}") from error


def _leading(what: str, tree: Any, wanted: tuple[int, ...], form: str) -> None:
    for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]:
        if np.shape(leaf)[: len(wanted)] != wanted:
            name, gave = jax.tree_util.keystr(path, simple=True, separator="/"), list(np.shape(leaf))
            raise ValueError(f"{what}: {name or 'it'} has the shape {gave}; leaves are {form}, here {list(wanted)} and more")


def _signature(tree: Any, skip: int) -> Any:
    """A tree's structure and its leaves' shapes and types, without the first axes: hashable."""
    leaves, structure = jax.tree.flatten(tree)
    types = (x.dtype if hasattr(x, "dtype") else jax.dtypes.canonicalize_dtype(np.asarray(x).dtype) for x in leaves)
    return structure, tuple((np.shape(x)[skip:], kind) for x, kind in zip(leaves, types, strict=True))


def _shapes(signature: Any) -> Any:
    structure, leaves = signature
    return jax.tree.unflatten(structure, [_of(shape, kind) for shape, kind in leaves])


# ------------------------------------------------------------------------------------ what is fitted
def _model(model: Head | Model, row: Data, what: str) -> Any:
    """The parameters of a model that starts, prepares, loses and goes on as it should on rows such as `row`."""
    params = traced(f"{what}.init(key)", model.init, key())
    if not isinstance(params, dict):
        raise ValueError(f"{what}.init gives a {type(params).__name__}; wanted a dict of arrays by name")
    solve = getattr(model, "solve", None)
    data = jax.tree.map(lambda x: _of((ROWS, *x.shape), x.dtype), row)
    if solve is not None:
        alike(f"what {what}.solve gives", traced(f"{what}.solve(data, key)", solve, data, key()), params)
    elif integers := [path for path, x in _by_path(params).items() if x.dtype.kind != "f" and path.split("/")[0] not in model.fixed]:
        raise ValueError(f"{what}.init gives {integers[0]}, which has no gradient: name its entry in `fixed`")
    if model.prepare is not None:
        alike(f"what {what}.prepare gives", traced(f"{what}.prepare(params, data)", model.prepare, params, data), params)
    if model.after is not None:
        alike(f"what {what}.after gives", traced(f"{what}.after(params)", model.after, params), params)
    return params


def _loses(what: str, loss: Any, *given: Any) -> None:
    alike(f"what {what} gives", traced(what, loss, *given), FLOAT)


def row_of(head: Head, obs: Space, action: Space) -> Data:
    """What a row that a head is fitted to looks like."""
    (back, ahead), sees, does = head.window, one(obs), one(action)
    seen = sees if back == 1 else _of((back, *sees.shape), sees.dtype)
    done = does if ahead == 1 else _of((ahead, *does.shape), does.dtype)
    return Data(STEP, seen, done, FLOAT, None if head.window == (1, 1) else _of((ahead,), np.float32))


@lru_cache(maxsize=512)
def check_head(head: Head, obs: Space, action: Space, horizon: int) -> None:
    """Raises ValueError for a head whose parts do not fit one another, or the spaces and the horizon of its task."""
    back, ahead = head.window
    if max(head.window) > horizon or min(head.window) < 1:
        raise ValueError(f"head.window is {head.window}: {back} observations and {ahead} actions of an episode of {horizon} steps")
    sees, does = one(obs), one(action)
    row = row_of(head, obs, action)
    seen, done = row.obs, row.action
    params = _model(head, row, "head")
    _loses("head.loss(params, key, row)", head.loss, params, key(), row)
    check_acting("head", head.memory, head.act, params, sees, does)
    for name, given, wanted in (
        ("sample", (params, key(), STEP, seen), done),
        ("log_prob", (params, STEP, seen, done), FLOAT),
        ("complete", (params, key(), STEP, seen, done, _of((ahead,), np.float32)), done),
    ):
        if getattr(head, name) is not None:
            alike(f"what head.{name} gives", traced(f"head.{name}", getattr(head, name), *given), wanted)
    if head.dist is not None:
        law = traced("head.dist(params, t, obs)", head.dist, params, STEP, seen)
        if not isinstance(law, Categorical | Normal):
            raise ValueError(f"head.dist gives a {type(law).__name__}; wanted a Dist of ilbench.distributions")
        # Of a chunk it is the law of all its numbers in a row: divergences sum over a last axis.
        flat = done if isinstance(action, Discrete) else _of((math.prod(done.shape),), done.dtype)
        alike("what head.dist is the law of", jax.eval_shape(mode, law), flat)


def check_acting(what: str, init: Any, act: Any, params: Any, obs: Any, action: Any) -> None:
    """Raises ValueError for an `act` that gives another action, or another memory than it was given, as shapes."""
    memory = traced(f"{what}'s memory(params, key)", init, params, key())
    gave = traced(f"{what}.act on an observation {list(obs.shape)}", act, params, key(), STEP, memory, obs)
    if not isinstance(gave, tuple) or len(gave) != 2:
        raise ValueError(f"{what}.act gives a {type(gave).__name__}; wanted (memory, action)")
    alike(f"the action of {what}.act", gave[1], action)
    alike(f"the memory that {what}.act gives", gave[0], memory)


def check_rows(data: Data, seeds: int) -> None:
    """Raises ValueError for rows that are not `[S, R, ...]`."""
    rows = np.shape(data.weight)
    if len(rows) != 2 or rows[0] != seeds:
        raise ValueError(f"data: weight has the shape {list(rows)}; wanted [S, R] with S = {seeds} seeds")
    _leading("data", data, rows, "[S, R, ...]")


def check_fit(model: Head | Model, data: Data, seeds: int, start: Any = None, objective: Objective | None = None, given: Any = ()) -> None:
    """Raises ValueError for rows that are not `[S, R, ...]`, for what is not `[S, ...]`, and for a loss that is no scalar of them.

    `start` are the parameters that a fit goes on from, if it does.
    """
    check_rows(data, seeds)
    _leading("start", start, (seeds,), "[S, ...]")
    _leading("given", given, (seeds,), "[S, ...]")
    _fitting(model, objective, _signature(start, 1), _signature(data, 2), _signature(given, 1))


@lru_cache(maxsize=512)
def _fitting(model: Head | Model, objective: Objective | None, start: Any, data: Any, given: Any) -> None:
    row, begun, read, what = _shapes(data), _shapes(start), _shapes(given), type(model).__name__.lower()
    params = _model(model, row, what)
    if begun is not None:
        alike("start", begun, params)
    on = f"a row of obs {list(row.obs.shape)} and action {list(row.action.shape)}"
    if objective is None:
        _loses(f"{what}.loss on {on}", model.loss, params, key(), row)
    else:
        # A model is a record of functions, no array: it is closed over, as fit does.
        _loses(f"the objective on {on}", partial(objective, model), read, params, key(), row)


# ------------------------------------------------------------------------------------------- who acts
def check_behaviour(behaviour: Behaviour, seeds: int, obs: Space, action: Space) -> None:
    """Raises ValueError for leaves that are not `[S, ...]` and for a choice of other shapes than an episode carries on."""
    _leading("the behaviour", behaviour.params, (seeds,), "[S, ...] (lab.same repeats one over seeds)")
    _choosing(behaviour.init, behaviour.choose, _signature(behaviour.params, 1), obs, action)


@lru_cache(maxsize=512)
def _choosing(init: Any, choose: Any, params: Any, obs: Space, action: Space) -> None:
    params, does, flag = _shapes(params), one(action), _of((), np.bool_)
    memory = traced("behaviour.init(params, key)", init, params, key())
    choice = traced("behaviour.choose", choose, params, key(), STEP, memory, one(obs), does, does)
    if not isinstance(choice, Choice):
        raise ValueError(f"behaviour.choose gives a {type(choice).__name__}; wanted a Choice")
    wanted = Choice(memory, STEP, does, flag)
    for name, gave, want in zip(Choice._fields, choice, wanted, strict=True):
        alike(f"the {name} that behaviour.choose gives", gave, want)
